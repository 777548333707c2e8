//! The instances behind the load balancer: what each keeps in memory, and which one a connection gets.
//! It owns per-process state (contract §1); threads and messages belong to `store`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::auth::User;
use super::breaker::Breaker;
use super::timing::{self, Timing};
use super::tokens::Side;

/// Instances in service.
const INSTANCES: usize = 2;
/// How much older the first instance is at start, so that the two can be told apart by their uptime.
const FIRST_IS_OLDER: Duration = Duration::from_secs(5);
/// How long after a restart's first instance the second joins.
const SECOND_JOINS_AFTER: Duration = Duration::from_secs(2);
/// Validated tokens kept per instance.
const CACHE_MAX: usize = 4096;

/// A validated token.
#[derive(Clone)]
struct Cached {
    user: User,
    until: Instant,
}

/// Work that one agent of an instance did.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgentCounter {
    /// Runs and calls finished.
    pub operations: u64,
    /// Those that failed.
    pub failures: u64,
    /// Time they took together.
    pub total_ms: f64,
    /// Unix seconds of the last one.
    pub last: Option<f64>,
}

/// Agents' work on one instance.
#[derive(Default)]
pub struct AgentBook {
    /// By agent name.
    pub agents: BTreeMap<&'static str, AgentCounter>,
    /// Operations going on now.
    pub active: u64,
}

/// One process of the backend.
pub struct Instance {
    /// Sixteen hexadecimal digits, new with every start.
    pub id: String,
    /// When the process started.
    pub born: Instant,
    /// Breaker around the auth service.
    pub breaker: Mutex<Breaker>,
    /// Set when the process is told to end.
    pub retired: CancellationToken,
    agents: Mutex<AgentBook>,
    cache: Mutex<HashMap<(Side, String), Cached>>,
    cache_for: Duration,
}

impl Instance {
    fn new(timing: Timing, born: Instant) -> Arc<Self> {
        Arc::new(Self {
            id: super::new_hex(8),
            born,
            breaker: Mutex::new(Breaker::new(timing.breaker_open())),
            retired: CancellationToken::new(),
            agents: Mutex::default(),
            cache: Mutex::default(),
            cache_for: timing.token_cache(),
        })
    }

    /// Age of the process.
    pub fn uptime(&self) -> Duration {
        self.born.elapsed()
    }

    /// The agents' book, for reading and writing.
    pub fn agents(&self) -> MutexGuard<'_, AgentBook> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The breaker, for calls and for publishing.
    pub fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user a token was validated for, while that is fresh.
    pub fn cached(&self, side: Side, token: &str) -> Option<User> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (side, token.to_owned());
        let cached = cache.get(&key)?;
        let alive = cached.user.exp > timing::now_unix() as u64;
        if cached.until > Instant::now() && alive {
            return Some(cached.user.clone());
        }
        cache.remove(&key);
        None
    }

    /// Keeps the user a token was validated for.
    pub fn remember(&self, side: Side, token: &str, user: &User) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        let until = Instant::now() + self.cache_for;
        let cached = Cached {
            user: user.clone(),
            until,
        };
        cache.insert((side, token.to_owned()), cached);
    }

    /// Notes that an operation of some agent began.
    pub fn begin(self: &Arc<Self>) -> Operation {
        self.agents().active += 1;
        Operation {
            instance: Arc::clone(self),
            began: Instant::now(),
        }
    }
}

/// An operation that counts as active until it is dropped.
pub struct Operation {
    instance: Arc<Instance>,
    began: Instant,
}

impl Operation {
    /// Notes how it ended for `agent`; it stays active until dropped.
    pub fn note(&self, agent: &'static str, failures: u64) {
        let mut book = self.instance.agents();
        let counter = book.agents.entry(agent).or_default();
        counter.operations += 1;
        counter.failures += failures;
        counter.total_ms += self.began.elapsed().as_secs_f64() * 1e3;
        counter.last = Some(timing::now_unix());
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let mut book = self.instance.agents();
        book.active = book.active.saturating_sub(1);
    }
}

/// The instances in service.
pub struct Fleet {
    timing: Timing,
    instances: Mutex<Vec<Arc<Instance>>>,
    next: AtomicUsize,
    restarting: AtomicBool,
    last_start: Mutex<Instant>,
    restarts: AtomicUsize,
}

impl Fleet {
    /// Two instances, one a little older.
    pub fn new(timing: Timing) -> Self {
        let now = Instant::now();
        let older = now.checked_sub(FIRST_IS_OLDER).unwrap_or(now);
        Self {
            timing,
            instances: Mutex::new(vec![Instance::new(timing, older), Instance::new(timing, now)]),
            next: AtomicUsize::new(0),
            restarting: AtomicBool::new(false),
            last_start: Mutex::new(now),
            restarts: AtomicUsize::new(0),
        }
    }

    fn instances(&self) -> MutexGuard<'_, Vec<Arc<Instance>>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instances in service now.
    pub fn all(&self) -> Vec<Arc<Instance>> {
        self.instances().clone()
    }

    /// The instance the next connection gets. The list is never empty: a restart replaces it whole.
    pub fn next(&self) -> Arc<Instance> {
        let instances = self.instances();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&instances[turn % instances.len()])
    }

    /// The instance whose turn it is when turns are counted by `turn`.
    pub fn at(&self, turn: u64) -> Arc<Instance> {
        let instances = self.instances();
        Arc::clone(&instances[turn as usize % instances.len()])
    }

    /// The instance an affinity cookie names, if it is still in service.
    pub fn named(&self, id: &str) -> Option<Arc<Instance>> {
        self.instances().iter().find(|one| one.id == id).cloned()
    }

    /// Whether the instance is the one that serves first.
    pub fn is_first(&self, one: &Instance) -> bool {
        self.instances().first().is_some_and(|first| first.id == one.id)
    }

    /// Whether a restart is going on.
    pub fn is_restarting(&self) -> bool {
        self.restarting.load(Ordering::Relaxed)
    }

    /// Time since the last start, and how many restarts there were.
    pub fn since_start(&self) -> (Duration, usize) {
        let started = *self.last_start.lock().unwrap_or_else(PoisonError::into_inner);
        (started.elapsed(), self.restarts.load(Ordering::Relaxed))
    }

    /// Tells every instance to end; false if a restart was going on already.
    pub fn retire(&self) -> bool {
        if self.restarting.swap(true, Ordering::Relaxed) {
            return false;
        }
        for instance in self.all() {
            instance.retired.cancel();
        }
        true
    }

    /// Puts a new first instance into service; in-memory state of the old ones is gone.
    pub fn replace(&self) {
        let now = Instant::now();
        *self.instances() = vec![Instance::new(self.timing, now)];
        *self.last_start.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.restarting.store(false, Ordering::Relaxed);
    }

    /// Lets the remaining instances join, a moment after the first.
    pub async fn scale_out(&self) {
        tokio::time::sleep(SECOND_JOINS_AFTER).await;
        let mut instances = self.instances();
        while instances.len() < INSTANCES {
            instances.push(Instance::new(self.timing, Instant::now()));
        }
    }
}
