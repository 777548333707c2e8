//! A scenario, compiled: when it runs, as whom, which steps, what it measures, what it costs.

use super::step::Step;
use crate::expression::Expression;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// What it sees explains failing checks: it runs once more when an alert about one is confirmed, before that is told.
    pub explains: bool,
}

impl Scenario {
    /// Whether it may use what limits keep in reserve: it watches a socket, or explains what a watch saw.
    pub fn may_use_reserve(&self) -> bool {
        self.feeds_watch || matches!(self.schedule, Schedule::OnConfirm { .. })
    }
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
    /// Only when an upgrade of this socket has just been answered wrongly: beside the confirm burst.
    OnConfirm {
        /// Name of the endpoint.
        socket: String,
    },
}

/// A credential that a scenario uses.
#[derive(Clone, Debug)]
pub struct CredentialUse {
    /// Local name.
    pub name: String,
    /// Name in [`crate::catalog::Catalog::credentials`].
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
