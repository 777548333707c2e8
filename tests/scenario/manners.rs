//! Doing no harm: handshake budgets across restarts, rate limits, back-off, runs a day, what is never sent.

use crate::support::{Look, Room, Target};
use stagewatch::failure::{Blame, Kind};
use stagewatch::scenario::{Journal, MemoryJournal, Outcome};
use stagewatch::verdict::UnknownReason;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const OPEN: &str = r#"  s:
    schedule: { every: 30m }
    credential: { pool: single }
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header }
      - ws.close: { id: bye }
"#;

fn refused(outcome: Outcome) -> (UnknownReason, String) {
    match outcome {
        Outcome::Refused { reason, note } => (reason, note),
        Outcome::Ran(transcript) => panic!("it ran: {:?}", transcript.broke_off),
    }
}

#[tokio::test]
async fn handshake_budgets_outlive_the_runner() {
    let target = Target::start().await;
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    let room = Room::journalled(&target, OPEN, &[], Arc::clone(&journal));
    for _ in 0..3 {
        assert_eq!(room.run("s").await.broke(), None);
    }
    let level = |room: &Room| {
        room.runner
            .budgets()
            .iter()
            .find(|level| level.name == "single")
            .unwrap()
            .remaining_ratio
    };
    assert_eq!(level(&room), 0.25);
    // A new runner over the same journal goes on where the old one stopped, also when the pool has been reordered.
    let room = Room::journalled(&target, OPEN, &[], journal);
    assert_eq!(level(&room), 0.25);
    room.run("s").await;
    let (reason, note) = refused(room.outcome("s").await);
    assert_eq!(reason, UnknownReason::Budget);
    assert!(note.contains("single"), "{note}");
    assert_eq!(target.world.shown.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn the_user_who_rested_longest_is_next() {
    let target = Target::start().await;
    let room = Room::new(&target, &OPEN.replace("single", "users"));
    let mut users = Vec::new();
    for _ in 0..6 {
        users.push(room.run("s").await.credentials["credential"].user.clone());
    }
    assert_eq!(
        users,
        ["users#1", "users#2", "users#3", "users#4", "users#1", "users#2"]
    );
}

#[tokio::test]
async fn a_user_acts_for_one_run_at_a_time_and_is_never_promised_twice() {
    let target = Target::start().await;
    let scenario = r#"  s:
    schedule: { every: 1h }
    credential: { pool: single }
    steps:
      - repeat: 2
        steps:
          - ws.open: { id: upgrade, socket: main, auth: header }
          - wait: 100ms
          - ws.close: { id: bye }
"#;
    let room = Room::new(&target, scenario);
    let (one, two, three) = tokio::join!(room.outcome("s"), room.outcome("s"), room.outcome("s"));
    let mut ran = Vec::new();
    let mut refusals = 0;
    for outcome in [one, two, three] {
        match outcome {
            Outcome::Ran(seen) => ran.push((seen.started_unix, seen.duration_ms / 1e3)),
            Outcome::Refused { reason, .. } => {
                assert_eq!(reason, UnknownReason::Budget);
                refusals += 1;
            }
        }
    }
    assert_eq!(
        (ran.len(), refusals),
        (2, 1),
        "two handshakes each of the four that the user has"
    );
    ran.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(ran[0].0 + ran[0].1 <= ran[1].0 + 0.01, "the runs overlap: {ran:?}");
}

#[tokio::test]
async fn too_many_requests_wait_or_fail_as_our_own_budget() {
    let target = Target::start().await;
    let scenario = r#"  s:
    schedule: { every: 5m }
    vars: { place: "'count'" }
    steps:
      - http: { id: one, base: api, path: "/${place}" }
      - http: { id: two, base: api, path: "/${place}", within: 3s }
      - http: { id: three, base: api, path: "/${place}", within: 300ms }
"#;
    // The plan cannot see through the hole in the path, so only the run meets the limit.
    let limit = "counts: \"request.path == '/count'\", max: 1, per: 1s";
    let room = Room::with(&target, scenario, &[("counts: \"true\", max: 600, per: 60s", limit)]);
    let seen = room.run("s").await;
    assert!(seen.entry("two").duration_ms > 800.0, "the second one waits for room");
    assert_eq!(seen.broke(), Some(("three", Kind::BudgetExhausted)));
    assert_eq!(seen.broke_off.unwrap().failure.blame, Blame::Monitor);
    assert_eq!(target.requests("GET /count"), 2);
}

#[tokio::test]
async fn a_429_makes_every_scenario_keep_still() {
    let target = Target::start().await;
    let scenarios = r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: one, base: api, path: /count }
      - http: { id: two, base: api, path: /count }
  other:
    schedule: { every: 5m }
    steps: [ { http: { id: there, base: api, path: /count } } ]
"#;
    // A minute is 60 ms; the target asks for a second.
    let room = Room::with(&target, scenarios, &[("time_scale: 1", "time_scale: 0.001")]);
    target.world.throttled.store(true, Ordering::SeqCst);
    let seen = room.run("s").await;
    let failure = seen.entry("one").failure.clone().unwrap();
    assert_eq!(
        (failure.kind, failure.blame, failure.status),
        (Kind::BudgetExhausted, Blame::Monitor, Some(429))
    );
    target.world.throttled.store(false, Ordering::SeqCst);
    let (reason, note) = refused(room.outcome("other").await);
    assert_eq!(reason, UnknownReason::Budget);
    assert!(note.contains("backing off"), "{note}");
    assert_eq!(target.requests("GET /count"), 1);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(room.run("other").await.broke(), None);
}

#[tokio::test]
async fn costly_scenarios_have_a_number_of_runs_a_day() {
    let target = Target::start().await;
    let scenario = r#"  s:
    schedule: { every: 1h }
    cost: llm
    runs_per_day: 2
    steps: [ { http: { id: there, base: api, path: /count } } ]
"#;
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
    for _ in 0..2 {
        Room::journalled(&target, scenario, &[], Arc::clone(&journal))
            .run("s")
            .await;
    }
    let room = Room::journalled(&target, scenario, &[], journal);
    let (reason, note) = refused(room.outcome("s").await);
    assert_eq!(reason, UnknownReason::Budget);
    assert!(note.contains("2 runs"), "{note}");
}

#[tokio::test]
async fn what_is_forbidden_is_not_sent_even_when_it_is_computed() {
    let target = Target::start().await;
    let scenario = r#"  s:
    schedule: { every: 5m }
    vars: { word: "'te' + 'st'", place: "'/te' + 'st/x'" }
    steps:
      - http: { id: body, base: api, path: /echo, method: POST, json: { q: "a ${word}" } }
        on_failure: go_on
      - http: { id: path, base: api, path: "${place}" }
        on_failure: go_on
      - ws.open: { id: opened, socket: free, auth: none }
      - ws.send: { id: message, json: { q: "${word}" } }
"#;
    let rules = "forbidden: { header_words: [], user_agent_words: [], body_words: [test], paths: [\"/test/\"] }";
    let room = Room::with(&target, scenario, &[("# target", rules)]);
    let seen = room.run("s").await;
    for id in ["body", "path", "message"] {
        let failure = seen.entry(id).failure.clone().unwrap();
        assert_eq!(
            (failure.kind, failure.blame),
            (Kind::StepInvalid, Blame::Monitor),
            "{id}"
        );
    }
    assert_eq!(target.requests("POST"), 0);
    assert!(target.world.heard.lock().unwrap().is_empty());
}
