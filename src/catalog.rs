//! The compiled configuration: plain data, made once by `config/`, never changed. A reload makes a whole new one.
//! Durations are real ones: `time_scale` has been applied where the language says so.

use crate::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub mod alerting;
pub mod check;
pub mod credential;
pub mod forbidden;
pub mod identity;
pub mod logs;
pub mod retention;
pub mod rule;
pub mod scenario;
pub mod step;
pub mod target;
pub mod watch;
pub mod wire;

pub use crate::expression::ConfiguredFunction;
pub use alerting::Alerting;
pub use check::{Check, Expectation, Extract, Note, Objective, Part, Severity, UnknownWhen};
pub use credential::{CredentialSource, HandshakeBudget, Login, Mint, Pool, TokenRequest, User};
pub use identity::{Access, Shown};
pub use logs::Logs;
pub use retention::Retention;
pub use rule::{Priority, Rule, Rules};
pub use scenario::{ActiveHours, Cost, CredentialUse, Measure, PlannedRequest, Scenario, Schedule};
pub use step::{Action, Auth, Capture, Step, TokenKind};
pub use target::{AutoAnswer, Fingerprint, Forbidden, JsonTemplate, RateLimit, SocketEndpoint, Target};
pub use wire::WireSettings;

/// Everything the daemon does, compiled.
#[derive(Debug)]
pub struct Catalog {
    /// The file it came from.
    pub source: PathBuf,
    /// SHA-256 of all files read, hexadecimal.
    pub digest: String,
    /// SHA-256 of everything that all modules stand on: the main file, its includes, the diagnosis rules, the secrets.
    pub ground: String,
    /// Files that secrets were read from: when one changes, the configuration is loaded again.
    pub secret_files: Vec<PathBuf>,
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

/// How the daemon serves and stores.
#[derive(Clone, Debug)]
pub struct Service {
    /// Listen address of `/metrics`, API and page.
    pub listen: std::net::SocketAddr,
    /// Whether the listener may be open to the network although nobody has to say who they are.
    pub insecure_listen: bool,
    /// Names under which the listener answers, besides addresses, `localhost` and the host of `external_url`.
    pub hosts: Vec<String>,
    /// The web configuration: TLS and users of the listener.
    pub web_config: Option<PathBuf>,
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
    /// SHA-256 of its file.
    pub digest: String,
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

    /// Full ids of the scenarios that sensitive checks read, and no others do: what they saw tells what those checks say.
    pub fn sensitive_scenarios(&self) -> BTreeSet<&str> {
        let read = |sensitive: bool| {
            let checks = self.checks().filter(move |(_, check)| check.sensitive == sensitive);
            checks.flat_map(|(_, check)| check.scenarios())
        };
        let open: BTreeSet<&str> = read(false).collect();
        read(true).filter(|scenario| !open.contains(scenario)).collect()
    }
}
