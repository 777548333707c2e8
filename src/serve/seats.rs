//! Places for connections: so many, some of them for whoever watches us. When all are taken, whoever has sent nothing for the
//! longest gives up its place, so that clients that only hold connections open lock nobody out (faults.md D23).

use crate::limits::{SERVE_CONNECTIONS_MAX, SERVE_CONNECTIONS_RESERVED};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Whoever has just come may take this long before its silence counts: a request comes right behind its connection.
const GRACE: Duration = Duration::from_millis(20);
/// How long a place that is being given up is waited for.
const GIVEN_UP_WITHIN: Duration = Duration::from_millis(100);

/// All places.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<BTreeMap<u64, Arc<Talk>>>,
    next: AtomicU64,
}

/// What one connection is at.
pub(super) struct Talk {
    /// Since when it owes us a request; none while we owe it an answer.
    silent: Mutex<Option<Instant>>,
    evicted: CancellationToken,
}

/// A place, given back when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    number: u64,
    /// What the connection is at.
    pub(super) talk: Arc<Talk>,
    /// Whether it is one of those for whoever watches us.
    pub(super) reserved: bool,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(SERVE_CONNECTIONS_MAX)),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A place, if need be that of whoever has been silent for the longest; none when everybody is being answered.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Seat> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                self.most_silent()?.evicted.cancel();
                let given_up = Arc::clone(&self.free).acquire_owned();
                tokio::time::timeout(GIVEN_UP_WITHIN, given_up).await.ok()?.ok()?
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let talk = Arc::new(Talk {
            silent: Mutex::new(Some(Instant::now())),
            evicted: CancellationToken::new(),
        });
        lock(&self.taken).insert(number, Arc::clone(&talk));
        Some(Seat {
            reserved: self.free.available_permits() < SERVE_CONNECTIONS_RESERVED,
            seats: Arc::clone(self),
            number,
            talk,
            _permit: permit,
        })
    }

    fn most_silent(&self) -> Option<Arc<Talk>> {
        let taken = lock(&self.taken);
        let silent = taken.values().filter_map(|talk| Some(((*lock(&talk.silent))?, talk)));
        let longest = silent.min_by_key(|(since, _)| *since);
        longest
            .filter(|(since, _)| since.elapsed() >= GRACE)
            .map(|(_, talk)| Arc::clone(talk))
    }
}

impl Talk {
    /// A request has come.
    pub(super) fn asked(&self) {
        *lock(&self.silent) = None;
    }

    /// Its answer is ready.
    pub(super) fn answered(&self) {
        *lock(&self.silent) = Some(Instant::now());
    }

    /// Waits until somebody else needs the place.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.seats.taken).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is replaced whole, so a panic elsewhere cannot have left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
