//! The questions that one iteration asks at its end when a watch was answered wrongly, so that its report has the evidence
//! that an alert's first notification has.

use super::once::{Gathering, OnceOptions};
use crate::catalog::watch::siblings;
use crate::catalog::{Catalog, Scenario};
use crate::failure::{Blame, UpgradeOutcome};
use crate::scenario::Runner;
use crate::transcript::{Observation, Transcript, UpgradeExchange};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Runs once what is scheduled on confirm of each socket whose watch was answered wrongly.
pub(super) async fn confirm(
    catalog: &Catalog,
    runner: &Arc<Runner>,
    (options, gathering): (&OnceOptions, &mut Gathering),
) {
    let sockets = answered_wrongly(catalog, &gathering.transcripts);
    let asked: BTreeSet<&str> = sockets.iter().map(String::as_str).collect();
    let scenarios: Vec<&Arc<Scenario>> = asked.into_iter().flat_map(|socket| siblings(catalog, socket)).collect();
    let runs = scenarios
        .iter()
        .map(|scenario| runner.run(scenario, options.stop.clone()));
    for (scenario, outcome) in scenarios.iter().zip(join_all(runs).await) {
        gathering.take(Arc::clone(scenario), outcome);
    }
}

/// The sockets of which a watch saw a wrong answer that is not our own fault. Pure.
fn answered_wrongly(catalog: &Catalog, transcripts: &[Arc<Transcript>]) -> BTreeSet<String> {
    let watching = |transcript: &&Arc<Transcript>| {
        catalog
            .scenarios()
            .any(|scenario| scenario.feeds_watch && scenario.id == transcript.scenario)
    };
    transcripts
        .iter()
        .filter(watching)
        .flat_map(|transcript| upgrades(transcript).filter(|upgrade| is_wrong(transcript, upgrade)))
        .map(|upgrade| upgrade.endpoint.clone())
        .collect()
}

fn upgrades(transcript: &Transcript) -> impl Iterator<Item = &UpgradeExchange> {
    transcript
        .entries
        .iter()
        .filter(|entry| {
            entry
                .failure
                .as_ref()
                .is_none_or(|failure| failure.blame != Blame::Monitor)
        })
        .filter_map(|entry| match &entry.seen {
            Observation::Upgrade(upgrade) => Some(upgrade),
            _ => None,
        })
}

/// Whether the handshake was wrong, or right and followed by no session.
fn is_wrong(transcript: &Transcript, upgrade: &UpgradeExchange) -> bool {
    let broke = transcript.broke_off.as_ref();
    let session_broke = broke.is_some_and(|broke| broke.failure.blame != Blame::Monitor);
    upgrade.outcome != UpgradeOutcome::Ok || (upgrade.token == "valid" && session_broke)
}
