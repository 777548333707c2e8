//! Liveness: the health family whose answers say that a process answers (contract §3.1).
//! What depends on the database belongs to `depth`.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::sockets::unless_broken;
use super::{Call, Routes, SERVICE, VERSION, not_allowed};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::reply::{self, Outcome, Problem};
use crate::rehearsal::timing;
use crate::rehearsal::world::{Dependency, Disorder};

const READ: &[&str] = &["get", "head", "options"];

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/", &["get"], get(root))
        .add("/app", &["get"], get(frontend))
        .add("/api", &["get"], get(root))
        .add("/health", READ, get(health).options(health))
        .add("/health/", READ, get(health_slash).options(health_slash))
        .add("/api/health", READ, get(health).options(health))
        .add("/health/live", READ, get(live).options(live))
        .add("/api/health/live", &["get"], get(api_live))
        .add("/api/health/config", &["get"], get(config))
        .add("/health/system", &["get"], get(system))
        .add("/health/system/comprehensive", &["get"], get(system))
        .add("/health/alerts", &["get"], get(alerts))
        .add("/api/system/info", &["get"], get(system_info))
}

async fn root() -> Response {
    reply::json(json!({ "message": "Welcome to the Netra API", "version": VERSION }))
}

/// Stands for the frontend, so that the URL discovery advertises is one that answers.
async fn frontend() -> Response {
    Html("<!DOCTYPE html><title>Netra</title><div id=root></div>").into_response()
}

/// A method that a fault refuses.
fn refused(call: &Call) -> bool {
    let head = call.method == axum::http::Method::HEAD && call.on(Fault::Head405);
    let options = call.method == axum::http::Method::OPTIONS && call.on(Fault::Options405);
    head || options
}

/// The timestamp of health bodies: now, unless a fault bends it.
pub fn stamp(call: &Call) -> f64 {
    if let Some(since) = call.world.faults.since_ms(Fault::HealthFrozen) {
        return since as f64 / 1e3;
    }
    match call.on(Fault::HealthClockOff) {
        true => timing::now_unix() - 60.0,
        false => timing::now_unix(),
    }
}

async fn health_slash(call: Call) -> Response {
    match call.on(Fault::HealthSlash404) {
        true => reply::detail(StatusCode::NOT_FOUND, "Not Found"),
        false => health(call).await,
    }
}

async fn health(call: Call) -> Response {
    if refused(&call) {
        return not_allowed().await;
    }
    if call.on(Fault::Health500) {
        return Problem::Unhandled.into_response();
    }
    if call.on(Fault::HealthHtml) {
        return Html("<html><body>OK</body></html>").into_response();
    }
    let honest_outage = call.world.database() == Dependency::Down && !call.on(Fault::HealthLies);
    let flapped = call.on(Fault::HealthFlaps) && !call.seat.connection.is_multiple_of(2);
    let starting = call.world.disorder() == Some(Disorder::ReadyBeforeHealthy);
    let status = match () {
        () if honest_outage || flapped || starting => "unhealthy",
        () if call.on(Fault::HealthDegraded) => "degraded",
        () => "healthy",
    };
    let mut body = json!({
        "status": status, "service": SERVICE, "version": VERSION, "timestamp": stamp(&call),
    });
    let wanted = call.headers.get("accept-version").and_then(|value| value.to_str().ok());
    if let Some(wanted @ ("1.0" | "2024-08-01")) = wanted {
        body["version_info"] = json!({
            "api_version": wanted, "service_version": VERSION,
            "supported_versions": ["1.0", "2024-08-01", "current"],
        });
    }
    let code = match status {
        "unhealthy" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let mut response = reply::json_status(code, body);
    let echoed = HeaderValue::from_str(wanted.unwrap_or("current"));
    if let Ok(version) = echoed {
        response.headers_mut().insert("api-version", version);
    }
    if code == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("5");
        response.headers_mut().insert("retry-after", seconds);
    }
    response
}

async fn live(call: Call) -> Response {
    if refused(&call) {
        return not_allowed().await;
    }
    if call.on(Fault::HealthLive404) {
        return reply::detail(StatusCode::NOT_FOUND, "Not Found");
    }
    let version = if call.on(Fault::VersionMixed) { "0.9.7" } else { VERSION };
    reply::json(json!({
        "status": "healthy", "service": SERVICE, "version": version,
        "timestamp": timing::iso(stamp(&call)), "environment": "staging",
    }))
}

/// Age of the process, in seconds; the detector of restarts and instances.
fn uptime_s(call: &Call) -> f64 {
    match call.on(Fault::UptimeFrozen) {
        true => 12.5,
        false => (call.instance().uptime().as_secs_f64() * 1e3).round() / 1e3,
    }
}

async fn api_live(call: Call) -> Response {
    reply::json(json!({
        "status": "healthy", "timestamp": timing::iso(stamp(&call)),
        "uptime_seconds": uptime_s(&call),
        "checks": { "application": { "status": "healthy" } },
        "database_details": {}, "version": VERSION, "environment": "staging",
    }))
}

/// The envelope of `/api/health/ready` and its siblings.
pub fn deep_body(call: &Call, status: &str, checks: Value) -> Value {
    json!({
        "status": status, "timestamp": timing::iso(stamp(call)), "uptime_seconds": uptime_s(call),
        "checks": checks, "database_details": {}, "version": VERSION, "environment": "staging",
    })
}

async fn config() -> Response {
    reply::json(json!({
        "environment": "staging", "services": { "postgresql": true, "redis": true, "clickhouse": false },
    }))
}

async fn system(call: Call) -> Response {
    reply::json(json!({
        "status": "healthy", "timestamp": timing::iso_now(),
        "process": { "uptime_seconds": uptime_s(&call), "open_sockets": call.world.hub.open() },
    }))
}

async fn alerts(call: Call) -> Outcome {
    unless_broken(&call)?;
    Ok(reply::json(json!({ "alerts": [], "timestamp": timing::iso_now() })))
}

async fn system_info(call: Call) -> Outcome {
    unless_broken(&call)?;
    Ok(reply::json(
        json!({ "service": SERVICE, "version": VERSION, "environment": "staging" }),
    ))
}
