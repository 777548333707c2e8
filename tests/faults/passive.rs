//! The four checks over the ledger, each with a history made on the spot: restarts, a day of verdicts, a dozen agent runs.

use super::documented::{Documented, WITH_HISTORY};
use super::seen::Seen;
use super::staging::{Staging, TIME_SCALE};
use super::table::blessing;
use stagewatch::history::Place;
use stagewatch::serve::Wanted;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time scale at which a day lasts 86 seconds.
const SHORT_DAYS: f64 = 0.001;
/// Pause before the restart, so that the resident socket is open.
const SETTLED: Duration = Duration::from_millis(2500);

fn check(id: &str) -> Wanted {
    Wanted::Check(id.to_owned())
}

async fn restart(staging: &Staging) {
    tokio::time::sleep(SETTLED).await;
    let url = format!("http://{}/rehearsal/restart", staging.rehearsal.control_addr());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).json(&serde_json::json!({})).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// One restart while the resident socket is held, which it is for as long as a token's end is waited for.
async fn restarted(staging: &Staging, folder: &Path) -> Seen {
    let wanted = vec![
        check("startup_resilience/startup_sequence"),
        check("startup_resilience/cold_start_performance"),
        check("coordination/consensus_mechanisms"),
    ];
    let (iterated, ()) = tokio::join!(
        staging.iterate_on(wanted, Place::Folder(folder.to_owned())),
        restart(staging),
    );
    Seen::of(&iterated)
}

/// Compares one row of the page with what was seen, or writes it down.
fn compare(seen: &Seen, id: &str) {
    let (_, fault) = WITH_HISTORY.iter().find(|(known, _)| *known == id).unwrap();
    let message = seen
        .messages
        .get(id)
        .unwrap_or_else(|| panic!("{id} is {:?}", seen.outcomes.get(id)));
    let message = message.replace('|', "\\|").replace('<', "&lt;");
    if blessing() {
        let mut documented = Documented::read();
        documented.set(id, (fault, message));
        documented.write();
        return;
    }
    let documented = Documented::read();
    let row = documented
        .row(id)
        .unwrap_or_else(|| panic!("docs/checks.md has no row for {id}"));
    assert_eq!((row.fault.as_str(), &row.message), (*fault, &message), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_traced_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::start(&[]).await;
    let seen = restarted(&staging, folder.path()).await;
    for id in [
        "startup_resilience/startup_sequence",
        "startup_resilience/cold_start_performance",
    ] {
        assert_eq!(seen.outcomes.get(id), None, "{:?}", seen.messages);
    }
    staging.rehearsal.switch("cold-start-slow", true).unwrap();
    let seen = restarted(&staging, folder.path()).await;
    compare(&seen, "startup_resilience/cold_start_performance");
    staging.rehearsal.switch("cold-start-slow", false).unwrap();
    staging.rehearsal.switch("startup-order-wrong", true).unwrap();
    let seen = restarted(&staging, folder.path()).await;
    compare(&seen, "startup_resilience/startup_sequence");
    staging.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_end_badly_are_counted() {
    let id = "coordination/coordination_metrics";
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::start(&[]).await;
    let mut seen = Seen::default();
    for _ in 0..3 {
        seen = Seen::of(
            &staging
                .iterate_on(vec![check(id)], Place::Folder(folder.path().to_owned()))
                .await,
        );
    }
    assert_eq!(seen.outcomes.get(id), None, "{:?}", seen.messages);
    staging.rehearsal.switch("agent-fails", true).unwrap();
    let seen = Seen::of(
        &staging
            .iterate_on(vec![check(id)], Place::Folder(folder.path().to_owned()))
            .await,
    );
    compare(&seen, id);
    staging.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_day_misses_the_availability_objective() {
    let id = "failure_recovery/recovery_metrics";
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::with(&[], SHORT_DAYS).await;
    let began = Instant::now();
    let day = Duration::from_secs_f64(86_400.0 * SHORT_DAYS);
    let wanted = || {
        vec![
            check(id),
            check("websocket_events/api_endpoints_for_agents"),
            check("agent_pipeline/real_agent_configuration"),
        ]
    };
    let mut passed = false;
    while began.elapsed() < day * 3 {
        let place = Place::Folder(folder.path().to_owned());
        let seen = Seen::of(&staging.iterate_on(wanted(), place).await);
        match seen.outcomes.get(id).map(String::as_str) {
            None => {
                passed = true;
                staging.rehearsal.switch("discovery-500", true).unwrap();
            }
            Some(outcome) if outcome.starts_with("fail") => {
                assert!(passed, "{:?}", seen.messages);
                compare(&seen, id);
                staging.end().await;
                return;
            }
            Some(outcome) => assert_eq!(outcome, "unknown window_too_short"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!((TIME_SCALE - SHORT_DAYS) > 0.0);
    panic!("the day never ended");
}
