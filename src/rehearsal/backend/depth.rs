//! Readiness and the state of dependencies: answers that follow the database, Redis and the last start
//! (contract §3.1, §8, intended). Liveness belongs to `health`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::health::deep_body;
use super::{Call, Routes, SERVICE};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::Authenticated;
use crate::rehearsal::reply::{self, Problem, Refusal};
use crate::rehearsal::timing;
use crate::rehearsal::world::{Dependency, Disorder};

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/health/ready", &["get"], get(ready))
        .add("/health/database", &["get"], get(database))
        .add("/health/schema-validation", &["get"], get(schema))
        .add("/health/pool-metrics", &["get"], get(pool))
        .add("/health/database-env", &["get"], get(environment))
        .add("/api/health/ready", &["get"], get(api_ready))
        .add("/api/health/startup", &["get"], get(api_ready))
        .add("/api/health/", &["get"], get(api_ready))
        .add("/api/health/database", &["get"], get(api_database))
        .add("/api/monitoring/ping", &["get"], get(ping))
        .add("/api/monitoring/health", &["get"], get(monitoring))
        .add("/api/monitoring/alerts", &["get"], get(alerts))
        .add("/api/system/dependencies/status", &["get"], get(dependencies))
}

fn database_up(call: &Call) -> bool {
    call.world.database() == Dependency::Up
}

fn redis_up(call: &Call) -> bool {
    call.world.redis() == Dependency::Up
}

/// What a fault makes of every readiness endpoint.
fn bent(call: &Call) -> Option<Response> {
    if call.on(Fault::Readiness422) {
        let errors = json!([
            { "loc": ["message"], "msg": "Input should be a valid string", "type": "string_type" },
            { "loc": ["user_message"], "msg": "Input should be a valid string", "type": "string_type" },
        ]);
        let body =
            json!({ "error": true, "error_code": "VALIDATION_ERROR", "details": { "validation_errors": errors } });
        return Some(reply::json_status(StatusCode::UNPROCESSABLE_ENTITY, body));
    }
    if call.on(Fault::ReadyEmpty200) {
        return Some(StatusCode::OK.into_response());
    }
    let broken = call.world.disorder() == Some(Disorder::BrokenAfterHealthy);
    broken.then(|| Problem::Unhandled.into_response())
}

async fn ready(call: Call) -> Response {
    if let Some(response) = bent(&call) {
        return response;
    }
    if !database_up(&call) {
        return Refusal::unavailable("Core database unavailable").into_response();
    }
    let redis = match redis_up(&call) {
        true => "connected",
        false => "optional_unavailable",
    };
    reply::json(json!({
        "status": "ready", "service": SERVICE, "timestamp": timing::now_unix(),
        "environment": "staging", "core_db": "connected",
        "clickhouse_db": "skipped_optional", "redis_db": redis,
        "details": { "clickhouse": "skipped: optional in staging", "redis": redis },
    }))
}

async fn database(call: Call) -> Response {
    if !database_up(&call) {
        return Refusal::unavailable("Database unavailable").into_response();
    }
    reply::json(json!({
        "status": "healthy", "connected": true,
        "pool_status": { "size": 5, "checked_out": 0, "overflow": 0 },
        "database_stats": {}, "timestamp": timing::iso_now(),
    }))
}

async fn schema(call: Call) -> Response {
    if !database_up(&call) {
        return reply::json(json!({
            "passed": false, "missing_tables": [], "error": "could not connect to the database",
            "timestamp": timing::iso_now(),
        }));
    }
    let missing = match call.on(Fault::SchemaFailed) {
        true => vec!["threads"],
        false => Vec::new(),
    };
    reply::json(json!({
        "passed": missing.is_empty(), "missing_tables": missing, "timestamp": timing::iso_now(),
    }))
}

async fn pool() -> Response {
    reply::json(json!({ "pool": { "size": 5, "checked_out": 0 }, "timestamp": timing::iso_now() }))
}

async fn environment() -> Response {
    reply::json(json!({ "environment": "staging", "valid": true }))
}

/// One dependency as the deep health bodies state it.
fn statement(up: bool, ms: f64) -> Value {
    match up {
        true => json!({ "status": "healthy", "connected": true, "response_time_ms": ms, "error": null }),
        false => json!({ "status": "failed", "connected": false, "response_time_ms": null,
                         "error": "connection refused" }),
    }
}

fn clickhouse() -> Value {
    json!({ "status": "skipped_optional", "connected": false, "response_time_ms": null, "error": null })
}

fn statements(call: &Call) -> Value {
    json!({
        "postgresql": statement(database_up(call), 1.2),
        "redis": statement(redis_up(call), 0.4),
        "clickhouse": clickhouse(),
    })
}

async fn api_ready(call: Call) -> Response {
    if let Some(response) = bent(&call) {
        return response;
    }
    let checks = statements(&call);
    match database_up(&call) {
        true => reply::json(deep_body(&call, "healthy", checks)),
        false => {
            let body = deep_body(&call, "unhealthy", checks);
            let mut response = reply::json_status(StatusCode::SERVICE_UNAVAILABLE, body);
            let seconds = axum::http::HeaderValue::from_static("5");
            response.headers_mut().insert("retry-after", seconds);
            response
        }
    }
}

async fn api_database(call: Call) -> Response {
    let mut databases = statements(&call);
    if call.on(Fault::ReadinessDisagrees) {
        databases["postgresql"] = json!({
            "status": "failed", "connected": false, "response_time_ms": null,
            "error": "DatabaseManager not initialized",
        });
    }
    let healthy = ["postgresql", "redis"]
        .iter()
        .filter(|name| databases[**name]["status"] == "healthy")
        .count();
    reply::json(json!({
        "status": if healthy == 2 { "healthy" } else { "degraded" },
        "databases": databases,
        "summary": { "total": 3, "healthy": healthy, "failed": 2 - healthy, "skipped": 1 },
        "timestamp": timing::iso_now(),
    }))
}

async fn ping(call: Call) -> Response {
    if !database_up(&call) || call.on(Fault::MonitoringPing503) {
        return Refusal::unavailable("Database connectivity test failed").into_response();
    }
    let began = std::time::Instant::now();
    // The round trip to the rehearsal's own database.
    let _ = call.world.store.thread("ping");
    let ms = began.elapsed().as_secs_f64() * 1e3;
    reply::json(json!({
        "status": "ok", "timestamp": timing::iso_now(), "response_time_ms": (ms * 1e3).round() / 1e3,
    }))
}

async fn monitoring(call: Call, _user: Authenticated) -> Response {
    reply::json(json!({ "status": "healthy", "databases": statements(&call) }))
}

async fn alerts(_call: Call, _user: Authenticated) -> Response {
    reply::json(json!({ "alerts": [] }))
}

async fn dependencies(call: Call) -> Response {
    reply::json(json!({ "dependencies": statements(&call), "timestamp": timing::iso_now() }))
}
