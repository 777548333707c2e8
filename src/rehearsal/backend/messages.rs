//! Messages over HTTP: create, list, read, delete, each only for its owner (contract §3.3, intended).
//! Rows belong to `store`.

use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::threads::{page, refuse_without_database};
use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::MaybeOpen;
use crate::rehearsal::reply::{self, FieldErrors, Outcome, Problem, Refusal};
use crate::rehearsal::store::{Author, Message, NewMessage, Repeated};
use crate::rehearsal::timing;

/// Longest content in characters.
const CONTENT_MAX: usize = 8000;

/// Adds the family.
pub fn routes(routes: Routes) -> Routes {
    routes
        .add("/api/messages", &["get", "post"], get(list).post(create))
        .add("/api/messages/{id}", &["get", "delete"], get(read).delete(remove))
}

fn available(call: &Call) -> Result<(), Problem> {
    match call.on(Fault::MessagesMissing) {
        true => Err(Problem::NoRoute),
        false => refuse_without_database(call),
    }
}

fn shown(message: &Message) -> Value {
    json!({
        "id": message.id, "content": message.content, "user_id": message.user_id,
        "thread_id": message.thread_id, "timestamp": timing::iso(message.created_at),
        "message_type": message.message_type, "metadata": message.metadata,
    })
}

async fn list(call: Call, user: MaybeOpen) -> Outcome {
    available(&call)?;
    if call.on(Fault::MessagesAudRefused) {
        return Err(Refusal::unauthorized("Authentication failed").into());
    }
    let (limit, offset) = page(&call, 50)?;
    let (sub, wanted) = (user.sub(), call.query.get("thread_id"));
    let anybodys = wanted.is_some() && call.on(Fault::MessagesCrossUser);
    let rows = call
        .world
        .store
        .messages(|row| (row.user_id == sub || anybodys) && wanted.is_none_or(|id| row.thread_id == *id));
    let listed: Vec<Value> = rows.iter().skip(offset).take(limit).map(shown).collect();
    if call.on(Fault::MessagesNoPagination) {
        return Ok(reply::json(json!({ "messages": listed })));
    }
    Ok(reply::json(json!({
        "messages": listed, "total_count": rows.len(), "page": offset / limit + 1,
        "page_size": limit, "has_more": rows.len() > offset + limit,
    })))
}

/// A message as a client wants it stored.
fn wanted(body: &[u8], user: &MaybeOpen) -> Result<NewMessage, FieldErrors> {
    let body = reply::object(body)?;
    let mut errors = FieldErrors::default();
    let content = errors.text(&body, "content", 1..=CONTENT_MAX);
    let thread_id = errors.text(&body, "thread_id", 1..=200);
    let kind = errors.optional_text(&body, "message_type");
    let client_id = errors.optional_text(&body, "message_id");
    errors.finish()?;
    let mut metadata = body
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Some(kind) = kind {
        metadata.insert("message_type".into(), json!(kind));
    }
    Ok(NewMessage {
        thread_id,
        user_id: user.sub().to_owned(),
        author: Author::User,
        content,
        client_id,
        metadata,
    })
}

async fn create(call: Call, user: MaybeOpen, body: Bytes) -> Outcome {
    available(&call)?;
    let message = wanted(&body, &user)?;
    let thread = call.world.store.thread(&message.thread_id);
    if thread.is_some_and(|thread| thread.user_id != user.sub()) {
        return Err(Refusal::forbidden("Access denied to this thread").into());
    }
    let repeated = match call.on(Fault::MessageDuplicates) {
        true => Repeated::Store,
        false => Repeated::Ignore,
    };
    let stored = call.world.store.add_message(message, repeated);
    Ok(reply::json(json!({ "message": shown(&stored), "status": "created" })))
}

/// The message, if it is the caller's.
fn owned(call: &Call, user: &MaybeOpen, id: &str) -> Result<Message, Problem> {
    available(call)?;
    let found = call.world.store.messages(|row| row.id == id).pop();
    let message = found.ok_or_else(|| Refusal::not_found("Message not found"))?;
    match message.user_id == user.sub() {
        true => Ok(message),
        false => Err(Refusal::forbidden("Access denied to this message").into()),
    }
}

async fn read(call: Call, user: MaybeOpen, Path(id): Path<String>) -> Outcome {
    let message = owned(&call, &user, &id)?;
    Ok(reply::json(shown(&message)))
}

async fn remove(call: Call, user: MaybeOpen, Path(id): Path<String>) -> Outcome {
    owned(&call, &user, &id)?;
    call.world.store.remove_message(&id);
    Ok(reply::json(json!({ "status": "deleted", "message_id": id })))
}
