//! The three wire shapes of lifecycle events (contract §5.2): A by default, B and C by switch.
//! Pure: it owns names and places of members, not their values.

use serde_json::{Map, Value, json};

use crate::rehearsal::faults::{Fault, Faults};
use crate::rehearsal::timing;

/// One event, in the words of shape A.
pub struct Event<'a> {
    /// Its type.
    pub kind: &'a str,
    /// The agent it speaks of.
    pub agent: &'a str,
    /// The run it belongs to.
    pub run_id: &'a str,
    /// The thread it belongs to.
    pub thread_id: &'a str,
    /// The owner.
    pub user_id: &'a str,
    /// Unix seconds.
    pub at: f64,
    /// Its members.
    pub body: Map<String, Value>,
}

/// The event in the shape that is switched on.
pub fn render(event: &Event<'_>, faults: &Faults) -> Value {
    let mut frame = match (faults.on(Fault::ShapeB), faults.on(Fault::ShapeC)) {
        (true, _) => managed(event),
        (false, true) => flat(event),
        (false, false) => bridged(event),
    };
    for (fault, member) in [
        (Fault::AgentRunIdMissing, "run_id"),
        (Fault::AgentNameMissing, "agent_name"),
    ] {
        if faults.on(fault) {
            strip(&mut frame, member);
        }
    }
    frame
}

/// Takes a member away wherever an event may carry it.
fn strip(frame: &mut Value, member: &str) {
    for place in ["", "/payload", "/data"] {
        if let Some(object) = frame.pointer_mut(place).and_then(Value::as_object_mut) {
            object.remove(member);
        }
    }
}

/// Shape A: members under `payload`, ISO timestamp with zone.
fn bridged(event: &Event<'_>) -> Value {
    let mut payload = event.body.clone();
    payload.insert("thread_id".into(), json!(event.thread_id));
    json!({
        "type": event.kind, "run_id": event.run_id, "agent_name": event.agent,
        "timestamp": timing::iso(event.at), "payload": payload,
    })
}

/// Shape B: members under `data` with the manager's names, ISO timestamp without a zone.
fn managed(event: &Event<'_>) -> Value {
    let renamed = |name: &str| match name {
        "reasoning" => "thought".to_owned(),
        "tool_name" => "tool".to_owned(),
        "error_message" => "error".to_owned(),
        other => other.to_owned(),
    };
    let mut data: Map<String, Value> = event
        .body
        .iter()
        .map(|(name, value)| (renamed(name), value.clone()))
        .collect();
    for (name, value) in [
        ("agent_name", json!(event.agent)),
        ("run_id", json!(event.run_id)),
        ("thread_id", json!(event.thread_id)),
        ("request_id", json!(format!("req_{}", event.run_id))),
        ("metadata", json!({})),
        ("timestamp", json!(event.at)),
    ] {
        data.insert(name.into(), value);
    }
    json!({
        "type": event.kind, "data": data, "timestamp": timing::iso_without_zone(event.at),
        "critical": true,
        "user_context": { "user_id": event.user_id, "request_id": format!("req_{}", event.run_id) },
    })
}

/// Shape C: everything at the top level, float timestamp.
fn flat(event: &Event<'_>) -> Value {
    let mut frame = event.body.clone();
    for (name, value) in [
        ("type", json!(event.kind)),
        ("event", json!(event.kind)),
        ("agent_name", json!(event.agent)),
        ("run_id", json!(event.run_id)),
        ("user_id", json!(event.user_id)),
        ("thread_id", json!(event.thread_id)),
        ("timestamp", json!(event.at)),
    ] {
        frame.insert(name.into(), value);
    }
    Value::Object(frame)
}
