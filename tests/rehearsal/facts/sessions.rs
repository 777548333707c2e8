//! Facts about sessions: opening, answers, limits, heartbeats, leaks between users, endings.

use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{Facts, still};
use crate::support::{Ended, Socket, Stage, echo_frame};

/// How long an answer is waited for.
const SOON: Duration = Duration::from_millis(700);

async fn opened(stage: &Stage, name: &str, facts: &mut Facts) -> Option<(Socket, Value)> {
    let mut socket = stage.open(&stage.known_token(name)).await.ok()?;
    let began = Instant::now();
    let mut first = socket.next_within(Duration::from_millis(1500)).await;
    facts.note("welcome late", began.elapsed() > Duration::from_millis(1200));
    if let Ok(frame) = &mut first {
        let sub = &stage.sub_of(name);
        facts.note("welcome is ours", frame["data"]["user_id"] == sub.as_str());
        facts.note("first frame", still(frame, &[]));
    }
    if let Err(Some(ended)) = &first {
        facts.note("opening ended", format!("{ended:?}"));
    }
    let welcome = first.ok().filter(|it| it["type"] == "system_message")?;
    Some((socket, welcome))
}

async fn asked(socket: &mut Socket, frame: Value) -> String {
    socket.send(frame).await;
    match socket.next_where(SOON, |it| it["type"] != "ping").await {
        Ok(frame) => still(&frame, &[]).to_string(),
        Err(Some(Ended::Close(code, _))) => format!("closed {code}"),
        Err(_) => "silence".into(),
    }
}

/// Opening, the message table, echoes alone and in pairs, sizes.
pub async fn answers(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let Some((mut socket, _)) = opened(stage, "a", &mut facts).await else {
        return facts;
    };
    let heartbeat = socket
        .next_where(Duration::from_millis(400), |it| it["type"] == "ping")
        .await;
    facts.note("heartbeat", heartbeat.is_ok());
    for (name, frame) in [
        ("ping", json!({ "type": "ping" })),
        (
            "message",
            json!({ "type": "user_message", "message_id": "m", "content": "x", "thread_id": "t" }),
        ),
        ("unknown type", json!({ "type": "nonesuch" })),
        ("start without request", json!({ "type": "start_agent", "payload": {} })),
    ] {
        let began = Instant::now();
        facts.note(name, asked(&mut socket, frame).await);
        if name == "message" {
            facts.note("acknowledged late", began.elapsed() > Duration::from_millis(350));
        }
    }
    socket.send_text("{bad".into()).await;
    facts.note(
        "bad json",
        socket.next_where(SOON, |it| it["type"] != "ping").await.is_ok(),
    );
    let mut echoes = Vec::new();
    for n in 0..3 {
        let id = format!("n-{n}");
        socket.send(echo_frame(&id)).await;
        let got = socket.next_where(SOON, |it| it["jsonrpc"] == "2.0").await;
        echoes.push(got.is_ok_and(|it| it["id"] == id.as_str()));
    }
    facts.note("echoes", format!("{echoes:?}"));
    socket.send(echo_frame("p-0")).await;
    socket.send(echo_frame("p-1")).await;
    let (frames, _) = socket.gather(SOON).await;
    let ids: Vec<String> = frames.iter().map(|it| it["id"].to_string()).collect();
    facts.note("a pair of echoes", ids.join(" "));
    for size in [4097_usize, 8193] {
        let pad = "x".repeat(size - json!({ "type": "ping", "pad": "" }).to_string().len());
        let answer = asked(&mut socket, json!({ "type": "ping", "pad": pad })).await;
        facts.note(format!("{size} bytes"), answer);
    }
    facts.note("protocol ping", socket.protocol_ping().await);
    facts.note("close", format!("{:?}", socket.close().await));
    facts
}

/// Echo latency in coarse steps, over three sockets.
pub async fn latency(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let mut slow = 0;
    for name in ["a", "b", "c"] {
        let Some((mut socket, _)) = opened(stage, name, &mut Facts::default()).await else {
            continue;
        };
        let began = Instant::now();
        for n in 0..3 {
            socket.send(echo_frame(&n.to_string())).await;
            let _ = socket.next_where(SOON, |it| it["jsonrpc"] == "2.0").await;
        }
        slow += u32::from(began.elapsed() > Duration::from_millis(400));
    }
    facts.note("slow sockets of three", slow);
    facts
}

/// Bad frames, bursts, and whether the session still answers after them.
pub async fn abuse(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let Some((mut socket, _)) = opened(stage, "a", &mut facts).await else {
        return facts;
    };
    for n in 0..6 {
        socket.send_text("[]".into()).await;
        let got = socket
            .next_where(Duration::from_millis(250), |it| it["type"] != "ping")
            .await;
        facts.note(format!("array {n}"), got.is_ok());
    }
    let _ = socket.ws.send(Message::binary(vec![0; 4])).await;
    let got = socket
        .next_where(Duration::from_millis(250), |it| it["type"] != "ping")
        .await;
    facts.note("binary", got.is_ok());
    let whole = json!({ "type": "ping" }).to_string();
    for (part, kind, last) in [(&whole[..5], Data::Text, false), (&whole[5..], Data::Continue, true)] {
        let frame = Frame::message(part.to_owned(), OpCode::Data(kind), last);
        let _ = socket.ws.send(Message::Frame(frame)).await;
    }
    let got = socket.next_where(SOON, |it| it["type"] == "pong").await;
    facts.note("fragments", got.is_ok());
    facts.note("still answers", asked(&mut socket, json!({ "type": "ping" })).await);
    let Some((mut burst, _)) = opened(stage, "b", &mut facts).await else {
        return facts;
    };
    for n in 0..60 {
        if burst
            .ws
            .send(Message::text(echo_frame(&n.to_string()).to_string()))
            .await
            .is_err()
        {
            break;
        }
    }
    let (frames, end) = burst.gather(Duration::from_millis(900)).await;
    facts.note("burst", format!("{} {end:?}", frames.len()));
    facts
}

/// Limits and ids over several sessions of one user.
pub async fn several(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let mut held = Vec::new();
    let mut ids = std::collections::HashSet::new();
    for _ in 0..4 {
        let Ok(mut socket) = stage.open(&stage.known_token("a")).await else {
            continue;
        };
        let first = socket.next().await.unwrap_or_default();
        ids.insert(first["data"]["connection_id"].to_string());
        facts.note(format!("session {}", held.len()), first["error_code"].clone());
        held.push(socket);
    }
    facts.note("connection ids", ids.len());
    drop(held);
    let mut refused = 0;
    for _ in 0..13 {
        let Ok(mut socket) = stage.open(&stage.known_token("b")).await else {
            continue;
        };
        let first = socket.next().await.unwrap_or_default();
        refused += u32::from(first["error_code"].is_string());
        socket.close().await;
    }
    facts.note("refused in sequence", refused);
    lost(stage, &mut facts).await;
    facts
}

/// A session that breaks off, and its user's return.
async fn lost(stage: &Stage, facts: &mut Facts) {
    let Ok(mut socket) = stage.open(&stage.known_token("c")).await else {
        return;
    };
    let _ = socket.next().await;
    socket.ws.get_ref().set_zero_linger().unwrap();
    drop(socket);
    tokio::time::sleep(Duration::from_millis(150)).await;
    let Ok(mut again) = stage.open(&stage.known_token("c")).await else {
        return;
    };
    facts.note(
        "return after a loss",
        again.next().await.unwrap_or_default()["type"].clone(),
    );
}

/// What a stranger hears while a user acts.
pub async fn stranger(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let (a, b) = (
        opened(stage, "a", &mut facts).await,
        opened(stage, "b", &mut Facts::default()).await,
    );
    if let (Some((mut a, _)), Some((mut b, _))) = (a, b) {
        asked(
            &mut a,
            json!({ "type": "user_message", "message_id": "NONCE", "content": "x" }),
        )
        .await;
        asked(&mut a, json!({ "type": "typing", "thread_id": "NONCE" })).await;
        facts.note("stranger heard", b.gather(Duration::from_millis(300)).await.0.len());
    }
    facts
}

/// Heartbeats, keepalive and the platform's cut, on a scaled clock.
pub async fn over_time(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let Some((mut socket, welcome)) = opened(stage, "a", &mut facts).await else {
        return facts;
    };
    let interval = welcome["data"]["config"]["heartbeat_interval"].as_f64().unwrap_or(1.0);
    let is_ping = |it: &Value| it["type"] == "ping";
    let _ = socket.next_where(Duration::from_secs(1), is_ping).await;
    let wait = Duration::from_secs_f64(interval * 1.5);
    facts.note("next heartbeat in time", socket.next_where(wait, is_ping).await.is_ok());
    let (_, end) = socket.gather(Duration::from_secs(2)).await;
    facts.note("cut", end.is_some());
    let mut silent = Socket::open(stage, "/ws/test", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_600)).await;
    facts.note(
        "dead peer",
        format!("{:?}", silent.gather(Duration::from_millis(200)).await.1),
    );
    facts
}
