//! What must survive a restart so that budgets hold: handshakes, rests of users, runs a day.
//! Owns the trait and its memory; the history store implements it too. Must not: decide anything.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One successful handshake of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct HandshakeUse {
    /// The pool.
    pub pool: String,
    /// The user, as a digest that says nothing about the account and survives another order of the pool.
    pub user: String,
    /// When, in seconds since 1970.
    pub at_unix: f64,
}

/// A user who rests, because the target said that the user's own limit is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRest {
    /// The pool.
    pub pool: String,
    /// The user, as in [`HandshakeUse`].
    pub user: String,
    /// Until when, in seconds since 1970.
    pub until_unix: f64,
}

/// What must survive restarts. Calls are short and never wait for a disk: an implementation queues what it writes.
pub trait Journal: Send + Sync {
    /// Every handshake recorded since `unix` seconds.
    fn handshakes_since(&self, unix: f64) -> Vec<HandshakeUse>;
    /// Records a handshake.
    fn record_handshake(&self, used: HandshakeUse);
    /// Every rest that was recorded and may still last.
    fn rests(&self) -> Vec<UserRest>;
    /// Records a rest; a later one of the same user replaces it.
    fn record_rest(&self, rest: UserRest);
    /// Runs of `scenario` (full id) recorded on `day` (UTC, `2025-09-07`).
    fn runs_today(&self, scenario: &str, day: &str) -> u32;
    /// Records the start of a run of `scenario` on `day`.
    fn record_run(&self, scenario: &str, day: &str);
}

/// A journal that forgets with the process, for `once` and for tests.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    handshakes: Vec<HandshakeUse>,
    rests: Vec<UserRest>,
    runs: BTreeMap<(String, String), u32>,
}

impl MemoryJournal {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    fn handshakes_since(&self, unix: f64) -> Vec<HandshakeUse> {
        let kept = self.kept();
        kept.handshakes
            .iter()
            .filter(|used| used.at_unix >= unix)
            .cloned()
            .collect()
    }

    fn record_handshake(&self, used: HandshakeUse) {
        self.kept().handshakes.push(used);
    }

    fn rests(&self) -> Vec<UserRest> {
        self.kept().rests.clone()
    }

    fn record_rest(&self, rest: UserRest) {
        let mut kept = self.kept();
        kept.rests
            .retain(|known| (&known.pool, &known.user) != (&rest.pool, &rest.user));
        kept.rests.push(rest);
    }

    fn runs_today(&self, scenario: &str, day: &str) -> u32 {
        let key = (scenario.to_owned(), day.to_owned());
        self.kept().runs.get(&key).copied().unwrap_or(0)
    }

    fn record_run(&self, scenario: &str, day: &str) {
        let key = (scenario.to_owned(), day.to_owned());
        *self.kept().runs.entry(key).or_default() += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rest_replaces_the_older_one() {
        let journal = MemoryJournal::default();
        for until_unix in [1.0, 2.0] {
            let (pool, user) = ("pool".to_owned(), "user".to_owned());
            journal.record_rest(UserRest { pool, user, until_unix });
        }
        let untils: Vec<f64> = journal.rests().iter().map(|rest| rest.until_unix).collect();
        assert_eq!(untils, [2.0]);
    }

    #[test]
    fn runs_are_counted_by_day() {
        let journal = MemoryJournal::default();
        journal.record_run("a/b", "2025-09-07");
        journal.record_run("a/b", "2025-09-07");
        assert_eq!(journal.runs_today("a/b", "2025-09-07"), 2);
        assert_eq!(journal.runs_today("a/b", "2025-09-08"), 0);
    }
}
