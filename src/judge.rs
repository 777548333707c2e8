//! stub
use crate::catalog::{Check, ConfiguredFunction};
use crate::failure::{Blame, Failure};
use crate::run::{ExtractRef, Judgement};
use crate::transcript::Transcript;
use crate::verdict::{UnknownReason, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
pub struct TranscriptView(pub Arc<Transcript>);
impl TranscriptView { pub fn transcript(&self)->&Transcript{&self.0} pub fn new(t: Arc<Transcript>) -> Self { Self(t) } }
pub enum Evidence { Seen(Arc<TranscriptView>), Absent { reason: UnknownReason, note: String, blame: Option<Blame> }, Off { note: String } }
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictSeen { pub verdict: Verdict, pub reason: Option<UnknownReason>, pub age_s: f64, pub title: String, pub message: String, pub failure: Option<Failure> }
pub struct Inputs<'a> { pub evidence: &'a BTreeMap<String, Evidence>, pub extracts: &'a [ExtractRef], pub verdicts: &'a BTreeMap<String, VerdictSeen>, pub facts: &'a serde_json::Map<String, Value>, pub functions: &'a Arc<BTreeMap<String, ConfiguredFunction>>, pub time_scale: f64, pub now_rfc3339: &'a str }
pub fn judge(_: &Check, _: &Inputs) -> Judgement { unreachable!() }
