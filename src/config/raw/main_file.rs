//! The shape of the main file: target, credentials, logins, latency targets, service.

use super::alerting::Alerting;
use super::{Credential, Lasting, Login, Logs, Named, SecretSource};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The main configuration file of stagewatch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MainFile {
    /// The environment under watch.
    pub target: Target,
    /// Pools of users and minted credentials, by name.
    #[serde(default)]
    pub credentials: Named<Credential>,
    /// How users of pools log in, by name.
    #[serde(default)]
    pub logins: Named<Login>,
    /// Promises about latency, judged over a window, by name.
    #[serde(default)]
    pub latency_targets: Named<LatencyTarget>,
    /// How the daemon itself serves and stores.
    #[serde(default)]
    pub service: Service,
    /// How alerts are made and where they go.
    #[serde(default)]
    pub alerting: Alerting,
    /// Factor on intervals, windows, `offer.hold` and scaled waits; 1 when left out.
    pub time_scale: Option<f64>,
    /// A directory with module files, or a list of files, relative to this file; `modules` when left out.
    pub modules: Option<Modules>,
    /// A directory with diagnosis files, or a list of files, relative to this file; `diagnosis`, if there is one, when left
    /// out. Their order counts.
    pub diagnosis: Option<Modules>,
    /// Cost tags whose scenarios run; a scenario with another `cost` is off.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Vocabulary files, relative to this file: what several main files share. What stands here wins.
    #[serde(default)]
    pub include: Vec<String>,
}

impl MainFile {
    /// Takes over what a vocabulary has beside.
    pub fn absorb(&mut self, vocabulary: Vocabulary) {
        let words = vocabulary.target;
        self.target.functions.absorb(words.functions);
        self.target.throttled = self.target.throttled.take().or(words.throttled);
        self.target.instance_age = self.target.instance_age.take().or(words.instance_age);
        self.target.forbidden = self.target.forbidden.take().or(words.forbidden);
        if self.target.fingerprints.is_empty() {
            self.target.fingerprints = words.fingerprints;
        }
        self.logins.absorb(vocabulary.logins);
        self.latency_targets.absorb(vocabulary.latency_targets);
    }
}

/// What several main files share: a vocabulary file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// What is known of the target whatever its address.
    #[serde(default)]
    pub target: TargetWords,
    /// How users of pools log in, by name.
    #[serde(default)]
    pub logins: Named<Login>,
    /// Promises about latency, by name.
    #[serde(default)]
    pub latency_targets: Named<LatencyTarget>,
}

/// What is known of the target whatever its address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetWords {
    /// CEL over `answer` (an HTTP exchange): the target says that we send too much.
    pub throttled: Option<String>,
    /// CEL over `answer` (an HTTP exchange): how many seconds ago the instance that gave it started, null where it does not say so. One that starts while we watch is a deploy mark.
    pub instance_age: Option<String>,
    /// What must never be sent.
    pub forbidden: Option<Forbidden>,
    /// Who answered: the first whose expression holds.
    #[serde(default)]
    pub fingerprints: Vec<Fingerprint>,
    /// Functions of one parameter for every expression, by name.
    #[serde(default)]
    pub functions: Named<Function>,
}

/// Where the modules are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a directory or a list of files")]
pub enum Modules {
    /// A directory: all its `.yaml` files in order of their names.
    Directory(String),
    /// Files.
    Files(Vec<String>),
}

/// The environment under watch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name shown in reports.
    pub name: String,
    /// Value of the `environment` label of alerts.
    pub environment: String,
    /// Base URLs by name (`http` or `https`).
    pub bases: Named<String>,
    /// WebSocket endpoints by name.
    #[serde(default)]
    pub sockets: Named<Socket>,
    /// Plain values for templates and expressions (`target.NAME`).
    #[serde(default)]
    pub facts: Named<Value>,
    /// How requests are made.
    #[serde(default)]
    pub http: HttpSettings,
    /// The target's limits on our traffic, which the plan must fit.
    #[serde(default)]
    pub limits: Vec<RateLimit>,
    /// CEL over `answer` (an HTTP exchange): the target says that we send too much.
    pub throttled: Option<String>,
    /// CEL over `answer` (an HTTP exchange): how many seconds ago the instance that gave it started, null where it does not say so. One that starts while we watch is a deploy mark.
    pub instance_age: Option<String>,
    /// What must never be sent.
    pub forbidden: Option<Forbidden>,
    /// Unrelated addresses that tell a broken network of ours from a broken target.
    #[serde(default)]
    pub controls: Vec<String>,
    /// Who answered: the first whose expression holds.
    #[serde(default)]
    pub fingerprints: Vec<Fingerprint>,
    /// Functions of one parameter for every expression, by name.
    #[serde(default)]
    pub functions: Named<Function>,
    /// Where its log is read: links in reports, incidents and alerts.
    pub logs: Option<Logs>,
}

/// A WebSocket endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// `ws://` or `wss://` URL.
    pub url: String,
    /// Subprotocols offered when the token goes by header or not at all.
    #[serde(default)]
    pub subprotocols: Vec<String>,
    /// Subprotocols offered when the token goes by subprotocol; templates read `token` and `token_base64url`.
    #[serde(default)]
    pub token_subprotocols: Vec<String>,
    /// Answers that a session gives by itself.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// CEL over `open`: the right refusal of a bad or missing credential.
    pub refused: Option<String>,
    /// CEL over `open`: a 101 followed only by an authentication error frame.
    pub error_frame: Option<String>,
    /// CEL over `open`: the user's own limit of connections is reached; the user then rests.
    pub user_limit: Option<String>,
}

/// An answer that a session gives by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// CEL over `frame`.
    pub when: String,
    /// JSON to send; its strings may have `${…}` holes over `frame`.
    pub json: Value,
}

/// A function of one parameter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Name of the parameter.
    pub of: String,
    /// CEL over the parameter.
    pub is: String,
}

/// How requests are made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// `User-Agent`; `stagewatch/VERSION` when left out.
    pub user_agent: Option<String>,
    /// Fixed extra headers.
    #[serde(default)]
    pub headers: Named<String>,
    /// Which resolver.
    #[serde(default)]
    pub resolver: ResolverName,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// Forward proxy.
    pub proxy: Option<Proxy>,
    /// Value of `Proxy-Authorization` for the target's own origins (an identity-aware proxy in front of it): a secret as it is
    /// sent, or `identity`, whose token is sent as `Bearer`.
    pub proxy_authorization: Option<SecretSource>,
    /// Address families that may be dialled although they are not public: `loopback`, `private`, `link_local`.
    #[serde(default)]
    pub allow_addresses: Vec<AddressFamily>,
}

/// Which resolver.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolverName {
    /// The system's.
    #[default]
    System,
    /// hickory: cancellable; does not read nsswitch.
    Hickory,
}

/// Certificates.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Extra certificate authorities, PEM files.
    #[serde(default)]
    pub ca_files: Vec<String>,
    /// Whether the system's authorities count beside them.
    #[serde(default)]
    pub system_roots: RootsUse,
    /// Client certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// Whether the system's authorities count.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootsUse {
    /// Beside the configured ones.
    #[default]
    Used,
    /// Only the configured ones count.
    Ignored,
}

/// A client certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM file with the chain.
    pub cert: String,
    /// PEM file with the private key.
    pub key: String,
}

/// A forward proxy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: String,
    /// `Proxy-Authorization` for the proxy itself.
    pub authorization: Option<SecretSource>,
}

/// A family of addresses that are not public.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AddressFamily {
    /// This machine.
    Loopback,
    /// Private networks (RFC 1918, RFC 4193).
    Private,
    /// Link-local addresses.
    LinkLocal,
}

impl AddressFamily {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
        }
    }
}

/// A limit of the target on our traffic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Name.
    pub name: String,
    /// CEL over `request` (`method`, `base`, `path`, `kind`): which of our requests count.
    pub counts: String,
    /// At most this many in any window.
    pub max: u32,
    /// Length of the window.
    pub per: Lasting,
    /// So many of `max` are kept for the watches of sockets and what runs on confirm; none when left out.
    #[serde(default)]
    pub reserve: u32,
}

/// What must never be sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// Words that no header name may contain.
    #[serde(default)]
    pub header_words: Vec<String>,
    /// Words that the user agent may not contain.
    #[serde(default)]
    pub user_agent_words: Vec<String>,
    /// Words that no string of a sent body may contain.
    #[serde(default)]
    pub body_words: Vec<String>,
    /// Path prefixes that are never requested, with or without a method; `*` stands for one segment.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Most messages of one burst.
    pub burst_max: Option<u32>,
}

/// Who answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Name of the layer.
    pub layer: String,
    /// CEL over `answer`.
    pub when: String,
}

/// A promise about latency.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyTarget {
    /// What is promised.
    pub title: String,
    /// The bound in seconds.
    pub seconds: f64,
    /// Samples needed before it is judged; 20 when left out.
    pub samples: Option<u32>,
    /// Window over which the percentile is taken; 15m when left out.
    pub window: Option<Lasting>,
}

/// How the daemon itself serves and stores.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Listen address; 127.0.0.1:9464 when left out.
    pub listen: Option<String>,
    /// Lets `listen` be open to the network although nobody has to say who they are.
    pub insecure_listen: Option<bool>,
    /// File with TLS and users of the listener, in the format that Prometheus and its exporters share, relative to the main file.
    pub web_config: Option<String>,
    /// Names under which the daemon answers, besides addresses, `localhost` and the host of `external_url`.
    pub hosts: Option<Vec<String>>,
    /// Under which URL people reach the daemon.
    pub external_url: Option<String>,
    /// Directory for history, ledger and budgets, relative to the main file; `data` when left out.
    pub data_dir: Option<String>,
    /// Token for mutating endpoints; without it they are refused.
    pub api_token: Option<SecretSource>,
    /// Most metric series; 4500 when left out.
    pub series_max: Option<usize>,
    /// Scenarios in flight at once; 32 when left out.
    pub concurrency: Option<usize>,
    /// How long and how much the history keeps.
    #[serde(default)]
    pub history: History,
}

/// How long and how much the history keeps.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Rows older than so many days go; 30 when left out.
    pub days: Option<u32>,
    /// Above so many bytes the oldest texts go, then the oldest rows; 2 GiB when left out.
    pub bytes: Option<u64>,
}
