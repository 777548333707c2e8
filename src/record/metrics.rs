//! Every metric of the daemon: names, labels, buckets and the label sets that exist from the first scrape
//! (observability.md C1). Handles are made once, at load; labels come from the catalog and from closed sets only.

mod alerts;
mod checks;
pub mod exemplars;
mod families;
mod own;
mod push;
mod refused;
mod wire;

pub use own::{LogCounter, Own};
pub use refused::Refused;

use super::Sink;
use super::encode::{Format, encode};
use crate::catalog::Catalog;
use crate::run::Run;
use alerts::AlertMetrics;
use arc_swap::ArcSwap;
use checks::CheckMetrics;
use exemplars::{Exemplars, Origin, Timers};
use families::Families;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts};
use push::PushMetrics;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use wire::WireMetrics;

/// The 17 main buckets in seconds: every promise is a boundary.
pub const BUCKETS: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
/// The 10 buckets of phases, all of them main ones.
pub const PHASE_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];

/// Why metrics could not be made.
#[derive(Debug, thiserror::Error)]
#[error("metric refused: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Something that brings gauges up to date before a rendering.
type Source = Box<dyn Fn(&Own) + Send + Sync>;

/// All metrics.
pub struct Metrics {
    families: Families,
    of_catalog: ArcSwap<OfCatalog>,
    alerts: AlertMetrics,
    push: PushMetrics,
    own: Own,
    exemplars: Exemplars,
    sources: Mutex<Vec<Source>>,
    /// Held for reading while a run is recorded and for writing while metrics are gathered, so that a scrape never sees half a run.
    whole: RwLock<()>,
}

impl Metrics {
    /// Makes and pre-initialises every metric that `catalog` needs.
    ///
    /// # Errors
    /// When the library refuses a name or a label, which is a bug.
    pub fn new(catalog: &Catalog) -> Result<Arc<Self>, MetricsError> {
        let families = Families::default();
        let exemplars = Exemplars::default();
        let make = Maker(&families, &exemplars);
        let metrics = Self {
            of_catalog: ArcSwap::from_pointee(OfCatalog::new(&make, catalog, None)?),
            alerts: AlertMetrics::new(&make)?,
            push: PushMetrics::new(&make, catalog)?,
            own: Own::new(&make, catalog)?,
            sources: Mutex::new(Vec::new()),
            exemplars: exemplars.clone(),
            whole: RwLock::new(()),
            families,
        };
        Ok(Arc::new(metrics))
    }

    /// Takes another catalog: what it still has goes on counting, what it no longer has vanishes.
    ///
    /// # Errors
    /// When the library refuses a name or a label, which is a bug.
    pub fn reload(&self, catalog: &Catalog) -> Result<(), MetricsError> {
        // What a daemon that starts with this catalog would show.
        let fresh = Families::default();
        OfCatalog::new(&Maker(&fresh, &Exemplars::default()), catalog, None)?;
        let _whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.of_catalog.load_full();
        let now = OfCatalog::new(&Maker(&self.families, &self.exemplars), catalog, Some(&before))?;
        self.of_catalog.store(Arc::new(now));
        self.families.keep_only(&fresh);
        Ok(())
    }

    /// Adds a source that is asked before every rendering.
    pub fn add_source(&self, source: impl Fn(&Own) + Send + Sync + 'static) {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(source));
    }

    /// The daemon's own metrics.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Gauges and counters of these names: labels and value of each of their series, by name.
    pub fn read(&self, names: &[&str]) -> BTreeMap<String, Vec<Reading>> {
        let families = self.gather();
        let found = families.iter().filter(|family| names.contains(&family.name()));
        let read = found.map(|family| {
            let readings = family.get_metric().iter().map(|metric| Reading {
                labels: metric.get_label().iter().map(|pair| pair.value().to_owned()).collect(),
                value: metric.get_counter().get_value() + metric.get_gauge().get_value(),
            });
            (family.name().to_owned(), readings.collect())
        });
        read.collect()
    }

    /// The exposition.
    pub fn render(&self, format: Format) -> String {
        encode(&self.gather(), format, &self.exemplars)
    }

    fn gather(&self) -> Vec<MetricFamily> {
        for source in self.sources.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            source(&self.own);
        }
        self.own.refresh();
        let _whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
        self.families.gather()
    }
}

/// One series now.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Its label values, in the order of their names.
    pub labels: Vec<String>,
    /// Its value.
    pub value: f64,
}

impl Sink for Metrics {
    fn take(&self, run: &Arc<Run>) {
        let _whole = self.whole.read().unwrap_or_else(PoisonError::into_inner);
        let known = self.of_catalog.load();
        let origin = run.transcript.as_ref().map(|transcript| Origin {
            trace_id: &transcript.trace_id,
            at: run.at,
        });
        if let (Some(transcript), Some(origin)) = (&run.transcript, origin) {
            known.wire.transcript(transcript, origin);
            known.wire.measures(&transcript.scenario, &run.measures, origin);
        }
        for judgement in &run.judgements {
            known.checks.judged(judgement, run.at, origin);
        }
        if let Some(missed) = &run.missed {
            known.checks.missed(missed);
        }
    }
}

/// What depends on the catalog: handles, not values.
struct OfCatalog {
    checks: CheckMetrics,
    wire: WireMetrics,
}

impl OfCatalog {
    fn new(make: &Maker, catalog: &Catalog, before: Option<&Self>) -> Result<Self, MetricsError> {
        Ok(Self {
            checks: CheckMetrics::new(make, catalog, before.map(|before| &before.checks))?,
            wire: WireMetrics::new(make, catalog)?,
        })
    }
}

/// Makes metrics and registers them; gives what is there already under a name that it has made before.
pub(crate) struct Maker<'a>(&'a Families, &'a Exemplars);

impl Maker<'_> {
    fn collector(&self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        Ok(self.0.registry.register(Box::new(collector))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        let options = Opts::new(format!("stagewatch_{name}"), help);
        self.0
            .counters
            .get_or_make(&self.0.registry, name, || IntCounterVec::new(options, labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        let options = Opts::new(format!("stagewatch_{name}"), help);
        self.0
            .gauges
            .get_or_make(&self.0.registry, name, || GaugeVec::new(options, labels))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        (labels, buckets): (&[&str], &[f64]),
    ) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::new(format!("stagewatch_{name}"), help).buckets(buckets.to_vec());
        self.0
            .histograms
            .get_or_make(&self.0.registry, name, || HistogramVec::new(options, labels))
    }

    /// Histograms that remember the trace of each bucket's latest observation.
    fn timers(&self, name: &str, help: &str, (labels, buckets): (&[&str], &[f64])) -> Result<Timers, MetricsError> {
        Ok(Timers {
            vec: self.histograms(name, help, (labels, buckets))?,
            name: format!("stagewatch_{name}"),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            bounds: buckets.to_vec(),
            exemplars: self.1.clone(),
        })
    }
}
