//! The healthy contract on sockets: handshake matrix, frames, limits, runs, streams, restarts.

use std::time::Duration;

use base64::Engine as _;
use futures_util::SinkExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::support::{Ended, Refused, Socket, Stage, User, alg_none, echo_answer, echo_frame, start_agent, tampered};

fn refused_with(result: Result<Socket, Refused>) -> u16 {
    match result {
        Err(Refused::Status(status)) => status,
        Err(Refused::Other(error)) => panic!("{error}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn the_handshake_matrix() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    for (path, token) in [
        ("/ws-nonce", None),
        ("/ws", None),
        ("/ws", Some(tampered(&user.token))),
        ("/ws", Some(alg_none(&user.token))),
        ("/websocket", None),
        ("/health", Some(user.token.clone())),
    ] {
        let got = Socket::open(&stage, path, token.as_deref()).await;
        assert_eq!(refused_with(got), 403, "{path}");
    }
    let mut by_header = stage.open(&user.token).await.unwrap();
    assert_eq!(by_header.header("sec-websocket-protocol"), None);
    let welcome = by_header.welcome().await;
    assert_eq!(welcome["data"]["user_id"], user.sub.as_str());
    assert_eq!(welcome["data"]["connection_ready"], true);
    assert_eq!(welcome["data"]["config"]["heartbeat_interval"], 25.0);
    let ping = by_header.next_within(Duration::from_secs(1)).await.unwrap();
    assert_eq!(ping["type"], "ping");
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&user.token);
    let offer = [("sec-websocket-protocol", format!("jwt-auth, jwt.{encoded}"))];
    let mut by_protocol = Socket::open_with(&stage, "/websocket", &offer).await.unwrap();
    assert_eq!(by_protocol.header("sec-websocket-protocol"), Some("jwt-auth"));
    by_protocol.welcome().await;
    let mut echo = Socket::open(&stage, "/ws/test", None).await.unwrap();
    assert_eq!(echo.next().await.unwrap()["type"], "connection_established");
    echo.send(json!({ "type": "echo", "n": 1 })).await;
    assert_eq!(echo.next().await.unwrap()["original"]["n"], 1);
    assert_eq!(by_header.close().await, Some(Ended::Close(1005, String::new())));
}

#[tokio::test]
async fn frames_are_answered_or_refused_aloud() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    for n in 0..3 {
        let id = format!("n-{n}");
        assert_eq!(socket.echo(&id).await.unwrap(), echo_answer(&id));
    }
    let message =
        json!({ "type": "user_message", "message_id": "m-1", "content": "x", "thread_id": "synthetic-monitor" });
    socket.send(message).await;
    assert_eq!(socket.next().await.unwrap()["data"]["original_message_id"], "m-1");
    for _ in 0..6 {
        socket.send_text("[]".into()).await;
        assert_eq!(socket.next().await.unwrap()["error_code"], "FORMAT_ERROR");
    }
    socket.ws.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(socket.next().await.unwrap()["error_code"], "FORMAT_ERROR");
    socket.send(json!({ "type": "start_agent", "payload": {} })).await;
    assert_eq!(socket.next().await.unwrap()["error_code"], "VALIDATION_ERROR");
    for size in [128, 4096, 8192] {
        socket.send_text(padded(size)).await;
        assert_eq!(socket.next().await.unwrap(), echo_answer("p"), "{size}");
    }
    socket.send_text(padded(8193)).await;
    let refused = socket.next().await.unwrap();
    assert_eq!(
        (&refused["error_code"], &refused["details"]["limit"]),
        (&json!("MESSAGE_TOO_LARGE"), &json!(8192))
    );
    assert_eq!(socket.echo("after").await.unwrap(), echo_answer("after"));
}

/// An echo request padded to exactly so many bytes.
fn padded(bytes: usize) -> String {
    let mut frame = echo_frame("p");
    frame["payload"]["pad"] = json!("");
    let pad = bytes - frame.to_string().len();
    frame["payload"]["pad"] = json!("x".repeat(pad));
    frame.to_string()
}

#[tokio::test]
async fn a_burst_passes_in_order_and_then_the_rate_counts() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    for n in 0..200 {
        socket.send(echo_frame(&n.to_string())).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 0..200 {
        assert_eq!(socket.next().await.unwrap()["id"], n.to_string());
    }
    for n in 0..60 {
        socket.send(echo_frame(&n.to_string())).await;
    }
    let limited = socket.next_where(Duration::from_secs(2), |frame| frame["error_code"].is_string());
    assert_eq!(limited.await.unwrap()["error_code"], "RATE_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn the_fourth_connection_is_refused_explicitly() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = stage.open(&user.token).await.unwrap();
        socket.welcome().await;
        held.push(socket);
    }
    let mut fourth = stage.open(&user.token).await.unwrap();
    let (frames, end) = fourth.gather(Duration::from_secs(2)).await;
    assert_eq!(frames[0]["error_code"], "CONNECTION_LIMIT_EXCEEDED");
    assert_eq!(end, Some(Ended::Close(1008, "connection limit exceeded".into())));
    drop(held.pop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    stage.open(&user.token).await.unwrap().welcome().await;
}

#[tokio::test]
async fn heartbeats_and_dead_peers_keep_the_scaled_times() {
    let stage = Stage::scaled(0.04).await;
    let user = stage.login("a").await;
    let mut socket = stage.open(&user.token).await.unwrap();
    let welcome = socket.welcome().await;
    assert_eq!(welcome["data"]["config"]["heartbeat_interval"], 1.0);
    let is_ping = |frame: &Value| frame["type"] == "ping";
    socket.next_where(Duration::from_secs(1), is_ping).await.unwrap();
    let first = Instant::now();
    socket.next_where(Duration::from_secs(2), is_ping).await.unwrap();
    let interval = first.elapsed().as_secs_f64();
    assert!((0.8..1.2).contains(&interval), "{interval}");
    // A peer that does not read does not answer protocol pings: 0.8 s to the ping, 2.5 s for the pong.
    let silent = Socket::open(&stage, "/ws/test", None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_800)).await;
    let mut silent = silent;
    let (_, end) = silent.gather(Duration::from_secs(1)).await;
    assert_eq!(end, Some(Ended::Close(1011, "keepalive ping timeout".into())));
}

async fn thread_of(stage: &Stage, user: &User) -> String {
    let body = json!({ "title": "synthetic-monitor day" });
    let thread = stage
        .send_as(&user.token, Method::POST, "/api/threads", body)
        .await
        .json();
    thread["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_holds_every_guarantee() {
    let stage = Stage::healthy().await;
    let (user, stranger) = (stage.login("a").await, stage.login("b").await);
    let thread = thread_of(&stage, &user).await;
    let mut asking = stage.open(&user.token).await.unwrap();
    let mut second = stage.open(&user.token).await.unwrap();
    let mut other = stage.open(&stranger.token).await.unwrap();
    for socket in [&mut asking, &mut second, &mut other] {
        socket.welcome().await;
    }
    let began = Instant::now();
    asking.send(start_agent("m-1", &thread, (123, 456, 789))).await;
    let started = asking.next().await.unwrap();
    assert_eq!(started["type"], "agent_started");
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    let run_id = started["run_id"].as_str().unwrap().to_owned();
    let status = format!("/api/agent/{run_id}/status?user_id={}&thread_id={thread}", user.sub);
    assert_eq!(stage.get_as(&user.token, &status).await.json()["status"], "running");
    assert_eq!(
        asking.echo("during").await.unwrap(),
        echo_answer("during"),
        "runs block nothing"
    );
    let (mut frames, _) = asking.gather(Duration::from_secs(2)).await;
    frames.insert(0, started);
    let kinds: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    let terminal = kinds.iter().filter(|kind| **kind == "agent_completed").count();
    assert_eq!((terminal, kinds.last()), (1, Some(&"agent_completed")), "{kinds:?}");
    assert!(frames.iter().all(|frame| frame["run_id"] == run_id.as_str()));
    let answer = frames.last().unwrap()["payload"]["result"].as_str().unwrap().to_owned();
    assert!(answer.contains("56877"), "{answer}");
    let stamps: Vec<&str> = frames
        .iter()
        .map(|frame| frame["timestamp"].as_str().unwrap())
        .collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    let (mirrored, _) = second.gather(Duration::from_millis(50)).await;
    assert_eq!(mirrored, frames);
    assert!(other.gather(Duration::from_millis(50)).await.0.is_empty());
    let messages = stage
        .get_as(&user.token, &format!("/api/threads/{thread}/messages"))
        .await
        .json();
    let contents: Vec<&str> = messages["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        contents,
        ["Compute 123 times 456, add 789, and state the number.", &answer]
    );
    assert_eq!(stage.get_as(&user.token, &status).await.json()["status"], "completed");
    let runs = stage
        .get_as(&user.token, &format!("/api/agent/thread/{thread}/runs"))
        .await
        .json();
    assert_eq!(runs["runs"][0]["run_id"], run_id.as_str());
    assert_eq!(stage.get_as(&stranger.token, &status).await.status, 404);
    asking.send(start_agent("m-1", &thread, (123, 456, 789))).await;
    assert_eq!(asking.next().await.unwrap()["data"]["status"], "duplicate");
}

#[tokio::test]
async fn two_runs_keep_apart_and_survive_their_socket() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let (one, two) = (thread_of(&stage, &user).await, thread_of(&stage, &user).await);
    let mut socket = stage.open(&user.token).await.unwrap();
    let old = socket.welcome().await["data"]["connection_id"].clone();
    socket.send(start_agent("m-1", &one, (111, 222, 1))).await;
    socket.send(start_agent("m-2", &two, (333, 444, 2))).await;
    socket.next().await.unwrap();
    drop(socket);
    let mut again = stage.open(&user.token).await.unwrap();
    assert_ne!(again.welcome().await["data"]["connection_id"], old);
    let (frames, _) = again.gather(Duration::from_secs(2)).await;
    let result_in = |thread: &str| {
        let end = frames
            .iter()
            .find(|frame| frame["type"] == "agent_completed" && frame["payload"]["thread_id"] == thread);
        end.unwrap()["payload"]["result"].as_str().unwrap().to_owned()
    };
    assert!(result_in(&one).contains("24643") && result_in(&two).contains("147854"));
}

#[tokio::test]
async fn a_run_streams_while_it_goes_on() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let thread = thread_of(&stage, &user).await;
    let path = format!("/api/agent/stream?user_id={}&thread_id={thread}", user.sub);
    let body = json!({
        "id": "nonce-1", "user_id": user.sub, "workloads": [],
        "query": "Compute 12 times 34, add 5, and state the number.",
    });
    let request = stage.client.post(stage.url(&path)).bearer_auth(&user.token).json(&body);
    let mut response = request.send().await.unwrap();
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    let (began, mut first, mut text) = (Instant::now(), None, String::new());
    while let Some(chunk) = response.chunk().await.unwrap() {
        first.get_or_insert(began.elapsed());
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(began.elapsed() - first.unwrap() > Duration::from_millis(200));
    let frames: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(frames.len() >= 5);
    assert!(frames.iter().all(|frame| frame["run_id"] == "nonce-1"));
    assert!(frames.last().unwrap()["message"].as_str().unwrap().contains("413"));
}

#[tokio::test]
async fn a_restart_closes_sockets_and_keeps_the_database() {
    let stage = Stage::healthy().await;
    let user = stage.login("a").await;
    let thread = thread_of(&stage, &user).await;
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    let before = stage.get("/api/health/live").await;
    let answer = stage.control("/rehearsal/restart", json!({ "down_ms": 300 })).await;
    assert_eq!(answer.status, 202);
    let (_, end) = socket.gather(Duration::from_secs(2)).await;
    assert_eq!(end, Some(Ended::Close(1012, "service restart".into())));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(
        stage
            .client
            .get(stage.url("/health"))
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = stage.get("/api/health/live").await;
    assert_ne!(
        before.header("x-security-fingerprint"),
        after.header("x-security-fingerprint")
    );
    assert!(after.json()["uptime_seconds"].as_f64().unwrap() < 2.0);
    assert_eq!(
        stage
            .get_as(&user.token, &format!("/api/threads/{thread}"))
            .await
            .status,
        200
    );
    stage.open(&user.token).await.unwrap().welcome().await;
}

#[tokio::test]
async fn numeric_users_are_welcome_and_tokens_age() {
    let stage = Stage::scaled(0.001).await;
    let user = stage.login("numeric-1").await;
    assert_eq!(user.sub.len(), 21);
    stage.open(&user.token).await.unwrap().welcome().await;
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    assert_eq!(refused_with(stage.open(&user.token).await), 403);
    assert_eq!(stage.get_as(&user.token, "/api/threads").await.status, 401);
}
