//! How alerts are made and where they go, compiled. Durations are real ones: `time_scale` does not touch them.

use crate::catalog::{ActiveHours, Shown};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Everything about alerts.
#[derive(Clone, Debug)]
pub struct Alerting {
    /// Where alerts go: every one of them gets every alert. Empty: nothing is pushed, states and metrics are kept all the same.
    pub alertmanagers: Vec<Alertmanager>,
    /// `endsAt` of a pushed alert lies this far ahead; it is renewed each [`Alerting::resend`]. At least four of those.
    pub lease: Duration,
    /// How often firing alerts are sent again; also how soon a restarted Alertmanager knows them again.
    pub resend: Duration,
    /// When a socket is failing and when it is well again.
    pub sockets: SocketRule,
    /// When a check alerts and when it is well again.
    pub checks: CheckRule,
    /// For so long after a deploy mark or a new instance the sockets are only observed.
    pub deploy_grace: Duration,
    /// Series of a measure whose value, when new, means that another instance of the target answers: a deploy mark.
    pub instance_series: Option<String>,
    /// How soon a page should reach Alertmanager; `validate` warns about alerts whose bound is above it.
    pub time_to_page: Option<Duration>,
    /// Recurring maintenance.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Value of `owner` on alerts that belong to no module.
    pub owner: String,
    /// Value of `owner` on alerts about the monitor itself.
    pub monitor_owner: String,
    /// Base of `runbook_url`: the alert's name in lower case is appended as a fragment. Required with an Alertmanager.
    pub runbooks: Option<Url>,
    /// Base of `dashboard_url`, if there is a Grafana.
    pub dashboards: Option<Url>,
    /// Labels added to every pushed alert; a drill says `drill="true"` here.
    pub labels: BTreeMap<String, String>,
}

impl Default for Alerting {
    /// What holds when the configuration says nothing: no Alertmanager, the times of observability.md C2.
    fn default() -> Self {
        Self {
            alertmanagers: Vec::new(),
            lease: Duration::from_secs(120),
            resend: Duration::from_secs(15),
            sockets: SocketRule {
                attempts: 3,
                confirm_within: Duration::from_secs(2),
                probe_every: Duration::from_secs(15),
                close_after: 3,
                close_for: Duration::from_secs(60),
            },
            checks: CheckRule {
                failures: 2,
                passes: 1,
                unjudged: 3,
            },
            deploy_grace: Duration::from_secs(90),
            instance_series: None,
            time_to_page: None,
            maintenance: Vec::new(),
            owner: "staging".to_owned(),
            monitor_owner: "monitoring".to_owned(),
            runbooks: None,
            dashboards: None,
            labels: BTreeMap::new(),
        }
    }
}

/// When a socket is failing (observability.md C2).
#[derive(Clone, Debug)]
pub struct SocketRule {
    /// Further attempts of the confirm burst; with the first one all must be wrong.
    pub attempts: u32,
    /// Within which the burst starts and its siblings are waited for.
    pub confirm_within: Duration,
    /// How often a failing socket is tried.
    pub probe_every: Duration,
    /// Right answers in a row that end it …
    pub close_after: u32,
    /// … when they have lasted at least this long.
    pub close_for: Duration,
}

/// When a check alerts.
#[derive(Clone, Debug)]
pub struct CheckRule {
    /// Failed judgements without a pass in between that open an alert.
    pub failures: u32,
    /// Passes in a row that close it.
    pub passes: u32,
    /// Unjudged periods in a row after which a critical check alerts by blame.
    pub unjudged: u32,
}

/// One Alertmanager, or all that a name stands for.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    /// Configured name: the label value.
    pub name: String,
    /// Base URL with its path prefix, without `/api/v2`.
    pub url: Url,
    /// Resolve the host anew every 30 s and push to each of its addresses, never to one behind a balancer.
    pub every_address: bool,
    /// How we authenticate.
    pub auth: PushAuth,
    /// Extra headers, such as a tenant.
    pub headers: BTreeMap<String, Secret>,
    /// PEM of the authorities trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one push.
    pub within: Duration,
}

/// How a push authenticates.
#[derive(Clone, Debug)]
pub enum PushAuth {
    /// Not at all.
    Nobody,
    /// HTTP basic.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: Secret,
    },
    /// Bearer token: one that stays, or one of our own workload.
    Bearer(Shown),
}

/// A recurring window in which alerts are not created.
#[derive(Clone, Debug)]
pub struct MaintenanceWindow {
    /// Shown to people.
    pub reason: String,
    /// Modules it is about; empty means the whole target.
    pub modules: Vec<String>,
    /// Cron pattern (five fields) of its starts, and its zone.
    pub starts: ActiveHours,
    /// How long each lasts.
    pub lasts: Duration,
}
