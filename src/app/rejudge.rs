//! Judges stored evidence again: the same inputs give the same judgement, byte for byte. Reads what `once` exported or what
//! the history keeps; touches no target and no clock.

use super::select;
use crate::catalog::{Catalog, Check};
use crate::failure::Blame;
use crate::judge::{Evidence, Inputs, TranscriptView, VerdictSeen, judge};
use crate::run::Judgement;
use crate::transcript::Transcript;
use crate::verdict::UnknownReason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one judgement was made from, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredInputs {
    /// The moment it was judged at, RFC 3339.
    pub now: String,
    /// Factor on schedules and windows.
    pub time_scale: f64,
    /// Evidence by full scenario id.
    pub evidence: BTreeMap<String, StoredEvidence>,
    /// Verdicts of other checks by full id.
    pub verdicts: BTreeMap<String, VerdictSeen>,
}

impl StoredInputs {
    /// Ids of the runs whose transcripts were read.
    pub fn runs(&self) -> impl Iterator<Item = &str> {
        self.evidence.values().filter_map(|evidence| match evidence {
            StoredEvidence::Run(run) => Some(run.as_str()),
            _ => None,
        })
    }
}

/// Evidence, with the transcript by its run id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredEvidence {
    /// The transcript of this run.
    Run(String),
    /// There was none.
    Absent {
        /// Why.
        reason: UnknownReason,
        /// What was said.
        note: String,
        /// Who is to blame.
        blame: Option<Blame>,
    },
    /// It was off.
    Off(String),
}

impl StoredEvidence {
    /// How `evidence` is stored.
    pub fn of(evidence: &Evidence) -> Self {
        match evidence {
            Evidence::Seen(view) => Self::Run(view.transcript().run.clone()),
            Evidence::Absent { reason, note, blame } => Self::Absent {
                reason: *reason,
                note: note.clone(),
                blame: *blame,
            },
            Evidence::Off { note } => Self::Off(note.clone()),
        }
    }
}

/// One judgement with what it was made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exported {
    /// The judgement.
    pub judgement: Judgement,
    /// What it was made from; null when nothing was shown to the judge.
    pub inputs: Option<StoredInputs>,
}

/// Why something cannot be judged again.
#[derive(Debug, thiserror::Error)]
pub enum RejudgeError {
    /// The configuration has no such check.
    #[error("the configuration has no check `{0}`; judge with the configuration that it was judged with")]
    NoCheck(String),
    /// A transcript is missing.
    #[error("`{check}` was judged with run {run} of {scenario}, whose transcript is not here")]
    NoTranscript {
        /// The check.
        check: String,
        /// The run.
        run: String,
        /// The scenario.
        scenario: String,
    },
}

/// Stored transcripts by run id, converted when first needed.
pub struct Transcripts {
    views: BTreeMap<String, Arc<TranscriptView>>,
}

impl Transcripts {
    /// These transcripts.
    pub fn new(transcripts: impl IntoIterator<Item = Transcript>) -> Self {
        let views = transcripts.into_iter().map(|transcript| {
            let run = transcript.run.clone();
            (run, Arc::new(TranscriptView::new(Arc::new(transcript))))
        });
        Self { views: views.collect() }
    }
}

/// Judges again. What the judge was not shown at all (a bare `off`, a ledger that could not be read) stays as it is.
///
/// # Errors
/// When the check or a transcript is missing.
pub fn rejudge(catalog: &Catalog, stored: &Exported, transcripts: &Transcripts) -> Result<Judgement, RejudgeError> {
    let id = format!("{}/{}", stored.judgement.module, stored.judgement.id);
    let check = select::find(catalog, &id).ok_or_else(|| RejudgeError::NoCheck(id.clone()))?;
    let Some(inputs) = &stored.inputs else {
        return Ok(stored.judgement.clone());
    };
    let evidence = evidence(check, inputs, transcripts)?;
    let facts: Map<String, Value> = catalog.target.facts.clone().into_iter().collect();
    Ok(judge(
        check,
        &Inputs {
            evidence: &evidence,
            extracts: &stored.judgement.extracts,
            verdicts: &inputs.verdicts,
            facts: &facts,
            functions: &catalog.target.functions,
            time_scale: inputs.time_scale,
            now_rfc3339: &inputs.now,
        },
    ))
}

fn evidence(
    check: &Check,
    inputs: &StoredInputs,
    transcripts: &Transcripts,
) -> Result<BTreeMap<String, Evidence>, RejudgeError> {
    let restore = |(scenario, stored): (&String, &StoredEvidence)| {
        let evidence = match stored {
            StoredEvidence::Run(run) => {
                let view = transcripts.views.get(run).ok_or_else(|| RejudgeError::NoTranscript {
                    check: check.full_id(),
                    run: run.clone(),
                    scenario: scenario.clone(),
                })?;
                Evidence::Seen(Arc::clone(view))
            }
            StoredEvidence::Absent { reason, note, blame } => Evidence::Absent {
                reason: *reason,
                note: note.clone(),
                blame: *blame,
            },
            StoredEvidence::Off(note) => Evidence::Off { note: note.clone() },
        };
        Ok((scenario.clone(), evidence))
    };
    inputs.evidence.iter().map(restore).collect()
}
