//! What sinks receive: one scenario execution with the verdicts it allowed. Plain data.

pub use crate::expression::Compared;
use crate::failure::{Blame, Failure};
use crate::transcript::Transcript;
use crate::verdict::{UnknownReason, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// One scenario execution plus the verdicts it allowed.
#[derive(Clone, Debug)]
pub struct Run {
    /// What the scenario saw.
    pub transcript: Arc<Transcript>,
    /// The judgements made with it.
    pub judgements: Vec<Arc<Judgement>>,
    /// Seconds between the slot and the start.
    pub delay_s: f64,
}

/// The judgement of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Module.
    pub module: String,
    /// Check, without its module.
    pub id: String,
    /// One line.
    pub title: String,
    /// When it was judged, RFC 3339: the end of the newest transcript it read.
    pub at: String,
    /// The verdict: that of the worst part.
    pub verdict: Verdict,
    /// Why it is unknown.
    #[serde(default)]
    pub reason: Option<UnknownReason>,
    /// For `blocked_by`: the prerequisite that broke first (`module/scenario.step`, or `module/check`) and how.
    #[serde(default)]
    pub blocked_by: Option<String>,
    /// Who is to blame for a fail or an unknown.
    #[serde(default)]
    pub blames: Option<Blame>,
    /// The failure of the first broken expectation; for `blocked_by` that of the prerequisite that broke.
    #[serde(default)]
    pub failure: Option<Failure>,
    /// Every expectation of every part, in order.
    pub expectations: Vec<Judged>,
    /// Notes: shown, not judged.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What was read.
    pub transcripts: Vec<TranscriptRef>,
    /// Extracts of the ledger that were judged, as they were (part title or index, variable → value).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extracts: Vec<ExtractRef>,
    /// Wire time of the scenarios it judged, milliseconds.
    pub duration_ms: f64,
}

/// One expectation, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Title of its part, empty if the check has only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// The expression.
    pub that: String,
    /// True, false, or null when it could not be judged.
    pub held: Option<bool>,
    /// What to say: why it does not hold, or why it could not be judged; empty when it holds.
    pub message: String,
    /// The values compared, shown when it does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Compared>,
}

/// A transcript that was read, and which entries of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscriptRef {
    /// `module/scenario`.
    pub scenario: String,
    /// Run id.
    pub run: String,
    /// Step ids read.
    pub entries: Vec<String>,
}

/// An extract that was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtractRef {
    /// Place of the part in the check.
    pub part: usize,
    /// Variable.
    pub name: String,
    /// Value.
    pub value: Value,
}
