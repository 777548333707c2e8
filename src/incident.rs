//! Incidents: from the first failure of a check or a socket to the recovery of everything that failed with it. A pure fold
//! over runs: no IO, no clock, the same runs give the same incidents. Failures of one cause are one incident; only a pass
//! ends it.

mod changes;
mod fold;
mod known;
mod signal;

pub use changes::{Change, changes};
pub use fold::{Fold, Moved};
pub use known::{Known, KnownCheck};

use crate::catalog::Severity;
use crate::closed_set;
use crate::diagnose::Diagnosis;
use crate::failure::{Failure, Kind};
use crate::logs::LogEntry;
use crate::sensitive::{Viewer, WITHHELD, shows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

closed_set! {
    /// What can be part of an incident.
    pub enum MemberKind {
        /// A check, as `module/check`.
        Check => "check",
        /// A socket with the credential shown, as `endpoint/credential`.
        Socket => "socket",
    }
}

/// From first failure to recovery. Every text has passed the redactor; what a target said is hostile still.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its identifier: when it opened, and by what.
    pub id: String,
    /// What is wrong, in one line.
    pub title: String,
    /// The worst severity of its checks.
    pub severity: Severity,
    /// The check that opened it is sensitive: all its texts are for callers with a token.
    #[serde(default)]
    pub sensitive: bool,
    /// Seconds since 1970 of the first failure's judgement.
    pub opened_at: f64,
    /// When everything in it had recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<f64>,
    /// Since when (seconds since 1970) what was seen may explain it: the start of the step that failed first, or of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<f64>,
    /// How it failed first.
    pub failure: Failure,
    /// What failed with it, in the order in which it did.
    pub members: Vec<Member>,
    /// Checks that it left unknown, as `module/check`.
    #[serde(default)]
    pub blocked: Vec<String>,
    /// The first bad evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<Seen>,
    /// The last good evidence of the same scenario, if any was seen since the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Seen>,
    /// What differs between the two.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What the rules say, with all that was known when its last member failed.
    #[serde(default)]
    pub diagnosis: Diagnosis,
    /// What the target's own log says of the time at which it opened, if the configuration says how to ask it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_log: Option<TargetLog>,
}

/// Errors of the target's own log around the opening of an incident. What a target wrote is hostile still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetLog {
    /// The entries, newest first, redacted and bounded.
    pub entries: Vec<LogEntry>,
    /// Why there are none, if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// A check or socket that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Which kind.
    pub kind: MemberKind,
    /// Its name.
    pub name: String,
    /// What it says.
    pub says: String,
    /// When it failed first.
    pub since: f64,
    /// When it recovered; none while it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// It judges the past, and recovers later than what it judges: it does not hold the incident open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aftermath: bool,
    /// What it says is for callers with a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// One transcript, pointed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// `module/scenario`.
    pub scenario: String,
    /// Run id.
    pub run: String,
    /// The step in question.
    pub step: String,
    /// Start of the run, RFC 3339.
    pub at: String,
    /// W3C trace id that the run's requests carried.
    pub trace_id: String,
    /// Trace and request ids that the target itself answered with, by header.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub target_ids: BTreeMap<String, String>,
    /// Where the target's log of that run is read, if the configuration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl Incident {
    /// How long it took, or has taken until `now` (seconds since 1970), in seconds.
    pub fn duration_s(&self, now: f64) -> f64 {
        (self.closed_at.unwrap_or(now) - self.opened_at).max(0.0)
    }

    /// Since when what was seen may explain it, seconds since 1970.
    pub fn began(&self) -> f64 {
        self.began_at.map_or(self.opened_at, |began| began.min(self.opened_at))
    }

    /// Whether a check (`module/check`) or socket (`endpoint/credential`) is part of it.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// The incident as `viewer` may see it: of a sensitive one only that there is one, how bad it is, and for how long. A
    /// sensitive check that fails with others hides only what it says itself: an outage must not look like a secret.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        let mut shown = self.clone();
        shown.diagnosis = shown.diagnosis.seen_by(viewer);
        for member in &mut shown.members {
            if !shows(member.sensitive, viewer) {
                WITHHELD.clone_into(&mut member.says);
            }
        }
        if !shows(self.sensitive, viewer) {
            WITHHELD.clone_into(&mut shown.title);
            shown.failure = Failure::new(Kind::Expectation, WITHHELD);
            for member in &mut shown.members {
                WITHHELD.clone_into(&mut member.says);
            }
            shown.changes.clear();
            shown.first_bad = None;
            shown.last_good = None;
            shown.target_log = None;
            shown.diagnosis = Diagnosis::default();
        }
        shown
    }
}
