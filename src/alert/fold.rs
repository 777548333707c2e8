//! From everything that was judged to what fires now, and to what the schedule should do about it. Pure: no IO, no clock;
//! every moment is given. Only right answers and passes end what fires (invariant 9): `unknown`, refused runs, silence and a
//! restart end nothing. Must not: know a text, an address or a transport.

use super::attempts::Feeds;
use super::checks::Checks;
use super::deploys::Deploys;
use super::firing::Firing;
use super::machine::WatchState;
use super::modules::Modules;
use super::ourselves::Ourselves;
use super::promises::Promises;
use super::sockets::Sockets;
use super::{Alert, AlertName, Cause, Command, Muted, Suppressed};
use crate::catalog::Catalog;
use crate::run::Run;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the fold is told at each tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// What maintenance mutes.
    pub muted: Muted,
    /// Share of the control addresses that answer; none without controls.
    pub controls: Option<f64>,
    /// When the youngest instance of the target that answered so far started, seconds since 1970; none when no answer says so.
    pub instance_started: Option<f64>,
}

/// All alert state.
#[derive(Debug)]
pub struct Fold {
    feeds: Feeds,
    sockets: Sockets,
    checks: Checks,
    modules: Modules,
    promises: Promises,
    ourselves: Ourselves,
    signals: Signals,
    deploys: Deploys,
    /// The latest moment that was given.
    now: f64,
}

impl Fold {
    /// Nothing is known, nothing fires but the heartbeat.
    pub fn new(catalog: &Catalog, now: f64) -> Self {
        Self {
            feeds: Feeds::of(catalog),
            sockets: Sockets::new(catalog),
            checks: Checks::new(catalog),
            modules: Modules::new(catalog),
            promises: Promises::new(catalog),
            ourselves: Ourselves::new(catalog, now),
            signals: Signals::default(),
            deploys: Deploys::new(&catalog.alerting),
            now,
        }
    }

    /// Takes what was judged.
    pub fn take(&mut self, run: &Run, now: f64) -> Vec<Command> {
        self.now = now;
        // What is in doubt has been until now, whatever this run says of it.
        self.doubt(now);
        if self.deploys.notices(&run.measures) {
            self.another_instance(now);
        }
        self.promises.take(&run.measures, now);
        let mut commands = Vec::new();
        if let Some(transcript) = &run.transcript {
            let seen = self.feeds.read(transcript);
            commands = self.sockets.take(&seen, self.deploys.in_grace(now), now);
        }
        self.doubt(now);
        if let Some(transcript) = &run.transcript {
            let doubt = self.in_doubt();
            self.checks.ran(&transcript.scenario, transcript.started_unix, doubt);
        }
        self.judged(run);
        self.settle();
        commands
    }

    /// Judgements: first all of them, then what they say of their modules, then alerts about single ones.
    fn judged(&mut self, run: &Run) {
        let doubt = self.in_doubt();
        for judgement in &run.judgements {
            self.checks.take(judgement, run.at, doubt);
        }
        let maintained = |muted: &Muted, module: &str| muted.whole || muted.modules.contains(module);
        for judgement in &run.judgements {
            let module = judgement.module.as_str();
            let muted = maintained(&self.signals.muted, module);
            self.modules.judged(module, &self.checks, muted);
        }
        for judgement in &run.judgements {
            let module = judgement.module.as_str();
            if !maintained(&self.signals.muted, module) && !self.modules.down(module) {
                self.checks.create(judgement, run.at);
            }
        }
    }

    /// Whether what needs a socket proves nothing now: one is suspected or pages, or the target was just deployed.
    fn in_doubt(&self) -> bool {
        self.sockets.in_doubt() || self.deploys.marked()
    }

    /// Checks of all our traffic go on to see what a socket in doubt answered.
    fn doubt(&mut self, now: f64) {
        if self.in_doubt() {
            self.checks.doubted(now);
        }
    }

    /// What others know has changed.
    pub fn hear(&mut self, now: f64, signals: Signals) {
        self.now = now;
        if self.deploys.started(signals.instance_started, now) {
            self.another_instance(now);
        }
        self.signals = signals;
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64, signals: Signals) -> Vec<Command> {
        self.hear(now, signals);
        let commands = self.sockets.tick(now);
        self.deploys.expire(now);
        self.doubt(now);
        let muted = &self.signals.muted;
        let maintained = |module: &str| muted.whole || muted.modules.contains(module);
        self.modules.tick(now, &self.checks, &maintained);
        self.promises.tick(now, muted.whole);
        self.ourselves.tick(now, self.signals.controls, self.checks.ours());
        self.settle();
        commands
    }

    /// An instance answers that never did: the target was deployed. One that follows wrong answers which a deploy has excused
    /// already excuses no more: a target that starts again and again is broken.
    fn another_instance(&mut self, now: f64) {
        if !self.sockets.excused() {
            self.mark_deploy(now);
        }
    }

    /// The target was deployed: for a while sockets are only observed.
    pub fn mark_deploy(&mut self, now: f64) {
        self.deploys.mark(now);
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
            AlertName::CheckFailing | AlertName::CheckUnjudged => self.checks.adopt(alert),
            AlertName::ModuleDown | AlertName::ModuleBlind => self.modules.adopt(alert),
            AlertName::LatencyTargetMissed => self.promises.adopt(alert),
            AlertName::MonitorNetworkSuspect | AlertName::MonitorFault | AlertName::PushHeartbeat => {
                self.ourselves.adopt(alert, self.now)
            }
        }
    }

    /// Creates and drops alerts by the states as they are now.
    fn settle(&mut self) {
        let (signals, feeds) = (&self.signals, &self.feeds);
        self.sockets
            .create(|socket| muted_socket(signals, feeds, socket), self.now);
    }

    /// What fires.
    pub fn firing(&self) -> Vec<Firing> {
        let mut firing = self.sockets.firing();
        firing.extend(self.modules.firing(&self.checks));
        firing.extend(self.checks.firing());
        firing.extend(self.promises.firing());
        firing.extend(self.ourselves.firing());
        firing
    }

    /// Whether another alert about this socket may come any moment, so that one that has just come should wait for it.
    pub fn undecided(&self, socket: &str) -> bool {
        self.sockets.undecided(socket)
    }

    /// What is not alerted about now although it could be, and why; what fires already is not muted.
    pub fn suppressed(&self) -> BTreeSet<Suppressed> {
        let mut suppressed = self.suppressed_sockets();
        let muted = &self.signals.muted;
        if muted.whole {
            suppressed.insert(Suppressed::of(("", "", ""), Cause::Maintenance));
        }
        let maintained = self.modules.names();
        for module in maintained.filter(|module| muted.whole || muted.modules.contains(*module)) {
            if self.checks.any_fires(module) || self.modules.down(module) {
                let silent = self.checks.of(module).filter(|(_, check)| !check.fires());
                suppressed
                    .extend(silent.map(|((_, check), _)| Suppressed::of((module, check, ""), Cause::Maintenance)));
            } else {
                suppressed.insert(Suppressed::of((module, "", ""), Cause::Maintenance));
            }
        }
        let dependent = self.checks.dependent(self.in_doubt());
        suppressed.extend(dependent.map(|(module, check)| Suppressed::of((module, check, ""), Cause::Dependency)));
        let resting = self.modules.resting(&self.checks);
        suppressed.extend(resting.map(|module| Suppressed::of((module, "", ""), Cause::ActiveHours)));
        suppressed
    }

    fn suppressed_sockets(&self) -> BTreeSet<Suppressed> {
        let mut suppressed = BTreeSet::new();
        for socket in self.sockets.names().filter(|socket| !self.sockets.fires(socket)) {
            if muted_socket(&self.signals, &self.feeds, socket) {
                suppressed.insert(Suppressed::of(("", "", socket), Cause::Maintenance));
            }
            if self.deploys.marked() {
                suppressed.insert(Suppressed::of(("", "", socket), Cause::DeployGrace));
            }
        }
        suppressed
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
    fn of((module, check, socket): (&str, &str, &str), cause: Cause) -> Self {
        Self {
            module: module.to_owned(),
            check: check.to_owned(),
            socket: socket.to_owned(),
            cause,
        }
    }
}
