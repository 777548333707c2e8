//! Facts over HTTP: every endpoint, health over time, threads, restarts, the edge.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, Version};
use serde_json::{Value, json};

use super::{Facts, still};
use crate::healthy_http::ENDPOINTS;
use crate::support::{Answer, Ended, Stage, answer, client};

fn ports(stage: &Stage) -> [u16; 2] {
    [
        stage.rehearsal.backend_addr().port(),
        stage.rehearsal.auth_addr().port(),
    ]
}

fn shown(stage: &Stage, got: &Result<Answer, reqwest::Error>) -> String {
    let got = match got {
        Ok(got) => got,
        Err(error) if error.is_connect() => return "no connection".into(),
        Err(error) if error.is_timeout() => return "timeout".into(),
        Err(_) => return "broken".into(),
    };
    let body = match got.json() {
        Value::Null => format!("{:.40}", got.text),
        json => still(&json, &ports(stage)).to_string(),
    };
    let headers = ["content-type", "server", "x-environment", "retry-after"].map(|name| got.header(name).to_owned());
    format!("{} {headers:?} {body}", got.status)
}

/// Every endpoint of the healthy table, its status, fingerprint and body.
pub async fn endpoints(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let (token, sub) = (stage.known_token("a"), stage.sub_of("a"));
    for row in ENDPOINTS.replace("SUB", &sub).trim().lines() {
        let (line, body) = row.split_once(" << ").unwrap_or((row, ""));
        let words: Vec<&str> = line.split(' ').collect();
        let mut request = stage.client.request(words[0].parse().unwrap(), stage.url(words[1]));
        if words[2] == "T" {
            request = request.bearer_auth(&token);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        // A stream that should not exist would never end.
        let got = answer(request.timeout(Duration::from_millis(1500))).await;
        facts.note(row.replace(&sub, "SUB"), shown(stage, &got));
    }
    facts
}

/// Health and its like over time and over connections.
pub async fn health(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let mut samples = Vec::new();
    for _ in 0..4 {
        let got = answer(client().get(stage.url("/health"))).await;
        facts.note(format!("sample {}", samples.len()), shown(stage, &got));
        samples.extend(got);
    }
    let stamps: Vec<f64> = samples
        .iter()
        .filter_map(|it| it.json()["timestamp"].as_f64())
        .collect();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    facts.note("timestamps grow", stamps.windows(2).all(|pair| pair[0] < pair[1]));
    facts.note(
        "timestamps fresh",
        stamps.iter().all(|stamp| (now - stamp).abs() < 10.0),
    );
    let traces: std::collections::HashSet<&str> = samples.iter().map(|it| it.header("x-trace-id")).collect();
    facts.note("trace ids differ", traces.len() == samples.len());
    let origin = client()
        .get(stage.url("/health"))
        .header("origin", "https://evil.example");
    let got = answer(origin).await;
    let allowed = got
        .map(|it| it.header("access-control-allow-origin").to_owned())
        .unwrap_or_default();
    facts.note("foreign origin allowed", allowed);
    let second = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let spoken = second
        .get(stage.url("/health"))
        .send()
        .await
        .map(|it| it.version() == Version::HTTP_2);
    facts.note("http/2", spoken.unwrap_or(false));
    facts.note("uptime", uptimes(stage).await);
    facts.note(
        "auth /health",
        shown(stage, &answer(client().get(stage.auth_url("/health"))).await),
    );
    facts.note(
        "auth /auth/health",
        shown(stage, &answer(client().get(stage.auth_url("/auth/health"))).await),
    );
    facts.note("affinity", affinity(stage).await);
    facts
}

async fn uptimes(stage: &Stage) -> String {
    let uptime = async || {
        answer(stage.client.get(stage.url("/api/health/live")))
            .await
            .ok()?
            .json()["uptime_seconds"]
            .as_f64()
    };
    let first = uptime().await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    let second = uptime().await;
    format!("{:?}", first.zip(second).map(|(first, second)| second > first))
}

async fn affinity(stage: &Stage) -> String {
    let Ok(first) = answer(client().get(stage.url("/api/health/live"))).await else {
        return "no answer".into();
    };
    let cookie = first.header("set-cookie").split(';').next().unwrap_or("").to_owned();
    let mut instances = std::collections::HashSet::new();
    for _ in 0..4 {
        let request = client().get(stage.url("/api/health/live")).header("cookie", &cookie);
        if let Ok(got) = answer(request).await {
            instances.insert(got.header("x-security-fingerprint").to_owned());
        }
    }
    format!("cookie {} instances {}", !cookie.is_empty(), instances.len())
}

/// Time to the first byte and the whole body, in steps too coarse for a busy machine to blur.
pub async fn delivery(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let began = Instant::now();
    let response = client().get(stage.url("/api/health")).send().await;
    facts.note("first byte late", began.elapsed() > Duration::from_millis(1500));
    let body = match response {
        Ok(response) => response.text().await.map(|_| "whole").unwrap_or("broken"),
        Err(_) => "none",
    };
    facts.note("body", body);
    facts.note("body late", began.elapsed() > Duration::from_millis(2500));
    let many = (0..120).map(|_| answer(stage.client.get(stage.url("/health"))));
    let refused = join_all(many)
        .await
        .into_iter()
        .flatten()
        .filter(|it| it.status == 429)
        .count();
    facts.note("some of 120 requests refused", refused > 0);
    facts
}

async fn crud(stage: &Stage, facts: &mut Facts, names: [&str; 2]) -> Option<String> {
    let [a, b] = [stage.login(names[0]).await, stage.login(names[1]).await];
    let created = stage
        .send_as(&a.token, Method::POST, "/api/threads", json!({ "title": "t" }))
        .await;
    facts.note("thread created", created.status);
    let id = created.json()["id"].as_str()?.to_owned();
    let path = format!("/api/threads/{id}");
    facts.note(
        "thread read",
        stage.get_as(&a.token, &path).await.json()["title"].clone(),
    );
    facts.note("thread read by a stranger", stage.get_as(&b.token, &path).await.status);
    stage
        .send_as(&a.token, Method::PUT, &path, json!({ "title": "new" }))
        .await;
    facts.note(
        "thread renamed",
        stage.get_as(&a.token, &path).await.json()["title"].clone(),
    );
    for _ in 0..2 {
        let body = json!({ "content": "secret", "thread_id": id, "message_id": "m" });
        stage.send_as(&a.token, Method::POST, "/api/messages", body).await;
    }
    let messages = stage.get_as(&a.token, &format!("{path}/messages")).await.json();
    facts.note("messages kept", messages["total"].clone());
    let listed = stage.get_as(&b.token, &format!("/api/messages?thread_id={id}")).await;
    facts.note("messages seen by a stranger", listed.text.contains("secret"));
    let page = stage.get_as(&a.token, "/api/messages").await.json();
    let members: Vec<String> = page
        .as_object()
        .map(|it| it.keys().cloned().collect())
        .unwrap_or_default();
    facts.note("message page", members.join(" "));
    Some(path)
}

/// Threads and messages of two users.
pub async fn threads(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let path = crud(stage, &mut facts, ["a", "b"]).await;
    let a = stage.login("a").await;
    let mut lists = Vec::new();
    for _ in 0..3 {
        let got = stage.get_as(&a.token, "/api/threads?limit=1").await;
        let retry = got.status == 503 && got.header("retry-after").is_empty();
        facts.note(
            format!("list {}", lists.len()),
            format!("{} bare {retry} list {}", got.status, got.json().is_array()),
        );
        let members = got
            .json()
            .pointer("/0")
            .and_then(Value::as_object)
            .map_or(0, |it| it.len());
        facts.note(format!("members {}", lists.len()), members);
        lists.push(got.json().pointer("/0/id").cloned());
    }
    facts.note("lists agree", lists.windows(2).all(|pair| pair[0] == pair[1]));
    if let Some(path) = path {
        stage.send_as(&a.token, Method::DELETE, &path, json!({})).await;
        facts.note("thread after delete", stage.get_as(&a.token, &path).await.status);
    }
    let anonymous = answer(stage.client.get(stage.url("/api/messages"))).await.unwrap();
    facts.note("messages without a token", anonymous.status);
    facts
}

/// A restart as a resident socket, a health poller and a user with a thread see it.
pub async fn restart(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let user = stage.login("a").await;
    let thread = stage
        .send_as(&user.token, Method::POST, "/api/threads", json!({ "title": "t" }))
        .await
        .json();
    let mut socket = stage.open(&user.token).await.unwrap();
    socket.welcome().await;
    stage.control("/rehearsal/restart", json!({ "down_ms": 100 })).await;
    let (_, end) = socket.gather(Duration::from_secs(2)).await;
    let close = matches!(end, Some(Ended::Close(1012, _)));
    facts.note("resident saw 1012", close);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    while answer(client().get(stage.url("/health"))).await.is_err() && began.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    facts.note("back late", began.elapsed() > Duration::from_secs(4));
    let health = answer(client().get(stage.url("/health"))).await;
    facts.note("health", health.map_or(0, |it| it.status));
    facts.note(
        "ready",
        answer(client().get(stage.url("/health/ready")))
            .await
            .map_or(0, |it| it.status),
    );
    let path = format!("/api/threads/{}", thread["id"].as_str().unwrap());
    facts.note("thread kept", stage.get_as(&user.token, &path).await.status);
    facts
}
