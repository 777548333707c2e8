//! What a run has seen so far. It lives outside of the run's steps, so that a panic loses none of it.
//! Must not: decide whether a run goes on.

use crate::failure::{Class, Failure, Kind};
use crate::limits::{ENTRIES_PER_TRANSCRIPT_MAX, LATENESS_FINE_TICK, LATENESS_FINE_TICKS, LATENESS_MAX, LATENESS_TICK};
use crate::transcript::Entry;
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The record of one run.
#[derive(Default)]
pub(super) struct Record {
    entries: Mutex<Vec<Entry>>,
    vars: Mutex<Map<String, Value>>,
    /// Whether the target gave any HTTP answer in this run.
    answered: AtomicBool,
    /// How long steps waited for room in our own limits.
    waited: Mutex<Duration>,
    /// When we were late ourselves: from when a timer was due to when it was served.
    late: Mutex<Vec<(Instant, Instant)>>,
    /// The worst lateness of all, however small.
    latest: Mutex<Duration>,
}

impl Record {
    /// Keeps an entry.
    ///
    /// # Errors
    /// `step_invalid` blamed on us when the transcript is full; the entry is then not kept.
    pub(super) fn keep(&self, entry: Entry) -> Result<(), Failure> {
        let mut entries = lock(&self.entries);
        if entries.len() >= ENTRIES_PER_TRANSCRIPT_MAX {
            let detail = format!("the run has more than {ENTRIES_PER_TRANSCRIPT_MAX} entries");
            return Err(Failure::new(Kind::StepInvalid, detail).blamed_on(crate::failure::Blame::Monitor));
        }
        entries.push(entry);
        Ok(())
    }

    /// Keeps a variable or capture; the last value wins.
    pub(super) fn keep_var(&self, name: &str, value: Value) {
        lock(&self.vars).insert(name.to_owned(), value);
    }

    /// The target gave an HTTP answer.
    pub(super) fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether it did.
    pub(super) fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// A step waited for room in our own limits.
    pub(super) fn note_wait(&self, waited: Duration) {
        *lock(&self.waited) += waited;
    }

    /// How long all steps together waited for it.
    pub(super) fn waited(&self) -> Duration {
        *lock(&self.waited)
    }

    /// By how much we were late at worst in serving our own timers.
    pub(super) fn lateness(&self) -> Duration {
        *lock(&self.latest)
    }

    /// Changes every entry's failure.
    pub(super) fn for_each_failure(&self, change: impl Fn(&mut Failure)) {
        let mut entries = lock(&self.entries);
        entries
            .iter_mut()
            .filter_map(|entry| entry.failure.as_mut())
            .for_each(change);
    }

    /// Whether some failure answers to `is`.
    pub(super) fn any_failure(&self, is: impl Fn(&Failure) -> bool) -> bool {
        lock(&self.entries)
            .iter()
            .filter_map(|entry| entry.failure.as_ref())
            .any(is)
    }

    /// Id of the newest entry.
    pub(super) fn last_step(&self) -> Option<String> {
        lock(&self.entries).last().map(|entry| entry.id.clone())
    }

    /// Entries and variables, taken out.
    pub(super) fn take(&self) -> (Vec<Entry>, Map<String, Value>) {
        (
            std::mem::take(&mut lock(&self.entries)),
            std::mem::take(&mut lock(&self.vars)),
        )
    }

    /// Looks again and again whether timers are served in time. Never ends: run it beside the steps.
    pub(super) async fn watch_lateness(&self) {
        for look in 0_u32.. {
            let tick = match look {
                ..LATENESS_FINE_TICKS => LATENESS_FINE_TICK,
                _ => LATENESS_TICK,
            };
            let due = Instant::now() + tick;
            sleep(tick).await;
            let served = Instant::now();
            let mut latest = lock(&self.latest);
            *latest = latest.max(served.saturating_duration_since(due));
            drop(latest);
            if served > due + LATENESS_MAX {
                lock(&self.late).push((due, served));
            }
        }
    }

    /// A deadline missed while we were late ourselves is our own fault (faults.md, D09).
    pub(super) fn own_fault(&self, failure: Failure, begun: Instant) -> Failure {
        let timed_out = failure.class == Class::Timeout || failure.kind.as_str().ends_with("_timeout");
        let missed = timed_out || matches!(failure.kind, Kind::WsSilent | Kind::WsHalfOpen);
        let latest = lock(&self.late).last().copied();
        let Some((due, served)) = latest.filter(|(_, served)| missed && *served >= begun) else {
            return failure;
        };
        let late = served.saturating_duration_since(due).as_secs_f64();
        Failure::new(
            Kind::Overload,
            format!("we were {late:.1} s late ourselves when: {}", failure.detail),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lateness_of_a_held_up_thread_is_noticed() {
        let record = Record::default();
        let held_up = async {
            sleep(LATENESS_FINE_TICK / 2).await;
            std::thread::sleep(LATENESS_FINE_TICK * 3);
            sleep(LATENESS_FINE_TICK / 2).await;
        };
        tokio::select! {
            () = record.watch_lateness() => {}
            () = held_up => {}
        }
        assert!(record.lateness() >= LATENESS_FINE_TICK * 2, "{:?}", record.lateness());
    }

    #[test]
    fn only_deadlines_missed_while_late_are_our_fault() {
        let record = Record::default();
        let begun = Instant::now();
        let served = begun + Duration::from_secs(3);
        lock(&record.late).push((begun + Duration::from_secs(1), served));
        let kind = |kind, begun| record.own_fault(Failure::new(kind, ""), begun).kind;
        assert_eq!(kind(Kind::HeaderTimeout, begun), Kind::Overload);
        assert_eq!(kind(Kind::TcpTimeout, begun), Kind::Overload);
        assert_eq!(kind(Kind::WsNoAnswer, begun), Kind::Overload);
        assert_eq!(kind(Kind::TcpRefused, begun), Kind::TcpRefused);
        assert_eq!(
            kind(Kind::HeaderTimeout, served + Duration::from_secs(1)),
            Kind::HeaderTimeout
        );
    }
}
