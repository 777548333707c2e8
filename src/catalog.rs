//! The compiled configuration: plain data, made once by `config/`, never changed. A reload makes a whole new one.
//! Durations are real ones: `time_scale` has been applied where the language says so.

use crate::expression::{Expression, Template};
use crate::secret::Secret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub mod alerting;
pub mod check;
pub mod forbidden;
pub mod retention;
pub mod rule;
pub mod step;
pub mod wire;

pub use crate::expression::ConfiguredFunction;
pub use alerting::Alerting;
pub use check::{Check, Expectation, Extract, Note, Objective, Part, Severity, UnknownWhen};
pub use retention::Retention;
pub use rule::{Priority, Rule, Rules};
pub use step::{Action, Auth, Capture, Step, TokenKind};
pub use wire::WireSettings;

/// Everything the daemon does, compiled.
#[derive(Debug)]
pub struct Catalog {
    /// The file it came from.
    pub source: PathBuf,
    /// SHA-256 of all files read, hexadecimal.
    pub digest: String,
    /// The environment under watch.
    pub target: Target,
    /// How the daemon itself serves and stores.
    pub service: Service,
    /// Factor on schedules, windows and long waits; 1 for a real target.
    pub time_scale: f64,
    /// Credential pools and minted credentials, by name.
    pub credentials: BTreeMap<String, CredentialSource>,
    /// Modules in order of their number.
    pub modules: Vec<Module>,
    /// The five promises and any others, by name.
    pub latency_targets: BTreeMap<String, LatencyTarget>,
    /// How failures are explained.
    pub diagnosis: Rules,
    /// How alerts are made and where they go.
    pub alerting: Alerting,
}

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

/// How the daemon serves and stores.
#[derive(Clone, Debug)]
pub struct Service {
    /// Listen address of `/metrics`, API and page.
    pub listen: std::net::SocketAddr,
    /// Under which URL people reach this daemon.
    pub external_url: Option<Url>,
    /// Directory for history, ledger and budgets.
    pub data_dir: PathBuf,
    /// Token for mutating endpoints; without it they are refused.
    pub api_token: Option<Secret>,
    /// Cap on the number of metric series; a larger plan is refused.
    pub series_max: usize,
    /// Scenarios in flight at once.
    pub concurrency: usize,
    /// How long and how much the history keeps.
    pub history: Retention,
}

/// A promise about latency, judged over a window.
#[derive(Clone, Debug)]
pub struct LatencyTarget {
    /// What is promised.
    pub title: String,
    /// The bound in seconds; a histogram boundary.
    pub seconds: f64,
    /// Samples needed before it is judged.
    pub samples_min: u32,
    /// Window over which the percentile is taken.
    pub window: Duration,
}

/// A named group of checks.
#[derive(Debug)]
pub struct Module {
    /// Identifier, used in labels.
    pub id: String,
    /// Number in the report.
    pub number: u32,
    /// Title in the report.
    pub title: String,
    /// Severity of its checks' alerts.
    pub severity: Severity,
    /// Owner, for routing.
    pub owner: String,
    /// Runbook of its checks.
    pub runbook: Option<String>,
    /// When its scenarios run.
    pub active_hours: Option<ActiveHours>,
    /// Its scenarios.
    pub scenarios: Vec<Arc<Scenario>>,
    /// Its checks, in order.
    pub checks: Vec<Arc<Check>>,
}

/// A timetable; outside of it probing stops and verdicts are `off`.
#[derive(Clone, Debug)]
pub struct ActiveHours {
    /// Cron pattern of the minutes that are active (five fields).
    pub cron: String,
    /// IANA time zone.
    pub zone: chrono_tz::Tz,
}

/// A sequence of steps with its schedule.
#[derive(Debug)]
pub struct Scenario {
    /// `module/scenario`.
    pub id: String,
    /// Module it stands in.
    pub module: String,
    /// Name in its module.
    pub name: String,
    /// When it runs.
    pub schedule: Schedule,
    /// Whether it runs at all; costly ones are off until enabled.
    pub enabled: bool,
    /// At most this many runs a day, for costly ones.
    pub runs_per_day_max: Option<u32>,
    /// Deadline of the whole run, clean-up excepted.
    pub deadline: Duration,
    /// Credentials by local name, in order; `credential` is the only one's name.
    pub credentials: Vec<CredentialUse>,
    /// Values computed at the start of a run, in order.
    pub vars: Vec<(String, Expression)>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Steps that always run at the end, whatever happened.
    pub cleanup: Vec<Step>,
    /// Measurements taken from the finished transcript for ledger and metrics, in order.
    pub measures: Vec<Measure>,
    /// What counts as one request a run, at worst (computed at load).
    pub cost: Cost,
    /// The upgrade steps whose outcome feeds the upgrade metric and the watch.
    pub feeds_watch: bool,
}

/// When a scenario runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// At a fixed interval with a stable phase.
    Every(Duration),
    /// At calendar times (six fields, seconds first) in a zone.
    Cron {
        /// The pattern.
        pattern: String,
        /// The zone.
        zone: chrono_tz::Tz,
    },
    /// Held open by the runner and rotated: the steps run anew as soon as the last run has ended.
    Resident,
}

/// A credential that a scenario uses.
#[derive(Clone, Debug)]
pub struct CredentialUse {
    /// Local name.
    pub name: String,
    /// Name in [`Catalog::credentials`].
    pub source: String,
    /// Take the same user as this other local name.
    pub same_as: Option<String>,
    /// How many distinct users it stands for; more than one is read as `NAME[index]` and used inside `times` only.
    pub count: u32,
}

/// Worst-case cost of one run.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Requests and upgrades as (method, base, path as written, kind), repetitions counted.
    pub requests: Vec<PlannedRequest>,
    /// Successful handshakes by local credential name.
    pub handshakes: BTreeMap<String, u32>,
    /// WebSocket messages sent.
    pub messages: u32,
}

/// One request that a run may make.
#[derive(Clone, Debug)]
pub struct PlannedRequest {
    /// `http` or `upgrade`.
    pub kind: &'static str,
    /// Method.
    pub method: String,
    /// Named base, or endpoint for an upgrade.
    pub base: String,
    /// Path as written, holes included.
    pub path: String,
    /// How often in one run.
    pub times: u32,
}

/// A measurement taken from a transcript.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Name of the series in the ledger; unique in the catalog.
    pub series: String,
    /// Its value (a number, or a list of numbers, or any JSON for facts), over the transcript.
    pub value: Expression,
    /// Taken only if this holds.
    pub when: Option<Expression>,
    /// The latency target it is a sample of; the value is then in milliseconds.
    pub latency_target: Option<String>,
    /// The network floor it is: `tcp_connect` or `ws_ping`, in milliseconds.
    pub floor: Option<String>,
}

/// Where credentials come from.
#[derive(Debug)]
pub enum CredentialSource {
    /// Users that log in.
    Pool(Pool),
    /// Tokens minted from a configured key.
    Mint(Mint),
}

/// A pool of users.
#[derive(Debug)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// The users. None when the pool is optional and its secrets are not there: its scenarios are then refused
    /// with `credential_missing`.
    pub users: Vec<User>,
    /// How they log in.
    pub login: Arc<Login>,
    /// Most successful handshakes of one user in a window, kept across restarts.
    pub handshakes: Option<HandshakeBudget>,
    /// How long a user rests after the target said that the user's own limit is reached.
    pub rest: Duration,
}

/// A budget of handshakes.
#[derive(Clone, Debug)]
pub struct HandshakeBudget {
    /// At most this many …
    pub max: u32,
    /// … in any window of this length.
    pub per: Duration,
}

/// A user of a pool.
#[derive(Debug)]
pub struct User {
    /// The values that login templates read as `user.NAME`; all are treated as secrets in evidence.
    pub fields: BTreeMap<String, Secret>,
}

/// How a user logs in and renews.
#[derive(Debug)]
pub struct Login {
    /// The login request.
    pub login: TokenRequest,
    /// The renewal, if there is one; templates read `refresh_token`.
    pub refresh: Option<TokenRequest>,
    /// Renew when this share of the token's life (`exp - iat`) is over.
    pub renew_at: f64,
}

/// A request that answers with tokens.
#[derive(Debug)]
pub struct TokenRequest {
    /// Method.
    pub method: String,
    /// Named base.
    pub base: String,
    /// Path.
    pub path: String,
    /// JSON body; templates read `user` and `refresh_token`.
    pub json: JsonTemplate,
    /// Over the answer (`answer.status`, `answer.json`): the access token.
    pub access_token: Expression,
    /// Over the answer: the refresh token.
    pub refresh_token: Option<Expression>,
}

/// Tokens minted from a configured key, for targets that allow it.
#[derive(Debug)]
pub struct Mint {
    /// `HS256`, `RS256` or `ES256`.
    pub algorithm: jsonwebtoken::Algorithm,
    /// HMAC secret, or PEM of the private key.
    pub key: Secret,
    /// `kid` header.
    pub key_id: Option<String>,
    /// Claims; `iat`, `nbf`, `exp` and `jti` are added.
    pub claims: JsonTemplate,
    /// Life of a token.
    pub lifetime: Duration,
}

impl Catalog {
    /// Every scenario.
    pub fn scenarios(&self) -> impl Iterator<Item = &Arc<Scenario>> {
        self.modules.iter().flat_map(|module| &module.scenarios)
    }

    /// Every check with its module.
    pub fn checks(&self) -> impl Iterator<Item = (&Module, &Arc<Check>)> {
        self.modules
            .iter()
            .flat_map(|module| module.checks.iter().map(move |check| (module, check)))
    }
}
