//! Promises about latency that are not kept: the share of samples within the bound, over half an hour. Pure, bounded.

use super::firing::{About, Firing, id};
use super::sustained::{Sustained, Window};
use super::{Alert, AlertName};
use crate::catalog::{Catalog, Severity};
use crate::run::Measured;
use std::collections::BTreeMap;
use std::time::Duration;

/// Minutes of samples.
const OVER: usize = 30;
/// Share that must be within the bound.
const SHARE_MIN: f64 = 0.95;
/// How long it must be missed.
const MISSED_FOR: Duration = Duration::from_secs(900);

/// All promises.
#[derive(Debug)]
pub(super) struct Promises {
    owner: String,
    targets: BTreeMap<String, Promise>,
}

#[derive(Debug)]
struct Promise {
    bound_ms: f64,
    samples_min: u32,
    samples: Window,
    missed: Sustained,
}

impl Promises {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let targets = catalog.latency_targets.iter().map(|(name, target)| {
            let promise = Promise {
                bound_ms: target.seconds * 1e3,
                samples_min: target.samples_min,
                samples: Window::new(OVER),
                missed: Sustained::default(),
            };
            (name.clone(), promise)
        });
        Self {
            owner: catalog.alerting.owner.clone(),
            targets: targets.collect(),
        }
    }

    /// Takes what a run measured.
    pub(super) fn take(&mut self, measures: &[Measured], now: f64) {
        for measured in measures {
            let target = measured.latency_target.as_ref();
            let Some(promise) = target.and_then(|name| self.targets.get_mut(name)) else {
                continue;
            };
            for value in measured.numbers() {
                promise
                    .samples
                    .add(now, if value <= promise.bound_ms { 1.0 } else { 0.0 });
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: f64, muted: bool) {
        for promise in self.targets.values_mut() {
            promise.samples.forget(now);
            let enough = promise
                .samples
                .share()
                .filter(|(_, samples)| *samples >= f64::from(promise.samples_min));
            let missed = enough.map(|(share, _)| share < SHARE_MIN);
            promise.missed.update(missed, now, (MISSED_FOR, muted));
        }
    }

    /// What fires.
    pub(super) fn firing(&self) -> impl Iterator<Item = Firing> {
        self.targets.iter().filter_map(|(name, promise)| {
            let since = promise.missed.firing()?;
            let (share, samples) = promise.samples.share().unwrap_or_default();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a number of samples"
            )]
            let samples = samples as u32;
            Some(Firing {
                id: id(AlertName::LatencyTargetMissed, &[("latency_target", name)]),
                severity: Some(Severity::Warning),
                owner: self.owner.clone(),
                starts_at: since,
                about: About::Latency {
                    target: name.clone(),
                    share,
                    samples,
                },
            })
        })
    }

    /// Goes on with an alert of a former process; gives whether there is such a promise.
    pub(super) fn adopt(&mut self, alert: &Alert) -> bool {
        let name = alert.id.labels.get("latency_target");
        let promise = name.and_then(|name| self.targets.get_mut(name));
        promise.is_some_and(|promise| {
            promise.missed.adopt(alert.starts_at);
            true
        })
    }
}
