//! What the fold says fires: which alert, since when, and what its text is made of. Plain data.

use super::{AlertId, AlertName, Credential};
use crate::catalog::Severity;
use crate::failure::{Blame, UpgradeOutcome};
use crate::transcript::sessions::SessionOutcome;

/// An alert that fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Which.
    pub id: AlertId,
    /// How bad; none is the heartbeat's `none`.
    pub severity: Option<Severity>,
    /// For routing.
    pub owner: String,
    /// Seconds since 1970 of the first wrong answer.
    pub starts_at: f64,
    /// What it is about.
    pub about: About,
}

/// What an alert is about, with what the fold itself knows of it.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// Upgrades.
    Upgrade {
        /// Endpoint.
        socket: String,
        /// What was shown.
        credential: Credential,
        /// How it fails.
        outcome: UpgradeOutcome,
        /// Wrong answers that confirmed it, all of them; 0 when it was adopted.
        wrong: u32,
    },
    /// Sessions after a 101.
    Session {
        /// Endpoint.
        socket: String,
        /// What follows instead of the welcome.
        outcome: SessionOutcome,
        /// Openings that confirmed it; 0 when it was adopted.
        wrong: u32,
    },
    /// A check that fails.
    Check {
        /// Its module.
        module: String,
        /// Its id.
        check: String,
        /// Failed judgements since the last pass.
        failures: u32,
    },
    /// A check that could not be judged.
    Unjudged {
        /// Its module.
        module: String,
        /// Its id.
        check: String,
        /// Who is to blame.
        blame: Blame,
        /// Judgements in a row that could not be made.
        times: u32,
    },
    /// A module of which nothing passes.
    Module {
        /// Which.
        module: String,
        /// Checks that fail.
        failing: usize,
    },
    /// A module of which too little can be judged.
    Blind {
        /// Which.
        module: String,
        /// Share that could be judged, over an hour.
        coverage: f64,
    },
    /// A promise about latency.
    Latency {
        /// Which.
        target: String,
        /// Share of the samples within it.
        share: f64,
        /// Samples.
        samples: u32,
    },
    /// Our own network.
    Network {
        /// Share of the control addresses that answer.
        ratio: f64,
    },
    /// Our own fault.
    Fault {
        /// Checks that cannot be judged because of it, as `module/check`.
        checks: Vec<String>,
    },
    /// The push path is alive.
    Heartbeat,
}

/// Makes an id from pairs.
pub(super) fn id(name: AlertName, labels: &[(&str, &str)]) -> AlertId {
    AlertId {
        name,
        labels: labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect(),
    }
}
