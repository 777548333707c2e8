//! How far a page has come: the first Alertmanager to take it, and the moment at which it shows in that one's list.

use super::Shared;
use super::door::Door;
use crate::alert::{Alert, AlertId, AlertName};
use crate::catalog::Severity;
use crate::clock;
use crate::limits::{VISIBLE_LOOK_EVERY, VISIBLE_WITHIN};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// The pages that were taken.
pub(super) struct Pages {
    /// Seconds since 1970 of our start: what began earlier was adopted, and its page is no news.
    since: f64,
    taken: Mutex<BTreeSet<AlertId>>,
}

impl Pages {
    pub(super) fn new(since: f64) -> Self {
        Self {
            since,
            taken: Mutex::default(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<AlertId>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what no longer fires.
    pub(super) fn keep(&self, firing: &[Alert]) {
        self.taken().retain(|id| firing.iter().any(|alert| alert.id == *id));
    }

    /// Whether this is a new page that an Alertmanager took for the first time.
    pub(super) fn accepted(&self, alert: &Alert) -> bool {
        is_page(alert) && alert.starts_at >= self.since && self.taken().insert(alert.id.clone())
    }

    /// Says that it was taken, and looks until it shows.
    pub(super) fn follow(&self, alert: &Alert, door: &Door, shared: &Shared) {
        shared
            .observer
            .accepted(clock::unix_seconds(clock::now()) - alert.starts_at);
        let (alert, door, shared) = (alert.clone(), door.clone(), shared.clone());
        let tasks = shared.tasks.clone();
        tasks.spawn(async move {
            let stop = shared.stop.clone();
            stop.run_until_cancelled(look(alert, door, shared)).await;
        });
    }
}

async fn look(alert: Alert, door: Door, shared: Shared) {
    let labels = shared.common.labels(&alert);
    // Only what needs no quoting narrows the answer; the labels themselves are compared.
    let matchers = [
        format!("alertname={:?}", alert.id.name.as_str()),
        "origin=\"push\"".to_owned(),
    ];
    let deadline = Instant::now() + VISIBLE_WITHIN;
    while Instant::now() < deadline {
        let shown = door.list(&matchers).await.unwrap_or_default();
        let is_it = |value: &serde_json::Value| {
            labels
                .iter()
                .all(|(name, text)| value["labels"][name].as_str() == Some(text))
        };
        if shown.iter().any(is_it) {
            shared
                .observer
                .visible(clock::unix_seconds(clock::now()) - alert.starts_at);
            return;
        }
        tokio::time::sleep(VISIBLE_LOOK_EVERY).await;
    }
    tracing::warn!(alertmanager = %door.name, alert = %alert.id.name, "push.not_visible: taken, and not in its list");
}

/// Whether it is one of the alerts whose way to the page is measured.
fn is_page(alert: &Alert) -> bool {
    let is_socket = matches!(
        alert.id.name,
        AlertName::UpgradeHttp500 | AlertName::UpgradeFailing | AlertName::SessionBroken
    );
    is_socket && alert.severity == Some(Severity::Critical)
}
