//! Metrics of the push: how it goes at each Alertmanager, under its configured name.

use super::{BUCKETS, Maker, Metrics, MetricsError};
use crate::alert::Stage;
use crate::alert::desk::Told;
use crate::alert::push::{Fault, PushObserver};
use crate::catalog::Catalog;
use crate::clock;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec};
use std::time::Duration;

pub(super) struct PushMetrics {
    pushes: IntCounterVec,
    failures: IntCounterVec,
    rejected: IntCounterVec,
    took: HistogramVec,
    succeeded: GaugeVec,
}

impl PushMetrics {
    pub(super) fn new(make: &Maker, catalog: &Catalog) -> Result<Self, MetricsError> {
        let label: &[&str] = &["alertmanager"];
        let metrics = Self {
            pushes: make.counters("alertmanager_pushes_total", "Pushes to an Alertmanager.", label)?,
            failures: make.counters("alertmanager_push_failures_total", "Pushes that failed.", label)?,
            rejected: make.counters(
                "alertmanager_alerts_rejected_total",
                "Alerts that an Alertmanager called wrong; they are left out until they change.",
                label,
            )?,
            took: make.histograms(
                "alertmanager_push_duration_seconds",
                "Duration of pushes, failed ones among them.",
                (label, &BUCKETS),
            )?,
            succeeded: make.gauges(
                "alertmanager_last_success_timestamp_seconds",
                "When an Alertmanager last took a push.",
                label,
            )?,
        };
        for alertmanager in &catalog.alerting.alertmanagers {
            let name: &[&str] = &[alertmanager.name.as_str()];
            metrics.pushes.with_label_values(name);
            metrics.failures.with_label_values(name);
            metrics.rejected.with_label_values(name);
            metrics.took.with_label_values(name);
        }
        Ok(metrics)
    }
}

impl PushObserver for Metrics {
    fn pushed(&self, alertmanager: &str, fault: Option<Fault>, took: Duration) {
        let name: &[&str] = &[alertmanager];
        self.push.pushes.with_label_values(name).inc();
        self.push.took.with_label_values(name).observe(took.as_secs_f64());
        match fault {
            Some(_) => self.push.failures.with_label_values(name).inc(),
            None => self
                .push
                .succeeded
                .with_label_values(name)
                .set(clock::unix_seconds(clock::now())),
        }
    }

    fn rejected(&self, alertmanager: &str) {
        self.push.rejected.with_label_values(&[alertmanager]).inc();
    }

    fn accepted(&self, seconds: f64) {
        self.page(Stage::Accepted, seconds);
    }

    fn visible(&self, seconds: f64) {
        self.page(Stage::Visible, seconds);
    }
}
