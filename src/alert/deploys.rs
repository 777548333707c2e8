//! When the target was last deployed, as far as we know: by a mark, or because an instance answers that never did. Pure.

use crate::catalog::Alerting;
use crate::limits::INSTANCES_KNOWN_MAX;
use crate::run::Measured;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// What two answers say about the start of one instance differs by so many seconds at most.
const SAME_START: f64 = 5.0;

/// When the target was last deployed, as far as we know.
#[derive(Debug)]
pub(super) struct Deploys {
    grace: Duration,
    series: Option<String>,
    /// Instances of the target that have answered before.
    known: BTreeSet<String>,
    /// The newest start of an instance, and when one was told first.
    started: Option<(f64, f64)>,
    marked_at: Option<f64>,
}

impl Deploys {
    pub(super) fn new(alerting: &Alerting) -> Self {
        Self {
            grace: alerting.deploy_grace,
            series: alerting.instance_series.clone(),
            known: BTreeSet::new(),
            started: None,
            marked_at: None,
        }
    }

    pub(super) fn mark(&mut self, now: f64) {
        self.marked_at = Some(now);
    }

    /// Whether there is a mark that has not expired.
    pub(super) fn marked(&self) -> bool {
        self.marked_at.is_some()
    }

    /// Whether a measurement names an instance that has never answered, or tells of a restart (an object) that was not known.
    /// The first instance ever is no news; the first restart is.
    pub(super) fn notices(&mut self, measures: &[Measured]) -> bool {
        let Some(series) = self.series.clone() else {
            return false;
        };
        let first = self.known.is_empty();
        let values = measures.iter().filter(|measured| measured.series == series);
        let mut news = false;
        for measured in values {
            let new = self.learn(&measured.value);
            news |= new && (!first || measured.value.is_object());
        }
        news
    }

    /// Whether the youngest instance that answered is another than before, one that started since we began to look.
    pub(super) fn started(&mut self, started: Option<f64>, now: f64) -> bool {
        let Some(started) = started else { return false };
        let (newest, since) = *self.started.get_or_insert((started, now));
        self.started = Some((newest.max(started), since));
        started > newest + SAME_START && started > since
    }

    /// Learns the instances that a value names; gives whether one of them is new.
    pub(super) fn learn(&mut self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().fold(false, |news, item| self.learn(item) | news),
            Value::String(name) => self.insert(name.clone()),
            Value::Number(number) => self.insert(number.to_string()),
            Value::Object(_) => self.insert(value.to_string()),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn insert(&mut self, name: String) -> bool {
        if self.known.len() >= INSTANCES_KNOWN_MAX && !self.known.contains(&name) {
            // A series that names another instance each time says nothing about deploys.
            return false;
        }
        self.known.insert(name)
    }

    pub(super) fn in_grace(&self, now: f64) -> bool {
        self.marked_at
            .is_some_and(|at| now - at < self.grace.as_secs_f64() && now >= at - 60.0)
    }

    pub(super) fn expire(&mut self, now: f64) {
        if !self.in_grace(now) {
            self.marked_at = None;
        }
    }
}
