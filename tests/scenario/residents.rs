//! Residents: a socket that one scenario keeps open and others borrow.

use crate::support::{Changes, Look, Room, Target};
use serde_json::json;
use stagewatch::failure::{Blame, Kind};
use stagewatch::scenario::Outcome;
use stagewatch::transcript::Transcript;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SCENARIOS: &str = r#"  resident:
    schedule: resident
    credential: { pool: users }
    deadline: 30s
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header }
      - ws.receive: { id: welcome, until: "frame.json.type == 'welcome'", within: 2s }
      - ws.offer: { id: held, hold: HOLD }
      - ws.close: { id: bye }
  borrower:
    schedule: { every: 5m }
    steps:
      - ws.borrow: { id: loan, resident: resident, within: 1s }
      - ws.send: { id: ask, json: { id: "${nonce}" } }
      - ws.receive: { id: echo, until: "frame.json.said.id == nonce", within: 2s }
      - ws.ping: { id: floor }
"#;

/// Residents that rotate within seconds make more handshakes than a plan would allow.
const MANY: Changes<'static> = &[("max: 4, per: 30m", "max: 4000, per: 30m")];

fn room(target: &Target, hold: &str) -> Room {
    Room::with(target, &SCENARIOS.replace("HOLD", hold), MANY)
}

fn spawn(room: &Room, name: &str, stop: &CancellationToken) -> JoinHandle<Transcript> {
    let (runner, scenario, stop) = (room.runner.clone(), room.scenario(name), stop.clone());
    tokio::spawn(async move {
        match runner.run(&scenario, stop).await {
            Outcome::Ran(transcript) => *transcript,
            Outcome::Refused { note, .. } => panic!("{note}"),
        }
    })
}

#[tokio::test]
async fn borrowers_share_the_socket_and_the_resident_sees_everything() {
    let target = Target::start().await;
    let room = room(&target, "20s");
    let resident = spawn(&room, "resident", &CancellationToken::new());
    // The borrower comes first and waits for the offer.
    let (one, two) = tokio::join!(room.run("borrower"), room.run("borrower"));
    for seen in [&one, &two] {
        assert_eq!(seen.broke(), None, "{:?}", seen.broke_off);
        assert_eq!(seen.view("echo")["json"]["said"]["id"], json!(seen.nonce));
        assert!(seen.view("echo")["latency_ms"].as_f64().unwrap() < 1000.0);
    }
    // The iteration is over: the resident ends in order, long before its hold.
    let begun = Instant::now();
    room.runner.end_offers();
    let seen = resident.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(seen.broke(), None);
    let frames = seen.view("held")["frames"].as_array().unwrap().len();
    assert_eq!(frames, 2, "both echoes");
    assert_eq!(seen.view("bye")["answer"]["code"], 1000);
    assert_eq!(target.world.shown.lock().unwrap().len(), 1, "one handshake for all");
}

#[tokio::test]
async fn nobody_to_borrow_from_is_our_own_lack() {
    let target = Target::start().await;
    let seen = room(&target, "20s").run("borrower").await;
    let failure = seen.entry("loan").failure.clone().unwrap();
    assert_eq!((failure.kind, failure.blame), (Kind::CredentialMissing, Blame::Monitor));
}

#[tokio::test]
async fn an_offer_ends_with_its_time_its_peer_or_a_stop() {
    let target = Target::start().await;
    let stop = CancellationToken::new();
    let seen = spawn(&room(&target, "300ms"), "resident", &stop).await.unwrap();
    assert_eq!((seen.broke(), seen.entry("held").duration_ms > 290.0), (None, true));

    let room = room(&target, "20s");
    let resident = spawn(&room, "resident", &stop);
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.cancel();
    let seen = tokio::time::timeout(Duration::from_secs(3), resident)
        .await
        .unwrap()
        .unwrap();
    assert!(seen.entry("held").failure.is_none(), "the offer ends in order");

    let scenarios = SCENARIOS
        .replace("HOLD", "20s")
        .replace(r#"{ id: "${nonce}" }"#, "{ do: close, code: 1012 }");
    let room = Room::with(&target, &scenarios, MANY);
    let resident = spawn(&room, "resident", &CancellationToken::new());
    let borrower = room.run("borrower").await;
    assert_eq!(borrower.broke(), Some(("echo", Kind::WsClosed)));
    assert_eq!(borrower.entry("echo").failure.as_ref().unwrap().close_code, Some(1012));
    let seen = resident.await.unwrap();
    assert_eq!(seen.broke(), Some(("held", Kind::WsClosed)));
    assert_eq!(seen.view("held")["close"]["code"], 1012);
}
