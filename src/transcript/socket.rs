//! What was seen of a WebSocket: the opening handshake, messages, pings, the end. Offsets count from the start of the run.

use super::http::HttpExchange;
use super::present;
use crate::failure::UpgradeOutcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
