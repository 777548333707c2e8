//! Agent runs over HTTP: start and wait, ask for status, list a thread's runs (contract §3.4, intended).
//! Runs themselves belong to `agent`; streaming them belongs to `events`.

use std::time::Duration;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
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
use crate::rehearsal::outermost::unhandled;
use crate::rehearsal::reply::{self, FieldErrors, Refusal};
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
pub fn ordered(call: &Call, user: &User, body: &[u8]) -> Result<Order, Response> {
    let asked = reply::object(body).and_then(|body| {
        let mut errors = FieldErrors::default();
        let thread_id = errors.query(call.query.get("thread_id"), "thread_id");
        let query_user = errors.query(call.query.get("user_id"), "user_id");
        let body_user = errors.text(&body, "user_id", 1..=200);
        let request = errors.text(&body, "query", 1..=8000);
        errors.array(&body, "workloads");
        let id = errors.optional_text(&body, "id");
        errors
            .finish()
            .map(|()| (thread_id, [query_user, body_user], request, id))
    });
    let (thread_id, users, user_request, id) = asked.map_err(IntoResponse::into_response)?;
    if users.iter().any(|named| *named != user.sub) {
        let text = "user_id is not the token's";
        return Err(Refusal::forbidden(text).into_response());
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
pub fn started(call: &Call, mut order: Order) -> Result<(Started, mpsc::Receiver<Value>), Response> {
    let (watcher, events) = mpsc::channel(WATCHER_MAX);
    order.watcher = Some(watcher);
    let started = agent::start(&call.world, call.instance(), order);
    started.map(|started| (started, events)).map_err(|error| {
        let text = error.to_string();
        let refusal = match error {
            StartError::Repeated { .. } => Refusal::conflict(text),
            StartError::ForeignThread => Refusal::forbidden(text),
            StartError::DatabaseAway => Refusal::unavailable(text),
        };
        refusal.into_response()
    })
}

async fn run_agent(call: Call, Authenticated(user): Authenticated, body: Bytes) -> Response {
    if call.on(Fault::RunAgent500) {
        let text = "Failed to create request-scoped supervisor: 500: WebSocket bridge not configured";
        return Refusal::internal(text).into_response();
    }
    let order = match ordered(&call, &user, &body) {
        Ok(order) => order,
        Err(refused) => return refused,
    };
    let (started, mut events) = match started(&call, order) {
        Ok(started) => started,
        Err(refused) => return refused,
    };
    let finished = async { while events.recv().await.is_some() {} };
    // At the deadline the run goes on, and the answer says that it is still running.
    let _ = timeout(RUN_TIMEOUT, finished).await;
    match call.world.store.run(&started.run_id) {
        Some(run) => reply::json(published(&run)),
        None => unhandled(),
    }
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

async fn status(call: Call, user: MaybeOpen, Path(run_id): Path<String>) -> Response {
    if call.on(Fault::RunStatus500) {
        return unhandled();
    }
    let found = call.world.store.run(&run_id);
    let Some(run) = found.filter(|run| user.0.is_none() || run.user_id == user.sub()) else {
        if call.on(Fault::RunStatusFabricated) {
            return reply::json(json!({ "run_id": run_id, "status": "completed" }));
        }
        return Refusal::not_found("Agent run not found").into_response();
    };
    let mut body = published(&run);
    if call.on(Fault::RunStatusStale) {
        body["status"] = json!("pending");
    }
    reply::json(body)
}

async fn of_thread(call: Call, Authenticated(user): Authenticated, Path(thread_id): Path<String>) -> Response {
    if call.on(Fault::RunsList500) {
        return unhandled();
    }
    let thread = call.world.store.thread(&thread_id);
    let Some(thread) = thread else {
        return Refusal::not_found("Thread not found").into_response();
    };
    if thread.user_id != user.sub {
        return Refusal::forbidden("Access denied to this thread").into_response();
    }
    let runs = call.world.store.runs_of(&thread_id, &user.sub);
    let shown: Vec<Value> = runs.iter().map(published).collect();
    reply::json(json!({ "thread_id": thread_id, "total": shown.len(), "runs": shown }))
}
