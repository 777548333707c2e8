//! The checks over a window of the past, which one iteration alone cannot judge: each is green on a healthy history, and
//! red once a fault is in it. Nothing is seeded: a daemon or repeated iterations make the history.

use super::documented::{Documented, WITH_HISTORY};
use super::seen::{self, Seen};
use super::staging::Staging;
use super::table::blessing;
use serde_json::{Value, json};
use stagewatch::app::daemon::{self, Running};
use stagewatch::history::Place;
use stagewatch::run::Judgement;
use stagewatch::serve::Wanted;
use stagewatch::verdict::Verdict;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Factor on long durations where a daemon runs: the resident holds its socket for half a minute.
const DAEMON_SCALE: f64 = 0.1;
/// Factor where a day of judgements is needed: a day and a half hour are a minute and a half.
const DAY_SCALE: f64 = 0.001;
/// How long a restart may take to be seen and judged.
const SOON: Duration = Duration::from_secs(90);

/// Fault and outcome of a check that was made red, beside its message.
struct Red<'a> {
    check: &'a str,
    fault: &'a str,
    outcome: &'a str,
}

/// Holds a red judgement against what is expected and what `docs/checks.md` says, or writes the page.
fn assert_red(red: &Red, judgement: &Judgement) {
    assert_eq!(seen::outcome(judgement).as_deref(), Some(red.outcome), "{judgement:#?}");
    let message = seen::message(judgement).unwrap();
    if blessing() {
        Documented::update(|page| page.set(red.check, (red.fault, message.clone())));
        return;
    }
    let seen = Seen {
        outcomes: BTreeMap::new(),
        messages: BTreeMap::from([(red.check.to_owned(), message)]),
    };
    let page = Documented::read();
    let row = page.rows.iter().find(|(check, _)| check == red.check);
    assert_eq!(row.map(|(_, row)| row.fault.as_str()), Some(red.fault), "{}", red.check);
    let differences = page.differences(red.fault, &seen, |check| check == red.check);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The latest judgement of `check` (full id) that is not unknown, as soon as there is one.
async fn judged(running: &Running, check: &str) -> Arc<Judgement> {
    let (module, id) = check.split_once('/').unwrap();
    let deadline = Instant::now() + SOON;
    loop {
        let status = running.live().status();
        let found = status.modules.iter().find(|found| found.id == module);
        let found = found.unwrap().checks.iter().find(|found| found.id == id).unwrap();
        if let Some(judgement) = found.judgement.as_ref().filter(|last| last.verdict != Verdict::Unknown) {
            return Arc::clone(judgement);
        }
        assert!(Instant::now() < deadline, "{check}: {:#?}", found.judgement);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn control(staging: &Staging, method: reqwest::Method, path: &str) -> Value {
    let url = format!("http://{}/rehearsal/{path}", staging.rehearsal.control_addr());
    let answer = reqwest::Client::new().request(method, url).json(&json!({}));
    answer.send().await.unwrap().json().await.unwrap()
}

/// A daemon meets one restart of a rehearsal with `fault` (healthy if none); the judgements of `checks` after it.
async fn after_a_restart(fault: Option<&str>, checks: [&str; 2]) -> [Arc<Judgement>; 2] {
    let staging = Staging::with(&[], DAEMON_SCALE).await;
    let running = daemon::start(Arc::clone(&staging.catalog)).await.unwrap();
    let deadline = Instant::now() + SOON;
    while control(&staging, reqwest::Method::GET, "stats").await["sockets_open"] == 0 {
        assert!(Instant::now() < deadline, "no socket was opened");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The resident opens its socket first; it is welcomed and on offer soon after.
    tokio::time::sleep(Duration::from_secs(2)).await;
    if let Some(fault) = fault {
        staging.rehearsal.switch(fault, true).unwrap();
    }
    control(&staging, reqwest::Method::POST, "restart").await;
    let [first, second] = checks;
    let judgements = [judged(&running, first).await, judged(&running, second).await];
    running.shutdown().await;
    staging.end().await;
    judgements
}

const SEQUENCE: &str = "startup_resilience/startup_sequence";
const COLD_START: &str = "startup_resilience/cold_start_performance";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "live restarts: cargo test --test faults -- --ignored"]
async fn a_restart_in_order_and_in_time_is_green_and_any_other_red() {
    for judgement in after_a_restart(None, [SEQUENCE, COLD_START]).await {
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    }
    let [slow, order] = after_a_restart(Some("cold-start-slow"), [COLD_START, SEQUENCE]).await;
    let red = Red {
        check: COLD_START,
        fault: "cold-start-slow",
        outcome: "fail latency judge - target",
    };
    assert_red(&red, &slow);
    assert_eq!(order.verdict, Verdict::Pass, "slow, but in order: {order:#?}");
    let [order, slow] = after_a_restart(Some("startup-order-wrong"), [SEQUENCE, COLD_START]).await;
    let red = Red {
        check: SEQUENCE,
        fault: "startup-order-wrong",
        outcome: "fail expectation judge - target",
    };
    assert_red(&red, &order);
    assert_eq!(slow.verdict, Verdict::Pass, "in time, but not in order: {slow:#?}");
}

/// One iteration of `checks` over the staging's own folder; the judgement of the last of them.
async fn iterate(staging: &Staging, checks: &[&str]) -> Judgement {
    let wanted = checks.iter().map(|check| Wanted::Check((*check).to_owned())).collect();
    let place = Place::Folder(staging.catalog.service.data_dir.clone());
    let iterated = staging.iterate_on(wanted, place).await;
    let last = checks.last().unwrap();
    let found = iterated
        .iteration
        .checks()
        .find(|(module, check)| format!("{}/{}", module.id, check.id) == *last);
    found.unwrap().1.clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a dozen live runs: cargo test --test faults -- --ignored"]
async fn runs_that_all_end_are_green_and_a_lost_one_is_red() {
    const CHECK: &str = "coordination/coordination_metrics";
    let staging = Staging::start(&[]).await;
    let mut judgement = iterate(&staging, &[CHECK]).await;
    assert_eq!(seen::outcome(&judgement).as_deref(), Some("unknown window_too_short"));
    for _ in 0..3 {
        judgement = iterate(&staging, &[CHECK]).await;
    }
    assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
    staging.rehearsal.switch("agent-run-lost", true).unwrap();
    let red = Red {
        check: CHECK,
        fault: "agent-run-lost",
        outcome: "fail expectation judge - target",
    };
    assert_red(&red, &iterate(&staging, &[CHECK]).await);
    staging.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a scaled day: cargo test --test faults -- --ignored"]
async fn a_day_of_good_verdicts_is_green_and_one_with_an_outage_red() {
    const CHECK: &str = "failure_recovery/recovery_metrics";
    const WATCHED: [&str; 2] = [
        "websocket_events/api_endpoints_for_agents",
        "agent_pipeline/real_agent_configuration",
    ];
    let staging = Staging::with(&[], DAY_SCALE).await;
    let first = iterate(&staging, &[CHECK]).await;
    assert_eq!(seen::outcome(&first).as_deref(), Some("unknown window_too_short"));
    let day = Duration::from_secs(24 * 3600).mul_f64(DAY_SCALE);
    let begun = Instant::now();
    while begun.elapsed() < day {
        let next = Instant::now() + Duration::from_millis(500);
        iterate(&staging, &WATCHED).await;
        tokio::time::sleep_until(next.into()).await;
    }
    let green = iterate(&staging, &[CHECK]).await;
    assert_eq!(green.verdict, Verdict::Pass, "{green:#?}");
    staging.rehearsal.switch("environment-header-wrong", true).unwrap();
    for _ in 0..6 {
        iterate(&staging, &WATCHED).await;
    }
    let red = Red {
        check: CHECK,
        fault: "environment-header-wrong",
        outcome: "fail expectation judge - target",
    };
    assert_red(&red, &iterate(&staging, &[CHECK]).await);
    staging.end().await;
}

#[test]
fn each_check_over_the_past_is_made_red_here() {
    let text = include_str!("past.rs");
    for check in WITH_HISTORY {
        assert!(text.contains(&format!("\"{check}\"")), "{check} is made red by no test");
    }
}
