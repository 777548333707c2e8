//! Circuit breakers and metrics over HTTP (contract §3.4): the auth breaker of the instance that answers.
//! The state machine belongs to `breaker`.

use std::time::Instant;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::reply::{self, Refusal};
use crate::rehearsal::timing;

/// The one breaker.
const NAME: &str = "auth_service";

/// Adds the family. There is no route to reset a breaker: nobody outside should.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/circuit-breakers/status", &["get"], get(status))
        .add("/api/circuit-breakers/{name}", &["get"], get(one))
        .add("/api/metrics/circuit_breakers", &["get"], get(metrics))
        .add("/api/metrics/raw", &["get"], get(raw))
        .add("/api/metrics/security", &["get"], get(security))
}

/// The breaker as published, with what faults make of it.
fn published(call: &Call) -> Value {
    let mut breaker = call.instance().breaker().publish(NAME, Instant::now());
    if call.on(Fault::BreakerFrozen) {
        for counter in ["total_calls", "successful_calls"] {
            breaker["stats"][counter] = json!(15);
        }
    }
    if call.on(Fault::BreakerIllegal)
        && let Some(changes) = breaker["state_changes"].as_array_mut()
    {
        changes.push(json!({
            "from": "closed", "to": "half_open", "time": timing::iso_now(), "reason": "unknown",
        }));
    }
    if call.on(Fault::BreakerStuckOpen) {
        breaker["state"] = json!("open");
    }
    breaker
}

async fn status(call: Call) -> Response {
    let breaker = published(&call);
    let count = |state: &str| u32::from(breaker["state"] == state);
    let mut closed = count("closed");
    if call.on(Fault::BreakerSumWrong) {
        closed += 2;
    }
    reply::json(json!({
        "status": "ok",
        "summary": {
            "total_breakers": 1, "open_breakers": count("open"),
            "half_open_breakers": count("half_open"), "closed_breakers": closed,
        },
        "circuit_breakers": { NAME: breaker },
        "timestamp": timing::iso_now(),
    }))
}

async fn one(call: Call, Path(name): Path<String>) -> Response {
    match name.as_str() {
        NAME => reply::json(published(&call)),
        _ if call.on(Fault::BreakerUnknown200) => reply::json(json!({ "name": name, "state": "closed" })),
        _ => Refusal::not_found(format!("Circuit breaker {name} not found")).into_response(),
    }
}

async fn metrics(call: Call) -> Response {
    if call.on(Fault::BreakerMetricsConstant) {
        let fixed = |successes: u32| json!({ "state": "closed", "successes": successes, "failures": 2 });
        return reply::json(json!({
            "circuit_breakers": { "triage": fixed(15), "data": fixed(8) },
            "timestamp": timing::iso_now(),
        }));
    }
    let mut breakers = serde_json::Map::new();
    breakers.insert(NAME.to_owned(), published(&call)["stats"].clone());
    for (agent, counter) in &call.instance().agents().agents {
        let successes = counter.operations - counter.failures;
        let shown = json!({ "successes": successes, "failures": counter.failures });
        breakers.insert((*agent).to_owned(), shown);
    }
    reply::json(json!({ "circuit_breakers": breakers, "timestamp": timing::iso_now() }))
}

async fn raw(call: Call) -> Response {
    let text = format!("websocket_connections {}\n", call.world.hub.open());
    reply::json(json!({ "metrics": text }))
}

async fn security(_call: Call) -> Response {
    (
        StatusCode::OK,
        reply::json(json!({ "events": [], "timestamp": timing::iso_now() })),
    )
        .into_response()
}
