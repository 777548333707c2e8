//! Discovery and configuration endpoints (contract §3.2, intended): they advertise the addresses in use.
//! MCP belongs to `mcp`.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Call, Routes, VERSION};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::Authenticated;
use crate::rehearsal::reply::{self, Problem, Refusal};
use crate::rehearsal::timing;

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/discovery/services", &["get"], get(services))
        .add("/api/discovery/services/{name}", &["get"], get(service))
        .add("/api/discovery/health", &["get"], get(health))
        .add("/api/config/public", &["get"], get(public))
        .add("/api/config/websocket", &["get"], get(websocket))
        .add("/api/config", &["get"], get(config))
        .add("/api/settings", &["get"], get(settings))
}

/// The socket's URL, as every endpoint that names it must say.
pub fn ws_url(call: &Call) -> String {
    format!("ws://{}/ws", call.world.at.backend)
}

fn known(call: &Call) -> Value {
    let (backend, auth) = (call.world.at.backend, call.world.at.auth);
    let port = match call.on(Fault::DiscoveryDeadUrl) {
        // Discard: nobody listens there.
        true => 9,
        false => backend.port(),
    };
    let host = backend.ip();
    let ws = match call.on(Fault::DiscoveryLocalhost) {
        true => "ws://localhost:8000/ws".to_owned(),
        false => ws_url(call),
    };
    let now = timing::iso_now();
    let cors = json!({ "allow_credentials": true });
    json!({
        "backend": {
            "port": port, "url": format!("http://{host}:{port}"), "api_url": format!("http://{host}:{port}/api"),
            "ws_url": ws, "timestamp": now, "cors_metadata": cors,
        },
        "frontend": {
            "port": backend.port(), "url": format!("http://{backend}/app"), "timestamp": now, "cors_metadata": cors,
        },
        "auth": {
            "port": auth.port(), "url": format!("http://{auth}"), "api_url": format!("http://{auth}/auth"),
            "timestamp": now, "cors_metadata": cors,
        },
    })
}

async fn services(call: Call) -> Response {
    if call.on(Fault::Discovery500) {
        return Problem::Unhandled.into_response();
    }
    reply::json(json!({
        "services": known(&call), "timestamp": timing::iso_now(), "available": true,
    }))
}

async fn service(call: Call, Path(name): Path<String>) -> Response {
    match known(&call).get(&name) {
        Some(service) => reply::json(service.clone()),
        None => Refusal::not_found(format!("Service {name} not found")).into_response(),
    }
}

async fn health() -> Response {
    reply::json(json!({ "status": "healthy", "available_services": ["backend", "frontend", "auth"] }))
}

async fn public(call: Call) -> Response {
    let environment = match call.on(Fault::ConfigEnvironmentWrong) {
        true => "development",
        false => "staging",
    };
    reply::json(json!({
        "environment": environment, "app_name": "netra", "version": VERSION,
        "features": { "websocket": true, "multi_agent": true },
    }))
}

async fn websocket(call: Call, _user: Authenticated) -> Response {
    let url = match call.on(Fault::ConfigWsUrlLocalhost) {
        true => "ws://localhost:8000/ws".to_owned(),
        false => ws_url(&call),
    };
    reply::json(json!({ "ws_url": url }))
}

/// Nobody in the rehearsal is an administrator.
async fn config(_call: Call, _user: Authenticated) -> Response {
    Refusal::forbidden("Admin access required").into_response()
}

async fn settings(_call: Call, _user: Authenticated) -> Response {
    reply::json(json!({ "settings": {} }))
}
