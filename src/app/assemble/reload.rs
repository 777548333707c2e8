//! Another catalog in the place of the last one: what both have in common goes on.

use super::{Assembler, Judged, Moment};
use crate::catalog::Catalog;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Assembler {
    /// Takes another catalog. Evidence of scenarios that are the `same` (full ids) goes on counting; checks that are still
    /// there go on from their last judgement.
    pub fn reload(&mut self, catalog: Arc<Catalog>, same: &BTreeSet<String>, now: &Moment) {
        let ledger = Arc::clone(&self.ledger);
        let next = Self::new(catalog, ledger, (self.standings.freshness(), now));
        let before = std::mem::replace(self, next);
        self.standings.go_on(before.standings, same);
        let mut known: BTreeMap<_, _> = before
            .judged
            .into_iter()
            .map(|state| (state.id.clone(), state))
            .collect();
        for state in &mut self.judged {
            if let Some(known) = known.remove(&state.id) {
                *state = Judged {
                    check: Arc::clone(&state.check),
                    passive: state.passive,
                    ..known
                };
            }
        }
    }
}
