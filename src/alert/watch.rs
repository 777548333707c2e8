//! One watch: well, suspected, failing, by the answers alone (observability.md C2). Pure. It never hears of attempts that our
//! own fault or a budget kept from being judged: those change nothing. Must not: know who is watched, or what an alert is.
//!
//! ```text
//!          wrong                    all attempts wrong
//!   well ────────▶ suspected ───────────────────────────▶ failing
//!    ▲ ▲   right      │                                      │
//!    │ └──────────────┘                                      │
//!    └───────────────────────────────────────────────────────┘
//!          enough right answers in a row, for long enough
//! ```

use crate::catalog::alerting::SocketRule;
use crate::failure::UpgradeOutcome;
use crate::transcript::sessions::SessionOutcome;
use std::collections::BTreeMap;

/// What an answer can be.
pub trait Outcome: Copy + Ord + std::fmt::Debug {
    /// Whether two wrong outcomes are two alerts, each with its own beginning.
    const APART: bool;
    /// Whether it is the right answer.
    fn right(self) -> bool;
}

impl Outcome for UpgradeOutcome {
    const APART: bool = true;

    fn right(self) -> bool {
        self == Self::Ok
    }
}

impl Outcome for SessionOutcome {
    const APART: bool = false;

    fn right(self) -> bool {
        self == Self::Ok
    }
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first wrong answer: a burst should say whether it was an accident.
    Suspected,
    /// A right answer came among the wrong ones: it is not failing, whatever else it is.
    Cleared,
    /// Every attempt was wrong.
    Confirmed,
    /// It fails in another way now.
    Moved,
    /// Enough right answers.
    Closed,
}

/// Where a watch stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State<O> {
    /// Nothing wrong, or nothing known.
    Well,
    /// Some answers were wrong and none right since.
    Suspected {
        /// Moment of the first of them.
        since: f64,
        /// They.
        wrong: Vec<O>,
    },
    /// Confirmed.
    Failing(Failing<O>),
}

/// A confirmed failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing<O> {
    /// Moment of the first wrong answer.
    pub since: f64,
    /// How it fails.
    pub outcome: O,
    /// Wrong answers that confirmed it, and of how many.
    pub confirmed_by: u32,
    /// Answers in a row that are wrong in another way, and the moment of the first.
    moving: Option<(f64, Vec<O>)>,
    /// Right answers in a row: the moment of the first, and how many.
    mending: Option<(f64, u32)>,
    /// When it was last tried.
    tried_at: f64,
}

/// A watch.
#[derive(Clone, Debug)]
pub struct Watch<O> {
    state: State<O>,
    /// Whether this process has judged an answer.
    judged: bool,
    /// Moment of the newest right answer.
    right_at: f64,
    /// Moment of the newest wrong answer.
    wrong_at: f64,
    /// Moment of the first wrong answer that was only observed, if none was right since.
    observed: Option<f64>,
}

impl<O> Default for Watch<O> {
    fn default() -> Self {
        Self {
            state: State::Well,
            judged: false,
            right_at: f64::NEG_INFINITY,
            wrong_at: f64::NEG_INFINITY,
            observed: None,
        }
    }
}

impl<O: Outcome> Watch<O> {
    /// Where it stands.
    pub fn state(&self) -> &State<O> {
        &self.state
    }

    /// The confirmed failure, if it is failing.
    pub fn failing(&self) -> Option<&Failing<O>> {
        match &self.state {
            State::Failing(failing) => Some(failing),
            _ => None,
        }
    }

    /// Whether some answers were wrong and it is not yet known what that means.
    pub fn suspected(&self) -> bool {
        matches!(self.state, State::Suspected { .. })
    }

    /// Whether this process has judged an answer: before that its state is hearsay.
    pub fn judged(&self) -> bool {
        self.judged
    }

    /// Whether wrong answers were only observed, and none was right since.
    pub fn excused(&self) -> bool {
        self.observed.is_some()
    }

    /// Moment of the newest answer.
    pub fn answered_at(&self) -> f64 {
        self.right_at.max(self.wrong_at)
    }

    /// Takes one answer, known at `at`. While `observing` wrong answers raise no suspicion. Answers may come out of order, as
    /// a held session reports late: older evidence never overrules newer.
    pub fn take(&mut self, (at, answer): (f64, O), rule: &SocketRule, observing: bool) -> Option<Change> {
        self.judged = true;
        if answer.right() {
            self.take_right(at, rule)
        } else {
            self.take_wrong(at, answer, rule, observing)
        }
    }

    fn take_right(&mut self, at: f64, rule: &SocketRule) -> Option<Change> {
        if at < self.wrong_at {
            return self.clear_suspicion(at);
        }
        self.right_at = self.right_at.max(at);
        self.observed = None;
        match &mut self.state {
            State::Well => None,
            State::Suspected { .. } => self.clear_suspicion(at),
            State::Failing(failing) => {
                failing.moving = None;
                failing.tried_at = failing.tried_at.max(at);
                let (first, count) = failing.mending.get_or_insert((at, 0));
                *first = first.min(at);
                *count += 1;
                let closed = *count >= rule.close_after && self.right_at - *first >= rule.close_for.as_secs_f64();
                closed.then(|| {
                    self.state = State::Well;
                    Change::Closed
                })
            }
        }
    }

    /// A right answer within the suspicion makes it a mixture, also when a wrong one is newer.
    fn clear_suspicion(&mut self, at: f64) -> Option<Change> {
        let State::Suspected { since, .. } = self.state else {
            return None;
        };
        if at < since {
            return None;
        }
        self.right_at = self.right_at.max(at);
        self.observed = None;
        self.state = State::Well;
        Some(Change::Cleared)
    }

    fn take_wrong(&mut self, at: f64, answer: O, rule: &SocketRule, observing: bool) -> Option<Change> {
        if at < self.right_at && !self.interrupts(at) {
            return None;
        }
        self.wrong_at = self.wrong_at.max(at);
        if observing && self.failing().is_none() {
            self.observed.get_or_insert(at);
            return None;
        }
        let needed = usize::try_from(rule.attempts).unwrap_or(usize::MAX).saturating_add(1);
        match &mut self.state {
            State::Well => {
                let since = self.observed.unwrap_or(at);
                let wrong = vec![answer];
                self.state = State::Suspected { since, wrong };
                Some(self.confirm(needed).unwrap_or(Change::Suspected))
            }
            State::Suspected { wrong, .. } => {
                wrong.push(answer);
                self.confirm(needed)
            }
            State::Failing(failing) => failing.wrong_again((at, answer), needed),
        }
    }

    /// Whether a wrong answer that is older than the newest right one still breaks the row of right ones.
    fn interrupts(&self, at: f64) -> bool {
        self.failing()
            .and_then(|failing| failing.mending)
            .is_some_and(|(first, _)| at >= first)
    }

    fn confirm(&mut self, needed: usize) -> Option<Change> {
        let State::Suspected { since, wrong } = &self.state else {
            return None;
        };
        if wrong.len() < needed {
            return None;
        }
        self.observed = None;
        self.state = State::Failing(Failing {
            since: *since,
            outcome: most(wrong)?,
            confirmed_by: u32::try_from(wrong.len()).unwrap_or(u32::MAX),
            moving: None,
            mending: None,
            tried_at: self.wrong_at,
        });
        Some(Change::Confirmed)
    }

    /// From now on it is only observed for a while: a suspicion is dropped, but what it saw is remembered.
    pub fn observe(&mut self) {
        if let State::Suspected { since, .. } = self.state {
            self.observed = Some(since);
            self.state = State::Well;
        }
    }

    /// It is known to have been failing since then. What is known already stands, but an earlier beginning counts.
    pub fn adopt(&mut self, since: f64, outcome: O) {
        if let State::Failing(failing) = &mut self.state {
            failing.since = failing.since.min(since);
            return;
        }
        self.state = State::Failing(Failing {
            since,
            outcome,
            confirmed_by: 0,
            moving: None,
            mending: None,
            tried_at: f64::NEG_INFINITY,
        });
    }

    /// Whether it is failing and should be tried now; it then counts as tried.
    pub fn due(&mut self, now: f64, rule: &SocketRule) -> bool {
        let State::Failing(failing) = &mut self.state else {
            return false;
        };
        // A clock that went back must not silence the probes.
        let due = now - failing.tried_at >= rule.probe_every.as_secs_f64() || now < failing.tried_at - 60.0;
        if due {
            failing.tried_at = now;
        }
        due
    }
}

impl<O: Outcome> Failing<O> {
    /// Another wrong answer. One that is wrong in another way moves the state once it is confirmed as the first one was.
    fn wrong_again(&mut self, (at, answer): (f64, O), needed: usize) -> Option<Change> {
        self.mending = None;
        self.tried_at = self.tried_at.max(at);
        if answer == self.outcome {
            self.moving = None;
            return None;
        }
        let (first, others) = self.moving.get_or_insert_with(|| (at, Vec::new()));
        *first = first.min(at);
        others.push(answer);
        if others.len() < needed {
            return None;
        }
        if O::APART {
            self.since = *first;
        }
        self.outcome = most(others)?;
        self.confirmed_by = u32::try_from(others.len()).unwrap_or(u32::MAX);
        self.moving = None;
        Some(Change::Moved)
    }
}

/// The most frequent, the latest of those that are equally frequent.
fn most<O: Outcome>(answers: &[O]) -> Option<O> {
    let mut seen: BTreeMap<O, (usize, usize)> = BTreeMap::new();
    for (place, answer) in answers.iter().enumerate() {
        let (times, last) = seen.entry(*answer).or_default();
        *times += 1;
        *last = place;
    }
    seen.into_iter().max_by_key(|(_, rank)| *rank).map(|(answer, _)| answer)
}
