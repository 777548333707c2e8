//! Metrics of alerts: confirmed states, what fires, what is muted, how long a page takes. From snapshots of the desk only.

use super::{BUCKETS, Maker, Metrics, MetricsError};
use crate::alert::desk::{Snapshot, Told};
use crate::alert::{AlertName, Stage, Suppressed, WatchState};
use crate::failure::UpgradeOutcome;
use crate::transcript::sessions::SessionOutcome;
use prometheus::{Gauge, GaugeVec, Histogram, IntCounter};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct AlertMetrics {
    upgrades: GaugeVec,
    sessions: GaugeVec,
    suppressed: GaugeVec,
    /// What has been muted since the start: it goes on to be shown as 0, so that nobody goes on with the last 1.
    once_suppressed: Mutex<BTreeSet<Suppressed>>,
    active: Vec<(AlertName, Gauge)>,
    stages: Vec<(Stage, Histogram)>,
    dropped: IntCounter,
}

impl AlertMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self, MetricsError> {
        let active = make.gauges(
            "alerts_active",
            "Alerts that the daemon believes to be firing.",
            &["alertname"],
        )?;
        let label: (&[&str], &[f64]) = (&["stage"], &BUCKETS);
        let stages = make.histograms(
            "page_stage_seconds",
            "Time to page: from the first wrong answer to each stage.",
            label,
        )?;
        let none: &[&str] = &[];
        Ok(Self {
            upgrades: make.gauges(
                "websocket_upgrade_failing",
                "1 while upgrades fail like this, confirmed; there is none before a first judged attempt.",
                &["socket", "credential", "outcome"],
            )?,
            sessions: make.gauges(
                "websocket_session_failing",
                "1 while no session follows a 101, confirmed; there is none before a first judged session.",
                &["socket", "outcome"],
            )?,
            suppressed: make.gauges(
                "alert_suppressed",
                "1 while alerts about it are not created; empty labels mean the whole target.",
                &["module", "check", "socket", "cause"],
            )?,
            once_suppressed: Mutex::default(),
            active: AlertName::ALL
                .iter()
                .map(|name| (*name, active.with_label_values(&[name.as_str()])))
                .collect(),
            stages: Stage::ALL
                .iter()
                .map(|stage| (*stage, stages.with_label_values(&[stage.as_str()])))
                .collect(),
            dropped: make
                .counters(
                    "alert_runs_dropped_total",
                    "Runs that alerts were not made from, because the desk was too slow.",
                    none,
                )?
                .with_label_values(none),
        })
    }

    fn show(&self, now: &Snapshot) {
        // While a page is being made they stay as they were: the rules must not be sooner than the push.
        let free = now.watches.iter().filter(|watch| !now.held.contains(&watch.socket));
        free.for_each(|watch| self.watch(watch));
        for (name, gauge) in &self.active {
            let firing = now.firing.iter().filter(|alert| alert.id.name == *name).count();
            gauge.set(f64::from(u32::try_from(firing).unwrap_or(u32::MAX)));
        }
        let mut known = self.once_suppressed.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(now.suppressed.iter().cloned());
        for what in known.iter() {
            let labels = [&what.module, &what.check, &what.socket].map(String::as_str);
            let muted = now.suppressed.contains(what);
            self.suppressed
                .with_label_values(&[labels[0], labels[1], labels[2], what.cause.as_str()])
                .set(if muted { 1.0 } else { 0.0 });
        }
        self.dropped.inc_by(now.dropped.saturating_sub(self.dropped.get()));
    }

    /// A restarted process must not release what it has not judged itself.
    fn watch(&self, watch: &WatchState) {
        if !watch.judged {
            return;
        }
        let value = |outcome: &str| if watch.outcome == Some(outcome) { 1.0 } else { 0.0 };
        let socket = watch.socket.as_str();
        if let Some(credential) = watch.credential {
            let wrong = UpgradeOutcome::ALL
                .iter()
                .filter(|outcome| **outcome != UpgradeOutcome::Ok);
            for outcome in wrong.map(|outcome| outcome.as_str()) {
                self.upgrades
                    .with_label_values(&[socket, credential.as_str(), outcome])
                    .set(value(outcome));
            }
        } else {
            let wrong = SessionOutcome::ALL
                .iter()
                .filter(|outcome| **outcome != SessionOutcome::Ok);
            for outcome in wrong.map(|outcome| outcome.as_str()) {
                self.sessions.with_label_values(&[socket, outcome]).set(value(outcome));
            }
        }
    }
}

impl Told for Metrics {
    fn alerts(&self, now: &Arc<Snapshot>) {
        self.alerts.show(now);
    }

    fn page(&self, stage: Stage, seconds: f64) {
        if let Some((_, histogram)) = self.alerts.stages.iter().find(|(of, _)| *of == stage) {
            histogram.observe(seconds.max(0.0));
        }
    }
}
