//! What Alertmanager is sent (API v2). Pure: the moment is given.

use crate::alert::{Alert, AlertName};
use crate::catalog::Catalog;
use crate::clock;
use crate::limits::HEARTBEAT_LEASE;
use chrono::DateTime;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// Value of `origin` of everything that is pushed: the rules' alerts have another one, so that Alertmanager can tell them apart.
pub(super) const ORIGIN: &str = "push";
/// Severity of what is about nothing.
const NO_SEVERITY: &str = "none";

/// What all alerts of this daemon share.
#[derive(Debug)]
pub(super) struct Common {
    /// Value of `environment`.
    pub(super) environment: String,
    /// Configured labels.
    pub(super) labels: BTreeMap<String, String>,
    external_url: Option<Url>,
}

impl Common {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self {
            environment: catalog.target.environment.clone(),
            labels: catalog.alerting.labels.clone(),
            external_url: catalog.service.external_url.clone(),
        }
    }

    /// All labels of an alert: they are its identity for Alertmanager.
    pub(super) fn labels(&self, alert: &Alert) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.extend(alert.id.labels.clone());
        let severity = alert.severity.map_or(NO_SEVERITY, |severity| severity.as_str());
        let own = [
            ("alertname", alert.id.name.as_str()),
            ("severity", severity),
            ("environment", self.environment.as_str()),
            ("owner", alert.owner.as_str()),
            ("origin", ORIGIN),
        ];
        labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Alertmanager drops empty labels, and would then know another identity than we do.
        labels.retain(|_, value| !value.is_empty());
        labels
    }

    /// One alert as it is sent at `now` (seconds since 1970).
    pub(super) fn message(&self, alert: &Alert, lease: Duration, now: f64) -> Value {
        let lease = match alert.id.name {
            AlertName::PushHeartbeat => HEARTBEAT_LEASE,
            _ => lease,
        };
        let annotations: Map<String, Value> = alert
            .annotations
            .iter()
            .map(|(name, text)| (name.clone(), Value::from(text.clone())))
            .collect();
        // An alert that starts after it ends is refused; clocks may jump.
        let starts_at = alert.starts_at.min(now);
        json!({
            "labels": self.labels(alert),
            "annotations": annotations,
            "startsAt": time(starts_at),
            "endsAt": time(now + lease.as_secs_f64()),
            "generatorURL": self.page(&alert.page),
        })
    }

    /// The page of this daemon, below the URL under which people reach it.
    fn page(&self, page: &str) -> String {
        match &self.external_url {
            Some(base) if page.starts_with('/') => format!("{}{page}", base.as_str().trim_end_matches('/')),
            _ => page.to_owned(),
        }
    }
}

/// RFC 3339 of seconds since 1970, to the millisecond: the same second gives the same text.
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of this century fit; a moment beyond is the epoch"
)]
fn time(unix: f64) -> String {
    let at = DateTime::from_timestamp_millis((unix * 1000.0).round() as i64).unwrap_or_default();
    clock::rfc3339(at)
}
