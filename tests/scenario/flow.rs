//! Steps in order, captures, repetitions, branches, clean-up, deadlines.

use crate::support::{Look, Room, Target, run};
use serde_json::json;
use stagewatch::failure::{Blame, Kind};
use stagewatch::scenario::Outcome;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn values_flow_from_vars_and_captures_into_later_steps() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    vars: { a: "random(100, 999)", b: "a + 1" }
    steps:
      - http: { id: first, base: api, path: "/count?n=${nonce}" }
        capture: { n: "first.json.n", last: "first.json.list[2]" }
      - http: { id: say, base: api, path: /echo, method: POST, headers: { X-Word: "${target.word}" }, json: { sum: "${b - a}", text: "n=${n} last=${last}" } }
      - http: { id: skipped, base: api, path: /count, when: "n > 1000" }
"#
        .replace(", when: \"n > 1000\" }", " }\n        when: \"n > 1000\"")
        .as_str(),
    )
    .await;
    assert_eq!(seen.broke(), None);
    assert_eq!(
        seen.view("say")["json"]["parsed"],
        json!({ "sum": 1, "text": "n=1 last=3" })
    );
    assert_eq!(seen.view("say")["json"]["headers"]["x-word"], "hello");
    assert!(
        seen.view("first")["url"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/count?n={}", seen.nonce))
    );
    assert_eq!(seen.view("first")["layer"], "app");
    assert!(seen.all("skipped").is_empty());
    assert_eq!(
        (seen.vars["n"].clone(), seen.vars["last"].clone()),
        (json!(1), json!(3))
    );
    let drawn = seen.vars["a"].as_i64().unwrap();
    assert!((100..=999).contains(&drawn));
    assert_eq!(seen.vars["b"], json!(drawn + 1));
    assert_eq!(seen.period_s, 300.0);
}

#[tokio::test]
async fn a_capture_that_finds_nothing_breaks_off_naming_itself() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: first, base: api, path: /count }
        capture: { gone: "first.json.nothing" }
      - http: { id: second, base: api, path: /count }
    cleanup:
      - http: { id: tidy, base: api, path: /count }
"#,
    )
    .await;
    assert_eq!(seen.broke(), Some(("first", Kind::StepInvalid)));
    let failure = seen.entry("first").failure.clone().unwrap();
    assert!(
        failure.detail.contains("`gone`") && failure.detail.contains("nothing"),
        "{}",
        failure.detail
    );
    assert!(seen.all("second").is_empty());
    assert!(seen.entry("tidy").failure.is_none());
}

#[tokio::test]
async fn repetitions_have_places_and_concurrent_ones_run_at_once() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    steps:
      - repeat: 3
        index: i
        steps:
          - http: { id: turn, base: api, path: "/count?i=${i}" }
            capture: { last: "turn.json.n" }
      - times: 4
        index: k
        steps:
          - http: { id: crowd, base: api, path: "/slow/100?k=${k}" }
          - http: { id: after, base: api, path: "/echo?ok=${crowd.status}" }
      - parallel:
          - [ { http: { id: left, base: api, path: /slow/200 } } ]
          - [ { http: { id: right, base: api, path: /slow/200 } } ]
      - group: [ { http: { id: all, base: api, path: "/count?turns=${size(turn)}&crowd=${crowd.filter(c, c.status == 200).size()}" } } ]
"#,
    )
    .await;
    assert_eq!(seen.broke(), None);
    let places: Vec<_> = seen.all("turn").iter().map(|entry| entry.place.clone()).collect();
    assert_eq!(places, [[0], [1], [2]]);
    assert_eq!(seen.vars["last"], json!(3));
    assert_eq!(seen.all("crowd").len(), 4);
    assert!(target.world.at_once_max.load(Ordering::SeqCst) >= 4);
    assert!(
        seen.view("all")["url"]
            .as_str()
            .unwrap()
            .ends_with("/count?turns=3&crowd=4")
    );
    assert!(seen.entry("left").place.is_empty());
    let (left, right) = (seen.entry("left"), seen.entry("right"));
    assert!(
        right.offset_ms < left.offset_ms + left.duration_ms && left.offset_ms < right.offset_ms + right.duration_ms
    );
}

#[tokio::test]
async fn a_failure_goes_on_or_breaks_off_as_the_step_says() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: one, base: gone, path: / }
        on_failure: go_on
      - group: [ { http: { id: two, base: gone, path: / } }, { http: { id: never, base: api, path: /count } } ]
        on_failure: go_on
      - http: { id: three, base: gone, path: / }
      - http: { id: four, base: api, path: /count }
    cleanup:
      - http: { id: bad_tidy, base: gone, path: / }
      - http: { id: tidy, base: api, path: /count }
"#,
    )
    .await;
    assert_eq!(seen.broke(), Some(("three", Kind::TcpRefused)));
    let ids: Vec<&str> = seen.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["one", "two", "three", "bad_tidy", "tidy"]);
}

#[tokio::test]
async fn the_scenario_s_deadline_ends_the_run_but_not_its_clean_up() {
    let target = Target::start().await;
    let begun = Instant::now();
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    deadline: 400ms
    steps:
      - http: { id: quick, base: api, path: /count }
      - http: { id: late, base: api, path: /slow/30000, within: 30s }
      - http: { id: never, base: api, path: /count }
    cleanup:
      - http: { id: tidy, base: api, path: /slow/100, within: 2s }
"#,
    )
    .await;
    assert_eq!(seen.broke(), Some(("late", Kind::ScenarioDeadline)));
    assert_eq!(seen.entry("late").failure.as_ref().unwrap().kind, Kind::HeaderTimeout);
    assert_eq!(seen.view("tidy")["status"], 200);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_stop_ends_the_run_and_clean_up_still_runs() {
    let target = Target::start().await;
    let room = Room::new(
        &target,
        r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: slow, base: api, path: /slow/30000, within: 29s }
    cleanup:
      - http: { id: tidy, base: api, path: /count }
"#,
    );
    let stop = CancellationToken::new();
    let (runner, scenario, token) = (room.runner.clone(), room.scenario("s"), stop.clone());
    let running = tokio::spawn(async move { runner.run(&scenario, token).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.cancel();
    let Outcome::Ran(seen) = tokio::time::timeout(Duration::from_secs(15), running)
        .await
        .unwrap()
        .unwrap()
    else {
        panic!("it had begun");
    };
    let broke = seen.broke_off.clone().unwrap();
    assert_eq!(
        (broke.failure.kind, broke.failure.blame),
        (Kind::Cancelled, Blame::Monitor)
    );
    assert_eq!(seen.view("tidy")["status"], 200);
}

#[tokio::test]
async fn event_streams_are_read_until_the_event_that_is_wanted() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    vars: { wanted: "'complete'" }
    steps:
      - sse: { id: stream, base: api, path: /events, until: "event.json.type == wanted", within: 5s }
      - sse: { id: silent, base: api, path: /events, until: "event.json.type == 'never'", within: 1s, silence: ends }
"#,
    )
    .await;
    assert_eq!(seen.broke(), None);
    assert_eq!(seen.view("stream")["events"].as_array().unwrap().len(), 2);
}
