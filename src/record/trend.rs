//! The last day (scaled) in cells: the worst verdict of each check and the samples of each latency target, for the strips and
//! sparklines of the page. Bounded by the catalog, filled from the history at start, kept up to date as a sink, so that no
//! page reads a day of rows.

mod cells;

use super::Sink;
use crate::catalog::{Catalog, Scenario};
use crate::clock;
use crate::history::{HistoryError, Reader};
use crate::limits::{TREND_CELLS, TREND_OVER, TREND_SAMPLES_PER_CELL_MAX};
use crate::run::Run;
use crate::schedule::plan;
use crate::verdict::Verdict;
use cells::Ring;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps the cells.
pub struct Trend {
    cell: Duration,
    state: Mutex<State>,
}

struct State {
    checks: BTreeMap<String, Strip>,
    targets: BTreeMap<String, Ring<Samples>>,
    /// Latency target by series: what loaded rows belong to.
    series: BTreeMap<String, String>,
}

/// The verdicts of one check.
struct Strip {
    cells: Ring<Option<Verdict>>,
    /// For how many cells a verdict stands without a new one: as long as its evidence counts.
    stands: usize,
}

/// The newest samples of one cell, milliseconds.
#[derive(Clone, Default)]
struct Samples {
    kept: Vec<f64>,
    seen: usize,
}

/// One latency target over the cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetTrend {
    /// 95th percentile of each cell in milliseconds, oldest first; none where nothing was measured.
    pub cells: Vec<Option<f64>>,
    /// 95th percentile over all kept samples, milliseconds.
    pub p95_ms: Option<f64>,
    /// Samples kept.
    pub samples: usize,
    /// Of those, how many are within a bound.
    pub within: usize,
}

impl Trend {
    /// Cells for `catalog`, empty.
    pub fn new(catalog: &Catalog) -> Arc<Self> {
        let cell = (TREND_OVER / TREND_CELLS).mul_f64(catalog.time_scale).max(CELL_MIN);
        let checks = catalog.modules.iter().flat_map(|module| &module.checks).map(|check| {
            let needs = check.scenarios();
            let judged = catalog
                .scenarios()
                .filter(|scenario| needs.contains(&scenario.id.as_str()));
            let strip = Strip {
                cells: Ring::new(cells_max()),
                stands: stands(judged, cell),
            };
            (check.full_id(), strip)
        });
        let measures = catalog.scenarios().flat_map(|scenario| &scenario.measures);
        let series = measures.filter_map(|measure| Some((measure.series.clone(), measure.latency_target.clone()?)));
        let targets = catalog.latency_targets.keys();
        Arc::new(Self {
            cell,
            state: Mutex::new(State {
                checks: checks.collect(),
                targets: targets.map(|name| (name.clone(), Ring::new(cells_max()))).collect(),
                series: series.collect(),
            }),
        })
    }

    /// Fills the cells from what was stored before this start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(&self, reader: &Reader) -> Result<(), HistoryError> {
        let since = clock::unix_seconds(clock::now()) - self.over().as_secs_f64();
        let verdicts = reader.verdicts_by_cell(since, self.cell.as_secs_f64())?;
        let series: Vec<String> = self.state().series.keys().cloned().collect();
        let mut samples = Vec::new();
        for name in series {
            samples.push((reader.samples_since(&name, since)?, name));
        }
        let mut state = self.state();
        for (check, cell, verdict) in verdicts {
            if let (Some(strip), Ok(verdict)) = (state.checks.get_mut(&check), verdict.parse()) {
                strip.add(cell, verdict);
            }
        }
        for (found, name) in samples {
            let target = state.series.get(&name).cloned().unwrap_or_default();
            if let Some(ring) = state.targets.get_mut(&target) {
                for (at, value) in found {
                    if let Some(samples) = ring.at(self.index(at)) {
                        samples.add(value);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes another catalog of the same time scale: what it still has keeps its cells.
    pub fn reload(&self, catalog: &Catalog) {
        let Some(fresh) = Arc::into_inner(Self::new(catalog)) else {
            return;
        };
        let mut next = fresh.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        for (id, strip) in &mut next.checks {
            if let Some(known) = state.checks.remove(id) {
                strip.cells = known.cells;
            }
        }
        for (name, ring) in &mut next.targets {
            if let Some(known) = state.targets.remove(name) {
                *ring = known;
            }
        }
        *state = next;
    }

    /// What all cells together cover.
    pub fn over(&self) -> Duration {
        self.cell * TREND_CELLS
    }

    /// The worst verdict of each cell up to `now` (seconds since 1970), oldest first, by check (`module/check`).
    pub fn strips(&self, now: f64) -> BTreeMap<String, Vec<Option<Verdict>>> {
        let last = self.index(now);
        let mut state = self.state();
        let strips = state.checks.iter_mut();
        strips
            .map(|(check, strip)| (check.clone(), strip.shown(last)))
            .collect()
    }

    /// A latency target up to `now`, counted against `bound_ms`.
    pub fn target(&self, name: &str, now: f64, bound_ms: f64) -> TargetTrend {
        let last = self.index(now);
        let mut state = self.state();
        let Some(ring) = state.targets.get_mut(name) else {
            return TargetTrend::default();
        };
        let cells = ring.until(last);
        let mut all: Vec<f64> = cells.iter().flat_map(|cell| cell.kept.iter().copied()).collect();
        TargetTrend {
            cells: cells.iter().map(|cell| p95(&mut cell.kept.clone())).collect(),
            samples: all.len(),
            within: all.iter().filter(|value| **value <= bound_ms).count(),
            p95_ms: p95(&mut all),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "cells since 1970 fit an i64")]
    fn index(&self, at: f64) -> i64 {
        (at / self.cell.as_secs_f64()).floor() as i64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shortest cell.
const CELL_MIN: Duration = Duration::from_secs(1);

fn cells_max() -> usize {
    usize::try_from(TREND_CELLS).unwrap_or(usize::MAX)
}

/// For how many cells the evidence of the slowest of these scenarios counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quotient of two positive durations, far below 2^32"
)]
fn stands<'a>(scenarios: impl Iterator<Item = &'a Arc<Scenario>>, cell: Duration) -> usize {
    let now = clock::now();
    let longest = scenarios
        .map(|scenario| plan::fresh_for(scenario, plan::period(scenario, now)))
        .max();
    (longest.unwrap_or_default().as_secs_f64() / cell.as_secs_f64()).ceil() as usize
}

impl Strip {
    fn add(&mut self, cell: i64, verdict: Verdict) {
        if let Some(known) = self.cells.at(cell) {
            *known = Some(known.map_or(verdict, |known| known.worse(verdict)));
        }
    }

    /// The cells up to `last`; where nothing was judged the last verdict still stands, for as long as its evidence counts.
    fn shown(&mut self, last: i64) -> Vec<Option<Verdict>> {
        let mut standing = None;
        let mut left = 0;
        let cells = self.cells.until(last).iter().map(|cell| {
            match cell {
                Some(_) => (standing, left) = (*cell, self.stands),
                None if left > 0 => left -= 1,
                None => standing = None,
            }
            standing
        });
        cells.collect()
    }
}

impl Samples {
    /// Adds a sample; above the cap it takes the place of the oldest kept.
    fn add(&mut self, value: f64) {
        if self.kept.len() < TREND_SAMPLES_PER_CELL_MAX {
            self.kept.push(value);
        } else {
            self.kept[self.seen % TREND_SAMPLES_PER_CELL_MAX] = value;
        }
        self.seen += 1;
    }
}

/// The nearest-rank 95th percentile.
fn p95(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get((values.len() * 95).div_ceil(100).max(1) - 1).copied()
}

impl Sink for Trend {
    fn take(&self, run: &Arc<Run>) {
        let cell = self.index(run.at);
        let mut state = self.state();
        for judgement in &run.judgements {
            let id = format!("{}/{}", judgement.module, judgement.id);
            if let Some(strip) = state.checks.get_mut(&id) {
                strip.add(cell, judgement.verdict);
            }
        }
        for measured in &run.measures {
            let target = measured.latency_target.as_ref();
            let ring = target.and_then(|name| state.targets.get_mut(name));
            if let Some(samples) = ring.and_then(|ring| ring.at(cell)) {
                measured.numbers().into_iter().for_each(|value| samples.add(value));
            }
        }
    }
}
