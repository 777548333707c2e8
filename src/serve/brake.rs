//! The brake on guessing: so many wrong tokens or passwords a minute from one address, and it has to wait (faults.md S12).

use super::peer;
use crate::limits::{SERVE_BAD_TOKENS_PER_MINUTE, SERVE_GUESSERS_MAX};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Length of the window in which wrong ones are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Wrong tokens and passwords by address.
#[derive(Default)]
pub(super) struct Brake {
    wrong: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Brake {
    /// Whether whoever asks now has to wait.
    pub(super) fn holds(&self) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong
            .get(&peer::current())
            .is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= SERVE_BAD_TOKENS_PER_MINUTE)
    }

    /// Whoever asks now was wrong.
    pub(super) fn wrong(&self) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        wrong.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
        if wrong.len() >= SERVE_GUESSERS_MAX {
            let oldest = wrong.iter().min_by_key(|(_, (since, _))| *since).map(|(who, _)| *who);
            oldest.and_then(|who| wrong.remove(&who));
        }
        wrong.entry(peer::current()).or_insert((now, 0)).1 += 1;
    }
}
