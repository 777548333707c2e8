//! The watches of all sockets: upgrades by credential, and sessions. From answers to commands and to what fires. Pure.

use super::attempts::{Attempt, Opening, Seen};
use super::firing::{About, Firing, id};
use super::watch::{Change, Failing, Outcome, State, Watch};
use super::{Alert, AlertId, AlertName, Command, Credential};
use crate::catalog::alerting::SocketRule;
use crate::catalog::{Catalog, Severity};
use crate::failure::UpgradeOutcome;
use crate::transcript::sessions::SessionOutcome;
use serde::Serialize;
use std::collections::BTreeMap;

/// A watch with what belongs to its alert.
#[derive(Debug)]
struct Machine<O> {
    watch: Watch<O>,
    /// Its alert was created, and goes on until the watch closes it.
    created: bool,
    /// When a burst was last asked for.
    burst_at: f64,
    /// A suspicion that came too soon after the last burst still wants one.
    wants_burst: bool,
}

impl<O> Default for Machine<O> {
    fn default() -> Self {
        Self {
            watch: Watch::default(),
            created: false,
            burst_at: f64::NEG_INFINITY,
            wants_burst: false,
        }
    }
}

/// A watch as it stands, for people and metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WatchState {
    /// Endpoint.
    pub socket: String,
    /// What is shown; none for the sessions.
    pub credential: Option<Credential>,
    /// `well`, `suspected` or `failing`.
    pub state: &'static str,
    /// How it fails.
    pub outcome: Option<&'static str>,
    /// Moment of the first wrong answer, seconds since 1970.
    pub since: Option<f64>,
    /// Whether this process has judged an answer.
    pub judged: bool,
}

/// All watches.
#[derive(Debug)]
pub(super) struct Sockets {
    rule: SocketRule,
    owner: String,
    upgrades: BTreeMap<(String, Credential), Machine<UpgradeOutcome>>,
    sessions: BTreeMap<String, Machine<SessionOutcome>>,
}

impl Sockets {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let sockets = || catalog.target.sockets.keys();
        let watched = sockets().flat_map(|socket| Credential::ALL.iter().map(|shown| (socket.clone(), *shown)));
        Self {
            rule: catalog.alerting.sockets.clone(),
            owner: catalog.alerting.owner.clone(),
            upgrades: watched.map(|key| (key, Machine::default())).collect(),
            sessions: sockets().map(|socket| (socket.clone(), Machine::default())).collect(),
        }
    }

    /// Takes what one transcript told. While `observing` nothing new is suspected.
    pub(super) fn take(&mut self, seen: &Seen, observing: bool, now: f64) -> Vec<Command> {
        let mut commands = Vec::new();
        for Attempt {
            socket,
            credential,
            at,
            outcome,
        } in &seen.attempts
        {
            if let Some(machine) = self.upgrades.get_mut(&(socket.clone(), *credential))
                && machine.take((*at, *outcome), &self.rule, observing, now)
            {
                commands.push(self.rule.burst(socket, *credential));
            }
        }
        for Opening { socket, at, outcome } in &seen.openings {
            if let Some(machine) = self.sessions.get_mut(socket)
                && machine.take((*at, *outcome), &self.rule, observing, now)
            {
                commands.push(self.rule.burst(socket, Credential::Valid));
            }
        }
        commands
    }

    /// Tries what fails, and gives bursts to suspicions that had to wait for one.
    pub(super) fn tick(&mut self, now: f64) -> Vec<Command> {
        let mut commands = Vec::new();
        let rule = &self.rule;
        for ((socket, credential), machine) in &mut self.upgrades {
            commands.extend(machine.tick(rule, now, (socket, *credential)));
        }
        for (socket, machine) in &mut self.sessions {
            commands.extend(machine.tick(rule, now, (socket, Credential::Valid)));
        }
        // One run tries the upgrade and the session.
        let mut once: Vec<Command> = Vec::new();
        for command in commands {
            if !once.contains(&command) {
                once.push(command);
            }
        }
        once
    }

    /// From now on only observed.
    pub(super) fn observe(&mut self) {
        self.upgrades.values_mut().for_each(|machine| machine.watch.observe());
        self.sessions.values_mut().for_each(|machine| machine.watch.observe());
    }

    /// Whether some socket is suspected of a failure, or has one that pages: then what needs a socket proves nothing new.
    pub(super) fn in_doubt(&self) -> bool {
        let upgrades = self.upgrades.iter().any(|((_, credential), machine)| {
            machine.watch.suspected()
                || machine
                    .watch
                    .failing()
                    .is_some_and(|failing| severity(failing.outcome, *credential) == Severity::Critical)
        });
        let sessions = self.sessions.values();
        upgrades
            || sessions
                .map(|machine| &machine.watch)
                .any(|watch| watch.suspected() || watch.failing().is_some())
    }

    /// Creates the alerts of what fails where `muted` does not forbid it, and drops those that have ended.
    pub(super) fn create(&mut self, muted: impl Fn(&str) -> bool) {
        for ((socket, _), machine) in &mut self.upgrades {
            machine.create(muted(socket));
        }
        for (socket, machine) in &mut self.sessions {
            machine.create(muted(socket));
        }
    }

    /// Whether an alert about `socket` fires.
    pub(super) fn fires(&self, socket: &str) -> bool {
        let mut upgrades = self.upgrades.iter().filter(|((of, _), _)| of == socket);
        upgrades.any(|(_, machine)| machine.created) || self.sessions.get(socket).is_some_and(|machine| machine.created)
    }

    /// Every socket.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.sessions.keys()
    }

    /// What fires.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let upgrades = self.upgrades.iter().filter_map(|((socket, credential), machine)| {
            let failing = machine.watch.failing().filter(|_| machine.created)?;
            Some(self.upgrade(socket, *credential, failing))
        });
        let sessions = self.sessions.iter().filter_map(|(socket, machine)| {
            let failing = machine.watch.failing().filter(|_| machine.created)?;
            Some(Firing {
                id: id(AlertName::SessionBroken, &[("socket", socket)]),
                severity: Some(Severity::Critical),
                owner: self.owner.clone(),
                starts_at: failing.since,
                about: About::Session {
                    socket: socket.clone(),
                    outcome: failing.outcome,
                    wrong: failing.confirmed_by,
                },
            })
        });
        upgrades.chain(sessions).collect()
    }

    fn upgrade(&self, socket: &str, credential: Credential, failing: &Failing<UpgradeOutcome>) -> Firing {
        let outcome = failing.outcome;
        let known_by = [("socket", socket), ("credential", credential.as_str())];
        let id = if outcome == UpgradeOutcome::Http500 {
            id(AlertName::UpgradeHttp500, &known_by)
        } else {
            let known_by = [known_by[0], known_by[1], ("outcome", outcome.as_str())];
            id(AlertName::UpgradeFailing, &known_by)
        };
        Firing {
            id,
            severity: Some(severity(outcome, credential)),
            owner: self.owner.clone(),
            starts_at: failing.since,
            about: About::Upgrade {
                socket: socket.to_owned(),
                credential,
                outcome,
                wrong: failing.confirmed_by,
            },
        }
    }

    /// Goes on with an alert of a former process; gives whether there is such a watch.
    pub(super) fn adopt(&mut self, alert: &Alert) -> bool {
        let AlertId { name, labels } = &alert.id;
        let Some(socket) = labels.get("socket") else {
            return false;
        };
        if *name == AlertName::SessionBroken {
            let told = alert
                .annotations
                .get("outcome")
                .and_then(|outcome| outcome.parse().ok());
            let outcome = told.unwrap_or(SessionOutcome::NoWelcome);
            return adopt(self.sessions.get_mut(socket), alert.starts_at, outcome);
        }
        let outcome = match name {
            AlertName::UpgradeHttp500 => Some(UpgradeOutcome::Http500),
            _ => labels.get("outcome").and_then(|outcome| outcome.parse().ok()),
        };
        let credential = labels.get("credential").and_then(|shown| shown.parse().ok());
        match (outcome, credential) {
            (Some(outcome), Some(credential)) => {
                let machine = self.upgrades.get_mut(&(socket.clone(), credential));
                adopt(machine, alert.starts_at, outcome)
            }
            _ => false,
        }
    }

    /// Every watch as it stands.
    pub(super) fn states(&self) -> Vec<WatchState> {
        let upgrades = self
            .upgrades
            .iter()
            .map(|((socket, credential), machine)| machine.stands(socket, Some(*credential), UpgradeOutcome::as_str));
        let sessions = self
            .sessions
            .iter()
            .map(|(socket, machine)| machine.stands(socket, None, SessionOutcome::as_str));
        upgrades.chain(sessions).collect()
    }
}

fn adopt<O: Outcome>(machine: Option<&mut Machine<O>>, since: f64, outcome: O) -> bool {
    let Some(machine) = machine.filter(|_| !outcome.right()) else {
        return false;
    };
    machine.watch.adopt(since, outcome);
    machine.created = true;
    true
}

impl SocketRule {
    fn burst(&self, socket: &str, credential: Credential) -> Command {
        Command::Confirm {
            socket: socket.to_owned(),
            credential,
            attempts: self.attempts,
        }
    }
}

impl<O: Outcome> Machine<O> {
    /// Takes an answer; gives whether a burst is wanted now.
    fn take(&mut self, answer: (f64, O), rule: &SocketRule, observing: bool, now: f64) -> bool {
        match self.watch.take(answer, rule, observing) {
            Some(Change::Suspected) => {
                self.wants_burst = true;
                self.burst_due(rule, now)
            }
            _ => false,
        }
    }

    /// Mixtures must not make a flood of bursts: the next one waits as long as a failing socket waits for its next try.
    fn burst_due(&mut self, rule: &SocketRule, now: f64) -> bool {
        self.wants_burst &= self.watch.suspected();
        let rested = now - self.burst_at >= rule.probe_every.as_secs_f64() || now < self.burst_at;
        let due = self.wants_burst && rested;
        if due {
            self.burst_at = now;
            self.wants_burst = false;
        }
        due
    }

    fn tick(&mut self, rule: &SocketRule, now: f64, (socket, credential): (&str, Credential)) -> Option<Command> {
        if self.burst_due(rule, now) {
            return Some(rule.burst(socket, credential));
        }
        self.watch.due(now, rule).then(|| Command::Probe {
            socket: socket.to_owned(),
            credential,
        })
    }

    fn create(&mut self, muted: bool) {
        self.created = self.watch.failing().is_some() && (self.created || !muted);
    }

    fn stands(&self, socket: &str, credential: Option<Credential>, name: fn(O) -> &'static str) -> WatchState {
        let (state, outcome, since) = match self.watch.state() {
            State::Well => ("well", None, None),
            State::Suspected { since, .. } => ("suspected", None, Some(*since)),
            State::Failing(failing) => ("failing", Some(name(failing.outcome)), Some(failing.since)),
        };
        WatchState {
            socket: socket.to_owned(),
            credential,
            state,
            outcome,
            since,
            judged: self.watch.judged(),
        }
    }
}

/// How bad an outcome is (observability.md C3).
fn severity(outcome: UpgradeOutcome, credential: Credential) -> Severity {
    use UpgradeOutcome as O;
    match outcome {
        O::Http500 | O::Http502 | O::Http503 | O::Http504 => Severity::Critical,
        O::Timeout | O::Refused | O::Reset | O::Dns | O::Tls => Severity::Critical,
        O::Http401 | O::Http403 if credential == Credential::Valid => Severity::Critical,
        _ => Severity::Warning,
    }
}
