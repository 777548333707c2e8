//! `/api/agents/*`: executing an agent and waiting for its answer (contract §3.4, intended).
//! It computes for real or says that it cannot; runs with events belong to `runs`.

use std::time::Instant;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Call, Routes};
use crate::rehearsal::agent::sum::Sum;
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::MaybeOpen;
use crate::rehearsal::reply::{self, FieldErrors, Outcome, Refusal};

/// Agent types that exist.
const TYPES: &[&str] = &["triage", "data", "optimization"];
/// Longest message in characters.
const MESSAGE_MAX: usize = 8000;

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/agents/execute", &["post"], post(execute))
        .add("/api/agents/triage", &["post"], post(triage))
        .add("/api/agents/data", &["post"], post(data))
        .add("/api/agents/optimization", &["post"], post(optimization))
        .add("/api/agents/{name}/circuit_breaker/status", &["get"], get(breaker))
}

async fn execute(call: Call, _user: MaybeOpen, body: Bytes) -> Outcome {
    let body = reply::object(&body)?;
    let mut errors = FieldErrors::default();
    let kind = errors.text(&body, "type", 1..=100);
    let message = errors.text(&body, "message", 1..=MESSAGE_MAX);
    errors.finish()?;
    perform(&call, &kind, &message)
}

async fn triage(call: Call, _user: MaybeOpen, body: Bytes) -> Outcome {
    one_type(&call, "triage", &body)
}

async fn data(call: Call, _user: MaybeOpen, body: Bytes) -> Outcome {
    one_type(&call, "data", &body)
}

async fn optimization(call: Call, _user: MaybeOpen, body: Bytes) -> Outcome {
    one_type(&call, "optimization", &body)
}

fn one_type(call: &Call, kind: &str, body: &[u8]) -> Outcome {
    let body = reply::object(body)?;
    let mut errors = FieldErrors::default();
    let message = errors.text(&body, "message", 1..=MESSAGE_MAX);
    errors.finish()?;
    perform(call, kind, &message)
}

fn known(kind: &str) -> Option<&'static str> {
    TYPES.iter().copied().find(|it| *it == kind)
}

fn perform(call: &Call, kind: &str, message: &str) -> Outcome {
    let began = Instant::now();
    let answer = |status: &str, response: Value, error: Value| {
        reply::json(json!({
            "status": status, "agent": kind, "response": response,
            "execution_time": began.elapsed().as_secs_f64(),
            "circuit_breaker_state": "CLOSED", "error": error,
        }))
    };
    if call.on(Fault::ExecuteFabricated) {
        let text =
            format!("Fallback {kind} agent response: Successfully processed '{message}' using recovery mechanism");
        return Ok(answer("success", json!(text), Value::Null));
    }
    let agent = known(kind).ok_or_else(|| Refusal::not_found(format!("Unknown agent type: {kind}")))?;
    let operation = call.instance().begin();
    Ok(match Sum::read(message) {
        Some(sum) => {
            operation.note(agent, 0);
            let text = format!("{} is {}.", sum.expression(), sum.result());
            answer("success", json!(text), Value::Null)
        }
        None => {
            operation.note(agent, 1);
            let error = "the message holds no computation";
            answer("error", Value::Null, json!(error))
        }
    })
}

/// The breaker of an agent: closed while more calls succeed than fail, and none for unknown agents.
async fn breaker(call: Call, Path(name): Path<String>) -> Response {
    let canary = call.on(Fault::BreakerCanaryClosed);
    let counted = known(&name).map(|agent| {
        let book = call.instance().agents();
        book.agents.get(agent).copied().unwrap_or_default()
    });
    let counter = match counted {
        Some(counter) => counter,
        None if canary => Default::default(),
        None => return reply::detail(StatusCode::NOT_FOUND, "Unknown agent"),
    };
    reply::json(json!({
        "agent": name, "state": "CLOSED", "failure_count": counter.failures,
        "success_count": counter.operations - counter.failures,
    }))
}
