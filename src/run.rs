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
    /// What the scenario saw; none for verdicts that rest on no new transcript: passive checks, roll-ups, stale evidence,
    /// runs that were refused.
    pub transcript: Option<Arc<Transcript>>,
    /// What the scenario's `measures` gave.
    pub measures: Vec<Measured>,
    /// The judgements made with it, with what they were made from.
    pub judgements: Vec<Arc<Judgement>>,
    /// What each judgement was made from, in the same order: enough, with the stored transcripts, to judge again.
    pub inputs: Vec<Arc<Value>>,
    /// Checks that were judged again without anything new in what decides them: shown, but neither counted nor kept.
    pub repeated: Vec<Arc<Judgement>>,
    /// Slots that passed without a run, and the checks that were to be judged with it.
    pub missed: Option<Missed>,
    /// Wall time at which it was judged, seconds since 1970.
    pub at: f64,
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

/// A measurement taken from a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Name of the series.
    pub series: String,
    /// Its value; a list is one sample an item, null is none.
    pub value: Value,
    /// The latency target it is a sample of; the value is then in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_target: Option<String>,
    /// The network floor it is: `tcp_connect` or `ws_ping`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
}

impl Measured {
    /// The numbers in the value, flattened: a number is one sample, a list holds several.
    pub fn numbers(&self) -> Vec<f64> {
        fn collect(value: &Value, into: &mut Vec<f64>) {
            match value {
                Value::Number(number) => into.extend(number.as_f64()),
                Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
                _ => {}
            }
        }
        let mut numbers = Vec::new();
        collect(&self.value, &mut numbers);
        numbers
    }
}

/// Slots of a scenario that passed without a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// `module/scenario`.
    pub scenario: String,
    /// How many.
    pub slots: u64,
    /// The checks that read it, as (module, check).
    pub checks: Vec<(String, String)>,
}
