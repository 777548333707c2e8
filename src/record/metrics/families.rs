//! The families that were registered, by name, so that another catalog finds those of the last one and goes on with their
//! values; and which of their series a catalog no longer has.

use super::MetricsError;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, Registry};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Labels whose values come from the catalog. A series stays when the catalog still has the combination of those it carries.
const CATALOG_LABELS: [&str; 8] = [
    "module",
    "check",
    "scenario",
    "socket",
    "step",
    "latency_target",
    "layer",
    "host",
];
/// Families that tell facts in labels: every label counts.
const INFO: &str = "_info";

/// Labels of a series that come from the catalog.
type Projection = BTreeMap<String, String>;

/// Everything registered.
#[derive(Default)]
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) counters: ByName<IntCounterVec>,
    pub(super) gauges: ByName<GaugeVec>,
    pub(super) histograms: ByName<HistogramVec>,
}

/// Families of one kind.
pub(super) struct ByName<V>(Mutex<BTreeMap<String, V>>);

impl<V> Default for ByName<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Collector + Clone + 'static> ByName<V> {
    pub(super) fn get_or_make(
        &self,
        registry: &Registry,
        name: &str,
        make: impl FnOnce() -> prometheus::Result<V>,
    ) -> Result<V, MetricsError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name) {
            return Ok(found.clone());
        }
        let made = make()?;
        registry.register(Box::new(made.clone()))?;
        known.insert(name.to_owned(), made.clone());
        Ok(made)
    }

    fn all(&self) -> Vec<V> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().cloned().collect()
    }
}

impl Families {
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Removes every series that carries labels of the catalog in a combination which `fresh` does not have.
    pub(super) fn keep_only(&self, fresh: &Self) {
        let has = Had::of(&fresh.gather());
        self.counters.all().iter().for_each(|family| has.prune(family));
        self.gauges.all().iter().for_each(|family| has.prune(family));
        self.histograms.all().iter().for_each(|family| has.prune(family));
    }
}

/// What a catalog has.
struct Had {
    projections: BTreeSet<Projection>,
    facts: BTreeSet<(String, Projection)>,
}

impl Had {
    fn of(families: &[MetricFamily]) -> Self {
        let mut had = Self {
            projections: BTreeSet::new(),
            facts: BTreeSet::new(),
        };
        for family in families {
            for metric in family.get_metric() {
                let labels = labels(metric);
                had.projections.insert(projected(&labels));
                if family.name().ends_with(INFO) {
                    had.facts.insert((family.name().to_owned(), labels));
                }
            }
        }
        had
    }

    fn prune<T: MetricVecBuilder>(&self, vec: &MetricVec<T>) {
        for family in vec.collect() {
            for metric in family.get_metric() {
                let labels = labels(metric);
                let projection = projected(&labels);
                if projection.is_empty() {
                    continue;
                }
                let stays = if family.name().ends_with(INFO) {
                    self.facts.contains(&(family.name().to_owned(), labels.clone()))
                } else {
                    self.projections.contains(&projection)
                };
                if !stays {
                    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    // Whoever removed it before us did the same.
                    let _ = vec.remove(&labels.collect::<HashMap<_, _>>());
                }
            }
        }
    }
}

fn labels(metric: &Metric) -> Projection {
    let pairs = metric.get_label().iter();
    pairs
        .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
        .collect()
}

fn projected(labels: &Projection) -> Projection {
    let of_catalog = labels
        .iter()
        .filter(|(name, _)| CATALOG_LABELS.contains(&name.as_str()));
    of_catalog.map(|(name, value)| (name.clone(), value.clone())).collect()
}
