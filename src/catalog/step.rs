//! The steps of a scenario, compiled.

use super::JsonTemplate;
use crate::expression::{Expression, Template};
use std::time::Duration;

/// One action of a scenario.
#[derive(Debug)]
pub struct Step {
    /// Id, unique in its scenario; made up (`step3`) where none was given.
    pub id: String,
    /// Whether the id was given; only named steps are measured.
    pub named: bool,
    /// Runs only if this holds (over `vars`, captures and earlier steps).
    pub when: Option<Expression>,
    /// Deadline of the step.
    pub within: Duration,
    /// Whether the run goes on when the step fails.
    pub on_failure: OnFailure,
    /// Values kept for later steps and for the judge.
    pub captures: Vec<Capture>,
    /// What to do.
    pub action: Action,
}

impl Step {
    /// The step lists inside it: of a repetition, a group, each branch of a parallel step.
    pub fn inner(&self) -> impl Iterator<Item = &[Step]> {
        let (one, many): (Option<&[Step]>, &[Vec<Step>]) = match &self.action {
            Action::Repeat { steps, .. } | Action::Times { steps, .. } | Action::Group(steps) => (Some(steps), &[]),
            Action::Parallel(branches) => (None, branches),
            _ => (None, &[]),
        };
        one.into_iter().chain(many.iter().map(Vec::as_slice))
    }
}

/// What a failing step does to its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run breaks off; clean-up still runs.
    BreakOff,
    /// The failure is kept in the entry and the run goes on.
    GoOn,
}

/// A value kept from a step.
#[derive(Debug)]
pub struct Capture {
    /// Name for later steps (`${NAME}`) and for the judge.
    pub name: String,
    /// The value, over the step's entry (by its id) and everything before. For secrets it is evaluated before redaction.
    pub value: Expression,
    /// What may be shown of it.
    pub kind: CaptureKind,
    /// Whether the run breaks off when the value is missing; otherwise the capture is null.
    pub required: bool,
}

/// What may be shown of a captured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// The value itself.
    Plain,
    /// Nothing but, if it is a JWT, its header and claims as `NAME.header`, `NAME.claims`, and a SHA-256 prefix as `NAME.digest`.
    Secret,
}

/// What a step does.
#[derive(Debug)]
pub enum Action {
    /// An HTTP request.
    Http(Box<Http>),
    /// An event stream.
    Sse(Box<Sse>),
    /// A WebSocket opening handshake.
    Open(Box<Open>),
    /// A message.
    Send(Send),
    /// Wait for a message.
    Receive(Receive),
    /// A protocol ping.
    Ping(OnSocket),
    /// Stop or go on reading, so that the peer meets back-pressure.
    HoldReading {
        /// Handle.
        on: String,
        /// Stop or go on.
        hold: Hold,
    },
    /// The closing handshake.
    Close {
        /// Handle.
        on: String,
        /// Close code (RFC 6455 section 7.4).
        code: u16,
        /// Reason.
        reason: String,
    },
    /// RST, optionally after half a frame.
    Abort {
        /// Handle; opened with `raw: true`.
        on: String,
        /// Send the first half of a frame before.
        half_frame: bool,
    },
    /// Keep a socket open for other scenarios to borrow; frames that come meanwhile are collected (as by a receive without `until`).
    Offer {
        /// Handle.
        on: String,
        /// How long.
        hold: Duration,
    },
    /// Use the socket that a resident scenario offers; fails with `credential_missing` (blame monitor) when none is open.
    Borrow {
        /// Full id of the resident scenario.
        resident: String,
        /// Handle.
        on: String,
    },
    /// Nothing but time.
    Wait(Duration),
    /// The same steps several times, one after the other.
    Repeat {
        /// How often.
        times: u32,
        /// Name of the index (from 0) for templates.
        index: String,
        /// Time between two starts.
        every: Option<Duration>,
        /// No further turn once this holds after one.
        until: Option<Expression>,
        /// The steps.
        steps: Vec<Step>,
    },
    /// The same steps several times at once.
    Times {
        /// How many.
        times: u32,
        /// Name of the index (from 0) for templates; credentials `NAME` used inside are `NAME[index]`.
        index: String,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Different branches at once.
    Parallel(Vec<Vec<Step>>),
    /// Steps under one `when`.
    Group(Vec<Step>),
}

/// Whether a session reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Stop reading.
    Stop,
    /// Go on.
    Resume,
}

/// A handle.
#[derive(Debug)]
pub struct OnSocket {
    /// Handle.
    pub on: String,
}

/// An HTTP request.
#[derive(Debug)]
pub struct Http {
    /// Method.
    pub method: String,
    /// Named base.
    pub base: String,
    /// Path and query.
    pub path: Template,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// What is shown as `Authorization`.
    pub auth: Auth,
    /// Body.
    pub body: HttpBody,
    /// Which connection.
    pub connection: ConnectionPolicy,
    /// Which protocol version.
    pub version: HttpVersion,
    /// Whether cookies of earlier answers of the run are sent.
    pub cookies: Cookies,
    /// What happens to redirects.
    pub redirects: Redirects,
    /// The path goes out as written, without normalisation.
    pub raw_path: bool,
    /// The arrival of each piece of the body is recorded.
    pub incremental: bool,
    /// Each address of the host is connected to once, beside the request.
    pub each_address: bool,
    /// Most bytes of body.
    pub body_max: usize,
}

/// The body of a request.
#[derive(Debug)]
pub enum HttpBody {
    /// None.
    None,
    /// JSON.
    Json(JsonTemplate),
    /// Text with its content type.
    Text {
        /// The text.
        text: Template,
        /// Content type.
        content_type: String,
    },
}

/// Which connection a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionPolicy {
    /// A new one, closed afterwards.
    Fresh,
    /// One from the run's own pool if there is one.
    Pooled,
}

/// Which protocol version is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpVersion {
    /// By ALPN, else HTTP/1.1.
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2: by ALPN on TLS, with prior knowledge on plain TCP.
    Http2,
}

/// Whether cookies are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cookies {
    /// Not sent; answers' cookies are still recorded by name.
    Drop,
    /// Kept and sent within the run.
    Keep,
}

/// What happens to redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Redirects {
    /// Recorded, not followed.
    Record,
    /// Followed to the same origin, three at most; credentials go nowhere else.
    FollowSameOrigin,
}

/// What a step shows as its credential.
#[derive(Debug)]
pub enum Auth {
    /// Nothing.
    None,
    /// A token of a credential, as `Authorization: Bearer`.
    Header {
        /// Local credential name.
        credential: String,
        /// Which token of it.
        token: TokenKind,
    },
    /// A token of a credential inside an offered subprotocol (sockets only).
    Subprotocol {
        /// Local credential name.
        credential: String,
        /// Which token of it.
        token: TokenKind,
    },
    /// The value of `Authorization` as written; holes may read secret captures.
    Raw(Template),
}

/// Which token of a credential. None of the negative ones needs a secret.
#[derive(Clone, Debug)]
pub enum TokenKind {
    /// The current one.
    Valid,
    /// One signature character flipped.
    Tampered,
    /// Re-encoded with `alg: none` and no signature.
    AlgNone,
    /// A real one kept until its `exp` has passed; the step is skipped (`credential_missing`) until there is one.
    Aged,
    /// A secret capture of this run.
    Captured(String),
}

/// An event stream.
#[derive(Debug)]
pub struct Sse {
    /// The request.
    pub request: Http,
    /// Over `event`: the last event wanted. Without it the stream is read until it ends or the deadline.
    pub until: Option<Expression>,
    /// Whether reaching the deadline without `until` is a failure.
    pub silence: Silence,
}

/// A WebSocket opening handshake.
#[derive(Debug)]
pub struct Open {
    /// Configured endpoint.
    pub endpoint: String,
    /// Another path on the same host.
    pub path: Option<Template>,
    /// Handle for later steps.
    pub on: String,
    /// Credential and its transport.
    pub auth: Auth,
    /// Subprotocols offered, if others than the endpoint's.
    pub subprotocols: Option<Vec<String>>,
    /// Extra headers.
    pub headers: Vec<(String, Template)>,
    /// Whether cookies of earlier answers of the run are sent.
    pub cookies: Cookies,
    /// Read frames for this long after a 101, or until the peer closes, and close then: to see a refusal that comes after the 101.
    /// A refusal is then no failure of the step.
    pub settle: Option<Duration>,
    /// Over socket we dial ourselves: half frames, RST, no pongs.
    pub raw: bool,
}

/// A message to send.
#[derive(Debug)]
pub struct Send {
    /// Handle.
    pub on: String,
    /// What.
    pub message: Message,
    /// Pad the message with spaces (JSON: a `pad` member) to this many bytes.
    pub pad_to: Option<usize>,
    /// Cut the message into this many frames.
    pub fragments: u32,
}

/// The content of a message.
#[derive(Debug)]
pub enum Message {
    /// JSON text.
    Json(JsonTemplate),
    /// Text.
    Text(Template),
    /// Bytes.
    Binary(Vec<u8>),
}

/// Wait for a message, or collect what comes.
#[derive(Debug)]
pub struct Receive {
    /// Handle.
    pub on: String,
    /// Over `frame` (`frame.json`, `frame.text`, `frame.opcode`), captures and vars: the message waited for.
    /// Without it everything within the deadline is collected.
    pub until: Option<Expression>,
    /// Whether reaching the deadline without `until` is a failure.
    pub silence: Silence,
}

/// What it means that nothing came before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// The step fails.
    Fails,
    /// The step ends normally, `matched` is false.
    Ends,
}
