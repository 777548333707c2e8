//! Alerts about the monitor itself: its network, its own faults, and the heartbeat that is missed when it is gone. Pure.
//! Maintenance of the target mutes none of them.

use super::firing::{About, Firing, id};
use super::sustained::Sustained;
use super::{Alert, AlertName};
use crate::catalog::{Catalog, Severity};
use std::time::Duration;

/// Share of the control addresses below which our network is suspect.
const REACHABLE_MIN: f64 = 0.5;
/// How long it must be.
const SUSPECT_FOR: Duration = Duration::from_secs(60);
/// How long a fault of a former process is held, until what it was about had time to show itself again.
const HELD_FOR: f64 = 900.0;

/// What concerns ourselves.
#[derive(Debug)]
pub(super) struct Ourselves {
    owner: String,
    network: Sustained,
    reachable: f64,
    fault: Option<Fault>,
    beating_since: f64,
}

#[derive(Debug)]
struct Fault {
    since: f64,
    checks: Vec<String>,
    held_until: f64,
}

impl Ourselves {
    pub(super) fn new(catalog: &Catalog, now: f64) -> Self {
        Self {
            owner: catalog.alerting.monitor_owner.clone(),
            network: Sustained::default(),
            reachable: 1.0,
            fault: None,
            beating_since: now,
        }
    }

    /// Time has passed: the share of the control addresses that answer, and the checks that our own fault keeps from being
    /// judged with the moment of each first.
    pub(super) fn tick(&mut self, now: f64, controls: Option<f64>, ours: Vec<(String, f64)>) {
        self.reachable = controls.unwrap_or(self.reachable);
        let suspect = controls.map(|ratio| ratio < REACHABLE_MIN);
        self.network.update(suspect, now, (SUSPECT_FOR, false));
        if ours.is_empty() {
            if self.fault.as_ref().is_some_and(|fault| now >= fault.held_until) {
                self.fault = None;
            }
            return;
        }
        let since = ours.iter().map(|(_, since)| *since).fold(f64::INFINITY, f64::min);
        let fault = self.fault.get_or_insert(Fault {
            since,
            checks: Vec::new(),
            held_until: now,
        });
        fault.checks = ours.into_iter().map(|(check, _)| check).collect();
        fault.held_until = now;
    }

    /// What fires: always the heartbeat.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let mut firing = vec![self.says(AlertName::PushHeartbeat, self.beating_since, About::Heartbeat)];
        if let Some(since) = self.network.firing() {
            let about = About::Network { ratio: self.reachable };
            firing.push(self.says(AlertName::MonitorNetworkSuspect, since, about));
        }
        if let Some(fault) = &self.fault {
            let about = About::Fault {
                checks: fault.checks.clone(),
            };
            firing.push(self.says(AlertName::MonitorFault, fault.since, about));
        }
        firing
    }

    fn says(&self, name: AlertName, starts_at: f64, about: About) -> Firing {
        Firing {
            id: id(name, &[]),
            severity: (name != AlertName::PushHeartbeat).then_some(Severity::Warning),
            owner: self.owner.clone(),
            starts_at,
            about,
        }
    }

    /// Goes on with an alert of a former process.
    pub(super) fn adopt(&mut self, alert: &Alert, now: f64) -> bool {
        let since = alert.starts_at;
        match alert.id.name {
            AlertName::PushHeartbeat => self.beating_since = self.beating_since.min(since),
            AlertName::MonitorNetworkSuspect => self.network.adopt(since),
            AlertName::MonitorFault => {
                let fault = self.fault.get_or_insert(Fault {
                    since,
                    checks: Vec::new(),
                    held_until: now + HELD_FOR,
                });
                fault.since = fault.since.min(since);
            }
            _ => return false,
        }
        true
    }
}
