//! What can be seen of a rehearsal, as named facts: the same twice when it is healthy, different under a fault.
//!
//! Each file beside this one gathers one family. A fact is a short text without times, ids or counts that move.

pub mod agents;
pub mod http;
pub mod sessions;
pub mod tokens;
pub mod upgrades;

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

/// Facts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub facts: BTreeMap<String, String>,
}

impl Facts {
    pub fn note(&mut self, name: impl Into<String>, fact: impl Display) {
        self.facts.insert(name.into(), fact.to_string());
    }

    /// The facts in which two rehearsals differ.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.facts.keys().chain(other.facts.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| self.facts.get(*name) != other.facts.get(*name));
        changed
            .map(|name| format!("{name}: {:?} -> {:?}", self.facts.get(name), other.facts.get(name)))
            .collect()
    }
}

/// Members whose values move by themselves.
const MOVING: &[&str] = &[
    "timestamp",
    "uptime_seconds",
    "response_time_ms",
    "trace_id",
    "request_id",
    "time",
    "run_id",
    "user_id",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
    "execution_time",
    "execution_time_ms",
    "port",
    "last_success",
    "last_failure",
    "avg_execution_time_ms",
    "last_operation_time",
    "token_expires_at",
    "last_login_at",
    "server_time",
    "connection_id",
    "input",
];

/// A body without what moves by itself.
pub fn still(value: &Value, ports: &[u16]) -> Value {
    match value {
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| {
                let moving = MOVING.contains(&name.as_str()) && !value.is_object() && !value.is_array();
                let value = if moving { Value::from("~") } else { still(value, ports) };
                (name.clone(), value)
            };
            Value::Object(object.iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| still(item, ports)).collect()),
        Value::String(text) => {
            let mut text = text.clone();
            for (index, port) in ports.iter().enumerate() {
                text = text.replace(&format!("127.0.0.1:{port}"), &format!("listener-{index}"));
            }
            Value::from(text)
        }
        other => other.clone(),
    }
}
