//! The environment under watch, compiled: where it is, what it allows, what its answers mean.

use super::wire::WireSettings;
use crate::expression::{ConfiguredFunction, Expression, Template};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The environment under watch.
#[derive(Debug)]
pub struct Target {
    /// Name shown in reports.
    pub name: String,
    /// Value of the `environment` label of alerts.
    pub environment: String,
    /// Named base URLs.
    pub bases: BTreeMap<String, Url>,
    /// Named WebSocket endpoints.
    pub sockets: BTreeMap<String, SocketEndpoint>,
    /// Plain values for templates and expressions (`target.NAME`).
    pub facts: BTreeMap<String, Value>,
    /// How requests are made.
    pub wire: WireSettings,
    /// The target's limits, which the plan must fit.
    pub limits: Vec<RateLimit>,
    /// What must never be sent.
    pub forbidden: Forbidden,
    /// Unrelated addresses that tell a broken network of ours from a broken target.
    pub controls: Vec<Url>,
    /// Who answered: the first whose expression (over `answer`, an HTTP exchange) holds.
    pub fingerprints: Vec<Fingerprint>,
    /// Named predicates and values over one parameter, usable as functions in every expression.
    pub functions: Arc<BTreeMap<String, ConfiguredFunction>>,
    /// What answer means "you are sending too much"; the scenario's verdicts become `unknown(budget)` and it backs off.
    pub throttled: Option<Expression>,
    /// How many seconds ago the instance that answered started; no number where an answer does not say so.
    pub instance_age: Option<Expression>,
    /// Where its log is read.
    pub logs: Option<super::Logs>,
}

/// A WebSocket endpoint.
#[derive(Debug)]
pub struct SocketEndpoint {
    /// `ws://` or `wss://` URL.
    pub url: Url,
    /// Subprotocols offered when the token goes by header or not at all.
    pub subprotocols: Vec<String>,
    /// How a token is put into an offered subprotocol when the step says `auth: subprotocol`; variable `token` (raw) and `token_base64url`.
    pub token_subprotocols: Vec<Template>,
    /// Answers given by the session itself while it is open.
    pub answers: Vec<AutoAnswer>,
    /// Over `open` (the upgrade entry, with frames and close if it settled): the right refusal of a bad or missing credential.
    pub refused: Option<Expression>,
    /// Over `open`: 101, then only an error (an authentication error frame); outcome `auth_error_frame` of the session metric.
    pub error_frame: Option<Expression>,
    /// Over `open`, as above: the target says that this user's own limit is reached; the user then rests.
    pub user_limit: Option<Expression>,
}

/// An answer that a session gives by itself.
#[derive(Clone, Debug)]
pub struct AutoAnswer {
    /// Over `frame`.
    pub when: Expression,
    /// JSON to send, with templates in its strings.
    pub json: JsonTemplate,
}

/// JSON whose strings may be templates.
#[derive(Clone, Debug)]
pub enum JsonTemplate {
    /// Neither string nor container, or a string without holes.
    Plain(Value),
    /// A string with holes.
    Text(Template),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object, in order.
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// Every expression in it.
    pub fn holes(&self) -> Vec<&Expression> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Text(template) => template.holes().collect(),
            Self::List(items) => items.iter().flat_map(Self::holes).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, value)| value.holes()).collect(),
        }
    }
}

/// A limit of the target on our own traffic.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Name, as printed by `validate` and used as a label value.
    pub name: String,
    /// Which of our requests count: an expression over `request` (`method`, `base`, `path`, `kind` = `http` or `upgrade`).
    pub counts: Expression,
    /// At most this many …
    pub max: u32,
    /// … in any window of this length.
    pub per: Duration,
    /// So many of them only for scenarios that watch a socket or run on confirm: other checks must not use up what a
    /// confirm burst needs.
    pub reserve: u32,
}

/// What must never be sent; refused at load where it is written out, and at run time where it is computed.
#[derive(Clone, Debug, Default)]
pub struct Forbidden {
    /// Lower-case words that no header name may contain.
    pub header_words: Vec<String>,
    /// Lower-case words that the user agent may not contain.
    pub user_agent_words: Vec<String>,
    /// Lower-case words that no string of a sent JSON body may contain.
    pub body_words: Vec<String>,
    /// Path prefixes (of any base) that are never requested, with method or without (`POST /auth/register`, `/test/`);
    /// `*` stands for one segment. Ask [`Forbidden::path`].
    pub paths: Vec<String>,
    /// Most messages of one burst.
    pub burst_max: Option<u32>,
}

/// Who answered.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    /// `app`, `edge`, `auth`, …
    pub layer: String,
    /// Over `answer`.
    pub when: Expression,
}
