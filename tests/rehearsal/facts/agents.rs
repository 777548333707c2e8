//! Facts about agent runs: events, gaps, ids, answers, what is stored, who hears what, streams.

use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::Method;
use serde_json::{Value, json};

use super::Facts;
use crate::support::{Socket, Stage, answer, start_agent};

/// How long a healthy run takes at most, with room for a busy machine.
const RUN: Duration = Duration::from_millis(2_600);
/// The known vocabulary (contract §5.1).
const KNOWN: &[&str] = &[
    "agent_started",
    "agent_thinking",
    "tool_executing",
    "tool_completed",
    "agent_completed",
    "agent_error",
    "partial_result",
];

async fn thread_of(stage: &Stage, token: &str) -> String {
    let created = stage
        .send_as(token, Method::POST, "/api/threads", json!({ "title": "day" }))
        .await;
    created.json()["id"].as_str().unwrap_or("none").to_owned()
}

/// Frames of agents within `wait`, each with its arrival.
async fn events(socket: &mut Socket, wait: Duration) -> Vec<(Instant, Value)> {
    let until = Instant::now() + wait;
    let mut events = Vec::new();
    while let Ok(frame) = socket
        .next_where(until.saturating_duration_since(Instant::now()), |it| {
            it["type"] != "ping"
        })
        .await
    {
        let ended = frame["type"] == "agent_completed" || frame["type"] == "agent_error";
        events.push((Instant::now(), frame));
        if ended {
            // What comes after the end is part of the facts.
            events.extend(rest(socket).await);
            break;
        }
    }
    events
}

async fn rest(socket: &mut Socket) -> Vec<(Instant, Value)> {
    let (frames, _) = socket.gather(Duration::from_millis(250)).await;
    frames.into_iter().map(|frame| (Instant::now(), frame)).collect()
}

fn at(frame: &Value) -> f64 {
    let text = frame["timestamp"].as_str().unwrap_or("");
    DateTime::parse_from_rfc3339(text).map_or(0.0, |it| it.timestamp_micros() as f64 / 1e6)
}

/// One run with two sockets of its user and one of a stranger.
pub async fn run(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let token = stage.known_token("a");
    let thread = thread_of(stage, &token).await;
    let mut sockets = Vec::new();
    for name in ["a", "a", "b"] {
        let mut socket = stage.open(&stage.known_token(name)).await.unwrap();
        socket.welcome().await;
        sockets.push(socket);
    }
    let [asking, second, stranger] = &mut sockets[..] else {
        unreachable!()
    };
    let began = Instant::now();
    asking.send(start_agent("m-1", &thread, (123, 456, 789))).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    overview(stage, &mut facts).await;
    let seen = events(asking, RUN).await;
    shape(&mut facts, &seen, began);
    let frames: Vec<&Value> = seen.iter().map(|(_, frame)| frame).collect();
    let (mirrored, _) = second.gather(Duration::from_millis(150)).await;
    facts.note("second session agrees", mirrored.iter().collect::<Vec<_>>() == frames);
    facts.note(
        "stranger hears",
        stranger.gather(Duration::from_millis(100)).await.0.len(),
    );
    let run_id = frames
        .iter()
        .find_map(|it| it["run_id"].as_str())
        .unwrap_or("none")
        .to_owned();
    stored(stage, &mut facts, (&token, &thread, &run_id)).await;
    facts
}

async fn overview(stage: &Stage, facts: &mut Facts) {
    let mut active = 0;
    for _ in 0..2 {
        // A new connection each, so that both instances are asked.
        let got = answer(crate::support::client().get(stage.url("/health/agents")))
            .await
            .unwrap()
            .json();
        active += got["system_overview"]["active_operations"].as_u64().unwrap_or(0);
    }
    facts.note("active while running", active);
}

fn shape(facts: &mut Facts, seen: &[(Instant, Value)], began: Instant) {
    let frames: Vec<&Value> = seen.iter().map(|(_, frame)| frame).collect();
    let kinds: Vec<&str> = frames.iter().map(|it| it["type"].as_str().unwrap_or("?")).collect();
    facts.note("kinds", kinds.join(" "));
    facts.note("vocabulary", kinds.iter().all(|kind| KNOWN.contains(kind)));
    facts.note(
        "members",
        frames
            .first()
            .map(|it| {
                it.as_object()
                    .map(|it| it.keys().cloned().collect::<Vec<_>>().join(" "))
            })
            .map(|it| format!("{it:?}"))
            .unwrap_or_default(),
    );
    let ids: std::collections::HashSet<&str> = frames.iter().filter_map(|it| it["run_id"].as_str()).collect();
    facts.note("run ids", ids.len());
    let agents: Vec<&str> = frames
        .iter()
        .filter(|it| it["type"] == "agent_started")
        .filter_map(|it| it["agent_name"].as_str())
        .collect();
    facts.note("agents started", agents.join(" "));
    let stamps: Vec<f64> = frames.iter().map(|it| at(it)).collect();
    facts.note("timestamps in order", stamps.is_sorted());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    facts.note(
        "timestamps fresh",
        stamps.iter().all(|stamp| (now - stamp).abs() < 20.0),
    );
    // The server's own clock, since arrivals on a busy machine blur.
    let even = stamps
        .windows(2)
        .skip(1)
        .all(|pair| (0.02..=0.155).contains(&(pair[1] - pair[0])));
    facts.note("gaps even", even && stamps.len() > 3);
    let late = seen
        .first()
        .is_none_or(|(at, _)| at.duration_since(began) > Duration::from_millis(700));
    facts.note("started late", late);
    let end = frames.iter().find(|it| it["type"] == "agent_completed");
    let result = end.and_then(|it| it["payload"]["result"].as_str()).unwrap_or("");
    facts.note("answer right", result.contains("56877"));
    let took = end
        .and_then(|it| it["payload"]["execution_time_ms"].as_f64())
        .unwrap_or(0.0);
    let truth = stamps
        .last()
        .zip(stamps.first())
        .map_or(0.0, |(last, first)| (last - first) * 1e3);
    facts.note("execution time plausible", took < truth * 2.0 + 300.0);
    facts.note("leaks", frames.iter().any(|it| it.to_string().contains("sk-")));
}

async fn stored(stage: &Stage, facts: &mut Facts, (token, thread, run_id): (&str, &str, &str)) {
    let messages = stage
        .get_as(token, &format!("/api/threads/{thread}/messages"))
        .await
        .json();
    let roles: Vec<&str> = messages["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["role"].as_str())
        .collect();
    facts.note("messages", roles.join(" "));
    let status = stage.get_as(token, &format!("/api/agent/{run_id}/status")).await.json();
    facts.note("status", status["status"].clone());
    let runs = stage.get_as(token, &format!("/api/agent/thread/{thread}/runs")).await;
    facts.note("runs", format!("{} {}", runs.status, runs.json()["total"]));
    let mut operations = 0;
    for _ in 0..2 {
        let got = answer(crate::support::client().get(stage.url("/health/agents/metrics")))
            .await
            .unwrap()
            .json();
        operations += got["system_overview"]["total_operations"].as_u64().unwrap_or(0);
    }
    facts.note("operations counted", operations);
}

/// Two runs at once; then one whose socket dies; then echoes during a run.
pub async fn runs(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let token = stage.known_token("a");
    let (one, two) = (thread_of(stage, &token).await, thread_of(stage, &token).await);
    let mut socket = stage.open(&token).await.unwrap();
    socket.welcome().await;
    socket.send(start_agent("m-1", &one, (111, 222, 1))).await;
    socket.send(start_agent("m-2", &two, (333, 444, 2))).await;
    let echo = crate::support::echo_frame("during");
    socket.send(echo).await;
    let (frames, _) = socket.gather(RUN).await;
    let results: Vec<bool> = [(&one, "24643"), (&two, "147854")]
        .iter()
        .map(|(thread, number)| {
            let ends = frames.iter().filter(|it| it["type"] == "agent_completed");
            let mut mine = ends.filter(|it| it["payload"]["thread_id"] == thread.as_str());
            mine.any(|it| it.to_string().contains(number))
        })
        .collect();
    facts.note("each thread its own answer", format!("{results:?}"));
    let echoed = frames.iter().position(|it| it["id"] == "during");
    facts.note("echo before the end", echoed.is_some_and(|at| at + 4 < frames.len()));
    let third = thread_of(stage, &token).await;
    socket.send(start_agent("m-3", &third, (5, 6, 7))).await;
    let _ = socket.next().await;
    socket.ws.get_ref().set_zero_linger().unwrap();
    drop(socket);
    tokio::time::sleep(RUN).await;
    let listed = stage
        .get_as(&token, &format!("/api/agent/thread/{third}/runs"))
        .await
        .json();
    facts.note("interrupted run", listed["runs"][0]["status"].clone());
    facts
}

/// A user_message, which starts nothing.
pub async fn message(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let mut socket = stage.open(&stage.known_token("a")).await.unwrap();
    socket.welcome().await;
    let text = "Compute 2 times 3, add 4";
    socket
        .send(json!({ "type": "user_message", "message_id": "m", "content": text, "thread_id": "t-1" }))
        .await;
    let (frames, _) = socket.gather(Duration::from_millis(500)).await;
    facts.note("agents started", frames.iter().any(|it| it["type"] == "agent_started"));
    facts
}

/// One streamed run, and the route of sample events.
pub async fn streams(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let (token, sub) = (stage.known_token("a"), stage.sub_of("a"));
    let path = format!("/api/agent/stream?user_id={sub}&thread_id=t-1");
    let query = "Compute 12 times 34, add 5, and state the number.";
    let body = json!({ "id": "nonce-1", "user_id": sub, "query": query, "workloads": [] });
    let request = stage.client.post(stage.url(&path)).bearer_auth(&token).json(&body);
    let mut response = request.send().await.unwrap();
    facts.note("status", response.status());
    facts.note(
        "type",
        response
            .headers()
            .get("content-type")
            .and_then(|it| it.to_str().ok())
            .unwrap_or("")
            .to_owned(),
    );
    let (mut first, mut text, mut ended) = (None, String::new(), false);
    let until = tokio::time::Instant::now() + RUN;
    while let Ok(Ok(chunk)) = tokio::time::timeout_at(until, response.chunk()).await {
        let Some(chunk) = chunk else {
            ended = true;
            break;
        };
        first.get_or_insert(Instant::now());
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    facts.note("ends", ended);
    facts.note(
        "incremental",
        first.is_some_and(|at| at.elapsed() > Duration::from_millis(250)),
    );
    let data: Vec<&str> = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .collect();
    let frames: Vec<Value> = data
        .iter()
        .map(|it| serde_json::from_str(it).unwrap_or_default())
        .collect();
    facts.note("frames", frames.len());
    facts.note("json", frames.iter().all(|it| it.is_object()));
    facts.note("our run", frames.iter().all(|it| it["run_id"] == "nonce-1"));
    let samples = stage.client.get(stage.url("/api/events/stream")).send().await.unwrap();
    facts.note("samples", samples.status());
    facts
}
