//! Threads: create, read, rename, archive, list, with ownership (contract §3.3, intended).
//! Rows belong to `store`; messages outside threads belong to `messages`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::{Authenticated, MaybeOpen};
use crate::rehearsal::outermost::unhandled;
use crate::rehearsal::reply::{self, FieldErrors, Refusal};
use crate::rehearsal::store::{Message, Thread, ThreadState};
use crate::rehearsal::world::Dependency;

/// Longest title in characters.
const TITLE_MAX: usize = 500;

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/threads", &["get", "post"], get(list).post(create))
        .add("/api/threads/", &["get"], get(list))
        .add("/api/threads/statistics", &["post"], post(unfinished))
        .add("/api/threads/bulk", &["post"], post(unfinished))
        .add(
            "/api/threads/{id}",
            &["get", "put", "delete"],
            get(read).put(rename).delete(archive),
        )
        .add("/api/threads/{id}/messages", &["get"], get(messages))
}

/// 503 while the database is away, or while a lost Redis takes the threads with it.
pub fn refuse_without_database(call: &Call) -> Result<(), Response> {
    let down = call.world.database() == Dependency::Down || call.on(Fault::DegradedBreaksCore);
    match down {
        true => Err(Refusal::unavailable("Database unavailable").into_response()),
        false => Ok(()),
    }
}

/// Like [`refuse_without_database`], and 500 while thread CRUD is broken.
fn refuse_crud(call: &Call) -> Result<(), Response> {
    if call.on(Fault::ThreadCrud500) {
        let text = "SessionManager object has no attribute validate_session_with_id";
        return Err(Refusal::internal(text).into_response());
    }
    refuse_without_database(call)
}

fn publish(call: &Call, thread: &Thread) -> Value {
    let count = call.world.store.messages(|row| row.thread_id == thread.id).len();
    thread.publish(count)
}

/// The thread, if it is the caller's and not archived; 403 or 404 otherwise.
fn owned(call: &Call, id: &str, sub: &str) -> Result<Thread, Response> {
    refuse_crud(call)?;
    let not_found = || Refusal::not_found("Thread not found").into_response();
    let thread = call.world.store.thread(id).ok_or_else(not_found)?;
    if thread.user_id != sub && !call.on(Fault::ThreadForeignRead) {
        return Err(Refusal::forbidden("Access denied to this thread").into_response());
    }
    match thread.state {
        ThreadState::Active => Ok(thread),
        ThreadState::Archived => Err(not_found()),
    }
}

async fn list(call: Call, user: MaybeOpen) -> Response {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let turn = CALLS.fetch_add(1, Ordering::Relaxed);
    if call.on(Fault::ThreadsList500) {
        return unhandled();
    }
    if call.on(Fault::Bare503) && turn.is_multiple_of(3) {
        let mut refusal = Refusal::unavailable("Service temporarily unavailable");
        refusal.retry_after_s = None;
        return refusal.into_response();
    }
    if let Err(refused) = refuse_without_database(&call) {
        return refused;
    }
    let mut errors = FieldErrors::default();
    let limit = errors.query_number(call.query.get("limit"), "limit", (1..=100, 20));
    let offset = errors.query_number(call.query.get("offset"), "offset", (0..=1_000_000, 0));
    if let Err(errors) = errors.finish() {
        return errors.into_response();
    }
    let threads = call.world.store.threads_of(user.sub());
    let page = threads.iter().skip(offset as usize).take(limit as usize);
    let mut shown: Vec<Value> = page.map(|thread| publish(&call, thread)).collect();
    if call.on(Fault::ThreadsUnstable) {
        let ghost = Thread::ghost(&format!("thread_ghost_{turn}"), user.sub());
        shown.insert(0, publish(&call, &ghost));
        shown.truncate(limit as usize);
    }
    match call.on(Fault::ThreadsListShape) {
        true => reply::json(json!({ "threads": shown })),
        false => reply::json(json!(shown)),
    }
}

fn wanted(body: &[u8]) -> Result<(Option<String>, Option<Map<String, Value>>), FieldErrors> {
    let empty = json!({}).to_string();
    let body = if body.is_empty() { empty.as_bytes() } else { body };
    let body = reply::object(body)?;
    let mut errors = FieldErrors::default();
    let title = match body.get("title") {
        None | Some(Value::Null) => None,
        Some(_) => Some(errors.text(&body, "title", 0..=TITLE_MAX)),
    };
    let metadata = body.get("metadata").and_then(Value::as_object).cloned();
    errors.finish().map(|()| (title, metadata))
}

async fn create(call: Call, Authenticated(user): Authenticated, body: Bytes) -> Response {
    if let Err(refused) = refuse_crud(&call) {
        return refused;
    }
    let (title, metadata) = match wanted(&body) {
        Ok(wanted) => wanted,
        Err(errors) => return errors.into_response(),
    };
    let thread = call.world.store.create_thread(&user.sub, None);
    let filled = call.world.store.update_thread(&thread.id, |row| {
        row.title = title;
        row.metadata = metadata.unwrap_or_default();
    });
    reply::json(publish(&call, &filled.unwrap_or(thread)))
}

async fn read(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Response {
    match owned(&call, &id, &user.sub) {
        Ok(thread) => reply::json(publish(&call, &thread)),
        Err(refused) => refused,
    }
}

async fn rename(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>, body: Bytes) -> Response {
    let thread = match owned(&call, &id, &user.sub) {
        Ok(thread) => thread,
        Err(refused) => return refused,
    };
    let (mut title, metadata) = match wanted(&body) {
        Ok(wanted) => wanted,
        Err(errors) => return errors.into_response(),
    };
    if call.on(Fault::ThreadTitleNotSaved) {
        let mut pretended = thread;
        pretended.title = title;
        return reply::json(publish(&call, &pretended));
    }
    if call.on(Fault::ThreadPutMangled) {
        title = title.map(|title| title.chars().rev().collect());
    }
    let changed = call.world.store.update_thread(&id, |row| {
        row.title = title.or(row.title.take());
        row.metadata.extend(metadata.unwrap_or_default());
    });
    reply::json(publish(&call, &changed.unwrap_or(thread)))
}

async fn archive(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Response {
    if let Err(refused) = owned(&call, &id, &user.sub) {
        return refused;
    }
    if !call.on(Fault::ThreadDeleteIgnored) {
        let archive = |row: &mut Thread| row.state = ThreadState::Archived;
        call.world.store.update_thread(&id, archive);
    }
    reply::json(json!({ "message": "Thread archived successfully" }))
}

/// A message as threads list it.
fn shown(message: &Message) -> Value {
    json!({
        "id": message.id, "role": message.author.role(), "content": message.content,
        "created_at": message.created_at as i64, "metadata": message.metadata,
    })
}

async fn messages(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Response {
    if let Err(refused) = owned(&call, &id, &user.sub) {
        return refused;
    }
    let mut errors = FieldErrors::default();
    let limit = errors.query_number(call.query.get("limit"), "limit", (1..=100, 50));
    let offset = errors.query_number(call.query.get("offset"), "offset", (0..=1_000_000, 0));
    if let Err(errors) = errors.finish() {
        return errors.into_response();
    }
    let rows = call.world.store.messages(|row| row.thread_id == id);
    let page = rows.iter().skip(offset as usize).take(limit as usize);
    reply::json(json!({
        "messages": page.map(shown).collect::<Vec<_>>(), "thread_id": id,
        "total": rows.len(), "limit": limit, "offset": offset,
    }))
}

async fn unfinished(_call: Call, _user: Authenticated) -> Response {
    Refusal::not_implemented("Not implemented").into_response()
}
