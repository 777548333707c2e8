//! Messages over HTTP: create, list, read, delete, each only for its owner (contract §3.3, intended).
//! Rows belong to `store`.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::threads::refuse_without_database;
use super::{Call, Routes};
use crate::rehearsal::faults::Fault;
use crate::rehearsal::identity::MaybeOpen;
use crate::rehearsal::reply::{self, FieldErrors, Refusal};
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

fn missing(call: &Call) -> Result<(), Response> {
    match call.on(Fault::MessagesMissing) {
        true => Err(reply::detail(axum::http::StatusCode::NOT_FOUND, "Not Found")),
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

async fn list(call: Call, user: MaybeOpen) -> Response {
    if let Err(refused) = missing(&call) {
        return refused;
    }
    let mut errors = FieldErrors::default();
    let limit = errors.query_number(call.query.get("limit"), "limit", (1..=100, 50));
    let offset = errors.query_number(call.query.get("offset"), "offset", (0..=1_000_000, 0));
    if let Err(errors) = errors.finish() {
        return errors.into_response();
    }
    let (sub, wanted) = (user.sub(), call.query.get("thread_id"));
    let anybodys = wanted.is_some() && call.on(Fault::MessagesCrossUser);
    let rows = call
        .world
        .store
        .messages(|row| (row.user_id == sub || anybodys) && wanted.is_none_or(|id| row.thread_id == *id));
    let page: Vec<Value> = rows
        .iter()
        .skip(offset as usize)
        .take(limit as usize)
        .map(shown)
        .collect();
    if call.on(Fault::MessagesNoPagination) {
        return reply::json(json!({ "messages": page }));
    }
    reply::json(json!({
        "messages": page, "total_count": rows.len(), "page": offset / limit + 1,
        "page_size": limit, "has_more": rows.len() as u64 > offset + limit,
    }))
}

async fn create(call: Call, user: MaybeOpen, body: Bytes) -> Response {
    if let Err(refused) = missing(&call) {
        return refused;
    }
    let asked = reply::object(&body).and_then(|body| {
        let mut errors = FieldErrors::default();
        let content = errors.text(&body, "content", 1..=CONTENT_MAX);
        let thread_id = errors.text(&body, "thread_id", 1..=200);
        let kind = errors.optional_text(&body, "message_type");
        let client_id = errors.optional_text(&body, "message_id");
        errors.finish().map(|()| (body, content, thread_id, kind, client_id))
    });
    let (body, content, thread_id, kind, client_id) = match asked {
        Ok(asked) => asked,
        Err(errors) => return errors.into_response(),
    };
    let thread = call.world.store.thread(&thread_id);
    if thread.is_some_and(|thread| thread.user_id != user.sub()) {
        return Refusal::forbidden("Access denied to this thread").into_response();
    }
    let mut metadata = body
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Some(kind) = kind {
        metadata.insert("message_type".into(), json!(kind));
    }
    let repeated = match call.on(Fault::MessageDuplicates) {
        true => Repeated::Store,
        false => Repeated::Ignore,
    };
    let row = NewMessage {
        thread_id,
        user_id: user.sub().to_owned(),
        author: Author::User,
        content,
        client_id,
        metadata,
    };
    let stored = call.world.store.add_message(row, repeated);
    reply::json(json!({ "message": shown(&stored), "status": "created" }))
}

/// The message, if it is the caller's.
fn owned(call: &Call, user: &MaybeOpen, id: &str) -> Result<Message, Response> {
    missing(call)?;
    let found = call.world.store.messages(|row| row.id == id).pop();
    let message = found.ok_or_else(|| Refusal::not_found("Message not found").into_response())?;
    match message.user_id == user.sub() {
        true => Ok(message),
        false => Err(Refusal::forbidden("Access denied to this message").into_response()),
    }
}

async fn read(call: Call, user: MaybeOpen, Path(id): Path<String>) -> Response {
    match owned(&call, &user, &id) {
        Ok(message) => reply::json(shown(&message)),
        Err(refused) => refused,
    }
}

async fn remove(call: Call, user: MaybeOpen, Path(id): Path<String>) -> Response {
    if let Err(refused) = owned(&call, &user, &id) {
        return refused;
    }
    call.world.store.remove_message(&id);
    reply::json(json!({ "status": "deleted", "message_id": id }))
}
