//! What a scenario saw: immutable, redacted, bounded. Plain data; its JSON is what is stored and what CEL reads.
//! Everything in here has passed the redactor. Times are milliseconds; offsets count from the start of the run.

use crate::failure::{Failure, UpgradeOutcome};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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

/// How long each phase took; absent phases did not happen (a pooled connection has no dns, connect, tls).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_ms: Option<f64>,
    /// TCP connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// From the request handed over on a ready connection to the first byte of the answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// From the head to the last byte of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_ms: Option<f64>,
}

/// One HTTP exchange.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpExchange {
    /// Request method.
    pub method: String,
    /// Request URL, redacted.
    pub url: String,
    /// Request headers worth showing, redacted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_headers: BTreeMap<String, String>,
    /// Request body, redacted, at most `EVIDENCE_EXCERPT_BYTES`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_body: String,
    /// Status; absent when no status line was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub http_version: String,
    /// Response headers, names in lower case, values redacted; several of one name joined by `, `.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Response body.
    #[serde(default)]
    pub body: Body,
    /// The body as JSON, if it is JSON.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Address of the peer, `ip:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Phase times.
    #[serde(default)]
    pub phases: Phases,
    /// From the first byte of the DNS query (or connect) to the last byte of the body.
    #[serde(default)]
    pub total_ms: f64,
    /// Whether the exchange used a connection that an earlier exchange of the run had made.
    #[serde(default)]
    pub connection: Connection,
    /// Redirects seen: followed ones, and the last one that was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects: Vec<Redirect>,
    /// Certificate and protocol of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFacts>,
    /// When the pieces of the body arrived; at most `BODY_CHUNKS_MAX`. Offsets count from the start of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<Chunk>,
    /// Names of the cookies set by the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies_set: Vec<String>,
    /// Who answered, by the target's fingerprints (`app`, `edge`, …); `unknown` if none fits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layer: String,
}

/// Whether a connection was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// Opened for this exchange.
    #[default]
    New,
    /// Opened by an earlier exchange of the same run.
    Pooled,
}

/// A body, bounded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The text, redacted; invalid UTF-8 is replaced.
    pub text: String,
    /// Bytes received, also those beyond what is stored.
    pub bytes: u64,
    /// More was received, or was to come, than is stored.
    pub truncated: bool,
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redirect {
    /// Status of the redirecting answer.
    pub status: u16,
    /// Where to, redacted.
    pub location: String,
    /// Whether it was followed.
    pub followed: bool,
}

/// What the TLS handshake showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLSv1_2` or `TLSv1_3`.
    #[serde(default)]
    pub version: String,
    /// Earliest `notAfter` in the chain, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_unix: Option<i64>,
    /// Subject of the leaf, bounded, control characters removed.
    #[serde(default)]
    pub subject: String,
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Arrival, from the start of the step.
    pub offset_ms: f64,
    /// Size.
    pub bytes: u64,
}

/// One WebSocket opening handshake. The HTTP part is flattened: `upgrade.status`, `upgrade.body.text`, `upgrade.phases.tls_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpgradeExchange {
    /// Configured name of the socket endpoint.
    pub endpoint: String,
    /// Which credential was shown: `none`, `valid`, or a negative one (`tampered`, `alg_none`, `aged`, `given`).
    pub token: String,
    /// How it was shown: `none`, `header`, `subprotocol`.
    pub transport: String,
    /// The handshake as an HTTP exchange.
    #[serde(flatten)]
    pub http: HttpExchange,
    /// 101 and every requirement of RFC 6455 section 4.1 met.
    pub accepted: bool,
    /// The outcome, judged against what is right for the credential shown: without one the endpoint's `refused` answer is `ok`.
    pub outcome: UpgradeOutcome,
    /// Subprotocol chosen by the server, empty if none.
    #[serde(default)]
    pub subprotocol: String,
    /// With `settle`: the frames that came until the close or the end of the settle time.
    #[serde(default)]
    pub frames: Vec<Frame>,
    /// With `settle`: the close, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close>,
}

/// A message we sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Handle of the socket in the scenario.
    pub on: String,
    /// The text, redacted, at most `EVIDENCE_EXCERPT_BYTES`.
    pub text: String,
    /// The text as JSON, if it is.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Size of the payload.
    pub bytes: u64,
    /// Number of WebSocket frames the message was cut into.
    pub fragments: u32,
    /// When the last byte was flushed, from the start of the run.
    pub flushed_ms: f64,
}

/// One received frame or whole message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Arrival of its last byte, from the start of the run.
    pub offset_ms: f64,
    /// `text`, `binary`, `ping`, `pong` or `close`.
    pub opcode: String,
    /// Text, redacted, at most `EVIDENCE_EXCERPT_BYTES`; empty for binary.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The text as JSON, if it is.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Size of the payload.
    pub bytes: u64,
}

/// What a receive or collect step saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// Handle of the socket in the scenario.
    pub on: String,
    /// Whether the frame that was waited for came.
    pub matched: bool,
    /// The matched frame's JSON.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// The matched frame's text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Arrival of the matched frame's last byte, from the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<f64>,
    /// From the last byte of our last message on this socket flushed (or the 101, if none was sent) to the matched frame's last byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Every data frame this step saw, the matched one included, at most `FRAMES_PER_STEP_MAX`.
    pub frames: Vec<Frame>,
    /// Frames seen beyond those kept.
    #[serde(default)]
    pub frames_dropped: u64,
    /// The close, if the peer closed during the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close>,
    /// How long the step listened.
    pub waited_ms: f64,
}

/// A protocol ping and its pong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pong {
    /// Handle of the socket in the scenario.
    pub on: String,
    /// Round trip; absent when no pong came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
}

/// A close, as seen by us.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Close {
    /// Close code; 1005 = a Close frame without code, 1006 = no Close frame.
    pub code: u16,
    /// Reason, redacted, at most 123 bytes.
    #[serde(default)]
    pub reason: String,
    /// When, from the start of the run.
    pub offset_ms: f64,
}

/// The end of a socket that we brought about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Handle of the socket in the scenario.
    pub on: String,
    /// How: `close` (closing handshake) or `reset` (RST).
    pub how: String,
    /// The peer's Close, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Close>,
}

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
