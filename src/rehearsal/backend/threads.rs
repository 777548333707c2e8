//! Threads: create, read, rename, archive, list, with ownership (contract §3.3, intended).
//! Rows belong to `store`; messages outside threads belong to `messages`.

use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::{Authenticated, MaybeOpen};
use crate::rehearsal::reply::{self, FieldErrors, Outcome, Problem, Refusal};
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
pub fn refuse_without_database(call: &Call) -> Result<(), Problem> {
    if call.on(Fault::DatabaseFlaps) && call.world.database_turns.first_of(2) {
        let text = "Pool class QueuePool cannot be used with asyncio engine";
        return Err(Refusal::internal(text).into());
    }
    let down = call.world.database() == Dependency::Down || call.on(Fault::DegradedBreaksCore);
    match down {
        true => Err(Refusal::unavailable("Database unavailable").into()),
        false => Ok(()),
    }
}

/// Like [`refuse_without_database`], and 500 while thread CRUD is broken.
fn refuse_crud(call: &Call) -> Result<(), Problem> {
    if call.on(Fault::ThreadCrud500) {
        let text = "SessionManager object has no attribute validate_session_with_id";
        return Err(Refusal::internal(text).into());
    }
    refuse_without_database(call)
}

/// `limit` (1 to 100) and `offset` of a listing.
pub fn page(call: &Call, default_limit: u64) -> Result<(usize, usize), Problem> {
    let mut errors = FieldErrors::default();
    let limit = errors.query_number(call.query.get("limit"), "limit", (1..=100, default_limit));
    let offset = errors.query_number(call.query.get("offset"), "offset", (0..=1_000_000, 0));
    errors.finish()?;
    Ok((limit as usize, offset as usize))
}

fn publish(call: &Call, thread: &Thread) -> Value {
    thread.publish(call.world.store.count_messages(&thread.id))
}

/// The thread, if it is the caller's and not archived; 403 or 404 otherwise.
fn owned(call: &Call, id: &str, sub: &str) -> Result<Thread, Problem> {
    refuse_crud(call)?;
    let not_found = || Refusal::not_found("Thread not found");
    let thread = call.world.store.thread(id).ok_or_else(not_found)?;
    if thread.user_id != sub && !call.on(Fault::ThreadForeignRead) {
        return Err(Refusal::forbidden("Access denied to this thread").into());
    }
    match thread.state {
        ThreadState::Active => Ok(thread),
        ThreadState::Archived => Err(not_found().into()),
    }
}

async fn list(call: Call, user: MaybeOpen) -> Outcome {
    if call.on(Fault::ThreadsList500) {
        return Err(Problem::Unhandled);
    }
    if call.on(Fault::Bare503) && call.world.list_turns.first_of(3) {
        let mut refusal = Refusal::unavailable("Service temporarily unavailable");
        refusal.retry_after_s = None;
        return Err(refusal.into());
    }
    refuse_without_database(&call)?;
    let (limit, offset) = page(&call, 20)?;
    let threads = call.world.store.threads_of(user.sub());
    let listed = threads.iter().skip(offset).take(limit);
    let mut shown: Vec<Value> = listed.map(|thread| publish(&call, thread)).collect();
    if call.on(Fault::ThreadsUnstable) {
        let turn = call.world.list_turns.now();
        let ghost = Thread::ghost(&format!("thread_ghost_{turn}"), user.sub());
        shown.insert(0, publish(&call, &ghost));
        shown.truncate(limit);
    }
    if call.on(Fault::ThreadsElementShape) {
        let bare = |thread: Value| json!({ "id": thread["id"], "title": thread["title"] });
        shown = shown.into_iter().map(bare).collect();
    }
    Ok(match call.on(Fault::ThreadsListShape) {
        true => reply::json(json!({ "threads": shown })),
        false => reply::json(json!(shown)),
    })
}

/// What a client wants a thread to be called and to carry.
struct Wanted {
    title: Option<String>,
    metadata: Map<String, Value>,
}

fn wanted(body: &[u8]) -> Result<Wanted, FieldErrors> {
    let body = match body.is_empty() {
        true => Map::new(),
        false => reply::object(body)?,
    };
    let mut errors = FieldErrors::default();
    let title = match body.get("title") {
        None | Some(Value::Null) => None,
        Some(_) => Some(errors.text(&body, "title", 0..=TITLE_MAX)),
    };
    let metadata = body.get("metadata").and_then(Value::as_object).cloned();
    errors.finish()?;
    Ok(Wanted {
        title,
        metadata: metadata.unwrap_or_default(),
    })
}

async fn create(call: Call, Authenticated(user): Authenticated, body: Bytes) -> Outcome {
    refuse_crud(&call)?;
    let wanted = wanted(&body)?;
    let thread = call.world.store.create_thread(&user.sub, None);
    let filled = call.world.store.update_thread(&thread.id, |row| {
        row.title = wanted.title;
        row.metadata = wanted.metadata;
    });
    Ok(reply::json(publish(&call, &filled.unwrap_or(thread))))
}

async fn read(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Outcome {
    let thread = owned(&call, &id, &user.sub)?;
    Ok(reply::json(publish(&call, &thread)))
}

async fn rename(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>, body: Bytes) -> Outcome {
    let thread = owned(&call, &id, &user.sub)?;
    let Wanted { mut title, metadata } = wanted(&body)?;
    if call.on(Fault::ThreadTitleNotSaved) {
        let mut pretended = thread;
        pretended.title = title;
        return Ok(reply::json(publish(&call, &pretended)));
    }
    if call.on(Fault::ThreadPutMangled) {
        title = title.map(|title| title.chars().rev().collect());
    }
    let changed = call.world.store.update_thread(&id, |row| {
        row.title = title.or(row.title.take());
        row.metadata.extend(metadata);
    });
    Ok(reply::json(publish(&call, &changed.unwrap_or(thread))))
}

async fn archive(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Outcome {
    owned(&call, &id, &user.sub)?;
    if !call.on(Fault::ThreadDeleteIgnored) {
        let archive = |row: &mut Thread| row.state = ThreadState::Archived;
        call.world.store.update_thread(&id, archive);
    }
    Ok(reply::json(json!({ "message": "Thread archived successfully" })))
}

/// A message as threads list it.
fn shown(message: &Message) -> Value {
    json!({
        "id": message.id, "role": message.author.role(), "content": message.content,
        "created_at": message.created_at as i64, "metadata": message.metadata,
    })
}

async fn messages(call: Call, Authenticated(user): Authenticated, Path(id): Path<String>) -> Outcome {
    owned(&call, &id, &user.sub)?;
    let (limit, offset) = page(&call, 50)?;
    let rows = call.world.store.messages(|row| row.thread_id == id);
    let listed = rows.iter().skip(offset).take(limit);
    Ok(reply::json(json!({
        "messages": listed.map(shown).collect::<Vec<_>>(), "thread_id": id,
        "total": rows.len(), "limit": limit, "offset": offset,
    })))
}

async fn unfinished(_call: Call, _user: Authenticated) -> Result<Response, Problem> {
    Err(Refusal::not_implemented("Not implemented").into())
}
