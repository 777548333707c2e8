//! The report's own story: upgrades of real users are answered 500 after authentication. The first three modules name the
//! status, what needs no socket stays green, and nothing that depends on one is green.

use super::staging::Staging;
use stagewatch::app::select;
use stagewatch::catalog::Check;
use stagewatch::failure::{Blame, Class};
use stagewatch::run::Judgement;
use stagewatch::transcript::Observation;
use stagewatch::verdict::{UnknownReason, Verdict};
use std::collections::{BTreeMap, BTreeSet};

const FAULT: &str = "ws-upgrade-500-after-auth";

/// What the story of one check must be in the first three modules.
fn assert_told(check: &Check, judgement: &Judgement) {
    let id = check.full_id();
    if !check.needs_socket {
        assert_eq!(judgement.verdict, Verdict::Pass, "{id} needs no socket: {judgement:#?}");
        return;
    }
    let failure = judgement
        .failure
        .as_ref()
        .unwrap_or_else(|| panic!("{id}: {judgement:#?}"));
    assert_eq!(
        (failure.class, failure.status),
        (Class::UpgradeStatus, Some(500)),
        "{id}"
    );
    assert_eq!(judgement.blames, Some(Blame::Target), "{id}");
    let blocked = (judgement.verdict, judgement.reason) == (Verdict::Unknown, Some(UnknownReason::BlockedBy));
    assert!(blocked || judgement.verdict == Verdict::Fail, "{id}: {judgement:#?}");
    // Which step broke is said, or what was expected of it.
    let told = |text: &str| text.contains("500");
    let by_step = judgement.blocked_by.as_deref().is_some_and(told);
    let by_message = judgement
        .expectations
        .iter()
        .any(|judged| judged.held != Some(true) && told(&judged.message));
    assert!(by_step || by_message, "{id}: {judgement:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_500_after_authentication_is_told_as_the_report_met_it() {
    let staging = Staging::start(&[FAULT]).await;
    let iterated = staging.iterate().await;
    let judgements: BTreeMap<String, &Judgement> = iterated
        .iteration
        .checks()
        .map(|(module, check)| (format!("{}/{}", module.id, check.id), check))
        .collect();

    let upgrades = iterated.transcripts.iter().flat_map(|transcript| &transcript.entries);
    let mut outcomes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in upgrades {
        if let Observation::Upgrade(upgrade) = &entry.seen {
            outcomes
                .entry(&upgrade.token)
                .or_default()
                .insert(upgrade.outcome.as_str());
        }
    }
    assert_eq!(outcomes["valid"], BTreeSet::from(["http_500"]), "{outcomes:?}");
    assert_eq!(
        outcomes["tampered"],
        BTreeSet::from(["ok"]),
        "a proper refusal is well: {outcomes:?}"
    );

    let mut sockets = BTreeSet::new();
    for (module, check) in staging.catalog.checks() {
        if module.number <= 3 {
            assert_told(check, judgements[&check.full_id()]);
        }
        if check.needs_socket {
            sockets.insert(check.full_id());
        }
    }
    let failing = |id: &&str| judgements[*id].verdict == Verdict::Fail;
    let named = [
        "websocket_events/websocket_connection",
        "websocket_events/websocket_event_flow_real",
        "websocket_events/concurrent_websocket_real",
        "message_flow/real_websocket_message_flow",
        "agent_pipeline/real_agent_pipeline_execution",
    ];
    assert_eq!(
        named.iter().filter(|id| failing(id)).count(),
        named.len(),
        "each fails by name"
    );

    // A check that reads the verdict of one that needs a socket depends on it too.
    let all: Vec<_> = staging.catalog.checks().map(|(_, check)| check).collect();
    loop {
        let before = sockets.len();
        let readers = all
            .iter()
            .filter(|check| select::reads(check).any(|id| sockets.contains(id)));
        let readers: Vec<String> = readers.map(|check| check.full_id()).collect();
        sockets.extend(readers);
        if sockets.len() == before {
            break;
        }
    }
    assert!(sockets.len() >= 25, "{sockets:?}");
    let green: Vec<_> = sockets
        .iter()
        .filter(|id| judgements[*id].verdict == Verdict::Pass)
        .collect();
    assert!(green.is_empty(), "green without a socket: {green:?}");
    staging.end().await;
}
