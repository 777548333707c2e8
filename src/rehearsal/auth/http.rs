//! The auth service's endpoints (contract §3.6) on their own listener.
//! It owns routes and bodies; accounts and tokens belong to `auth`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Denial, Pair};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::reply::{self, FieldErrors, Outcome, detail};
use crate::rehearsal::timing;
use crate::rehearsal::tokens::Side;
use crate::rehearsal::world::{Dependency, World};

/// Version of the auth service, in bodies and in `x-service-version`.
const VERSION: &str = "1.0.0";
/// Seconds after which a client should ask again when the database is away.
const RETRY_AFTER_S: &str = "5";

type Shared = State<Arc<World>>;

/// The routes; nothing else exists here, `/auth/create-token` least of all.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/health", get(health))
        .route("/health/ready", get(ready))
        .route("/readiness", get(ready))
        .route("/auth", get(status))
        .route("/auth/health", get(auth_health))
        .route("/auth/status", get(status))
        .route("/auth/config", get(config))
        .route("/auth/login", post(login).get(login_page))
        .route("/auth/refresh", post(refresh))
        .route("/auth/logout", post(logout))
        .route("/auth/validate", post(validate))
        .route("/auth/verify", get(verify).post(verify))
        .route("/auth/me", get(me))
        .route("/auth/create-token", post(create_token))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(world)
}

/// Headers by which a client tells the auth service from everything else (contract §1.1).
pub fn stamp(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert("server", HeaderValue::from_static("uvicorn"));
    headers.insert("x-service-name", HeaderValue::from_static("auth-service"));
    headers.insert("x-service-version", HeaderValue::from_static(VERSION));
}

async fn not_found() -> Response {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

async fn not_allowed() -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

async fn status() -> Response {
    reply::json(json!({ "service": "auth-service", "status": "running", "version": VERSION }))
}

async fn health(State(world): Shared) -> Response {
    let body = |status, database: &str| {
        json!({
            "status": status, "service": "auth-service", "version": VERSION,
            "timestamp": timing::iso_now(), "uptime_seconds": world.uptime().as_secs_f64(),
            "database_status": database, "environment": "staging",
        })
    };
    match world.database() {
        Dependency::Up => reply::json(body("healthy", "connected")),
        Dependency::Down => {
            let mut unhealthy = body("unhealthy", "disconnected");
            unhealthy["reason"] = json!("database connectivity check failed");
            unavailable(unhealthy)
        }
    }
}

async fn ready(State(world): Shared) -> Response {
    let body = |status| json!({ "status": status, "service": "auth-service", "version": VERSION });
    match world.database() {
        Dependency::Up => reply::json(body("ready")),
        Dependency::Down => unavailable(body("not_ready")),
    }
}

async fn auth_health(State(world): Shared) -> Response {
    let well = world.database() == Dependency::Up && !world.faults.on(Fault::AuthUnhealthy);
    let status = if well { "healthy" } else { "unhealthy" };
    reply::json(json!({
        "status": status, "service": "auth-service", "version": VERSION,
        "timestamp": timing::iso_now(),
        "database_status": if well { "connected" } else { "disconnected" },
    }))
}

async fn config(State(world): Shared) -> Response {
    let base = format!("http://{}", world.at.auth);
    reply::json(json!({
        "google_client_id": "", "oauth_enabled": false, "development_mode": false,
        "endpoints": {
            "login": format!("{base}/auth/login"), "logout": format!("{base}/auth/logout"),
            "refresh": format!("{base}/auth/refresh"), "validate": format!("{base}/auth/validate"),
            "user": format!("{base}/auth/me"),
        },
        "authorized_javascript_origins": [format!("http://{}", world.at.backend)],
        "authorized_redirect_uris": [], "oauth_redirect_uri": "",
    }))
}

async fn login_page() -> Response {
    detail(StatusCode::BAD_REQUEST, "OAuth provider is not configured")
}

async fn login(State(world): Shared, body: Bytes) -> Outcome {
    let body = reply::object(&body)?;
    let mut errors = FieldErrors::default();
    let email = errors.text(&body, "email", 1..=320);
    let password = errors.text(&body, "password", 1..=1024);
    errors.finish()?;
    if world.faults.on(Fault::LoginSlow) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    if world.faults.on(Fault::Login500) {
        return Ok(detail(StatusCode::INTERNAL_SERVER_ERROR, "Login failed"));
    }
    if world.faults.any(&[Fault::Login401, Fault::DbOutageAs401]) {
        return Ok(detail(StatusCode::UNAUTHORIZED, "Invalid credentials"));
    }
    if world.database() == Dependency::Down {
        return Ok(unavailable(json!({ "detail": "Database unavailable" })));
    }
    Ok(tokens(world.auth.login(&email, &password, &world.faults), &world))
}

async fn refresh(State(world): Shared, body: Bytes) -> Outcome {
    let body = reply::object(&body)?;
    let names = ["refresh_token", "refreshToken", "token"];
    let name = names.iter().find(|name| body.get(**name).is_some());
    let mut errors = FieldErrors::default();
    let token = errors.text(&body, name.unwrap_or(&names[0]), 1..=8192);
    errors.finish()?;
    Ok(tokens(world.auth.refresh(&token, &world.faults), &world))
}

fn tokens(pair: Result<Pair, Denial>, world: &World) -> Response {
    match pair {
        Ok(pair) => reply::json(json!({
            "access_token": pair.access, "refresh_token": pair.refresh, "token_type": "Bearer",
            "expires_in": pair.expires_in, "user": { "id": pair.sub, "email": pair.email },
        })),
        Err(Denial::Replayed) if world.faults.on(Fault::RefreshRace500) => {
            detail(StatusCode::INTERNAL_SERVER_ERROR, "Token refresh failed")
        }
        Err(Denial::Replayed) => detail(StatusCode::UNAUTHORIZED, "Invalid refresh token"),
        Err(Denial::Credentials) => detail(StatusCode::UNAUTHORIZED, "Invalid credentials"),
        Err(Denial::Internal) => detail(StatusCode::INTERNAL_SERVER_ERROR, "Token creation failed"),
    }
}

async fn logout(State(world): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let sent = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let shown = reply::bearer(&headers).map(str::to_owned);
    let refresh = sent["refresh_token"].as_str().map(str::to_owned);
    for token in [shown, refresh].into_iter().flatten() {
        world.auth.logout(&token, &world.faults);
    }
    reply::json(json!({ "success": true, "message": "Logged out" }))
}

async fn validate(State(world): Shared, body: Bytes) -> Response {
    let sent = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let Some(token) = sent["token"].as_str().filter(|token| !token.is_empty()) else {
        let invalid = json!({ "valid": false, "error": "missing_token", "message": "Token is required" });
        return reply::json(invalid);
    };
    match world.auth.validate(token, Side::Auth, &world.faults) {
        Some(user) => reply::json(json!({
            "valid": true, "user_id": user.sub, "email": user.email, "permissions": [],
            "expires_at": timing::iso(user.exp as f64),
        })),
        None if world.faults.on(Fault::ValidateAlwaysTrue) => reply::json(json!({
            "valid": true, "user_id": "unknown", "email": "", "permissions": [], "expires_at": null,
        })),
        None => reply::json(json!({
            "valid": false, "error": "invalid_token", "message": "Token is invalid or expired",
        })),
    }
}

async fn verify(State(world): Shared, headers: HeaderMap) -> Response {
    let token = reply::bearer(&headers).unwrap_or("");
    let user = world.auth.validate(token, Side::Auth, &world.faults);
    reply::json(json!({ "valid": user.is_some(), "user_id": user.map(|user| user.sub) }))
}

async fn me(State(world): Shared, headers: HeaderMap) -> Response {
    let token = reply::bearer(&headers).unwrap_or("");
    let Some(user) = world.auth.validate(token, Side::Auth, &world.faults) else {
        return detail(StatusCode::UNAUTHORIZED, "Invalid or expired token");
    };
    let times = world.auth.times_of(&user.sub);
    let sub = match world.faults.on(Fault::MeWrongUser) {
        true => super::sub_of("somebody-else@rehearsal.invalid"),
        false => user.sub,
    };
    reply::json(json!({
        "user_id": sub, "email": user.email, "permissions": [],
        "name": user.email.split('@').next(), "created_at": timing::iso(times.created_at),
        "last_login_at": timing::iso(times.last_login_at), "is_verified": true,
        "auth_provider": "local", "token_expires_at": timing::iso(user.exp as f64),
    }))
}

/// Closed in the intended contract; open, it fails only after it has let an anonymous caller in.
async fn create_token(State(world): Shared) -> Response {
    match world.faults.on(Fault::CreateTokenOpen) {
        true => detail(StatusCode::INTERNAL_SERVER_ERROR, "Token creation failed"),
        false => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn unavailable(body: Value) -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, reply::json(body)).into_response();
    response
        .headers_mut()
        .insert("retry-after", HeaderValue::from_static(RETRY_AFTER_S));
    response
}
