//! Histograms that remember, for each bucket, the trace id of the run that last fell into it: from a slow bucket straight to
//! its trace. Shown in OpenMetrics only; labels stay closed sets.

use prometheus::proto::LabelPair;
use prometheus::{Histogram, HistogramVec};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// An observation with the trace that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// W3C trace id: 32 hexadecimal digits.
    pub trace_id: String,
    /// What was observed, seconds.
    pub value: f64,
    /// When, seconds since 1970.
    pub at: f64,
}

/// Where an observation comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) trace_id: &'a str,
    /// Seconds since 1970.
    pub(super) at: f64,
}

/// The latest exemplar of each bucket of every such series.
#[derive(Clone, Default)]
pub struct Exemplars(Arc<Mutex<HashMap<String, Buckets>>>);

/// The last one is that of `+Inf`.
type Buckets = Vec<Option<Exemplar>>;

impl Exemplars {
    /// Those of one series by bucket, the last for `+Inf`; empty if it has none.
    pub fn of(&self, name: &str, labels: &[LabelPair]) -> Buckets {
        let pairs = labels.iter().map(|pair| (pair.name(), pair.value()));
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key(name, pairs)).cloned().unwrap_or_default()
    }

    fn note(&self, key: &str, bucket: usize, (exemplar, buckets): (Exemplar, usize)) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = known.entry(key.to_owned()).or_insert_with(|| vec![None; buckets]);
        latest[bucket] = Some(exemplar);
    }
}

/// A family of such histograms.
pub(super) struct Timers {
    pub(super) vec: HistogramVec,
    pub(super) name: String,
    pub(super) labels: Vec<String>,
    pub(super) bounds: Vec<f64>,
    pub(super) exemplars: Exemplars,
}

/// One of them.
pub(super) struct Timer {
    histogram: Histogram,
    key: String,
    bounds: Vec<f64>,
    exemplars: Exemplars,
}

impl Timers {
    /// The histogram with these label values.
    pub(super) fn with(&self, values: &[&str]) -> Timer {
        let pairs = self.labels.iter().map(String::as_str).zip(values.iter().copied());
        Timer {
            histogram: self.vec.with_label_values(values),
            key: key(&self.name, pairs),
            bounds: self.bounds.clone(),
            exemplars: self.exemplars.clone(),
        }
    }
}

impl Timer {
    /// Observes seconds; with an origin they become the exemplar of their bucket.
    pub(super) fn observe(&self, value: f64, origin: Option<Origin>) {
        self.histogram.observe(value);
        if let Some(origin) = origin.filter(|origin| !origin.trace_id.is_empty()) {
            let bucket = self.bounds.partition_point(|bound| *bound < value);
            let exemplar = Exemplar {
                trace_id: origin.trace_id.to_owned(),
                value,
                at: origin.at,
            };
            self.exemplars
                .note(&self.key, bucket, (exemplar, self.bounds.len() + 1));
        }
    }
}

/// A series as text; labels in alphabetical order, as they are gathered.
fn key<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    labels.iter().fold(name.to_owned(), |key, (label, value)| {
        format!("{key}\u{1}{label}\u{1}{value}")
    })
}
