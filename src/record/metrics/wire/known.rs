//! What metrics need to know of each scenario: its measured steps, its sockets.

use crate::catalog::step::{Action, Step};
use crate::catalog::{Catalog, Scenario};
use crate::limits::MEASURED_STEPS_MAX;
use crate::record::metrics::exemplars::Timer;
use crate::record::metrics::{BUCKETS, Maker, MetricsError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What metrics need to know of a scenario.
pub(super) struct Known {
    pub(super) scenario: Arc<Scenario>,
    /// Histograms of its named steps, as far as the cap allows.
    pub(super) steps: BTreeMap<String, Timer>,
    /// Handle, and whether another path is asked for, by step id of its upgrades.
    pub(super) opens: BTreeMap<String, OpenFacts>,
    /// Endpoint of its first upgrade: where its floors are measured.
    pub(super) socket: Option<String>,
}

#[derive(Clone)]
pub(super) struct OpenFacts {
    pub(super) on: String,
    pub(super) own_path: bool,
}

/// Every scenario with its handles.
pub(super) fn known(make: &Maker, catalog: &Catalog) -> Result<BTreeMap<String, Known>, MetricsError> {
    let seconds = make.timers(
        "scenario_step_seconds",
        "Latency of a named step, successes only.",
        (&["module", "scenario", "step"], &BUCKETS),
    )?;
    let measured = measured_steps(catalog);
    let known = catalog.scenarios().map(|scenario| {
        let steps = measured.iter().filter(|(id, _)| *id == scenario.id).map(|(_, step)| {
            let labels = [scenario.module.as_str(), scenario.name.as_str(), step.as_str()];
            (step.clone(), seconds.with(&labels))
        });
        let mut opens = BTreeMap::new();
        let mut socket = None;
        collect_opens(&scenario.steps, &mut opens, &mut socket);
        let known = Known {
            scenario: Arc::clone(scenario),
            steps: steps.collect(),
            opens,
            socket: socket.or_else(|| catalog.target.sockets.keys().next().cloned()),
        };
        (scenario.id.clone(), known)
    });
    Ok(known.collect())
}

/// The steps that have a histogram: those that a latency measure reads first, then named exchanges in order, up to the cap.
fn measured_steps(catalog: &Catalog) -> Vec<(String, String)> {
    let mut first = Vec::new();
    let mut rest = Vec::new();
    for scenario in catalog.scenarios() {
        let mut named = Vec::new();
        collect_named(&scenario.steps, &mut named);
        for step in named {
            let read = scenario.measures.iter().any(|measure| {
                measure.latency_target.is_some() && measure.value.reads().iter().any(|path| path.root == step)
            });
            let list = if read { &mut first } else { &mut rest };
            list.push((scenario.id.clone(), step));
        }
    }
    first.extend(rest);
    first.truncate(MEASURED_STEPS_MAX);
    first
}

fn collect_named(steps: &[Step], found: &mut Vec<String>) {
    for step in steps {
        match &step.action {
            Action::Http(_) | Action::Sse(_) | Action::Open(_) | Action::Receive(_) | Action::Ping(_) if step.named => {
                found.push(step.id.clone());
            }
            _ => children(step).for_each(|steps| collect_named(steps, found)),
        }
    }
}

fn collect_opens(steps: &[Step], found: &mut BTreeMap<String, OpenFacts>, first: &mut Option<String>) {
    for step in steps {
        if let Action::Open(open) = &step.action {
            let facts = OpenFacts {
                on: open.on.clone(),
                own_path: open.path.is_some(),
            };
            found.insert(step.id.clone(), facts);
            first.get_or_insert_with(|| open.endpoint.clone());
        }
        children(step).for_each(|steps| collect_opens(steps, found, first));
    }
}

/// The step lists inside a step.
fn children(step: &Step) -> impl Iterator<Item = &[Step]> {
    let (one, many): (Option<&[Step]>, &[Vec<Step>]) = match &step.action {
        Action::Repeat { steps, .. } | Action::Times { steps, .. } | Action::Group(steps) => (Some(steps), &[]),
        Action::Parallel(branches) => (None, branches),
        _ => (None, &[]),
    };
    one.into_iter().chain(many.iter().map(Vec::as_slice))
}
