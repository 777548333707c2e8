//! The sockets that resident scenarios lend to others: who offers, who borrows, and the frames that fan out to borrowers.
//! Must not: read a socket; the offering step does.

use super::sockets::Socket;
use crate::failure::{Failure, Kind};
use crate::limits::BORROWED_FRAMES_MAX;
use crate::probe::SeenFrame;
use crate::secret::Secret;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

/// Everything that is on offer now.
pub(super) struct Residents {
    offers: Mutex<Vec<Arc<Offer>>>,
    /// Counts changes, so that a borrower who waits looks again.
    changes: watch::Sender<u64>,
    /// Counts the calls to end all offers.
    endings: watch::Sender<u64>,
}

/// One socket on offer.
pub(super) struct Offer {
    resident: String,
    on: String,
    socket: Arc<Socket>,
    /// What a borrower's transcript must not show either.
    secrets: Vec<Secret>,
    borrowers: Mutex<Vec<Borrower>>,
    /// How the session ended, if it did.
    ended: Mutex<Option<Failure>>,
}

struct Borrower {
    frames: mpsc::Sender<SeenFrame>,
    dropped: Arc<AtomicU64>,
}

/// An offer that stands until it is dropped.
pub(super) struct Standing<'a> {
    residents: &'a Residents,
    offer: Arc<Offer>,
}

/// A socket on loan.
pub(super) struct Borrowed {
    offer: Arc<Offer>,
    frames: tokio::sync::Mutex<mpsc::Receiver<SeenFrame>>,
    dropped: Arc<AtomicU64>,
}

impl Default for Residents {
    fn default() -> Self {
        Self {
            offers: Mutex::default(),
            changes: watch::Sender::new(0),
            endings: watch::Sender::new(0),
        }
    }
}

impl Residents {
    /// Offers `socket` until the result is dropped.
    pub(super) fn offer(&self, resident: &str, on: &str, socket: Arc<Socket>, secrets: Vec<Secret>) -> Standing<'_> {
        let (resident, on) = (resident.to_owned(), on.to_owned());
        let offer = Arc::new(Offer {
            resident,
            on,
            socket,
            secrets,
            borrowers: Mutex::default(),
            ended: Mutex::default(),
        });
        lock(&self.offers).push(Arc::clone(&offer));
        self.changes.send_modify(|changes| *changes += 1);
        Standing { residents: self, offer }
    }

    /// Ends all offers that stand now, in good order.
    pub(super) fn end(&self) {
        self.endings.send_modify(|endings| *endings += 1);
    }

    /// Sees the next call of [`Self::end`].
    pub(super) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }

    /// Borrows the socket that `resident` offers, preferably the one it calls `on`; waits for it until `deadline`.
    ///
    /// # Errors
    /// `credential_missing` when none is offered in time.
    pub(super) async fn borrow(&self, resident: &str, on: &str, deadline: Instant) -> Result<Borrowed, Failure> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(offer) = self.find(resident, on) {
                return Ok(Borrowed::of(offer));
            }
            // The sender lives as long as we do, so only the deadline ends this.
            if timeout_at(deadline, changes.changed()).await.is_err() {
                let detail = format!("`{resident}` offers no socket");
                return Err(Failure::new(Kind::CredentialMissing, detail));
            }
        }
    }

    fn find(&self, resident: &str, on: &str) -> Option<Arc<Offer>> {
        let offers = lock(&self.offers);
        let mut mine = offers.iter().filter(|offer| offer.resident == resident);
        let any = mine.clone().next();
        mine.find(|offer| offer.on == on).or(any).cloned()
    }
}

impl Standing<'_> {
    /// Gives `frame` to every borrower.
    pub(super) fn share(&self, frame: &SeenFrame) {
        lock(&self.offer.borrowers).retain(|borrower| match borrower.frames.try_send(frame.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                borrower.dropped.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// Nobody can borrow it any more; those who have it keep it.
    pub(super) fn withdraw(&self) {
        lock(&self.residents.offers).retain(|offer| !Arc::ptr_eq(offer, &self.offer));
    }

    /// The session has ended: borrowers see how.
    pub(super) fn end(&self, failure: &Failure) {
        lock(&self.offer.ended).get_or_insert_with(|| failure.clone());
    }

    /// Whether somebody has it.
    pub(super) fn is_lent(&self) -> bool {
        lock(&self.offer.borrowers)
            .iter()
            .any(|borrower| !borrower.frames.is_closed())
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.withdraw();
        // Whoever still waits for a frame sees the end.
        lock(&self.offer.borrowers).clear();
    }
}

impl Borrowed {
    fn of(offer: Arc<Offer>) -> Self {
        let (sender, frames) = mpsc::channel(BORROWED_FRAMES_MAX);
        let dropped = Arc::<AtomicU64>::default();
        lock(&offer.borrowers).push(Borrower {
            frames: sender,
            dropped: Arc::clone(&dropped),
        });
        Self {
            offer,
            frames: tokio::sync::Mutex::new(frames),
            dropped,
        }
    }

    /// The resident's socket.
    pub(super) fn lender(&self) -> &Socket {
        &self.offer.socket
    }

    /// What must not be shown of it.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.offer.secrets
    }

    /// The next frame that arrived since it was borrowed; `None` at the deadline.
    ///
    /// # Errors
    /// How the session ended, or `credential_missing` when the resident has ended its offer.
    pub(super) async fn next(&self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        let mut frames = self.frames.lock().await;
        match timeout_at(deadline, frames.recv()).await {
            Ok(Some(frame)) => Ok(Some(frame)),
            Ok(None) => {
                let detail = format!("`{}` has ended its offer", self.offer.resident);
                let ended = lock(&self.offer.ended).clone();
                Err(ended.unwrap_or_else(|| Failure::new(Kind::CredentialMissing, detail)))
            }
            Err(_) => Ok(None),
        }
    }

    /// Frames lost because they were not read in time.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
