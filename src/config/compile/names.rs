//! The names that the files define, collected before anything is compiled, so that order does not matter.

use super::Loaded;
use crate::catalog::step::CaptureKind;
use crate::config::raw::{ModuleFile, Scenario, Step, TextOr};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that can be referred to by name.
#[derive(Debug, Default)]
pub struct Names {
    /// Scenarios by full id.
    pub scenarios: BTreeMap<String, ScenarioNames>,
    /// Ids of modules.
    pub modules: BTreeSet<String>,
    /// Full ids of checks.
    pub checks: BTreeSet<String>,
    /// Series of measures.
    pub series: BTreeSet<String>,
    /// Whether nothing is missing from these names because of a file that has the wrong shape.
    pub complete: bool,
}

/// What a scenario defines.
#[derive(Debug, Default)]
pub struct ScenarioNames {
    /// Name in its module.
    pub name: String,
    /// Ids of named steps.
    pub steps: BTreeSet<String>,
    /// Variables.
    pub vars: BTreeSet<String>,
    /// Captures.
    pub captures: BTreeMap<String, CaptureKind>,
    /// Local names of credentials, and how many users each stands for.
    pub credentials: BTreeMap<String, u32>,
    /// Handles it offers.
    pub offers: BTreeSet<String>,
    /// Whether it is held open by the runner.
    pub is_resident: bool,
    /// Whether it runs only beside a confirm burst.
    pub is_on_confirm: bool,
    /// Whether it opens or borrows a socket.
    pub has_socket: bool,
}

impl Names {
    /// Collects them.
    pub fn collect(loaded: &Loaded) -> Self {
        let mut names = Self {
            complete: loaded.complete,
            ..Self::default()
        };
        for (_, module) in &loaded.modules {
            names.add_module(module);
        }
        names
    }

    fn add_module(&mut self, module: &ModuleFile) {
        self.modules.insert(module.module.clone());
        for (name, scenario) in module.scenarios.iter() {
            let id = format!("{}/{name}", module.module);
            self.series
                .extend(scenario.measures.iter().map(|measure| measure.series.clone()));
            self.scenarios.insert(id, ScenarioNames::collect(name, scenario));
        }
        for check in &module.checks {
            self.checks.insert(format!("{}/{}", module.module, check.id));
        }
    }
}

impl ScenarioNames {
    fn collect(name: &str, scenario: &Scenario) -> Self {
        let mut names = Self {
            name: name.to_owned(),
            vars: scenario.vars.iter().map(|(name, _)| name.to_owned()).collect(),
            credentials: scenario
                .credentials
                .iter()
                .map(|(name, one)| (name.to_owned(), one.count.unwrap_or(1)))
                .collect(),
            is_resident: matches!(&scenario.schedule, TextOr::Text(word) if word == "resident"),
            is_on_confirm: matches!(&scenario.schedule, TextOr::Detailed(times) if times.on_confirm.is_some()),
            ..Self::default()
        };
        if let Some(only) = &scenario.credential {
            names
                .credentials
                .insert("credential".to_owned(), only.count.unwrap_or(1));
        }
        names.add_steps(&scenario.steps);
        names.add_steps(&scenario.cleanup);
        names
    }

    fn add_steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.steps.extend(step_id(step).map(str::to_owned));
            for (name, capture) in step.capture.iter() {
                let kind = match capture {
                    TextOr::Detailed(detailed) if detailed.secret.is_some() => CaptureKind::Secret,
                    _ => CaptureKind::Plain,
                };
                self.captures.insert(name.to_owned(), kind);
            }
            if let Some(offer) = &step.offer {
                self.offers
                    .insert(offer.on.clone().unwrap_or_else(|| "main".to_owned()));
            }
            self.has_socket |= step.open.is_some() || step.borrow.is_some();
            for inner in inner_steps(step) {
                self.add_steps(inner);
            }
        }
    }
}

/// The id given to a step.
pub fn step_id(step: &Step) -> Option<&str> {
    let ids = [
        step.http.as_ref().map(|action| &action.id),
        step.sse.as_ref().map(|action| &action.id),
        step.open.as_ref().map(|action| &action.id),
        step.send.as_ref().map(|action| &action.id),
        step.receive.as_ref().map(|action| &action.id),
        step.ping.as_ref().map(|action| &action.id),
        step.close.as_ref().map(|action| &action.id),
        step.abort.as_ref().map(|action| &action.id),
        step.offer.as_ref().map(|action| &action.id),
        step.borrow.as_ref().map(|action| &action.id),
    ];
    ids.into_iter().flatten().find_map(|id| id.as_deref())
}

/// The lists of steps inside a step.
pub fn inner_steps(step: &Step) -> impl Iterator<Item = &[Step]> {
    let branches = step.parallel.iter().flatten().map(Vec::as_slice);
    branches.chain(step.group.as_deref()).chain(step.steps.as_deref())
}
