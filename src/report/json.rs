//! JSON for programs.

use super::{Counts, Iteration, LatencyResult, ModuleResult, Since};
use crate::diagnose::Diagnosis;
use crate::failure::{Blame, Class, Failure, Kind, Phase};
use crate::run::{Judged, Judgement, TranscriptRef};
use crate::verdict::{UnknownReason, Verdict};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    target: &'a str,
    started_at: &'a str,
    duration_s: f64,
    summary: Totals,
    modules: Vec<Module<'a>>,
    latency_targets: Vec<Latency<'a>>,
    diagnosis: &'a Diagnosis,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a Since>,
}

#[derive(Serialize)]
struct Totals {
    checks: CheckCounts,
    modules: ModuleCounts,
}

#[derive(Serialize)]
struct CheckCounts {
    pass: usize,
    fail: usize,
    unknown: usize,
    off: usize,
}

#[derive(Serialize)]
struct ModuleCounts {
    #[serde(flatten)]
    counts: CheckCounts,
    total: usize,
}

#[derive(Serialize)]
struct Module<'a> {
    number: u32,
    id: &'a str,
    title: &'a str,
    verdict: Verdict,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    id: &'a str,
    title: &'a str,
    verdict: Verdict,
    reason: Option<UnknownReason>,
    blames: Option<Blame>,
    failure: Option<FailureShown>,
    expectations: Vec<Expectation<'a>>,
    transcripts: &'a [TranscriptRef],
}

#[derive(Serialize)]
struct FailureShown {
    class: Class,
    kind: Kind,
    phase: Phase,
    status: Option<u16>,
}

#[derive(Serialize)]
struct Expectation<'a> {
    that: &'a str,
    held: Option<bool>,
    message: &'a str,
}

#[derive(Serialize)]
struct Latency<'a> {
    #[serde(flatten)]
    result: &'a LatencyResult,
    verdict: Verdict,
}

impl From<Counts> for CheckCounts {
    fn from(counts: Counts) -> Self {
        Self {
            pass: counts.pass,
            fail: counts.fail,
            unknown: counts.unknown,
            off: counts.off,
        }
    }
}

impl<'a> From<&'a ModuleResult> for Module<'a> {
    fn from(module: &'a ModuleResult) -> Self {
        Self {
            number: module.number,
            id: &module.id,
            title: &module.title,
            verdict: module.verdict,
            checks: module.checks.iter().map(Check::from).collect(),
        }
    }
}

impl<'a> From<&'a Judgement> for Check<'a> {
    fn from(check: &'a Judgement) -> Self {
        Self {
            id: &check.id,
            title: &check.title,
            verdict: check.verdict,
            reason: check.reason,
            blames: check.blames,
            failure: check.failure.as_ref().map(FailureShown::from),
            expectations: check.expectations.iter().map(Expectation::from).collect(),
            transcripts: &check.transcripts,
        }
    }
}

impl From<&Failure> for FailureShown {
    fn from(failure: &Failure) -> Self {
        Self {
            class: failure.class,
            kind: failure.kind,
            phase: failure.phase,
            status: failure.status,
        }
    }
}

impl<'a> From<&'a Judged> for Expectation<'a> {
    fn from(judged: &'a Judged) -> Self {
        Self {
            that: &judged.that,
            held: judged.held,
            message: &judged.message,
        }
    }
}

/// The iteration as indented JSON with a line end.
pub fn json(iteration: &Iteration) -> String {
    let summary = iteration.summary();
    let document = Document {
        target: &iteration.target,
        started_at: &iteration.started_at,
        duration_s: iteration.duration_s,
        summary: Totals {
            checks: summary.checks.into(),
            modules: ModuleCounts {
                counts: summary.modules.into(),
                total: summary.modules.total(),
            },
        },
        modules: iteration.modules.iter().map(Module::from).collect(),
        latency_targets: iteration
            .latency_targets
            .iter()
            .map(|result| Latency {
                result,
                verdict: result.verdict(),
            })
            .collect(),
        diagnosis: &iteration.diagnosis,
        since: iteration.since.as_ref(),
    };
    // Plain data with text keys always serialises.
    let mut written = serde_json::to_string_pretty(&document).unwrap_or_default();
    written.push('\n');
    written
}
