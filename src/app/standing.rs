//! What is known of each scenario, and whether it still counts as evidence. Pure: the moment is always given.

use crate::catalog::{Catalog, Scenario};
use crate::clock;
use crate::judge::{Evidence, TranscriptView};
use crate::schedule::plan;
use crate::verdict::UnknownReason;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A moment of wall time.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix: f64,
    /// The same as RFC 3339.
    pub rfc3339: String,
}

impl Moment {
    /// The present moment.
    pub fn now() -> Self {
        let now = clock::now();
        Self {
            unix: clock::unix_seconds(now),
            rfc3339: clock::rfc3339(now),
        }
    }
}

/// How long evidence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// One and a half periods of its scenario: the daemon.
    Periods,
    /// As long as the iteration lasts that it was made in.
    Iteration,
}

/// What is known of a scenario.
pub(super) enum Standing {
    /// It has not run since the start.
    Pending,
    /// It ran, and ended then.
    Seen {
        /// What it saw.
        view: Arc<TranscriptView>,
        /// When, seconds since 1970.
        ended: f64,
    },
    /// Its last run was refused before anything was sent.
    Refused {
        /// Why.
        reason: UnknownReason,
        /// What to say.
        note: String,
    },
    /// It does not run.
    Off {
        /// What to say.
        note: String,
    },
}

struct Known {
    scenario: Arc<Scenario>,
    fresh_for: Duration,
    standing: Standing,
    /// How often something was heard of it.
    heard: u64,
}

/// The standing of every scenario.
pub(super) struct Standings {
    known: BTreeMap<String, Known>,
    freshness: Freshness,
    /// Seconds since 1970.
    started: f64,
}

impl Standings {
    /// Nothing has run yet.
    pub(super) fn new(catalog: &Catalog, freshness: Freshness, now: &Moment) -> Self {
        let known = catalog.scenarios().map(|scenario| {
            let period = plan::period(scenario, clock::now());
            let standing = if scenario.enabled {
                Standing::Pending
            } else {
                Standing::Off {
                    note: "it is not enabled".to_owned(),
                }
            };
            let known = Known {
                scenario: Arc::clone(scenario),
                fresh_for: plan::fresh_for(scenario, period),
                standing,
                heard: 0,
            };
            (scenario.id.clone(), known)
        });
        Self {
            known: known.collect(),
            freshness,
            started: now.unix,
        }
    }

    pub(super) fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Takes over what was known of the scenarios that are the same as before.
    pub(super) fn go_on(&mut self, before: Self, same: &BTreeSet<String>) {
        for (id, known) in before.known {
            if let Some(now) = self.known.get_mut(&id).filter(|_| same.contains(&id)) {
                now.standing = known.standing;
                now.heard = known.heard;
            }
        }
    }

    pub(super) fn set(&mut self, scenario: &str, standing: Standing) {
        if let Some(known) = self.known.get_mut(scenario) {
            known.standing = standing;
            known.heard += 1;
        }
    }

    /// How often something was heard of it: it ran, was refused or was switched off.
    pub(super) fn heard(&self, scenario: &str) -> u64 {
        self.known.get(scenario).map_or(0, |known| known.heard)
    }

    /// Whether it has not run since the start, but may still do so in time.
    pub(super) fn awaited(&self, scenario: &str, now: &Moment) -> bool {
        self.known
            .get(scenario)
            .is_some_and(|known| matches!(known.standing, Standing::Pending) && !self.overdue(known, now))
    }

    /// How long its evidence counts, if what there is has become too old.
    pub(super) fn gone_stale(&self, scenario: &str, now: &Moment) -> Option<Duration> {
        let known = self.known.get(scenario)?;
        let stale = match known.standing {
            Standing::Seen { ended, .. } => now.unix - ended > known.fresh_for.as_secs_f64(),
            Standing::Pending => self.overdue(known, now),
            Standing::Refused { .. } | Standing::Off { .. } => false,
        };
        stale.then_some(known.fresh_for)
    }

    /// Whether no scenario of a module runs now.
    pub(super) fn all_off(&self, module: &str) -> bool {
        self.known
            .values()
            .filter(|known| known.scenario.module == module)
            .all(|known| matches!(known.standing, Standing::Off { .. }))
    }

    /// What the judge is shown.
    pub(super) fn evidence(&self, scenario: &str, now: &Moment) -> Evidence {
        let absent = |reason, note| Evidence::Absent {
            reason,
            note,
            blame: None,
        };
        let Some(known) = self.known.get(scenario) else {
            return absent(UnknownReason::Monitor, "there is no such scenario".to_owned());
        };
        match &known.standing {
            Standing::Seen { view, ended } => {
                let age = now.unix - ended;
                if age > known.fresh_for.as_secs_f64() && self.freshness == Freshness::Periods {
                    absent(UnknownReason::Stale, format!("it last ran {age:.0} s ago"))
                } else {
                    Evidence::Seen(Arc::clone(view))
                }
            }
            Standing::Pending => absent(UnknownReason::Missed, "it has not run yet".to_owned()),
            Standing::Refused { reason, note } => absent(*reason, note.clone()),
            Standing::Off { note } => Evidence::Off { note: note.clone() },
        }
    }

    /// A scenario that has not run although its first run should long be over.
    fn overdue(&self, known: &Known, now: &Moment) -> bool {
        now.unix - self.started > known.fresh_for.as_secs_f64()
    }
}
