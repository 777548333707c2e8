//! Which check has to be judged when something new is known. Pure.

use super::select;
use crate::catalog::{Catalog, Check};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The checks in an order in which each stands after those whose verdicts it reads, with who reads what.
pub(super) struct Depends {
    /// Checks in judging order.
    pub(super) order: Vec<Arc<Check>>,
    /// Places of the checks that read a scenario.
    by_scenario: BTreeMap<String, Vec<usize>>,
    /// Places of the checks that read a check's verdict.
    by_check: BTreeMap<String, Vec<usize>>,
}

impl Depends {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut order = Vec::new();
        let mut placed = BTreeSet::new();
        let mut waiting: Vec<Arc<Check>> = catalog.checks().map(|(_, check)| Arc::clone(check)).collect();
        // Each round places what has nothing left to wait for. A cycle was refused at load; if one slipped through, its
        // checks are placed as they stand.
        while !waiting.is_empty() {
            let (free, rest): (Vec<_>, Vec<_>) = waiting
                .drain(..)
                .partition(|check| select::reads(check).all(|id| placed.contains(id)));
            waiting = rest;
            let free = if free.is_empty() {
                std::mem::take(&mut waiting)
            } else {
                free
            };
            placed.extend(free.iter().map(|check| check.full_id()));
            order.extend(free);
        }
        let mut by_scenario: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut by_check: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, check) in order.iter().enumerate() {
            for scenario in check.scenarios() {
                by_scenario.entry(scenario.to_owned()).or_default().push(place);
            }
            let read: BTreeSet<_> = select::reads(check).collect();
            for id in read {
                by_check.entry(id.to_owned()).or_default().push(place);
            }
        }
        Self {
            order,
            by_scenario,
            by_check,
        }
    }

    /// Places of the checks that read `scenario`.
    pub(super) fn on_scenario(&self, scenario: &str) -> &[usize] {
        self.by_scenario.get(scenario).map_or(&[], Vec::as_slice)
    }

    /// Places of the checks that read the verdict of `check`.
    pub(super) fn on_check(&self, check: &str) -> &[usize] {
        self.by_check.get(check).map_or(&[], Vec::as_slice)
    }
}
