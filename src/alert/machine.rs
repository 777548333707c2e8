//! A watch with its alert: when a burst is asked for, when the alert is created, and when it ends. Pure.

use super::Credential;
use super::watch::{Change, Failing, Outcome, State, Watch};
use crate::catalog::alerting::SocketRule;
use serde::Serialize;

/// A watch with what belongs to its alert.
#[derive(Debug)]
pub(super) struct Machine<O> {
    pub(super) watch: Watch<O>,
    /// What its alert tells; kept until the alert ends, which may be later than the watch closes.
    tells: Option<Failing<O>>,
    /// When the watch closed although the alert goes on.
    closed_at: Option<f64>,
    /// When a burst was last asked for.
    burst_at: f64,
    /// A suspicion that came too soon after the last burst still wants one.
    wants_burst: bool,
    /// When it was last asked because another credential was answered wrongly.
    asked_at: f64,
}

impl<O> Default for Machine<O> {
    fn default() -> Self {
        Self {
            watch: Watch::default(),
            tells: None,
            closed_at: None,
            burst_at: f64::NEG_INFINITY,
            wants_burst: false,
            asked_at: f64::NEG_INFINITY,
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

impl<O: Outcome> Machine<O> {
    /// Takes an answer; gives whether a burst is wanted now.
    pub(super) fn take(&mut self, answer: (f64, O), rule: &SocketRule, observing: bool, now: f64) -> bool {
        match self.watch.take(answer, rule, observing) {
            Some(Change::Suspected) => {
                self.wants_burst = true;
                self.burst_due(rule, now)
            }
            _ => false,
        }
    }

    /// Mixtures must not make a flood of bursts: the next one waits as long as a failing socket waits for its next try.
    pub(super) fn burst_due(&mut self, rule: &SocketRule, now: f64) -> bool {
        self.wants_burst &= self.watch.suspected();
        let rested = now - self.burst_at >= rule.probe_every.as_secs_f64() || now < self.burst_at;
        let due = self.wants_burst && rested;
        if due {
            self.burst_at = now;
            self.wants_burst = false;
        }
        due
    }

    /// Another credential was answered wrongly: gives whether this one should be asked as well.
    pub(super) fn ask(&mut self, now: f64) -> bool {
        let well = *self.watch.state() == State::Well;
        if well {
            self.asked_at = now;
        }
        well
    }

    /// Whether it may fail any moment: an answer is waited for, or a burst is to say what the last ones meant.
    pub(super) fn undecided(&self) -> bool {
        self.watch.suspected() || self.asked_at > self.watch.answered_at()
    }

    /// What its alert tells, if it was created and goes on.
    pub(super) fn tells(&self) -> Option<&Failing<O>> {
        self.tells.as_ref()
    }

    /// What fails, if its alert was created.
    pub(super) fn open(&self) -> Option<&Failing<O>> {
        self.tells.as_ref().and(self.watch.failing())
    }

    /// Creates the alert of what fails unless it is `muted`, and ends that of what is well again, `patience` seconds after it
    /// was.
    pub(super) fn create(&mut self, muted: bool, patience: f64, now: f64) {
        if self.watch.failing().is_some() {
            self.reopen();
            if self.tells.is_some() || !muted {
                self.tells = self.watch.failing().cloned();
            }
        } else if self.tells.is_some() {
            let waited = now - *self.closed_at.get_or_insert(now);
            if !(0.0..patience).contains(&waited) {
                (self.tells, self.closed_at) = (None, None);
            }
        }
    }

    /// It fails again before its alert had ended: to everybody else it never was well.
    fn reopen(&mut self) {
        if self.closed_at.take().is_some()
            && let (Some(told), Some(failing)) = (&self.tells, self.watch.failing())
            && told.outcome == failing.outcome
        {
            self.watch.adopt(told.since, told.outcome);
        }
    }

    /// Goes on with an alert of a former process; gives whether there is such a watch.
    pub(super) fn adopt(machine: Option<&mut Self>, since: f64, outcome: O) -> bool {
        let Some(machine) = machine.filter(|_| !outcome.right()) else {
            return false;
        };
        machine.watch.adopt(since, outcome);
        machine.tells = machine.watch.failing().cloned();
        true
    }

    /// As it stands, its outcome by `name`.
    pub(super) fn stands(
        &self,
        socket: &str,
        credential: Option<Credential>,
        name: fn(O) -> &'static str,
    ) -> WatchState {
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
