//! The shape of `alerting`: where alerts go, when they are made, when they are not.

use super::{Lasting, Named, SecretSource, Text, TextOr};
use schemars::JsonSchema;
use serde::Deserialize;

/// How alerts are made and where they go. Durations are real ones: `time_scale` does not touch them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerting {
    /// Where alerts go: every one gets every alert, never through a load balancer. Without any, nothing is pushed.
    #[serde(default)]
    pub alertmanagers: Vec<Alertmanager>,
    /// How far ahead a pushed alert ends unless renewed; at least four times `resend`; 120s when left out.
    pub lease: Option<Lasting>,
    /// How often firing alerts are sent again, at most 30s; 15s when left out.
    pub resend: Option<Lasting>,
    /// When a socket is failing.
    #[serde(default)]
    pub sockets: SocketRule,
    /// When a check alerts.
    #[serde(default)]
    pub checks: CheckRule,
    /// For so long after a deploy mark or a new instance the sockets are only observed; 90s when left out.
    pub deploy_grace: Option<Lasting>,
    /// Series of a measure whose new value means that another instance answers: a deploy mark.
    pub instance_series: Option<String>,
    /// How soon a page should reach Alertmanager; `validate` warns about alerts that may take longer.
    pub time_to_page: Option<Lasting>,
    /// Recurring maintenance: checks go on, alerts are not created.
    #[serde(default)]
    pub maintenance: Vec<Maintenance>,
    /// `owner` of alerts that belong to no module; `staging` when left out.
    pub owner: Option<String>,
    /// `owner` of alerts about the monitor itself; `monitoring` when left out.
    pub monitor_owner: Option<String>,
    /// URL of the page whose fragments are the runbooks, one an alert; needed with an Alertmanager.
    pub runbooks: Option<String>,
    /// URL of the dashboards.
    pub dashboards: Option<String>,
    /// Labels added to every pushed alert, by name.
    #[serde(default)]
    pub labels: Named<Text>,
}

/// One Alertmanager, or all that a name stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// Name in metrics.
    pub name: String,
    /// `http` or `https` URL with its path prefix, without `/api/v2`.
    pub url: String,
    /// Resolve the host every 30s and push to each of its addresses; for a name that stands for several Alertmanagers.
    #[serde(default)]
    pub every_address: bool,
    /// HTTP basic authentication.
    pub basic: Option<BasicAuth>,
    /// Bearer token.
    pub bearer: Option<SecretSource>,
    /// Extra headers by name: a text, or a secret.
    #[serde(default)]
    pub headers: Named<TextOr<SecretSource>>,
    /// PEM file with the authorities trusted instead of the system's.
    pub ca_file: Option<String>,
    /// Deadline of one push; 3s when left out.
    pub within: Option<Lasting>,
}

/// HTTP basic authentication.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub user: String,
    /// Password.
    pub password: SecretSource,
}

/// When a socket is failing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SocketRule {
    /// Attempts that follow a first wrong answer at once; all must be wrong; 3 when left out.
    pub attempts: Option<u32>,
    /// Within which they start, and their siblings are waited for; 2s when left out.
    pub confirm_within: Option<Lasting>,
    /// How often a failing socket is tried; 15s when left out.
    pub probe_every: Option<Lasting>,
    /// Right answers in a row that end it; 3 when left out.
    pub close_after: Option<u32>,
    /// How long they must have lasted; 60s when left out.
    pub close_for: Option<Lasting>,
}

/// When a check alerts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRule {
    /// Failed judgements, without a pass in between, that open an alert; 2 when left out.
    pub failures: Option<u32>,
    /// Passes in a row that close it; 1 when left out.
    pub passes: Option<u32>,
    /// Unjudged periods in a row after which a critical check alerts by blame; 3 when left out.
    pub unjudged: Option<u32>,
}

/// A recurring window in which alerts are not created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Cron pattern of its starts, five fields.
    pub starts: String,
    /// IANA time zone; UTC when left out.
    pub zone: Option<String>,
    /// How long it lasts.
    pub lasts: Lasting,
    /// Modules it is about; the whole target when left out.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Shown to people.
    pub reason: String,
}
