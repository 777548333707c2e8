//! The circuit breaker around the auth service (contract §3.4): real transitions, published with their times.
//! It owns the state machine; what the guarded call does belongs to `identity`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::timing;

/// Failures in a row that open it.
const FAILURE_THRESHOLD: u32 = 3;
/// Successes in a row that close it from half open.
const SUCCESS_THRESHOLD: u32 = 2;
/// Published transitions kept; older ones are dropped.
const CHANGES_MAX: usize = 100;

/// The three states, under their names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused at once.
    Open,
    /// Calls go through on probation.
    HalfOpen,
}

impl State {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Whether a call may be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Make it, and tell how it went.
    Go,
    /// Do not make it: the breaker is open.
    Refused,
}

/// How a guarded call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered.
    Answered,
    /// The service could not be reached.
    Unreachable,
}

struct Change {
    from: State,
    to: State,
    at: f64,
    reason: &'static str,
}

/// One breaker with its counters.
pub struct Breaker {
    state: State,
    open_for: Duration,
    opened: Option<Instant>,
    total: u64,
    succeeded: u64,
    failed: u64,
    failures_in_row: u32,
    successes_in_row: u32,
    last_success: Option<f64>,
    last_failure: Option<f64>,
    changes: VecDeque<Change>,
}

impl Breaker {
    /// A closed breaker that stays open for `open_for` once it has opened.
    pub fn new(open_for: Duration) -> Self {
        Self {
            state: State::Closed,
            open_for,
            opened: None,
            total: 0,
            succeeded: 0,
            failed: 0,
            failures_in_row: 0,
            successes_in_row: 0,
            last_success: None,
            last_failure: None,
            changes: VecDeque::new(),
        }
    }

    /// The state at `now`; an open breaker whose time is over becomes half open by being looked at.
    pub fn state(&mut self, now: Instant) -> State {
        let waited = self.opened.is_some_and(|at| now.duration_since(at) >= self.open_for);
        if self.state == State::Open && waited {
            self.shift(State::HalfOpen, "timeout elapsed");
        }
        self.state
    }

    /// Asks whether a call may be made at `now`.
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.state(now) {
            State::Open => Admission::Refused,
            State::Closed | State::HalfOpen => Admission::Go,
        }
    }

    /// Notes how an admitted call went.
    pub fn record(&mut self, outcome: Outcome, now: Instant) {
        self.total += 1;
        match outcome {
            Outcome::Answered => self.succeed(),
            Outcome::Unreachable => self.fail(now),
        }
    }

    fn succeed(&mut self) {
        self.succeeded += 1;
        self.failures_in_row = 0;
        self.successes_in_row += 1;
        self.last_success = Some(timing::now_unix());
        if self.state == State::HalfOpen && self.successes_in_row >= SUCCESS_THRESHOLD {
            self.shift(State::Closed, "success threshold reached");
        }
    }

    fn fail(&mut self, now: Instant) {
        self.failed += 1;
        self.successes_in_row = 0;
        self.failures_in_row += 1;
        self.last_failure = Some(timing::now_unix());
        let opens = match self.state {
            State::HalfOpen => true,
            State::Closed => self.failures_in_row >= FAILURE_THRESHOLD,
            State::Open => false,
        };
        if opens {
            self.opened = Some(now);
            self.shift(State::Open, "failure threshold reached");
        }
    }

    fn shift(&mut self, to: State, reason: &'static str) {
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        let from = self.state;
        let at = timing::now_unix();
        self.changes.push_back(Change { from, to, at, reason });
        self.state = to;
        self.successes_in_row = 0;
    }

    /// The breaker as `/api/circuit-breakers/status` publishes it.
    pub fn publish(&mut self, name: &str, now: Instant) -> Value {
        let state = self.state(now);
        let failure_rate = match self.total {
            0 => 0.0,
            total => self.failed as f64 / total as f64,
        };
        let change = |change: &Change| {
            json!({ "from": change.from.name(), "to": change.to.name(),
                    "time": timing::iso(change.at), "reason": change.reason })
        };
        json!({
            "name": name,
            "state": state.name(),
            "stats": {
                "total_calls": self.total,
                "successful_calls": self.succeeded,
                "failed_calls": self.failed,
                "failure_rate": failure_rate,
                "consecutive_failures": self.failures_in_row,
                "consecutive_successes": self.successes_in_row,
                "last_failure": self.last_failure.map(timing::iso),
                "last_success": self.last_success.map(timing::iso),
            },
            "config": {
                "failure_threshold": FAILURE_THRESHOLD,
                "timeout": self.open_for.as_secs_f64(),
                "failure_rate_threshold": 0.5,
            },
            "state_changes": self.changes.iter().map(change).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_three_and_closes_after_two() {
        let (mut breaker, start) = (Breaker::new(Duration::from_secs(30)), Instant::now());
        for _ in 0..2 {
            breaker.record(Outcome::Unreachable, start);
        }
        assert_eq!(breaker.admit(start), Admission::Go);
        breaker.record(Outcome::Unreachable, start);
        assert_eq!(breaker.admit(start), Admission::Refused);
        let later = start + Duration::from_secs(30);
        assert_eq!(breaker.state(later), State::HalfOpen);
        breaker.record(Outcome::Answered, later);
        assert_eq!(breaker.state(later), State::HalfOpen);
        breaker.record(Outcome::Answered, later);
        assert_eq!(breaker.state(later), State::Closed);
        let published = breaker.publish("auth_service", later);
        let edges: Vec<&str> = published["state_changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["to"].as_str().unwrap())
            .collect();
        assert_eq!(edges, ["open", "half_open", "closed"]);
        assert_eq!(published["stats"]["total_calls"], 5);
    }

    #[test]
    fn a_failure_on_probation_opens_it_again() {
        let (mut breaker, start) = (Breaker::new(Duration::from_secs(30)), Instant::now());
        for _ in 0..3 {
            breaker.record(Outcome::Unreachable, start);
        }
        let later = start + Duration::from_secs(31);
        assert_eq!(breaker.admit(later), Admission::Go);
        breaker.record(Outcome::Unreachable, later);
        assert_eq!(breaker.admit(later), Admission::Refused);
    }
}
