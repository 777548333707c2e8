//! What was seen of an event stream. Offsets count from the start of the run.

use super::http::HttpExchange;
use super::present;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event stream as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SseRead {
    /// The exchange; its body text is the excerpt of the stream.
    #[serde(flatten)]
    pub http: HttpExchange,
    /// Events, at most `SSE_EVENTS_MAX`.
    pub events: Vec<SseEvent>,
    /// From the request handed over to the first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_event_ms: Option<f64>,
    /// Longest gap between two events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<f64>,
    /// Comment lines seen (keep-alives are no events).
    pub comments: u64,
    /// Whether the server ended the stream before our deadline or `until`.
    pub ended: bool,
}

/// One event (HTML standard, section "server-sent events").
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SseEvent {
    /// Arrival, from the start of the run.
    pub offset_ms: f64,
    /// Event type; `message` by default.
    pub event: String,
    /// Data, redacted, at most `EVIDENCE_EXCERPT_BYTES`.
    pub data: String,
    /// Data as JSON, if it is.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Last event id, empty if none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}
