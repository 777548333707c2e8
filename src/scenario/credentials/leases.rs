//! Who may act for a run: the choice of users from pools, their handshake budgets and rests.
//! Owns: leases and the memory of handshakes. Must not: see a token, or send anything.

use super::users::{PoolRules, UserPlace, UserState, recall};
use crate::catalog::{Catalog, CredentialSource, CredentialUse, Scenario};
use crate::clock;
use crate::limits::CREDENTIAL_WAIT;
use crate::scenario::{BudgetLevel, HandshakeUse, Journal, UserRest};
use crate::verdict::UnknownReason;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Why a run may not start for want of a user.
#[derive(Debug, PartialEq)]
pub(in crate::scenario) struct Refusal {
    /// `budget` or `credential_missing`.
    pub reason: UnknownReason,
    /// One fragment for people.
    pub note: String,
}

/// All pools' users and what they have used up.
pub(in crate::scenario) struct Leases {
    pools: BTreeMap<String, PoolRules>,
    minted: BTreeSet<String>,
    users: Mutex<BTreeMap<UserPlace, UserState>>,
    freed: Notify,
    journal: Arc<dyn Journal>,
}

/// What a run needs of one user.
struct Need<'a> {
    name: String,
    pool: &'a str,
    handshakes: u32,
}

/// The users of one run, given back when dropped.
pub(in crate::scenario) struct Lease {
    leases: Arc<Leases>,
    users: BTreeMap<String, UserPlace>,
    held: Vec<UserPlace>,
    reserved: Mutex<BTreeMap<UserPlace, u32>>,
}

/// Whether a user that others act for may be taken as well.
#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    No,
    Yes,
}

enum Attempt {
    Taken(Vec<(String, UserPlace, u32)>),
    AllBusy,
    Refused(Refusal),
}

impl Leases {
    /// The pools of `catalog`, with what `journal` remembers of their users.
    pub(in crate::scenario) fn new(catalog: &Catalog, journal: Arc<dyn Journal>) -> Arc<Self> {
        let (mut rules, mut users, mut minted) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for (name, source) in &catalog.credentials {
            let CredentialSource::Pool(pool) = source else {
                minted.insert(name.clone());
                continue;
            };
            for (index, user) in pool.users.iter().enumerate() {
                let digest = super::digest_of(pool, user);
                let state = UserState {
                    digest,
                    ..UserState::default()
                };
                users.insert((pool.name.clone(), index), state);
            }
            rules.insert(pool.name.clone(), PoolRules::of(pool));
        }
        // The name of a pool is the name of its source.
        recall(&mut users, &rules, journal.as_ref());
        Arc::new(Self {
            pools: rules,
            minted,
            users: Mutex::new(users),
            freed: Notify::new(),
            journal,
        })
    }

    /// Chooses the users of `scenario`: for each credential the one that rested longest, with budget for the worst case; a
    /// user who makes handshakes is not shared unless nobody else becomes free within `CREDENTIAL_WAIT`.
    ///
    /// # Errors
    /// `credential_missing` when a source is not configured or too small, `budget` when the users rest or have used theirs up.
    pub(in crate::scenario) async fn take(self: &Arc<Self>, scenario: &Scenario) -> Result<Lease, Refusal> {
        let patience = Instant::now() + CREDENTIAL_WAIT;
        let needs = self.needs(scenario)?;
        loop {
            // Registered before the attempt, so that a user who is freed between the two is not missed.
            let freed = self.freed.notified();
            let sharing = if Instant::now() < patience {
                Sharing::No
            } else {
                Sharing::Yes
            };
            match self.attempt(&needs, sharing) {
                Attempt::Taken(taken) => return Ok(self.lease(scenario, taken)),
                Attempt::Refused(refusal) => return Err(refusal),
                // Past its patience the next attempt shares.
                Attempt::AllBusy => drop(timeout_at(patience, freed).await),
            }
        }
    }

    fn needs<'a>(&self, scenario: &'a Scenario) -> Result<Vec<Need<'a>>, Refusal> {
        let mut needs = Vec::new();
        for used in scenario.credentials.iter().filter(|used| used.same_as.is_none()) {
            if self.minted.contains(&used.source) {
                continue;
            }
            if !self.pools.contains_key(&used.source) {
                let note = format!("credential `{}` is not configured", used.source);
                return Err(Refusal {
                    reason: UnknownReason::CredentialMissing,
                    note,
                });
            }
            let same = |other: &&CredentialUse| other.name == used.name || other.same_as.as_ref() == Some(&used.name);
            let names = scenario.credentials.iter().filter(same).map(|other| &other.name);
            let all: u32 = names.filter_map(|name| scenario.cost.handshakes.get(name)).sum();
            let handshakes = all.div_ceil(used.count.max(1));
            needs.extend(full_names(used).map(|name| Need {
                name,
                pool: &used.source,
                handshakes,
            }));
        }
        Ok(needs)
    }

    /// Takes all users or none, under one lock, so that two runs never wait for each other.
    fn attempt(&self, needs: &[Need<'_>], sharing: Sharing) -> Attempt {
        let now = clock::unix_seconds(clock::now());
        let mut users = self.users();
        let mut taken: Vec<(String, UserPlace, u32)> = Vec::new();
        for need in needs {
            match self.pick(&mut users, need, &taken, now) {
                Ok((_, holders)) if holders > 0 && need.handshakes > 0 && sharing == Sharing::No => {
                    return Attempt::AllBusy;
                }
                Ok((place, _)) => taken.push((need.name.clone(), place, need.handshakes)),
                Err(refusal) => return Attempt::Refused(refusal),
            }
        }
        let mut turn = users.values().map(|user| user.turn).max().unwrap_or(0);
        for (_, place, handshakes) in &taken {
            turn += 1;
            if let Some(user) = users.get_mut(place) {
                user.turn = turn;
                user.holders += u32::from(*handshakes > 0);
                user.reserved += handshakes;
            }
        }
        Attempt::Taken(taken)
    }

    /// The best user for `need` and how many runs act for that user already.
    fn pick(
        &self,
        users: &mut BTreeMap<UserPlace, UserState>,
        need: &Need<'_>,
        taken: &[(String, UserPlace, u32)],
        now: f64,
    ) -> Result<(UserPlace, u32), Refusal> {
        let rules = &self.pools[need.pool];
        let others: Vec<UserPlace> = (0..rules.size)
            .map(|index| (need.pool.to_owned(), index))
            .filter(|place| taken.iter().all(|(_, other, _)| other != place))
            .collect();
        if others.is_empty() {
            let note = format!("pool `{}` has only {} users", need.pool, rules.size);
            return Err(Refusal {
                reason: UnknownReason::CredentialMissing,
                note,
            });
        }
        let (mut resting, mut best) = (0_usize, None);
        for place in &others {
            let Some(user) = users.get_mut(place) else { continue };
            user.forget(rules, now);
            if user.rests_until > now {
                resting += 1;
            } else if user.room(rules) >= need.handshakes {
                let rank = (user.holders, user.turn);
                if best.as_ref().is_none_or(|(_, known)| rank < *known) {
                    best = Some((place.clone(), rank));
                }
            }
        }
        best.map(|(place, (holders, _))| (place, holders)).ok_or_else(|| {
            let note = format!(
                "no user of pool `{}` has {} handshakes left ({resting} of {} rest)",
                need.pool, need.handshakes, rules.size
            );
            Refusal {
                reason: UnknownReason::Budget,
                note,
            }
        })
    }

    fn lease(self: &Arc<Self>, scenario: &Scenario, taken: Vec<(String, UserPlace, u32)>) -> Lease {
        let held = taken.iter().filter(|(_, _, handshakes)| *handshakes > 0);
        let held = held.map(|(_, place, _)| place.clone()).collect();
        let reserved = taken
            .iter()
            .map(|(_, place, handshakes)| (place.clone(), *handshakes))
            .collect();
        let mut users: BTreeMap<String, UserPlace> = taken.into_iter().map(|(name, place, _)| (name, place)).collect();
        for used in &scenario.credentials {
            let Some(other) = &used.same_as else { continue };
            for name in full_names(used) {
                let twin = name.replacen(&used.name, other, 1);
                if let Some(place) = users.get(&twin).cloned() {
                    users.insert(name, place);
                }
            }
        }
        Lease {
            leases: Arc::clone(self),
            users,
            held,
            reserved: Mutex::new(reserved),
        }
    }

    /// Lets a user rest for the pool's time.
    pub(in crate::scenario) fn rest(&self, place: &UserPlace) {
        let Some(rules) = self.pools.get(&place.0) else { return };
        let until_unix = clock::unix_seconds(clock::now()) + rules.rest.as_secs_f64();
        if let Some(user) = self.users().get_mut(place) {
            user.rests_until = until_unix;
            self.journal.record_rest(UserRest {
                pool: place.0.clone(),
                user: user.digest.clone(),
                until_unix,
            });
        }
    }

    /// What is left of each pool's handshakes.
    pub(in crate::scenario) fn levels(&self) -> Vec<BudgetLevel> {
        let now = clock::unix_seconds(clock::now());
        let mut users = self.users();
        let level = |(name, rules): (&String, &PoolRules)| {
            let budget = rules.budget.as_ref()?;
            let mine = users.iter_mut().filter(|((pool, _), _)| pool == name);
            let left: f64 = mine
                .map(|(_, user)| {
                    user.forget(rules, now);
                    if user.rests_until > now {
                        0.0
                    } else {
                        f64::from(user.room(rules))
                    }
                })
                .sum();
            let size = f64::from(u32::try_from(rules.size).unwrap_or(u32::MAX));
            let all = f64::from(budget.max) * size;
            let remaining_ratio = if all > 0.0 { left / all } else { 0.0 };
            Some(BudgetLevel {
                name: name.clone(),
                remaining_ratio,
            })
        };
        self.pools.iter().filter_map(level).collect()
    }

    fn users(&self) -> MutexGuard<'_, BTreeMap<UserPlace, UserState>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the users that a credential stands for: its own, or `NAME[0]`, `NAME[1]`, … if there are several.
pub(in crate::scenario) fn full_names(used: &CredentialUse) -> impl Iterator<Item = String> + '_ {
    (0..used.count.max(1)).map(|index| {
        if used.count > 1 {
            format!("{}[{index}]", used.name)
        } else {
            used.name.clone()
        }
    })
}

impl Lease {
    /// The user behind a local credential name; none for minted credentials.
    pub(in crate::scenario) fn user(&self, name: &str) -> Option<&UserPlace> {
        self.users.get(name)
    }

    /// A handshake of this credential succeeded.
    pub(in crate::scenario) fn count_handshake(&self, name: &str) {
        let Some(place) = self.users.get(name) else { return };
        let at_unix = clock::unix_seconds(clock::now());
        let promised = self.reserved().get_mut(place).is_some_and(|left| {
            let had = *left > 0;
            *left = left.saturating_sub(1);
            had
        });
        if let Some(user) = self.leases.users().get_mut(place) {
            user.reserved -= u32::from(promised).min(user.reserved);
            user.handshakes.push_back(at_unix);
            let (pool, user) = (place.0.clone(), user.digest.clone());
            self.leases
                .journal
                .record_handshake(HandshakeUse { pool, user, at_unix });
        }
    }

    fn reserved(&self) -> MutexGuard<'_, BTreeMap<UserPlace, u32>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let reserved = std::mem::take(&mut *self.reserved());
        let mut users = self.leases.users();
        for (place, left) in reserved {
            if let Some(user) = users.get_mut(&place) {
                user.reserved = user.reserved.saturating_sub(left);
            }
        }
        for place in &self.held {
            if let Some(user) = users.get_mut(place) {
                user.holders = user.holders.saturating_sub(1);
            }
        }
        drop(users);
        self.leases.freed.notify_waiters();
    }
}
