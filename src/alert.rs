//! Alerts: from what was judged to what Alertmanager is told. The fold is pure (no IO, no clock: the moment is always given);
//! the desk is the task that owns it; the push delivers. Data moves one way, with one edge back: commands for the schedule.
//!
//! ```text
//! Run ─▶ desk ─▶ fold (pure) ─▶ what fires now ─▶ push ─▶ every Alertmanager
//!                  └▶ commands (confirm, probe) ─▶ schedule
//! ```

pub mod attempts;
pub mod board;
pub mod desk;
pub mod firing;
pub mod fold;
pub mod push;
pub mod text;
pub mod watch;

mod checks;
mod deploys;
mod draft;
mod evidence;
mod machine;
mod modules;
mod ourselves;
mod promises;
mod sockets;
mod sustained;

pub use checks::needing_sockets;
pub use machine::WatchState;

use crate::catalog::Severity;
pub use crate::catalog::watch::Credential;
use crate::closed_set;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

closed_set! {
    /// Names of the alerts that the daemon itself makes (observability.md C3); the rules in `deploy/prometheus` use the same.
    pub enum AlertName {
        /// A socket's upgrades are answered with HTTP 500, confirmed.
        UpgradeHttp500 => "StagewatchWebSocketUpgradeHTTP500",
        /// A socket's upgrades fail in another way, confirmed.
        UpgradeFailing => "StagewatchWebSocketUpgradeFailing",
        /// A valid token gets a 101 and then no session, confirmed.
        SessionBroken => "StagewatchWebSocketSessionBroken",
        /// A check fails again and again.
        CheckFailing => "StagewatchCheckFailing",
        /// A critical check could not be judged for several periods.
        CheckUnjudged => "StagewatchCheckUnjudged",
        /// Every judged check of a module fails.
        ModuleDown => "StagewatchModuleDown",
        /// Too much of a module is unknown for too long.
        ModuleBlind => "StagewatchModuleBlind",
        /// A latency promise is not kept.
        LatencyTargetMissed => "StagewatchLatencyTargetMissed",
        /// Our own network is suspect.
        MonitorNetworkSuspect => "StagewatchMonitorNetworkSuspect",
        /// Our own fault keeps checks from being judged.
        MonitorFault => "StagewatchMonitorFault",
        /// The push path is alive: a lease that an outside dead-man's-switch misses.
        PushHeartbeat => "StagewatchPushHeartbeat",
    }
}

/// What makes an alert this one and no other: its name and the labels that tell it from others of the same name
/// (`socket`, `credential`, `outcome`, `module`, `check`, `latency_target`, …), without those every alert carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertId {
    /// Name.
    pub name: AlertName,
    /// Own labels.
    pub labels: BTreeMap<String, String>,
}

/// A firing alert, ready to be pushed. Every text has been redacted and made inert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Which.
    pub id: AlertId,
    /// How bad; `None` is the heartbeat's `none`.
    pub severity: Option<Severity>,
    /// For routing.
    pub owner: String,
    /// Seconds since 1970 of the first wrong answer; never changes while it fires.
    pub starts_at: f64,
    /// `summary`, `description`, `runbook_url`, `dashboard_url`, …
    pub annotations: BTreeMap<String, String>,
    /// Page of this daemon about it, below `external_url`.
    pub page: String,
}

/// What is kept of a firing alert across restarts: enough to go on with it without paging again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptAlert {
    /// The alert as last pushed.
    pub alert: Alert,
    /// Seconds since 1970 at which its last lease ends, as far as is known.
    pub lease_until: f64,
}

/// Keeps firing alerts across restarts. Calls are short and never wait for a disk.
pub trait Keep: Send + Sync {
    /// What fired when it was last said.
    fn firing(&self) -> Vec<KeptAlert>;
    /// What fires now, whole: what is missing has ended.
    fn keep(&self, firing: &[KeptAlert]);
}

/// What the fold asks of the schedule. What comes of it arrives as ordinary runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first wrong answer: run the watch of this socket and credential so many more times, at once and on fresh
    /// connections, and beside them once every scenario that is scheduled `on_confirm` of this socket.
    Confirm {
        /// Which socket.
        socket: String,
        /// Which watch.
        credential: Credential,
        /// How many more attempts.
        attempts: u32,
    },
    /// It is failing, or was: run its watch once now, without waiting for its slot.
    Probe {
        /// Which socket.
        socket: String,
        /// Which watch.
        credential: Credential,
    },
    /// A check is confirmed to fail: run these scenarios (full ids) once now, because what they see explains it.
    Ask {
        /// Which scenarios.
        scenarios: Vec<String>,
    },
}

/// Carries out commands: the schedule. Never waits; what a budget or a full queue forbids does not happen, and is counted.
pub trait Obey: Send + Sync {
    /// Carries out one command.
    fn obey(&self, command: &Command);
}

/// Delivers what fires: the push. Never waits.
pub trait Deliver: Send + Sync {
    /// What fires now, whole: an alert that is missing has ended, and its lease is renewed no more.
    fn deliver(&self, firing: &[Alert]);
}

/// What maintenance mutes now: alerts about it are not created; those that fire go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Muted {
    /// Modules under maintenance.
    pub modules: BTreeSet<String>,
    /// Whether the whole target is.
    pub whole: bool,
}

closed_set! {
    /// Why alerts about something are not created (label `cause` of `stagewatch_alert_suppressed`).
    pub enum Cause {
        /// A maintenance window.
        Maintenance => "maintenance",
        /// It needs a socket, and a socket alert fires or is about to.
        Dependency => "dependency",
        /// The target was just deployed.
        DeployGrace => "deploy_grace",
        /// The module is outside its active hours.
        ActiveHours => "active_hours",
    }
}

/// Alerts about this are not created now. Empty names: the whole target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Suppressed {
    /// Module.
    pub module: String,
    /// Check in it.
    pub check: String,
    /// Socket.
    pub socket: String,
    /// Why.
    pub cause: Cause,
}

closed_set! {
    /// How far a page has come, for `stagewatch_page_stage_seconds`; each is measured from the first wrong answer.
    pub enum Stage {
        /// All attempts of the burst were wrong.
        Confirmed => "confirmed",
        /// Its text with the diagnosis was ready and handed to the push.
        Diagnosed => "diagnosed",
        /// An Alertmanager has taken it.
        Accepted => "accepted",
        /// An Alertmanager shows it.
        Visible => "visible",
    }
}
