//! Agent runs over HTTP: start and wait, ask for status, list a thread's runs (contract §3.4, intended).
//! Runs themselves belong to `agent`; streaming them belongs to `events`.

use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Call, Routes};
use crate::rehearsal::agent::{self, Order, StartError, Started};
use crate::rehearsal::auth::User;
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::{Authenticated, MaybeOpen};
use crate::rehearsal::reply::{self, FieldErrors, Outcome, Problem, Refusal};
use crate::rehearsal::store::Run;
use crate::rehearsal::timing;

/// Events a slow reader may be behind before it loses some.
const WATCHER_MAX: usize = 256;
/// How long `run_agent` waits for its run.
const RUN_TIMEOUT: Duration = Duration::from_secs(25);

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/agent/run_agent", &["post"], post(run_agent))
        .add("/api/agent/run_agent_v2", &["post"], post(run_agent))
        .add("/api/agent/message", &["post"], post(run_agent))
        .add("/api/agent/{run_id}/status", &["get"], get(status))
        .add("/api/agent/{run_id}/state", &["get"], get(status))
        .add("/api/agent/thread/{thread_id}/runs", &["get"], get(of_thread))
}

/// What `run_agent` and `stream` are asked: validated, and the caller's own.
pub fn ordered(call: &Call, user: &User, body: &[u8]) -> Result<Order, Problem> {
    let body = reply::object(body)?;
    let mut errors = FieldErrors::default();
    let thread_id = errors.query(call.query.get("thread_id"), "thread_id");
    let query_user = errors.query(call.query.get("user_id"), "user_id");
    let body_user = errors.text(&body, "user_id", 1..=200);
    let user_request = errors.text(&body, "query", 1..=8000);
    errors.array(&body, "workloads");
    let id = errors.optional_text(&body, "id");
    errors.finish()?;
    if query_user != user.sub || body_user != user.sub {
        return Err(Refusal::forbidden("user_id is not the token's").into());
    }
    Ok(Order {
        user_id: user.sub.clone(),
        thread_id: Some(thread_id),
        message_id: id.clone(),
        user_request,
        run_id: id,
        connection_id: None,
        watcher: None,
    })
}

/// Starts an order whose events come out of the receiver, which ends with the run.
pub fn started(call: &Call, mut order: Order) -> Result<(Started, mpsc::Receiver<Value>), Problem> {
    let (watcher, events) = mpsc::channel(WATCHER_MAX);
    order.watcher = Some(watcher);
    let started = agent::start(&call.world, call.instance(), order).map_err(|error| {
        let text = error.to_string();
        match error {
            StartError::Repeated { .. } => Refusal::conflict(text),
            StartError::ForeignThread => Refusal::forbidden(text),
            StartError::DatabaseAway => Refusal::unavailable(text),
        }
    })?;
    Ok((started, events))
}

async fn run_agent(call: Call, Authenticated(user): Authenticated, body: Bytes) -> Outcome {
    if call.on(Fault::RunAgent500) {
        let text = "Failed to create request-scoped supervisor: 500: WebSocket bridge not configured";
        return Err(Refusal::internal(text).into());
    }
    let order = ordered(&call, &user, &body)?;
    let (started, mut events) = started(&call, order)?;
    let finished = async { while events.recv().await.is_some() {} };
    // At the deadline the run goes on, and the answer says that it is still running.
    let _ = timeout(RUN_TIMEOUT, finished).await;
    let run = call.world.store.run(&started.run_id).ok_or(Problem::Unhandled)?;
    Ok(reply::json(published(&run)))
}

/// A run as the status endpoint states it.
fn published(run: &Run) -> Value {
    json!({
        "run_id": run.run_id, "thread_id": run.thread_id, "user_id": run.user_id,
        "agent_name": run.agent_name, "status": run.status.name(),
        "started_at": timing::iso(run.started_at),
        "completed_at": run.ended_at.map(timing::iso),
        "result": run.answer, "error": run.error,
    })
}

async fn status(call: Call, user: MaybeOpen, Path(run_id): Path<String>) -> Outcome {
    if call.on(Fault::RunStatus500) {
        return Err(Problem::Unhandled);
    }
    let found = call.world.store.run(&run_id);
    let Some(run) = found.filter(|run| user.0.is_none() || run.user_id == user.sub()) else {
        return match call.on(Fault::RunStatusFabricated) {
            true => Ok(reply::json(json!({ "run_id": run_id, "status": "completed" }))),
            false => Err(Refusal::not_found("Agent run not found").into()),
        };
    };
    let mut body = published(&run);
    if call.on(Fault::RunStatusStale) {
        body["status"] = json!("pending");
    }
    Ok(reply::json(body))
}

async fn of_thread(call: Call, Authenticated(user): Authenticated, Path(thread_id): Path<String>) -> Outcome {
    if call.on(Fault::RunsList500) {
        return Err(Problem::Unhandled);
    }
    let thread = call.world.store.thread(&thread_id);
    let thread = thread.ok_or_else(|| Refusal::not_found("Thread not found"))?;
    if thread.user_id != user.sub {
        return Err(Refusal::forbidden("Access denied to this thread").into());
    }
    let runs = call.world.store.runs_of(&thread_id, &user.sub);
    let shown: Vec<Value> = runs.iter().map(published).collect();
    Ok(reply::json(
        json!({ "thread_id": thread_id, "total": shown.len(), "runs": shown }),
    ))
}
