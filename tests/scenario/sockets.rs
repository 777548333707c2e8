//! WebSocket sessions: the dialogue, what counts as a failure of it, refusals, raw sockets.

use crate::support::{Look, Room, Target, run};
use serde_json::json;
use stagewatch::failure::{Class, Kind};
use std::time::Duration;

const DIALOGUE: &str = r#"  s:
    schedule: { every: 5m }
    credential: { pool: users }
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header }
      - ws.receive: { id: welcome, until: "frame.json.type == 'welcome'", within: 2s }
        capture: { connection: "welcome.json.connection" }
      - repeat: 3
        index: i
        steps:
          - ws.send: { id: ask, json: { id: "${nonce}-${i}" } }
          - ws.receive: { id: echo, until: "frame.json.said.id == nonce + '-' + string(i)", within: 2s }
      - ws.send: { id: want_ping, json: { do: ping } }
      - ws.receive: { id: thanks, until: "frame.json.type == 'thanks'", within: 2s }
      - ws.ping: { id: floor }
      - ws.send: { id: big, json: { a: 1 }, pad_to: 3000, fragments: 3 }
      - ws.receive: { id: big_echo, until: "has(frame.json.said.a)", within: 2s }
      - ws.send: { id: flood, json: { do: flood, n: 500 } }
      - ws.receive: { id: flooded, until: "frame.json.n == 499", within: 5s }
      - ws.close: { id: bye, code: 1000, reason: done }
"#;

#[tokio::test]
async fn a_dialogue_is_recorded_frame_by_frame() {
    let target = Target::start().await;
    let seen = run(&target, DIALOGUE).await;
    assert_eq!(seen.broke(), None, "{:?}", seen.broke_off);
    let upgrade = seen.view("upgrade");
    assert_eq!(
        (&upgrade["status"], &upgrade["accepted"], &upgrade["token"]),
        (&json!(101), &json!(true), &json!("valid"))
    );
    assert_eq!(
        (&upgrade["outcome"], &upgrade["transport"], &upgrade["subprotocol"]),
        (&json!("ok"), &json!("header"), &json!("jwt-auth"))
    );
    assert_eq!(
        seen.view("welcome")["json"]["user"],
        "user-1@rehearsal.invalid".replace("user-1@rehearsal.invalid", "[redacted]")
    );
    assert!(seen.vars["connection"].is_string());
    for echo in seen.all("echo") {
        let view = stagewatch::transcript::entry_view(echo);
        assert!(
            view["latency_ms"]
                .as_f64()
                .is_some_and(|ms| (0.0..2000.0).contains(&ms)),
            "{view}"
        );
        assert!(view["matched"] == json!(true) && view["at_ms"].is_f64());
    }
    // The session answered the ping by itself; both frames were seen while waiting.
    let thanks = seen.view("thanks");
    assert_eq!(thanks["json"]["at"], 7);
    assert_eq!(thanks["frames"].as_array().unwrap().len(), 2);
    assert!(seen.view("floor")["rtt_ms"].as_f64().is_some_and(|ms| ms < 1000.0));
    assert_eq!(
        (&seen.view("big")["bytes"], &seen.view("big")["fragments"]),
        (&json!(3000), &json!(3))
    );
    assert_eq!(seen.view("big_echo")["json"]["bytes"], 3000);
    let flooded = seen.view("flooded");
    let (kept, dropped) = (
        flooded["frames"].as_array().unwrap().len(),
        flooded["frames_dropped"].as_u64().unwrap(),
    );
    assert_eq!((kept, dropped, &flooded["json"]["n"]), (400, 100, &json!(499)));
    assert_eq!(seen.view("bye")["answer"]["code"], 1000);
}

#[tokio::test]
async fn tokens_travel_as_the_step_says() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    credential: { pool: users }
    steps:
      - ws.open: { id: by_protocol, socket: main, auth: subprotocol }
      - ws.receive: { id: hello, until: "frame.json.type == 'welcome'", within: 2s }
"#,
    )
    .await;
    assert_eq!(seen.broke(), None);
    assert_eq!(
        (
            &seen.view("by_protocol")["transport"],
            &seen.view("by_protocol")["subprotocol"]
        ),
        (&json!("subprotocol"), &json!("jwt-auth"))
    );
    // Left open: the run closed it in good order, and that is no evidence.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(*target.world.closes.lock().unwrap(), [1000]);
    assert_eq!(seen.entries.len(), 3);
}

#[tokio::test]
async fn a_right_refusal_is_no_failure_and_a_wrong_one_is() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    credential: { pool: users }
    steps:
      - ws.open: { id: anonymous, socket: main, on: n1, auth: none, settle: 300ms }
      - ws.open: { id: tampered, socket: main, on: n2, auth: { header: tampered }, settle: 300ms }
      - ws.open: { id: basic, socket: main, on: n3, auth: { raw: "Basic abc" } }
      - ws.open: { id: public, socket: free, on: n4, auth: none, settle: 300ms }
      - ws.open: { id: wrong, socket: main, on: n5, auth: none, path: /status/500 }
"#,
    )
    .await;
    for id in ["anonymous", "tampered", "basic"] {
        let view = seen.view(id);
        assert_eq!(
            (&view["status"], &view["outcome"], &view["failed"]),
            (&json!(403), &json!("ok"), &json!(false)),
            "{id}"
        );
    }
    // An endpoint without `refused` is open to everybody; what came after the 101 is kept.
    let public = seen.view("public");
    assert_eq!(
        (
            &public["status"],
            &public["outcome"],
            &public["frames"][0]["json"]["type"]
        ),
        (&json!(101), &json!("ok"), &json!("welcome"))
    );
    assert_eq!(seen.broke(), Some(("wrong", Kind::WsUpgradeRefused)));
    let wrong = seen.view("wrong");
    assert_eq!(
        (&wrong["outcome"], &wrong["body"]["text"]),
        (&json!("http_500"), &json!("as asked"))
    );
    assert_eq!(seen.entry("wrong").failure.as_ref().unwrap().status, Some(500));
}

#[tokio::test]
async fn missing_answers_and_closes_have_their_own_kinds() {
    let target = Target::start().await;
    let scenario = |steps: &str| {
        format!(
            "  s:\n    schedule: {{ every: 5m }}\n    credential: {{ pool: users }}\n    steps:\n      - ws.open: {{ id: upgrade, socket: main, auth: header }}\n{steps}"
        )
    };
    let welcome = "      - ws.receive: { id: welcome, until: \"frame.json.type == 'welcome'\", within: 2s }\n";
    let mute = format!(
        "{welcome}      - ws.send: {{ json: {{ do: nothing }} }}\n      - ws.receive: {{ id: got, until: \"frame.json.x == 1\", within: 200ms }}\n"
    );
    let closed = format!(
        "{welcome}      - ws.send: {{ json: {{ do: close, code: 1011 }} }}\n      - ws.receive: {{ id: got, until: \"frame.json.x == 1\", within: 2s }}\n"
    );
    let collected = closed.replace(", until: \"frame.json.x == 1\"", "");
    let seen = run(&target, &scenario(&mute)).await;
    assert_eq!(seen.broke(), Some(("got", Kind::WsNoAnswer)));
    let seen = run(&target, &scenario(&closed)).await;
    assert_eq!(seen.broke(), Some(("got", Kind::WsClosed)));
    let failure = seen.entry("got").failure.clone().unwrap();
    assert_eq!((failure.close_code, failure.class), (Some(1011), Class::Close));
    assert_eq!(seen.view("got")["close"]["code"], 1011);
    // Without `until` the close is what was collected.
    let seen = run(&target, &scenario(&collected)).await;
    assert_eq!((seen.broke(), &seen.view("got")["close"]["code"]), (None, &json!(1011)));
}

#[tokio::test]
async fn a_hundred_and_one_without_a_word_is_silent_and_an_error_frame_is_named() {
    let target = Target::start().await;
    let silent = crate::faults::talking(&[]).await;
    let angry = crate::faults::talking(&[r#"{"type":"error_message","code":"USER_LIMIT"}"#]).await;
    let scenario = r#"  s:
    schedule: { every: 1h }
    credential: { pool: single }
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header }
      - ws.receive: { id: welcome, until: "frame.json.type == 'welcome'", within: 500ms }
"#;
    let at = |address: std::net::SocketAddr| format!("ws://{address}/ws");
    let room = Room::with(&target, scenario, &[("ws://ADDR/ws", &at(silent))]);
    assert_eq!(room.run("s").await.broke(), Some(("welcome", Kind::WsSilent)));
    let room = Room::with(&target, scenario, &[("ws://ADDR/ws", &at(angry))]);
    let seen = room.run("s").await;
    assert_eq!(seen.broke(), Some(("welcome", Kind::WsErrorFrame)));
    assert_eq!(seen.entry("welcome").failure.as_ref().unwrap().close_code, Some(1008));
    // The frame said that the user's own limit is reached: the only user rests.
    match room.outcome("s").await {
        stagewatch::scenario::Outcome::Refused { reason, note } => {
            assert_eq!(reason, stagewatch::verdict::UnknownReason::Budget);
            assert!(note.contains("1 of 1 rest"), "{note}");
        }
        stagewatch::scenario::Outcome::Ran(_) => panic!("the user should rest"),
    }
}

#[tokio::test]
async fn raw_sockets_break_off_and_reading_can_be_held() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 5m }
    credential: { pool: users }
    steps:
      - ws.open: { id: raw, socket: main, on: r, auth: header, raw: true }
      - ws.receive: { id: raw_welcome, on: r, until: "frame.json.type == 'welcome'", within: 2s }
      - ws.abort: { id: cut, on: r, half_frame: true }
      - ws.open: { id: again, socket: main, auth: header }
      - ws.receive: { id: welcome, until: "frame.json.type == 'welcome'", within: 2s }
      - ws.hold: stop
      - ws.send: { json: { n: 1 } }
      - ws.receive: { id: held, until: "has(frame.json.said)", within: 200ms, silence: ends }
      - ws.hold: resume
      - ws.receive: { id: free, until: "has(frame.json.said)", within: 2s }
      - ws.close: { id: bye }
      - ws.send: { id: too_late, json: { n: 2 } }
"#,
    )
    .await;
    assert_eq!(seen.view("cut")["how"], "reset");
    assert_eq!(
        (&seen.view("held")["matched"], &seen.view("free")["matched"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(seen.broke(), Some(("too_late", Kind::StepInvalid)));
}

#[tokio::test]
async fn sockets_of_a_concurrent_repetition_are_apart() {
    let target = Target::start().await;
    let seen = run(
        &target,
        r#"  s:
    schedule: { every: 1h }
    credentials: { many: { pool: users, count: 3 } }
    steps:
      - times: 3
        index: i
        steps:
          - ws.open: { id: opened, socket: main, on: s, auth: { header: { credential: many } } }
          - ws.receive: { id: welcome, on: s, until: "frame.json.type == 'welcome'", within: 2s }
      - times: 3
        index: i
        steps:
          - ws.send: { on: s, json: { from: "${i}" } }
          - ws.receive: { id: own, on: s, until: "has(frame.json.said)", within: 2s }
          - ws.close: { on: s }
"#,
    )
    .await;
    assert_eq!(seen.broke(), None);
    for entry in seen.all("own") {
        let view = stagewatch::transcript::entry_view(entry);
        assert_eq!(view["json"]["said"]["from"], json!(entry.place[0]));
    }
    assert_eq!(seen.all("own").len(), 3);
}
