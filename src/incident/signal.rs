//! What a run says of sockets and checks: what fails, and what does not any more.

use super::MemberKind;
use crate::diagnose::known_ms;
use crate::failure::{Blame, Failure, UpgradeOutcome};
use crate::run::{Judgement, Run};
use crate::transcript::{Observation, Transcript};
use crate::verdict::Verdict;
use serde_json::Value;

/// Something that fails, or does not any more.
pub(super) struct Signal<'a> {
    pub kind: MemberKind,
    pub name: String,
    pub failure: Option<&'a Failure>,
    pub says: String,
    /// Scenarios whose transcripts it reads; the first broken one leads.
    pub scenarios: Vec<&'a str>,
    /// Checks whose failing verdicts it reads.
    pub reads: Vec<&'a str>,
    pub step: &'a str,
    /// What a check was judged to be.
    pub judgement: Option<&'a Judgement>,
    /// When a socket answered so, seconds since 1970; of a check nothing.
    pub known_at: Option<f64>,
}

/// `module/check`.
pub(super) fn full_id(judgement: &Judgement) -> String {
    format!("{}/{}", judgement.module, judgement.id)
}

/// What a run says of sockets, then of checks.
pub(super) fn signals(run: &Run) -> Vec<Signal<'_>> {
    let mut signals: Vec<Signal> = run
        .transcript
        .iter()
        .filter_map(|transcript| socket(transcript))
        .collect();
    for (judgement, inputs) in run.judgements.iter().zip(&run.inputs) {
        signals.extend(check(judgement, inputs));
    }
    signals
}

/// What a run says of a socket: it fails when the run broke off at its opening, and works when it opened.
fn socket(transcript: &Transcript) -> Option<Signal<'_>> {
    let broke = transcript.broke_off.as_ref();
    let upgrades = transcript.entries.iter().filter_map(|entry| match &entry.seen {
        Observation::Upgrade(upgrade) if ["valid", "none"].contains(&upgrade.token.as_str()) => Some((entry, upgrade)),
        _ => None,
    });
    let mut upgrades: Vec<_> = upgrades.collect();
    let broken = upgrades.iter().position(|(entry, _)| {
        broke.is_some_and(|broke| broke.step == entry.id && broke.failure.blame != Blame::Monitor)
    });
    let place = broken.or_else(|| {
        upgrades
            .iter()
            .position(|(_, upgrade)| upgrade.outcome == UpgradeOutcome::Ok)
    })?;
    let (entry, upgrade) = upgrades.swap_remove(place);
    let failure = broken.and(broke).map(|broke| &broke.failure);
    Some(Signal {
        kind: MemberKind::Socket,
        name: format!("{}/{}", upgrade.endpoint, upgrade.token),
        failure,
        says: failure.map_or_else(String::new, ToString::to_string),
        scenarios: vec![&transcript.scenario],
        reads: Vec::new(),
        step: &entry.id,
        judgement: None,
        known_at: Some(transcript.started_unix + known_ms(entry) / 1e3),
    })
}

/// What a judgement says: only a fail that is not our own fault fails, only a pass recovers.
fn check<'a>(judgement: &'a Judgement, inputs: &'a Value) -> Option<Signal<'a>> {
    let failure = match (judgement.verdict, &judgement.failure) {
        (Verdict::Pass, _) => None,
        (Verdict::Fail, Some(failure)) if judgement.blames != Some(Blame::Monitor) => Some(failure),
        _ => return None,
    };
    let broken = judgement.expectations.iter().find(|judged| judged.held == Some(false));
    let verdicts = inputs["verdicts"].as_object().into_iter().flatten();
    let read = judgement.transcripts.first();
    Some(Signal {
        kind: MemberKind::Check,
        name: full_id(judgement),
        failure,
        says: broken.map_or_else(String::new, |judged| judged.message.clone()),
        scenarios: judgement
            .transcripts
            .iter()
            .map(|read| read.scenario.as_str())
            .collect(),
        reads: verdicts
            .filter(|(_, seen)| seen["verdict"] == "fail")
            .map(|(check, _)| check.as_str())
            .collect(),
        step: read.and_then(|read| read.entries.first()).map_or("", String::as_str),
        judgement: Some(judgement),
        known_at: None,
    })
}
