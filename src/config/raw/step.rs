//! The shape of a step.

use super::auth::DetailedAuth;
use super::{Lasting, Named, TextOr};
use crate::catalog::step::{ConnectionPolicy, Cookies, Hold, HttpVersion, OnFailure, Redirects, Silence};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// One step: exactly one action, and the keys that any step may have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// An HTTP request.
    pub http: Option<Box<Request>>,
    /// An event stream.
    pub sse: Option<Box<Request>>,
    /// A WebSocket opening handshake.
    #[serde(rename = "ws.open")]
    pub open: Option<Box<Open>>,
    /// Send a message.
    #[serde(rename = "ws.send")]
    pub send: Option<Box<Send>>,
    /// Wait for a message, or collect what comes.
    #[serde(rename = "ws.receive")]
    pub receive: Option<Receive>,
    /// A protocol ping.
    #[serde(rename = "ws.ping")]
    pub ping: Option<Ping>,
    /// Stop or go on reading.
    #[serde(rename = "ws.hold")]
    pub hold: Option<TextOr<DetailedHold>>,
    /// The closing handshake.
    #[serde(rename = "ws.close")]
    pub close: Option<Close>,
    /// Reset the connection, optionally after half a frame.
    #[serde(rename = "ws.abort")]
    pub abort: Option<Abort>,
    /// Keep a socket open for other scenarios.
    #[serde(rename = "ws.offer")]
    pub offer: Option<Offer>,
    /// Use the socket that a resident scenario offers.
    #[serde(rename = "ws.borrow")]
    pub borrow: Option<Borrow>,
    /// Nothing but time.
    pub wait: Option<TextOr<ScaledWait>>,
    /// The steps of `steps` this often, one after the other.
    pub repeat: Option<u32>,
    /// The steps of `steps` this often, at once.
    pub times: Option<u32>,
    /// Branches at once.
    pub parallel: Option<Vec<Vec<Step>>>,
    /// Steps under one `when`.
    pub group: Option<Vec<Step>>,
    /// The steps of `repeat` and `times`.
    pub steps: Option<Vec<Step>>,
    /// Name of the index of `repeat` and `times`, counted from 0; `index` when left out.
    pub index: Option<String>,
    /// Time between two starts of `repeat`.
    pub every: Option<Lasting>,
    /// CEL: `repeat` ends early once this holds after a turn.
    pub until: Option<String>,
    /// Values kept for later steps and for the judge.
    #[serde(default)]
    pub capture: Named<Capture>,
    /// CEL: the step runs only if this holds.
    pub when: Option<String>,
    /// What a failure does to the run; `break_off` when left out.
    pub on_failure: Option<OnFailure>,
}

/// A value kept from a step: an expression, or one with its kind.
pub type Capture = TextOr<DetailedCapture>;

/// A capture with its kind: exactly one of `value` and `secret`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedCapture {
    /// CEL; the judge sees the value.
    pub value: Option<String>,
    /// CEL; the judge sees only `header`, `claims` and `digest`.
    pub secret: Option<String>,
    /// Whether the run breaks off when the value is missing; true when left out.
    pub required: Option<bool>,
}

/// A request method.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
}

impl HttpMethod {
    /// The method as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
        }
    }
}

/// An HTTP request, or the request of an event stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Id of the step.
    pub id: Option<String>,
    /// Named base.
    pub base: String,
    /// Path and query, a template.
    pub path: String,
    /// Method; GET when left out.
    pub method: Option<HttpMethod>,
    /// Headers, templates.
    #[serde(default)]
    pub headers: Named<String>,
    /// Credential shown as `Authorization`.
    pub auth: Option<TextOr<DetailedAuth>>,
    /// JSON body with templates.
    pub json: Option<Value>,
    /// Text body, a template.
    pub text: Option<String>,
    /// Content type of `text`; `text/plain` when left out.
    pub content_type: Option<String>,
    /// A fresh connection (the default) or one from the run's own pool.
    pub connection: Option<ConnectionPolicy>,
    /// Protocol version: `any`, `http1` or `http2`.
    pub version: Option<HttpVersion>,
    /// Whether cookies of earlier answers of the run are sent: `drop` (the default) or `keep`.
    pub cookies: Option<Cookies>,
    /// What happens to redirects: `record` (the default) or `follow_same_origin`.
    pub redirects: Option<Redirects>,
    /// The path goes out as written, without normalisation.
    #[serde(default)]
    pub raw_path: bool,
    /// The arrival of each piece of the body is recorded.
    #[serde(default)]
    pub incremental: bool,
    /// Each address of the host is connected to once (TCP, and TLS for https), beside the request: `STEP.each_address`.
    #[serde(default)]
    pub each_address: bool,
    /// Most bytes of body; 1 MiB when left out, and at most.
    pub body_max: Option<usize>,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
    /// `sse` only: CEL over `event`, the last event wanted.
    pub until: Option<String>,
    /// `sse` only: whether reaching the deadline without `until` fails the step.
    pub silence: Option<Silence>,
}

/// A WebSocket opening handshake.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Id of the step.
    pub id: Option<String>,
    /// Configured socket.
    pub socket: String,
    /// Another path on the same host, a template.
    pub path: Option<String>,
    /// Handle for later steps; `main` when left out.
    pub on: Option<String>,
    /// Credential and its transport.
    pub auth: Option<TextOr<DetailedAuth>>,
    /// Subprotocols offered, if others than the endpoint's.
    pub subprotocols: Option<Vec<String>>,
    /// Extra headers, templates.
    #[serde(default)]
    pub headers: Named<String>,
    /// Whether cookies of earlier answers of the run are sent: `drop` (the default) or `keep`.
    pub cookies: Option<Cookies>,
    /// Look for a refusal after the 101 for this long, and close then.
    pub settle: Option<Lasting>,
    /// Over a socket dialled by ourselves, for `ws.abort`; it answers no pings.
    #[serde(default)]
    pub raw: bool,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// A message to send: exactly one of `json`, `text` and `binary`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// JSON with templates.
    pub json: Option<Value>,
    /// Text, a template.
    pub text: Option<String>,
    /// Bytes in base64.
    pub binary: Option<String>,
    /// Pad the message to this many bytes.
    pub pad_to: Option<usize>,
    /// Cut the message into this many frames; 1 when left out.
    pub fragments: Option<u32>,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// Wait for a message, or collect what comes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// CEL over `frame`: the message waited for. Without it everything within the deadline is collected.
    pub until: Option<String>,
    /// Whether reaching the deadline without `until` fails the step: `fails` (the default) or `ends`.
    pub silence: Option<Silence>,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// A protocol ping.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// Stop or go on reading on a handle.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetailedHold {
    /// `stop` or `resume`.
    pub reading: Hold,
    /// Handle; `main` when left out.
    pub on: Option<String>,
}

/// The closing handshake.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// Close code; 1000 when left out.
    pub code: Option<u16>,
    /// Reason.
    #[serde(default)]
    pub reason: String,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// RST, optionally after half a frame.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// Send the first half of a frame before.
    #[serde(default)]
    pub half_frame: bool,
}

/// Keep a socket open for other scenarios.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Id of the step.
    pub id: Option<String>,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// How long; multiplied by `time_scale`.
    pub hold: Lasting,
}

/// Use the socket that a resident scenario offers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Borrow {
    /// Id of the step.
    pub id: Option<String>,
    /// `module/scenario`, or `scenario` of this module.
    pub resident: String,
    /// Handle; `main` when left out.
    pub on: Option<String>,
    /// Deadline of the step; 10s when left out.
    pub within: Option<Lasting>,
}

/// A wait multiplied by `time_scale`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaledWait {
    /// The duration for `time_scale: 1`.
    pub scaled: Lasting,
}
