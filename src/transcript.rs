//! What a scenario saw: immutable, redacted, bounded. Plain data; its JSON is what is stored and what CEL reads.
//! Everything in here has passed the redactor. Times are milliseconds; offsets count from the start of the run.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub mod sessions;

mod http;
mod socket;
mod stream;

pub use http::{AddressFacts, Body, Chunk, Connection, HttpExchange, Phases, Redirect, TlsFacts};
pub use socket::{Close, Closed, Frame, Pong, Received, Sent, UpgradeExchange};
pub use stream::{SseEvent, SseRead};

/// The record of one scenario execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// `module/scenario`.
    pub scenario: String,
    /// Identifier of the run: 16 hexadecimal digits.
    pub run: String,
    /// Wall time of the start, RFC 3339 UTC with milliseconds.
    pub started_at: String,
    /// Wall time of the start in seconds since 1970 (CEL: `started`), for comparisons with timestamps of the target.
    pub started_unix: f64,
    /// Duration of the whole run, clean-up included.
    pub duration_ms: f64,
    /// By how much we were late ourselves at worst in serving a timer: what is measured is uncertain by that.
    #[serde(default)]
    pub late_ms: f64,
    /// 12 hexadecimal digits, fresh for each run (CEL: `nonce`).
    pub nonce: String,
    /// W3C trace id that our requests of this run carried.
    pub trace_id: String,
    /// The scenario's `vars` and captures, without secrets, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// Non-secret facts of the credentials used, by their name in the scenario (`credential` is the only one's name).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, CredentialFacts>,
    /// What each step saw, in the order in which the steps ended.
    pub entries: Vec<Entry>,
    /// The failure that ended the run early, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_off: Option<BreakOff>,
    /// The catalog's factor on schedules and long waits (CEL: `time_scale`).
    pub time_scale: f64,
    /// The scaled period of the scenario in seconds; 0 for on-demand runs only. Evidence older than 1.5 of it is stale.
    pub period_s: f64,
}

/// The step at which a run ended early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakOff {
    /// Id of the step.
    pub step: String,
    /// Why.
    pub failure: Failure,
}

/// What may be known of a credential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CredentialFacts {
    /// Pool and place in it, such as `handshake#2`; never a name or an e-mail.
    pub user: String,
    /// The token's `sub`, empty if it has none.
    #[serde(default)]
    pub sub: String,
    /// The token's other claims, decoded without verification; e-mails are removed.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// What one step saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The step's id, unique in its scenario.
    pub id: String,
    /// Place in each enclosing `repeat` or counted `parallel`, outermost first; empty outside of them.
    /// A step with a place is a list in CEL, ordered by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub place: Vec<u32>,
    /// Start of the step.
    pub offset_ms: f64,
    /// Duration of the step.
    pub duration_ms: f64,
    /// Name of the credential (key of [`Transcript::credentials`]) the step acted with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What was observed. A failed step holds what there was before it failed.
    #[serde(flatten)]
    pub seen: Observation,
    /// Why the step failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What was observed, by kind of step. The fields of the value are the fields CEL reads (`upgrade.status`, `echo.json.id`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    /// `http`.
    Http(HttpExchange),
    /// `ws.open`.
    Upgrade(UpgradeExchange),
    /// `ws.send`.
    Sent(Sent),
    /// `ws.receive`, `ws.collect`.
    Received(Received),
    /// `ws.ping`.
    Pong(Pong),
    /// `ws.close`, `ws.abort`.
    Closed(Closed),
    /// `sse`.
    Sse(SseRead),
    /// `wait`, and steps that see nothing.
    Nothing {},
}

/// What an expression sees of an entry: the fields of its observation with `id`, `offset_ms`, `duration_ms`, `failed`, and
/// `failure` if it failed. The runner and the judge both use it, so that a capture and an expectation read the same.
pub fn entry_view(entry: &Entry) -> Value {
    // Plain data with text keys always converts.
    let mut view = serde_json::to_value(entry).unwrap_or_default();
    if let Value::Object(fields) = &mut view {
        fields.insert("failed".to_owned(), Value::Bool(entry.failure.is_some()));
    }
    view
}

/// Reads a JSON value that is there as `Some`, also when it is null, so that a stored transcript reads back as it was: a
/// body `null` is JSON, and not the absence of JSON.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
