//! Everything the staging consists of, in one place: switches, clocks, accounts, database, instances, sockets.
//! It owns the parts and the state of dependencies; it must not speak HTTP.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::AuthService;
use super::faults::{Fault, Faults};
use super::gate::Gate;
use super::instance::Fleet;
use super::socket::hub::Hub;
use super::stats::Stats;
use super::store::Store;
use super::timing::Timing;

/// Addresses of the three listeners, as bound.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Backend: HTTP, WebSocket, SSE.
    pub backend: SocketAddr,
    /// Auth service.
    pub auth: SocketAddr,
    /// Control, which no fault touches.
    pub control: SocketAddr,
}

/// Whether a dependency can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// The two halves of a start in the wrong order (fault `startup-order-wrong`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// Readiness is fine while /health is not.
    ReadyBeforeHealthy,
    /// /health is fine, and readiness answers 500.
    BrokenAfterHealthy,
}

/// Counts turns, for faults that act on every so many calls.
#[derive(Default)]
pub struct Turns(AtomicU64);

impl Turns {
    /// Whether this turn is the first of every `count`.
    pub fn first_of(&self, count: u64) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(count)
    }

    /// A number that grows with every turn.
    pub fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The staging. One per rehearsal, shared by every task.
pub struct World {
    /// The switchboard.
    pub faults: Faults,
    /// Scaled durations.
    pub timing: Timing,
    /// Accounts and tokens.
    pub auth: AuthService,
    /// Threads, messages, runs.
    pub store: Store,
    /// The two instances behind the load balancer.
    pub fleet: Fleet,
    /// Open sockets by user.
    pub hub: Hub,
    /// Counters for tests.
    pub stats: Stats,
    /// Where the listeners are.
    pub at: Addresses,
    /// The backend's listener.
    pub backend_gate: Gate,
    /// The auth service's listener.
    pub auth_gate: Gate,
    /// The control listener, which never closes.
    pub control_gate: Gate,
    /// Turns of thread lists, for the faults that act on some of them.
    pub list_turns: Turns,
    /// Turns of calls that need the database.
    pub database_turns: Turns,
    /// Every task, so that shutdown can wait for them.
    pub tasks: TaskTracker,
    /// Ends everything.
    pub stop: CancellationToken,
    started: Instant,
}

impl World {
    /// A healthy staging at `at`, its durations scaled by `timing`.
    pub fn new(at: Addresses, timing: Timing) -> Self {
        Self {
            faults: Faults::new(),
            timing,
            auth: AuthService::new(timing),
            store: Store::default(),
            fleet: Fleet::new(timing),
            hub: Hub::default(),
            stats: Stats::default(),
            at,
            backend_gate: Gate::default(),
            auth_gate: Gate::default(),
            control_gate: Gate::default(),
            list_turns: Turns::default(),
            database_turns: Turns::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            started: Instant::now(),
        }
    }

    /// Time since the rehearsal started.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// PostgreSQL, which keeps users, threads, messages and runs.
    pub fn database(&self) -> Dependency {
        let faults = [Fault::DatabaseDown, Fault::HealthLies, Fault::DbOutageAs401];
        self.dependency(&faults)
    }

    /// Redis, which core calls can do without.
    pub fn redis(&self) -> Dependency {
        self.dependency(&[Fault::RedisDown, Fault::DegradedBreaksCore])
    }

    /// The auth service as the backend reaches it.
    pub fn auth_reachable(&self) -> Dependency {
        match self.auth_gate.is_open() {
            true => self.dependency(&[Fault::Auth503, Fault::AuthOutageAs401]),
            false => Dependency::Down,
        }
    }

    /// How far a start in the wrong order is, for a while after a restart.
    pub fn disorder(&self) -> Option<Disorder> {
        let (since, restarts) = self.fleet.since_start();
        let whole = self.timing.disorder();
        if restarts == 0 || since > whole || !self.faults.on(Fault::StartupOrderWrong) {
            return None;
        }
        Some(match since < whole / 3 {
            true => Disorder::ReadyBeforeHealthy,
            false => Disorder::BrokenAfterHealthy,
        })
    }

    fn dependency(&self, away: &[Fault]) -> Dependency {
        match self.faults.any(away) {
            true => Dependency::Down,
            false => Dependency::Up,
        }
    }

    /// Moves the listeners to where the switches want them.
    pub fn apply_gates(&self) {
        let restarting = self.fleet.is_restarting();
        let refused = self.faults.on(Fault::RefuseConnections);
        self.backend_gate.want(!refused && !restarting);
        self.auth_gate.want(!self.faults.on(Fault::AuthDown));
    }
}
