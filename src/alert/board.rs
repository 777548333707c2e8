//! What the desk and the push last said, for everybody who looks; all of it goes on to the metrics.

use super::Stage;
use super::desk::{Snapshot, Told};
use super::push::{Fault, PushObserver};
use crate::clock;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The board. It outlives desks and pushes: a reload writes on it as well.
pub struct Board {
    told: Arc<dyn Told>,
    observer: Arc<dyn PushObserver>,
    now: ArcSwap<Snapshot>,
    pushes: Mutex<BTreeMap<String, Pushed>>,
}

/// How the last push to an Alertmanager went.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// When it ended, seconds since 1970.
    pub at: f64,
    /// Why it failed, if it did.
    pub fault: Option<Fault>,
}

impl Board {
    /// An empty one, which passes on what it is told.
    pub fn new<Metrics: Told + PushObserver + 'static>(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            told: Arc::clone(metrics) as _,
            observer: Arc::clone(metrics) as _,
            now: ArcSwap::default(),
            pushes: Mutex::default(),
        })
    }

    /// What fires and what does not, as the desk last said.
    pub fn now(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }

    /// The last push to this Alertmanager, if there was one.
    pub fn pushed(&self, alertmanager: &str) -> Option<Pushed> {
        self.pushes().get(alertmanager).cloned()
    }

    fn pushes(&self) -> MutexGuard<'_, BTreeMap<String, Pushed>> {
        self.pushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told for Board {
    fn alerts(&self, now: &Arc<Snapshot>) {
        self.now.store(Arc::clone(now));
        self.told.alerts(now);
    }

    fn page(&self, stage: Stage, seconds: f64) {
        self.told.page(stage, seconds);
    }
}

impl PushObserver for Board {
    fn pushed(&self, alertmanager: &str, fault: Option<Fault>, took: Duration) {
        let at = clock::unix_seconds(clock::now());
        self.pushes().insert(alertmanager.to_owned(), Pushed { at, fault });
        self.observer.pushed(alertmanager, fault, took);
    }

    fn rejected(&self, alertmanager: &str) {
        self.observer.rejected(alertmanager);
    }

    fn accepted(&self, seconds: f64) {
        self.observer.accepted(seconds);
    }

    fn visible(&self, seconds: f64) {
        self.observer.visible(seconds);
    }
}
