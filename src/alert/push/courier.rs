//! Keeps one Alertmanager told: at once when something new fires, again every `resend`, later and later while it fails.

use super::door::Door;
use super::{Fault, Shared};
use crate::alert::{Alert, AlertId};
use crate::clock;
use crate::limits::{PUSH_BATCH_ALERTS_MAX, PUSH_RETRY_MIN};
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The task.
pub(super) struct Courier {
    door: Door,
    shared: Shared,
    /// What it rejected, by what was sent.
    rejected: BTreeMap<AlertId, u64>,
    failures: u32,
}

impl Courier {
    pub(super) fn new(door: Door, shared: Shared) -> Self {
        Self {
            door,
            shared,
            rejected: BTreeMap::new(),
            failures: 0,
        }
    }

    /// Goes on until it is stopped.
    pub(super) async fn go(mut self) {
        let stop = self.shared.stop.clone();
        stop.run_until_cancelled(self.rounds()).await;
    }

    async fn rounds(&mut self) {
        loop {
            let firing = self.shared.firing.borrow_and_update().clone();
            let began = Instant::now();
            let outcome = self.round(&firing).await;
            let pause = self.pause(outcome);
            // However often things change, a door that fails is not knocked at without pause.
            let least = match self.failures {
                0 => Duration::ZERO,
                _ => PUSH_RETRY_MIN,
            };
            tokio::select! {
                changed = self.shared.firing.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep_until(began + least).await;
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// How long to wait for the next round.
    fn pause(&mut self, outcome: Result<(), Fault>) -> Duration {
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    tracing::info!(alertmanager = %self.door.name, after = self.failures, "push.well_again");
                }
                self.failures = 0;
                self.shared.resend
            }
            Err(fault) => {
                if self.failures == 0 {
                    tracing::warn!(alertmanager = %self.door.name, %fault, "push.failing: it is tried again and again");
                }
                self.failures = self.failures.saturating_add(1);
                back_off(self.failures, self.shared.resend, rand::random())
            }
        }
    }

    /// Sends everything that fires, in batches.
    async fn round(&mut self, firing: &Arc<[Alert]>) -> Result<(), Fault> {
        self.rejected.retain(|id, _| firing.iter().any(|alert| alert.id == *id));
        let due: Vec<&Alert> = firing
            .iter()
            .filter(|alert| self.rejected.get(&alert.id) != Some(&fingerprint(alert)))
            .collect();
        for batch in due.chunks(PUSH_BATCH_ALERTS_MAX) {
            match self.send(batch).await {
                Err(Fault::Rejected) => self.one_by_one(batch).await?,
                other => other?,
            }
        }
        Ok(())
    }

    /// A batch with a bad alert in it: the good ones must not suffer.
    async fn one_by_one(&mut self, batch: &[&Alert]) -> Result<(), Fault> {
        for alert in batch {
            match self.send(&[alert]).await {
                Err(Fault::Rejected) => {
                    tracing::error!(alertmanager = %self.door.name, alert = %alert.id.name, labels = ?alert.id.labels, "push.rejected: left out until it changes");
                    self.shared.observer.rejected(&self.door.name);
                    self.rejected.insert(alert.id.clone(), fingerprint(alert));
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn send(&self, batch: &[&Alert]) -> Result<(), Fault> {
        let (shared, now) = (&self.shared, clock::unix_seconds(clock::now()));
        let messages: Vec<Value> = batch
            .iter()
            .map(|alert| shared.common.message(alert, shared.lease, now))
            .collect();
        let began = Instant::now();
        let sent = self.door.send(&messages).await;
        shared.observer.pushed(&self.door.name, sent.err(), began.elapsed());
        sent?;
        for page in batch.iter().filter(|alert| shared.pages.accepted(alert)) {
            shared.pages.follow(page, &self.door, shared);
        }
        Ok(())
    }
}

/// Doubles from failure to failure up to `most`, and is spread over its upper half, so that not all come back at once.
/// `chance` is from 0 to 1.
fn back_off(failures: u32, most: Duration, chance: f64) -> Duration {
    let doubled = PUSH_RETRY_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(most).mul_f64(0.5 + chance / 2.0)
}

/// What Alertmanager judged, the lease left out.
fn fingerprint(alert: &Alert) -> u64 {
    let mut hasher = DefaultHasher::new();
    alert.id.hash(&mut hasher);
    alert.severity.map(|severity| severity.as_str()).hash(&mut hasher);
    alert.owner.hash(&mut hasher);
    alert.starts_at.to_bits().hash(&mut hasher);
    alert.annotations.hash(&mut hasher);
    alert.page.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_time_between_two_pushes_and_is_never_the_same() {
        let most = Duration::from_secs(15);
        let pauses: Vec<u128> = (1..=8)
            .map(|failures| back_off(failures, most, 1.0).as_millis())
            .collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
        assert_eq!(back_off(3, most, 0.0), Duration::from_secs(1));
        assert_eq!(back_off(u32::MAX, most, 0.5), most.mul_f64(0.75));
    }
}
