//! Puts the verdicts of one moment together for the report, with the latency targets as the ledger has them.

use crate::catalog::check::ExtractOf;
use crate::catalog::{Catalog, Extract, LatencyTarget};
use crate::diagnose::Diagnosis;
use crate::history::Ledger;
use crate::limits::EXTRACT_ITEMS_MAX;
use crate::report::{Iteration, LatencyResult, ModuleResult};
use crate::run::Judgement;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// When an iteration was made.
pub struct Taken {
    /// Start, RFC 3339.
    pub started_at: String,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// Its end, seconds since 1970: where windows end.
    pub ended_unix: f64,
}

/// The iteration, not yet explained, of the checks in `shown` (full ids) that have a judgement; modules without any are left out.
pub fn iteration(
    catalog: &Catalog,
    shown: &BTreeSet<String>,
    latest: impl Fn(&str) -> Option<Arc<Judgement>>,
    (taken, ledger): (Taken, &dyn Ledger),
) -> Iteration {
    let modules = catalog.modules.iter().filter_map(|module| {
        let judged = module
            .checks
            .iter()
            .map(|check| check.full_id())
            .filter(|id| shown.contains(id))
            .filter_map(|id| latest(&id));
        let checks: Vec<Judgement> = judged.map(|judgement| (*judgement).clone()).collect();
        let names = (module.id.as_str(), module.title.as_str());
        (!checks.is_empty()).then(|| ModuleResult::new(module.number, names, module.severity, checks))
    });
    Iteration {
        target: catalog.target.name.clone(),
        environment: catalog.target.environment.clone(),
        started_at: taken.started_at,
        duration_s: taken.duration_s,
        modules: modules.collect(),
        latency_targets: latencies(catalog, ledger, taken.ended_unix),
        diagnosis: Diagnosis::default(),
        sensitive: catalog
            .checks()
            .filter(|(_, check)| check.sensitive)
            .map(|(_, check)| check.full_id())
            .collect(),
        since: None,
    }
}

/// Every latency target over its window.
pub fn latencies(catalog: &Catalog, ledger: &dyn Ledger, now_unix: f64) -> Vec<LatencyResult> {
    let results = catalog.latency_targets.iter().map(|(name, target)| {
        let feeds = |measure: &crate::catalog::Measure| measure.latency_target.as_ref() == Some(name);
        let window = Window {
            ledger,
            over: target.window,
            now_unix,
        };
        let samples = window.numbers(catalog, feeds);
        let feeding = catalog
            .scenarios()
            .filter(|scenario| scenario.measures.iter().any(feeds));
        let floors: BTreeSet<&str> = feeding
            .flat_map(|scenario| &scenario.measures)
            .filter(|measure| measure.floor.is_some())
            .map(|measure| measure.series.as_str())
            .collect();
        let floor = window.numbers(catalog, |measure| floors.contains(measure.series.as_str()));
        result((name, target), samples, floor)
    });
    results.collect()
}

struct Window<'a> {
    ledger: &'a dyn Ledger,
    over: Duration,
    now_unix: f64,
}

impl Window<'_> {
    /// The numbers of every series that a chosen measure feeds, sorted.
    fn numbers(&self, catalog: &Catalog, chosen: impl Fn(&crate::catalog::Measure) -> bool) -> Vec<f64> {
        let series: BTreeSet<&str> = catalog
            .scenarios()
            .flat_map(|scenario| &scenario.measures)
            .filter(|measure| chosen(measure))
            .map(|measure| measure.series.as_str())
            .collect();
        let mut numbers: Vec<f64> = series.into_iter().flat_map(|series| self.series(series)).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }

    fn series(&self, series: &str) -> Vec<f64> {
        let extract = Extract {
            name: String::new(),
            of: ExtractOf::Series(series.to_owned()),
            over: self.over,
            limit: EXTRACT_ITEMS_MAX,
        };
        match self.ledger.extract(&extract, self.now_unix) {
            Ok(Value::Array(items)) => items.iter().filter_map(|item| item["value"].as_f64()).collect(),
            Ok(_) => Vec::new(),
            Err(error) => {
                // The figures are then missing from the report, which says so; verdicts are made elsewhere.
                tracing::warn!(%error, series, "report.no_samples");
                Vec::new()
            }
        }
    }
}

fn result((name, target): (&String, &LatencyTarget), samples: Vec<f64>, floor: Vec<f64>) -> LatencyResult {
    let enough = samples.len() >= usize::try_from(target.samples_min).unwrap_or(usize::MAX);
    LatencyResult {
        name: name.clone(),
        title: target.title.clone(),
        target_ms: target.seconds * 1000.0,
        measured_ms: percentile(&samples, 0.95).filter(|_| enough),
        samples: samples.len() as u64,
        floor_ms: percentile(&floor, 0.5),
    }
}

/// The nearest-rank percentile of sorted numbers.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks are small and not negative"
)]
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let numbers: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&numbers, 0.95), Some(19.0));
        assert_eq!(percentile(&numbers, 0.5), Some(10.0));
        assert_eq!(percentile(&[7.0], 0.95), Some(7.0));
        assert_eq!(percentile(&[], 0.95), None);
    }
}
