//! What the users of pools have used up: handshakes in their window, promises, rests. Must not: choose a user.

use crate::catalog::{HandshakeBudget, Pool};
use crate::clock;
use crate::scenario::Journal;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Place of a user: pool and index.
pub(in crate::scenario) type UserPlace = (String, usize);

/// What holds for every user of a pool.
pub(super) struct PoolRules {
    pub(super) size: usize,
    pub(super) budget: Option<HandshakeBudget>,
    pub(super) rest: Duration,
}

/// What one user has used up.
#[derive(Default)]
pub(super) struct UserState {
    pub(super) digest: String,
    pub(super) holders: u32,
    pub(super) reserved: u32,
    pub(super) handshakes: VecDeque<f64>,
    pub(super) rests_until: f64,
    pub(super) turn: u64,
}

impl PoolRules {
    pub(super) fn of(pool: &Pool) -> Self {
        Self {
            size: pool.users.len(),
            budget: pool.handshakes.clone(),
            rest: pool.rest,
        }
    }
}

impl UserState {
    /// Forgets handshakes that have left the window.
    pub(super) fn forget(&mut self, rules: &PoolRules, now: f64) {
        let window = rules.budget.as_ref().map_or(0.0, |budget| budget.per.as_secs_f64());
        while self.handshakes.front().is_some_and(|at| at + window <= now) {
            self.handshakes.pop_front();
        }
    }

    /// Handshakes that are neither used nor promised.
    pub(super) fn room(&self, rules: &PoolRules) -> u32 {
        let Some(budget) = &rules.budget else { return u32::MAX };
        let used = u32::try_from(self.handshakes.len()).unwrap_or(u32::MAX);
        budget.max.saturating_sub(used).saturating_sub(self.reserved)
    }
}

/// Puts what the journal remembers back into `users`.
pub(super) fn recall(
    users: &mut BTreeMap<UserPlace, UserState>,
    rules: &BTreeMap<String, PoolRules>,
    journal: &dyn Journal,
) {
    let windows = rules
        .values()
        .filter_map(|rules| rules.budget.as_ref())
        .map(|budget| budget.per);
    let since = clock::unix_seconds(clock::now()) - windows.max().unwrap_or_default().as_secs_f64();
    let mut used = journal.handshakes_since(since);
    used.sort_by(|a, b| a.at_unix.total_cmp(&b.at_unix));
    let rests = journal.rests();
    for ((pool, _), user) in users.iter_mut() {
        let mine = used
            .iter()
            .filter(|used| used.pool == *pool && used.user == user.digest);
        user.handshakes.extend(mine.map(|used| used.at_unix));
        let rest = rests
            .iter()
            .filter(|rest| rest.pool == *pool && rest.user == user.digest);
        user.rests_until = rest.map(|rest| rest.until_unix).fold(0.0, f64::max);
    }
}
