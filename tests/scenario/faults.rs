//! Faults of the target, of the way to it, and of ourselves: who is to blame.

use crate::support::{Look, Room, Target};
use serde_json::json;
use stagewatch::failure::{Blame, Kind};
use stagewatch::scenario::{HandshakeUse, Journal, MemoryJournal, UserRest};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A server that upgrades everybody, says `frames`, and closes with 1008 if it said any.
pub async fn talking(frames: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let key = head.lines().find_map(|line| {
                    line.to_ascii_lowercase()
                        .starts_with("sec-websocket-key:")
                        .then(|| line[18..].trim().to_owned())
                });
                let accept = derive_accept_key(key.unwrap().as_bytes());
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                for frame in frames {
                    let mut bytes = vec![0x81, u8::try_from(frame.len()).unwrap()];
                    bytes.extend_from_slice(frame.as_bytes());
                    stream.write_all(&bytes).await.unwrap();
                }
                if !frames.is_empty() {
                    let _ = stream.write_all(&[0x88, 2, 0x03, 0xf0]).await;
                }
                let mut rest = [0; 256];
                while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
            });
        }
    });
    address
}

const GONE: &str = r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: there, base: gone, path: / }
  half:
    schedule: { every: 5m }
    steps:
      - http: { id: gone_first, base: gone, path: / }
        on_failure: go_on
      - http: { id: then_there, base: api, path: /count }
"#;

async fn controls(listening: usize, closed: usize) -> (String, Vec<TcpListener>) {
    let mut urls = Vec::new();
    let mut kept = Vec::new();
    for place in 0..listening + closed {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.push(format!("\"http://{}/\"", listener.local_addr().unwrap()));
        if place < listening {
            kept.push(listener);
        }
    }
    (format!("controls: [{}]", urls.join(", ")), kept)
}

async fn blame_with(listening: usize, closed: usize) -> (Blame, Option<f64>) {
    let target = Target::start().await;
    let (line, _kept) = controls(listening, closed).await;
    let room = Room::with(&target, GONE, &[("# target", &line)]);
    assert_eq!(room.runner.controls_reachable(), None);
    let seen = room.run("s").await;
    let broke = seen.broke_off.clone().unwrap();
    assert_eq!(broke.failure.kind, Kind::TcpRefused);
    assert_eq!(seen.entry("there").failure.as_ref().unwrap().blame, broke.failure.blame);
    (broke.failure.blame, room.runner.controls_reachable())
}

#[tokio::test]
async fn failing_controls_are_our_own_network() {
    assert_eq!(blame_with(1, 2).await, (Blame::Monitor, Some(1.0 / 3.0)));
    assert_eq!(blame_with(2, 1).await, (Blame::Target, Some(2.0 / 3.0)));
}

#[tokio::test]
async fn any_answer_of_the_target_outranks_the_controls() {
    let target = Target::start().await;
    let (line, _kept) = controls(0, 3).await;
    let room = Room::with(&target, GONE, &[("# target", &line)]);
    let seen = room.run("half").await;
    assert_eq!(seen.entry("gone_first").failure.as_ref().unwrap().blame, Blame::Target);
    assert_eq!(room.runner.controls_reachable(), None, "nobody asked them");
}

/// Panics when a handshake is recorded: a bug of ours in the middle of a step.
#[derive(Default)]
struct Fragile(MemoryJournal);

impl Journal for Fragile {
    fn handshakes_since(&self, unix: f64) -> Vec<HandshakeUse> {
        self.0.handshakes_since(unix)
    }
    fn record_handshake(&self, used: HandshakeUse) {
        panic!("cannot record {}", used.pool);
    }
    fn rests(&self) -> Vec<UserRest> {
        self.0.rests()
    }
    fn record_rest(&self, rest: UserRest) {
        self.0.record_rest(rest);
    }
    fn runs_today(&self, scenario: &str, day: &str) -> u32 {
        self.0.runs_today(scenario, day)
    }
    fn record_run(&self, scenario: &str, day: &str) {
        self.0.record_run(scenario, day);
    }
}

#[tokio::test]
async fn a_panic_ends_one_run_and_loses_nothing() {
    let target = Target::start().await;
    let scenarios = r#"  s:
    schedule: { every: 1h }
    credential: { pool: single }
    steps:
      - http: { id: before, base: api, path: /count }
      - ws.open: { id: upgrade, socket: main, auth: header }
      - http: { id: never, base: api, path: /count }
    cleanup:
      - http: { id: tidy, base: api, path: /count }
  other:
    schedule: { every: 1h }
    steps: [ { http: { id: there, base: api, path: /count } } ]
"#;
    let room = Room::journalled(&target, scenarios, &[], Arc::new(Fragile::default()));
    let (seen, other) = tokio::join!(room.run("s"), room.run("other"));
    let broke = seen.broke_off.clone().unwrap();
    assert_eq!((broke.failure.kind, broke.failure.blame), (Kind::Panic, Blame::Monitor));
    assert!(
        broke.failure.detail.contains("cannot record single"),
        "{}",
        broke.failure.detail
    );
    assert_eq!(
        (
            seen.view("before")["status"].clone(),
            seen.view("tidy")["status"].clone()
        ),
        (json!(200), json!(200))
    );
    assert!(seen.all("never").is_empty());
    assert_eq!(other.broke(), None);
    assert_eq!(room.run("other").await.broke(), None);
}

#[tokio::test]
async fn a_deadline_missed_while_we_were_late_is_our_own() {
    let target = Target::start().await;
    let scenario = r#"  s:
    schedule: { every: 5m }
    steps:
      - http: { id: slow, base: api, path: /slow/9000, within: 1s }
"#;
    let room = Room::new(&target, scenario);
    let hog = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The whole runtime stands still, as on a starved machine.
        std::thread::sleep(Duration::from_millis(2500));
    };
    let (seen, ()) = tokio::join!(room.run("s"), hog);
    let failure = seen.entry("slow").failure.clone().unwrap();
    assert_eq!((failure.kind, failure.blame), (Kind::Overload, Blame::Monitor));
}
