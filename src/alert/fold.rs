//! From everything that was judged to what fires now, and to what the schedule should do about it. Pure: no IO, no clock;
//! every moment is given. Only right answers and passes end what fires (invariant 9): `unknown`, refused runs, silence and a
//! restart end nothing. Must not: know a text, an address or a transport.

use super::attempts::Feeds;
use super::firing::{About, Firing, id};
use super::sockets::{Sockets, WatchState};
use super::{Alert, AlertName, Cause, Command, Muted, Suppressed};
use crate::catalog::Catalog;
use crate::limits::INSTANCES_KNOWN_MAX;
use crate::run::{Measured, Run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What the fold is told at each tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// What maintenance mutes.
    pub muted: Muted,
    /// Share of the control addresses that answer; none without controls.
    pub controls: Option<f64>,
}

/// All alert state.
#[derive(Debug)]
pub struct Fold {
    catalog: Arc<Catalog>,
    feeds: Feeds,
    sockets: Sockets,
    signals: Signals,
    deploys: Deploys,
    /// Since when the heartbeat has been sent, over restarts.
    beating_since: f64,
}

/// When the target was last deployed, as far as we know.
#[derive(Debug)]
struct Deploys {
    grace: Duration,
    series: Option<String>,
    /// Instances of the target that have answered before.
    known: BTreeSet<String>,
    marked_at: Option<f64>,
}

impl Fold {
    /// Nothing is known, nothing fires but the heartbeat.
    pub fn new(catalog: &Arc<Catalog>, now: f64) -> Self {
        Self {
            feeds: Feeds::of(catalog),
            sockets: Sockets::new(catalog),
            signals: Signals::default(),
            deploys: Deploys {
                grace: catalog.alerting.deploy_grace,
                series: catalog.alerting.instance_series.clone(),
                known: BTreeSet::new(),
                marked_at: None,
            },
            beating_since: now,
            catalog: Arc::clone(catalog),
        }
    }

    /// Takes what was judged.
    pub fn take(&mut self, run: &Run, now: f64) -> Vec<Command> {
        if self.deploys.notices(&run.measures) {
            self.mark_deploy(now);
        }
        let mut commands = Vec::new();
        if let Some(transcript) = &run.transcript {
            let seen = self.feeds.read(transcript);
            commands = self.sockets.take(&seen, self.deploys.in_grace(now), now);
        }
        self.settle();
        commands
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64, signals: Signals) -> Vec<Command> {
        self.signals = signals;
        let commands = self.sockets.tick(now);
        self.deploys.expire(now);
        self.settle();
        commands
    }

    /// The target was deployed: for a while sockets are only observed.
    pub fn mark_deploy(&mut self, now: f64) {
        self.deploys.marked_at = Some(now);
        self.sockets.observe();
        self.settle();
    }

    /// Instances of the target that have answered before this process started: they mean no deploy.
    pub fn know_instances<'a>(&mut self, values: impl IntoIterator<Item = &'a Value>) {
        for value in values {
            self.deploys.learn(value);
        }
    }

    /// Goes on with alerts that fired before a restart, or that an Alertmanager still has. Gives those that it goes on with:
    /// what the configuration no longer has is dropped.
    pub fn adopt(&mut self, alerts: &[Alert]) -> Vec<Alert> {
        let adopted = alerts.iter().filter(|alert| self.adopt_one(alert));
        let adopted: Vec<Alert> = adopted.cloned().collect();
        self.settle();
        adopted
    }

    fn adopt_one(&mut self, alert: &Alert) -> bool {
        match alert.id.name {
            AlertName::UpgradeHttp500 | AlertName::UpgradeFailing | AlertName::SessionBroken => {
                self.sockets.adopt(alert)
            }
            AlertName::PushHeartbeat => {
                self.beating_since = self.beating_since.min(alert.starts_at);
                true
            }
            _ => false,
        }
    }

    /// Creates and drops alerts by the states as they are now.
    fn settle(&mut self) {
        let (signals, feeds) = (&self.signals, &self.feeds);
        self.sockets.create(|socket| muted_socket(signals, feeds, socket));
    }

    /// What fires.
    pub fn firing(&self) -> Vec<Firing> {
        let mut firing = self.sockets.firing();
        firing.push(Firing {
            id: id(AlertName::PushHeartbeat, &[]),
            severity: None,
            owner: self.catalog.alerting.monitor_owner.clone(),
            starts_at: self.beating_since,
            about: About::Heartbeat,
        });
        firing
    }

    /// What is not alerted about now although it could be, and why; what fires already is not muted.
    pub fn suppressed(&self) -> BTreeSet<Suppressed> {
        let mut suppressed = BTreeSet::new();
        if self.signals.muted.whole {
            suppressed.insert(Suppressed::target(Cause::Maintenance));
        }
        for socket in self.sockets.names().filter(|socket| !self.sockets.fires(socket)) {
            if muted_socket(&self.signals, &self.feeds, socket) {
                suppressed.insert(Suppressed::socket(socket, Cause::Maintenance));
            }
            if self.deploys.marked_at.is_some() {
                suppressed.insert(Suppressed::socket(socket, Cause::DeployGrace));
            }
        }
        suppressed
    }

    /// Whether some socket is suspected of a failure or has one that pages.
    pub fn socket_in_doubt(&self) -> bool {
        self.sockets.in_doubt()
    }

    /// Every watch as it stands.
    pub fn watches(&self) -> Vec<WatchState> {
        self.sockets.states()
    }
}

/// Whether maintenance mutes a socket: the whole target's, or that of every module that watches it.
fn muted_socket(signals: &Signals, feeds: &Feeds, socket: &str) -> bool {
    signals.muted.whole
        || feeds
            .modules(socket)
            .is_some_and(|modules| modules.is_subset(&signals.muted.modules))
}

impl Suppressed {
    fn target(cause: Cause) -> Self {
        Self {
            module: String::new(),
            check: String::new(),
            socket: String::new(),
            cause,
        }
    }

    fn socket(socket: &str, cause: Cause) -> Self {
        Self {
            socket: socket.to_owned(),
            ..Self::target(cause)
        }
    }
}

impl Deploys {
    /// Whether a measurement names an instance that has never answered. The first one ever is no news.
    fn notices(&mut self, measures: &[Measured]) -> bool {
        let Some(series) = self.series.clone() else {
            return false;
        };
        let first = self.known.is_empty();
        let values = measures.iter().filter(|measured| measured.series == series);
        let mut news = false;
        for measured in values {
            news |= self.learn(&measured.value);
        }
        news && !first
    }

    /// Learns the instances that a value names; gives whether one of them is new.
    fn learn(&mut self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().fold(false, |news, item| self.learn(item) | news),
            Value::String(name) => self.insert(name.clone()),
            Value::Number(number) => self.insert(number.to_string()),
            _ => false,
        }
    }

    fn insert(&mut self, name: String) -> bool {
        if self.known.len() >= INSTANCES_KNOWN_MAX && !self.known.contains(&name) {
            // A series that names another instance each time says nothing about deploys.
            return false;
        }
        self.known.insert(name)
    }

    fn in_grace(&self, now: f64) -> bool {
        self.marked_at
            .is_some_and(|at| now - at < self.grace.as_secs_f64() && now >= at - 60.0)
    }

    fn expire(&mut self, now: f64) {
        if !self.in_grace(now) {
            self.marked_at = None;
        }
    }
}
