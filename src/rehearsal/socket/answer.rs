//! What a session answers to one frame (contract §4.6, intended): pure, so that every row of the table is a test.
//! It owns the message table; sending, limits and faults belong to `session`.

use serde_json::{Map, Value, json};

use crate::rehearsal::timing;

/// Message types that the session knows, besides those that are not answered.
const ANSWERED: &[&str] = &[
    "ping",
    "heartbeat",
    "connect",
    "disconnect",
    "typing",
    "typing_started",
    "typing_stopped",
    "user_message",
    "chat",
    "message",
    "user",
    "user_input",
    "start_agent",
    "execute_agent",
    "jsonrpc_request",
    "error",
    "error_message",
];
/// Types that are taken note of without an answer.
const UNANSWERED: &[&str] = &[
    "pong",
    "heartbeat_ack",
    "agent_request",
    "agent_task",
    "agent_status_request",
    "broadcast",
    "room_message",
    "broadcast_test",
    "direct_message",
    "resilience_test",
    "recovery_test",
    "thread_update",
    "agent_thinking",
    "tool_executing",
    "tool_completed",
];
/// Types that agents' own clients send back.
const AGENT_MESSAGES: &[&str] = &[
    "agent_completed",
    "agent_failed",
    "agent_started",
    "agent_task_ack",
    "agent_response",
];

/// Which kind of answer a frame is, for the faults that act on one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The JSON-RPC echo that carries the client's id.
    Echo,
    /// The pong to a JSON ping.
    Pong,
    /// The acknowledgement of a user message.
    Ack,
    /// The acknowledgement of an unknown type.
    UnknownAck,
    /// `FORMAT_ERROR` for a frame that is no JSON.
    NotJson,
    /// An error frame for JSON of a wrong shape.
    WrongShape,
    /// Everything else.
    Other,
}

/// A message to keep in its thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserMessage {
    /// The client's thread.
    pub thread_id: String,
    /// The client's id of it.
    pub message_id: Option<String>,
    /// The text.
    pub content: String,
}

/// A wish to run an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentWish {
    /// The client's thread, if it named one.
    pub thread_id: Option<String>,
    /// The client's id of the message.
    pub message_id: Option<String>,
    /// What to do; `None` if the client did not say.
    pub user_request: Option<String>,
}

/// What to do about one frame, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this.
    Reply(Kind, Value),
    /// Keep this message in its thread.
    Keep(UserMessage),
    /// Start an agent.
    Start(AgentWish),
}

/// An error frame of contract §4.6.
pub fn error_frame(code: &str, message: &str, details: Value) -> Value {
    json!({
        "type": "error_message", "error_code": code, "error_message": message,
        "details": details, "timestamp": timing::now_unix(), "recovery_suggestions": null,
    })
}

/// A `system_message` around `data`.
pub fn system_message(data: Value) -> Value {
    framed("system_message", data)
}

/// A frame of the session's own envelope.
pub fn framed(kind: &str, data: Value) -> Value {
    json!({
        "type": kind, "data": data, "timestamp": timing::now_unix(),
        "server_id": null, "correlation_id": null,
    })
}

/// What a session of `user_id` does about a text frame.
pub fn to_text(text: &str, user_id: &str) -> Vec<Action> {
    let sent = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(sent)) => sent,
        Ok(other) => return vec![wrong_shape("a frame must be a JSON object", &other)],
        Err(error) => {
            let message = format!("Invalid JSON: {error}");
            let frame = error_frame("FORMAT_ERROR", &message, json!({}));
            return vec![Action::Reply(Kind::NotJson, frame)];
        }
    };
    if let Some(problem) = wrong_member(&sent) {
        return vec![problem];
    }
    let kind = sent.get("type").and_then(Value::as_str);
    let payload = sent.get("payload").and_then(Value::as_object).unwrap_or(&sent);
    match kind {
        Some(kind) if is_known(kind) => match json_rpc(payload).or_else(|| json_rpc(&sent)) {
            Some(echo) => vec![echo],
            None => known(kind, &sent, (payload, user_id)),
        },
        _ => vec![unknown(&sent, user_id)],
    }
}

fn is_known(kind: &str) -> bool {
    [ANSWERED, UNANSWERED, AGENT_MESSAGES]
        .iter()
        .any(|types| types.contains(&kind))
}

fn wrong_shape(message: &str, found: &Value) -> Action {
    let found = match found {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Object(_) => "object",
    };
    let details = json!({ "found": found });
    Action::Reply(Kind::WrongShape, error_frame("FORMAT_ERROR", message, details))
}

/// Members whose types the outer form fixes (contract §4.6).
fn wrong_member(sent: &Map<String, Value>) -> Option<Action> {
    let text = ["message_id", "thread_id", "user_id"].into_iter().find(|name| {
        sent.get(*name)
            .is_some_and(|value| !value.is_string() && !value.is_null())
    });
    if let Some(name) = text {
        return Some(wrong_shape(&format!("{name} must be a string"), &sent[name]));
    }
    let payload = sent.get("payload")?;
    let fits = payload.is_object() || payload.is_null();
    (!fits).then(|| wrong_shape("payload must be an object", payload))
}

fn json_rpc(body: &Map<String, Value>) -> Option<Action> {
    let method = body.get("method")?.as_str()?;
    if body.get("jsonrpc")?.as_str()? != "2.0" {
        return None;
    }
    let echo = json!({
        "jsonrpc": "2.0",
        "result": { "status": "processed", "method": method },
        "id": body.get("id").cloned().unwrap_or(Value::Null),
    });
    Some(Action::Reply(Kind::Echo, echo))
}

fn known(kind: &str, sent: &Map<String, Value>, (payload, user_id): (&Map<String, Value>, &str)) -> Vec<Action> {
    let now = timing::now_unix();
    let reply = |kind, frame| vec![Action::Reply(kind, frame)];
    match kind {
        "ping" => {
            let data = json!({ "timestamp": now, "user_id": user_id });
            reply(Kind::Pong, framed("pong", data))
        }
        "heartbeat" => {
            let data = json!({ "timestamp": now, "status": "healthy" });
            reply(Kind::Other, framed("heartbeat_ack", data))
        }
        "connect" => reply(
            Kind::Other,
            system_message(json!({ "status": "connected", "user_id": user_id })),
        ),
        "disconnect" => {
            let data = json!({ "status": "disconnect_acknowledged", "user_id": user_id });
            reply(Kind::Other, system_message(data))
        }
        "typing" | "typing_started" | "typing_stopped" => {
            let data = json!({
                "status": "typing_acknowledged", "type": kind, "user_id": user_id,
                "thread_id": member(sent, payload, "thread_id"), "timestamp": now,
            });
            reply(Kind::Ack, system_message(data))
        }
        "user_message" | "chat" | "message" | "user" | "user_input" => user_message(sent, payload),
        "start_agent" | "execute_agent" => vec![Action::Start(wish(sent, payload))],
        "error" | "error_message" => {
            let data = json!({ "content": "Error received and logged", "status": "acknowledged" });
            reply(Kind::Other, system_message(data))
        }
        kind if AGENT_MESSAGES.contains(&kind) => {
            let data = json!({ "status": "agent_message_acknowledged", "type": kind });
            reply(Kind::Other, system_message(data))
        }
        "jsonrpc_request" => vec![unknown(sent, user_id)],
        _ => Vec::new(),
    }
}

fn member(sent: &Map<String, Value>, payload: &Map<String, Value>, name: &str) -> Option<String> {
    let found = payload.get(name).or_else(|| sent.get(name))?;
    found.as_str().map(str::to_owned)
}

fn user_message(sent: &Map<String, Value>, payload: &Map<String, Value>) -> Vec<Action> {
    let message_id = member(sent, payload, "message_id");
    let ack = system_message(json!({
        "content": "Message received", "original_message_id": message_id,
        "status": "acknowledged",
    }));
    let mut actions = Vec::new();
    let content = ["content", "text", "message"]
        .iter()
        .find_map(|name| member(sent, payload, name));
    if let (Some(thread_id), Some(content)) = (member(sent, payload, "thread_id"), content) {
        actions.push(Action::Keep(UserMessage {
            thread_id,
            message_id,
            content,
        }));
    }
    actions.push(Action::Reply(Kind::Ack, ack));
    actions
}

fn wish(sent: &Map<String, Value>, payload: &Map<String, Value>) -> AgentWish {
    let names = ["user_request", "query", "message"];
    let user_request = names.iter().find_map(|name| member(sent, payload, name));
    AgentWish {
        thread_id: member(sent, payload, "thread_id"),
        message_id: member(sent, payload, "message_id"),
        user_request: user_request.filter(|request| !request.trim().is_empty()),
    }
}

fn unknown(sent: &Map<String, Value>, user_id: &str) -> Action {
    let received = sent.get("type").cloned().unwrap_or_else(|| json!("unknown"));
    let ack = json!({
        "type": "ack", "received_type": received, "timestamp": timing::now_unix(),
        "user_id": user_id, "status": "acknowledged",
    });
    Action::Reply(Kind::UnknownAck, ack)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_reply(text: &str) -> (Kind, Value) {
        let mut actions = to_text(text, "u1");
        assert_eq!(actions.len(), 1, "{text}: {actions:?}");
        match actions.remove(0) {
            Action::Reply(kind, frame) => (kind, frame),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_type_has_its_answer() {
        let rows = [
            (r#"{"type":"ping"}"#, "/type", "pong"),
            (r#"{"type":"heartbeat"}"#, "/type", "heartbeat_ack"),
            (r#"{"type":"connect"}"#, "/data/status", "connected"),
            (r#"{"type":"disconnect"}"#, "/data/status", "disconnect_acknowledged"),
            (
                r#"{"type":"typing","thread_id":"t"}"#,
                "/data/status",
                "typing_acknowledged",
            ),
            (r#"{"type":"chat","message_id":"m"}"#, "/data/original_message_id", "m"),
            (r#"{"type":"error"}"#, "/data/content", "Error received and logged"),
            (
                r#"{"type":"agent_failed"}"#,
                "/data/status",
                "agent_message_acknowledged",
            ),
            (r#"{"type":"nonesuch"}"#, "/received_type", "nonesuch"),
            (r#"{"x":1}"#, "/received_type", "unknown"),
            (
                r#"{"jsonrpc":"2.0","method":"m","id":"1"}"#,
                "/received_type",
                "unknown",
            ),
            (r#"{bad"#, "/error_code", "FORMAT_ERROR"),
            ("[]", "/error_code", "FORMAT_ERROR"),
            ("null", "/details/found", "null"),
            (r#"{"type":"ping","message_id":7}"#, "/error_code", "FORMAT_ERROR"),
            (r#"{"type":"ping","payload":[]}"#, "/error_code", "FORMAT_ERROR"),
        ];
        for (text, pointer, expected) in rows {
            let (_, frame) = only_reply(text);
            assert_eq!(frame.pointer(pointer), Some(&json!(expected)), "{text}: {frame}");
        }
    }

    #[test]
    fn echoes_carry_our_id_back() {
        let in_payload = r#"{"type":"jsonrpc_request","payload":{"jsonrpc":"2.0","method":"m","id":"n-1"}}"#;
        let on_top = r#"{"type":"ping","jsonrpc":"2.0","method":"m","id":"n-1"}"#;
        for text in [in_payload, on_top] {
            let (kind, frame) = only_reply(text);
            assert_eq!(kind, Kind::Echo);
            let expected = json!({"jsonrpc":"2.0","result":{"status":"processed","method":"m"},"id":"n-1"});
            assert_eq!(frame, expected);
        }
    }

    #[test]
    fn some_types_are_not_answered() {
        for kind in ["pong", "heartbeat_ack", "broadcast", "thread_update"] {
            assert!(to_text(&json!({ "type": kind }).to_string(), "u1").is_empty(), "{kind}");
        }
    }

    #[test]
    fn a_wish_takes_its_members_from_payload_or_top() {
        let text = r#"{"type":"start_agent","message_id":"m","payload":{"user_request":"x","thread_id":"t"}}"#;
        let expected = AgentWish {
            thread_id: Some("t".into()),
            message_id: Some("m".into()),
            user_request: Some("x".into()),
        };
        assert_eq!(to_text(text, "u1"), [Action::Start(expected)]);
    }
}
