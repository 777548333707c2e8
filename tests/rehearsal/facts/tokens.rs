//! Facts about tokens: what they say, who accepts which, how refresh and logout behave.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::Facts;
use crate::support::{Refused, Socket, Stage, User, alg_none, answer, claims, tampered};

async fn welcomed(stage: &Stage, token: &str) -> String {
    match Socket::open(stage, "/ws", Some(token)).await {
        Err(Refused::Status(status)) => status.to_string(),
        Err(Refused::Other(_)) => "none".into(),
        Ok(mut socket) => match socket.next().await {
            Ok(frame) => frame["data"]["event"].as_str().unwrap_or("other frame").to_owned(),
            Err(_) => "silent".into(),
        },
    }
}

/// How auth service, API and socket judge one token.
async fn judged(stage: &Stage, token: &str) -> String {
    let validated = stage
        .auth_post("/auth/validate", json!({ "token": token }))
        .await
        .json();
    let listed = stage.get_as(token, "/api/threads").await.status;
    let again = stage.get_as(token, "/api/messages").await.status;
    format!(
        "validate {} api {listed} {again} socket {}",
        validated["valid"],
        welcomed(stage, token).await
    )
}

/// Login, claims, coherence of three judges over five tokens, refresh, logout.
pub async fn tokens(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let began = Instant::now();
    let body = json!({ "email": "a@rehearsal.invalid", "password": "rehearsal-only" });
    let login = stage.auth_post("/auth/login", body).await;
    facts.note("login", login.status);
    facts.note("login late", began.elapsed() > Duration::from_millis(2500));
    let pair = login.json();
    let (Some(token), Some(refresh)) = (pair["access_token"].as_str(), pair["refresh_token"].as_str()) else {
        return facts;
    };
    let said = claims(token);
    let lifetime = said["exp"]
        .as_u64()
        .zip(said["iat"].as_u64())
        .map(|(exp, iat)| exp - iat);
    facts.note("expires_in is true", lifetime == pair["expires_in"].as_u64());
    facts.note("issuer", &said["iss"]);
    let me = answer(stage.client.get(stage.auth_url("/auth/me")).bearer_auth(token))
        .await
        .unwrap()
        .json();
    facts.note("me is me", me["user_id"] == said["sub"]);
    facts.note("good token", judged(stage, token).await);
    facts.note("tampered token", judged(stage, &tampered(token)).await);
    facts.note("alg none", judged(stage, &alg_none(token)).await);
    facts.note("garbage", judged(stage, "garbage").await);
    let create = stage.auth_post("/auth/create-token", json!({})).await;
    facts.note("create-token", create.status);
    let numeric = stage.login("numeric-1").await;
    facts.note("numeric sub", judged(stage, &numeric.token).await);
    refreshes(stage, &mut facts, (token, refresh)).await;
    let leaving = stage.login("b").await;
    facts.note("before logout", judged(stage, &leaving.token).await);
    let logout = stage
        .client
        .post(stage.auth_url("/auth/logout"))
        .bearer_auth(&leaving.token);
    facts.note("logout", answer(logout).await.unwrap().status);
    facts.note("after logout", judged(stage, &leaving.token).await);
    facts
}

async fn refreshes(stage: &Stage, facts: &mut Facts, (token, refresh): (&str, &str)) {
    let body = || json!({ "refresh_token": refresh });
    let five = (0..5).map(|_| stage.auth_post("/auth/refresh", body()));
    let answers = join_all(five).await;
    let mut statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
    statuses.sort_unstable();
    facts.note("five refreshes", format!("{statuses:?}"));
    let fresh: Option<Value> = answers.iter().find(|it| it.status == 200).map(|it| it.json());
    let fresh = fresh.and_then(|it| it["access_token"].as_str().map(claims));
    facts.note(
        "refresh gives a new jti",
        fresh.is_some_and(|it| it["jti"] != claims(token)["jti"]),
    );
    let other = stage.login("c").await;
    let jti = claims(&other.token)["jti"].clone();
    let refresh_claims = claims(&other.refresh)["jti"].clone();
    let renewed = stage
        .auth_post("/auth/refresh", json!({ "refresh_token": other.refresh }))
        .await
        .json();
    let renewed = renewed["access_token"].as_str().map(claims).unwrap_or_default();
    facts.note(
        "new jti is new",
        renewed["jti"] != jti && renewed["jti"] != refresh_claims,
    );
}

/// How an expired token is judged; takes the five seconds of the shortest lifetime.
pub async fn aged(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let user: User = stage.login("a").await;
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    facts.note("aged token", judged(stage, &user.token).await);
    facts
}

/// The staging with the auth service or the database away, as new and cached tokens see it.
pub async fn outage(stage: &Stage) -> Facts {
    let mut facts = Facts::default();
    let url = stage.auth_url("/auth/status");
    let status = match answer(stage.client.get(url)).await {
        Ok(got) => format!("{} {}", got.status, got.header("server")),
        Err(error) if error.is_connect() => "refused".into(),
        Err(_) => "broken".into(),
    };
    facts.note("auth host", status);
    let user = stage.known_token("outage");
    let got = stage.get_as(&user, "/api/threads").await;
    facts.note("new token", format!("{} {}", got.status, got.header("retry-after")));
    let breaker = stage.get("/api/circuit-breakers/status").await.json();
    let stats = &breaker["circuit_breakers"]["auth_service"]["stats"];
    facts.note("breaker", format!("{} {}", stats["total_calls"], stats["failed_calls"]));
    facts
}
