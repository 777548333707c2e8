//! The watches of all sockets: upgrades by credential, and sessions. From answers to commands and to what fires. Pure.

use super::attempts::{Attempt, Opening, Seen};
use super::firing::{About, Firing, id};
use super::machine::{Machine, WatchState};
use super::watch::Failing;
use super::{Alert, AlertId, AlertName, Command, Credential};
use crate::catalog::alerting::SocketRule;
use crate::catalog::{Catalog, Severity, watch};
use crate::failure::UpgradeOutcome;
use crate::transcript::sessions::SessionOutcome;
use std::collections::{BTreeMap, BTreeSet};

/// All watches.
#[derive(Debug)]
pub(super) struct Sockets {
    rule: SocketRule,
    /// For so long an alert waits for that of another credential, to end with it.
    lease: f64,
    owner: String,
    /// Those that some scenario feeds.
    watched: BTreeSet<(String, Credential)>,
    upgrades: BTreeMap<(String, Credential), Machine<UpgradeOutcome>>,
    sessions: BTreeMap<String, Machine<SessionOutcome>>,
}

impl Sockets {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let sockets = || catalog.target.sockets.keys();
        let all = sockets().flat_map(|socket| Credential::ALL.iter().map(|shown| (socket.clone(), *shown)));
        let watched = watch::watches(catalog).map(|(socket, shown, _)| (socket.to_owned(), shown));
        Self {
            rule: catalog.alerting.sockets.clone(),
            lease: catalog.alerting.lease.as_secs_f64(),
            owner: catalog.alerting.owner.clone(),
            watched: watched.collect(),
            upgrades: all.map(|key| (key, Machine::default())).collect(),
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
                commands.extend(self.ask_beside(socket, *credential, now));
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

    /// What else this socket shows is asked at once: an outage of both credentials is to be one page.
    fn ask_beside(&mut self, socket: &str, credential: Credential, now: f64) -> Vec<Command> {
        let mut commands = Vec::new();
        for ((of, shown), machine) in &mut self.upgrades {
            let beside = of == socket && *shown != credential && self.watched.contains(&(of.clone(), *shown));
            if beside && machine.ask(now) {
                commands.push(probe(socket, *shown));
            }
        }
        commands
    }

    /// Tries what fails, and gives bursts to suspicions that had to wait for one.
    pub(super) fn tick(&mut self, now: f64) -> Vec<Command> {
        let mut commands = Vec::new();
        let rule = &self.rule;
        let mut suspected = Vec::new();
        for ((socket, credential), machine) in &mut self.upgrades {
            if machine.burst_due(rule, now) {
                commands.push(rule.burst(socket, *credential));
                suspected.push((socket.clone(), *credential));
            } else if machine.watch.due(now, rule) {
                commands.push(probe(socket, *credential));
            }
        }
        for (socket, machine) in &mut self.sessions {
            if machine.burst_due(rule, now) {
                commands.push(rule.burst(socket, Credential::Valid));
            } else if machine.watch.due(now, rule) {
                commands.push(probe(socket, Credential::Valid));
            }
        }
        for (socket, credential) in suspected {
            commands.extend(self.ask_beside(&socket, credential, now));
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

    /// Whether there is a socket whose wrong answers were excused by a deploy, and that has not answered rightly since.
    pub(super) fn excused(&self) -> bool {
        self.upgrades.values().any(|machine| machine.watch.excused())
            || self.sessions.values().any(|machine| machine.watch.excused())
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

    /// Creates the alerts of what fails where `muted` does not forbid it, and drops those that have ended. The alert of one
    /// credential waits a lease for that of another, so that one outage ends once.
    pub(super) fn create(&mut self, muted: impl Fn(&str) -> bool, now: f64) {
        let open = self.upgrades.iter().filter_map(|((socket, _), machine)| {
            let failing = machine.open()?;
            Some((socket.clone(), named(failing.outcome)))
        });
        let open: BTreeSet<(String, AlertName)> = open.collect();
        for ((socket, _), machine) in &mut self.upgrades {
            let told = machine.tells().map(|failing| named(failing.outcome));
            let beside = told.is_some_and(|name| open.contains(&(socket.clone(), name)));
            let patience = if beside { self.lease } else { 0.0 };
            machine.create(muted(socket), patience, now);
        }
        for (socket, machine) in &mut self.sessions {
            machine.create(muted(socket), 0.0, now);
        }
    }

    /// Whether a watch of this socket may join its alert soon: it is being asked, or a burst is on its way.
    pub(super) fn undecided(&self, socket: &str) -> bool {
        let mut upgrades = self.upgrades.iter().filter(|((of, _), _)| of == socket);
        upgrades.any(|(_, machine)| machine.undecided())
    }

    /// Whether an alert about `socket` fires.
    pub(super) fn fires(&self, socket: &str) -> bool {
        let mut upgrades = self.upgrades.iter().filter(|((of, _), _)| of == socket);
        let session = self.sessions.get(socket);
        upgrades.any(|(_, machine)| machine.tells().is_some())
            || session.is_some_and(|machine| machine.tells().is_some())
    }

    /// Every socket.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.sessions.keys()
    }

    /// What fires.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let upgrades = self
            .upgrades
            .iter()
            .filter_map(|((socket, credential), machine)| Some(self.upgrade(socket, *credential, machine.tells()?)));
        let sessions = self.sessions.iter().filter_map(|(socket, machine)| {
            let failing = machine.tells()?;
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
        let id = match named(outcome) {
            AlertName::UpgradeHttp500 => id(AlertName::UpgradeHttp500, &known_by),
            name => id(name, &[known_by[0], known_by[1], ("outcome", outcome.as_str())]),
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
            return Machine::adopt(self.sessions.get_mut(socket), alert.starts_at, outcome);
        }
        let outcome = match name {
            AlertName::UpgradeHttp500 => Some(UpgradeOutcome::Http500),
            _ => labels.get("outcome").and_then(|outcome| outcome.parse().ok()),
        };
        let credential = labels.get("credential").and_then(|shown| shown.parse().ok());
        match (outcome, credential) {
            (Some(outcome), Some(credential)) => {
                let machine = self.upgrades.get_mut(&(socket.clone(), credential));
                Machine::adopt(machine, alert.starts_at, outcome)
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

impl SocketRule {
    fn burst(&self, socket: &str, credential: Credential) -> Command {
        Command::Confirm {
            socket: socket.to_owned(),
            credential,
            attempts: self.attempts,
        }
    }
}

fn probe(socket: &str, credential: Credential) -> Command {
    Command::Probe {
        socket: socket.to_owned(),
        credential,
    }
}

/// The alert of an outcome.
fn named(outcome: UpgradeOutcome) -> AlertName {
    match outcome {
        UpgradeOutcome::Http500 => AlertName::UpgradeHttp500,
        _ => AlertName::UpgradeFailing,
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
