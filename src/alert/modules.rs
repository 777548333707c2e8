//! Whole modules: everything that is judged fails, or too little can be judged. Pure.

use super::checks::{CheckState, Checks};
use super::firing::{About, Firing, id};
use super::sustained::{Sustained, Window};
use super::{Alert, AlertName};
use crate::catalog::{Catalog, Severity};
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::time::Duration;

/// Judged checks that must fail before it is the module that is down.
const FAILING_MIN: usize = 2;
/// Share that must be judged.
const COVERAGE_MIN: f64 = 0.8;
/// Minutes over which coverage is averaged.
const COVERAGE_OVER: usize = 60;
/// How long it must be too low.
const BLIND_FOR: Duration = Duration::from_secs(1800);

/// All modules.
#[derive(Debug)]
pub(super) struct Modules {
    owner: String,
    states: BTreeMap<String, ModuleState>,
}

#[derive(Debug)]
struct ModuleState {
    owner: String,
    hours: bool,
    down: Option<Down>,
    coverage: Window,
    blind: Sustained,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    since: f64,
    /// All that fails needs a socket.
    needs_socket: bool,
}

impl Modules {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let states = catalog.modules.iter().map(|module| {
            let state = ModuleState {
                owner: module.owner.clone(),
                hours: module.active_hours.is_some(),
                down: None,
                coverage: Window::new(COVERAGE_OVER),
                blind: Sustained::default(),
            };
            (module.id.clone(), state)
        });
        Self {
            owner: catalog.alerting.owner.clone(),
            states: states.collect(),
        }
    }

    /// Something of `module` was judged: is it down, or not any more?
    pub(super) fn judged(&mut self, module: &str, checks: &Checks, muted: bool) {
        let Some(state) = self.states.get_mut(module) else {
            return;
        };
        let of_verdict = |verdict| move |(_, check): &(_, &CheckState)| check.verdict == Some(verdict);
        if checks.of(module).any(|check| of_verdict(Verdict::Pass)(&check)) {
            state.down = None;
            return;
        }
        let failing: Vec<&CheckState> = checks
            .of(module)
            .filter(of_verdict(Verdict::Fail))
            .map(|(_, check)| check)
            .collect();
        let needs_socket = failing.iter().all(|check| check.needs_socket);
        if let Some(down) = &mut state.down {
            down.needs_socket &= failing.is_empty() || needs_socket;
        } else if failing.len() >= FAILING_MIN && failing.iter().all(|check| checks.fails(check)) && !muted {
            let since = failing
                .iter()
                .map(|check| check.failures.since)
                .fold(f64::INFINITY, f64::min);
            state.down = Some(Down { since, needs_socket });
        }
    }

    /// Samples what can be judged.
    pub(super) fn tick(&mut self, now: f64, checks: &Checks, muted: &dyn Fn(&str) -> bool) {
        for (module, state) in &mut self.states {
            if let Some(coverage) = coverage(checks, module) {
                state.coverage.add(now, coverage);
            }
            state.coverage.forget(now);
            let low = state.coverage.share().map(|(share, _)| share < COVERAGE_MIN);
            state.blind.update(low, now, (BLIND_FOR, muted(module)));
        }
    }

    /// Whether the alert that a module is down fires.
    pub(super) fn down(&self, module: &str) -> bool {
        self.states.get(module).is_some_and(|state| state.down.is_some())
    }

    /// Every module.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.states.keys()
    }

    /// Modules that are outside their active hours.
    pub(super) fn resting<'a>(&'a self, checks: &'a Checks) -> impl Iterator<Item = &'a String> {
        let all_off = |module: &str| checks.of(module).all(|(_, check)| check.verdict == Some(Verdict::Off));
        self.states
            .iter()
            .filter(move |(module, state)| state.hours && all_off(module))
            .map(|(module, _)| module)
    }

    /// What fires.
    pub(super) fn firing(&self, checks: &Checks) -> Vec<Firing> {
        let mut firing = Vec::new();
        for (module, state) in &self.states {
            if let Some(down) = state.down {
                let needs = if down.needs_socket { "true" } else { "false" };
                let failing = checks
                    .of(module)
                    .filter(|(_, check)| check.verdict == Some(Verdict::Fail));
                firing.push(Firing {
                    id: id(AlertName::ModuleDown, &[("module", module), ("needs_socket", needs)]),
                    severity: Some(Severity::Critical),
                    owner: state.owner.clone(),
                    starts_at: down.since,
                    about: About::Module {
                        module: module.clone(),
                        failing: failing.count(),
                    },
                });
            }
            if let Some(since) = state.blind.firing() {
                firing.push(Firing {
                    id: id(AlertName::ModuleBlind, &[("module", module)]),
                    severity: Some(Severity::Warning),
                    owner: self.owner.clone(),
                    starts_at: since,
                    about: About::Blind {
                        module: module.clone(),
                        coverage: state.coverage.share().map_or(0.0, |(share, _)| share),
                    },
                });
            }
        }
        firing
    }

    /// Goes on with an alert of a former process; gives whether there is such a module.
    pub(super) fn adopt(&mut self, alert: &Alert) -> bool {
        let labels = &alert.id.labels;
        let Some(state) = labels.get("module").and_then(|module| self.states.get_mut(module)) else {
            return false;
        };
        if alert.id.name == AlertName::ModuleBlind {
            state.blind.adopt(alert.starts_at);
            return true;
        }
        let needs_socket = labels.get("needs_socket").is_some_and(|needs| needs == "true");
        let down = state.down.get_or_insert(Down {
            since: alert.starts_at,
            needs_socket,
        });
        down.since = down.since.min(alert.starts_at);
        true
    }
}

/// Share of a module's checks that are judged, those left out that are off; none before a first judgement.
fn coverage(checks: &Checks, module: &str) -> Option<f64> {
    let (mut judged, mut wanted, mut any) = (0_u32, 0_u32, false);
    for (_, check) in checks.of(module) {
        any |= check.verdict.is_some();
        wanted += u32::from(check.verdict != Some(Verdict::Off));
        judged += u32::from(matches!(check.verdict, Some(Verdict::Pass | Verdict::Fail)));
    }
    (any && wanted > 0).then(|| f64::from(judged) / f64::from(wanted))
}
