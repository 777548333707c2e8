//! The bound on metric series that a catalog makes, by the table of metrics in `docs/metrics.md`.

use crate::catalog::{Action, Catalog, Step};
use crate::limits::MEASURED_STEPS_MAX;

/// Info 1, interval 1, runs 3, failures 16, verdict 4, consecutive 2, blame 1, timestamps 2, duration histogram 20.
const PER_CHECK: usize = 50;
/// Muted while its socket is in doubt 1.
const PER_CHECK_OF_SOCKET: usize = 1;
/// Ratios 2, numbers by verdict 4, unknowns by reason 10; muted by maintenance and outside active hours 2.
const PER_MODULE: usize = 18;
/// Upgrades 2 x 18, failing 2 x 17 + 5, muted 2, status 2, sessions 6, layers 3, residents 30, floors 2, certificate 1.
const PER_SOCKET: usize = 121;
/// Histogram 20, threshold 1.
const PER_LATENCY_TARGET: usize = 21;
/// Pushes 3, last success 1, histogram 20.
const PER_ALERTMANAGER: usize = 24;
/// Histogram of one named step.
const PER_STEP: usize = 20;
/// Phases, scheduler, budgets, alerts, delivery, process: whatever the catalog holds.
const FIXED: usize = 320;

/// At most this many series.
pub fn series_bound(catalog: &Catalog) -> usize {
    let steps: usize = catalog.scenarios().map(|scenario| named_steps(&scenario.steps)).sum();
    let of_socket = catalog.checks().filter(|(_, check)| check.needs_socket).count();
    PER_CHECK * catalog.checks().count()
        + PER_CHECK_OF_SOCKET * of_socket
        + PER_MODULE * catalog.modules.len()
        + PER_SOCKET * catalog.target.sockets.len()
        + PER_LATENCY_TARGET * catalog.latency_targets.len()
        + PER_ALERTMANAGER * catalog.alerting.alertmanagers.len()
        + PER_STEP * steps.min(MEASURED_STEPS_MAX)
        + FIXED
}

fn named_steps(steps: &[Step]) -> usize {
    steps
        .iter()
        .map(|step| {
            usize::from(step.named)
                + match &step.action {
                    Action::Repeat { steps, .. } | Action::Times { steps, .. } | Action::Group(steps) => {
                        named_steps(steps)
                    }
                    Action::Parallel(branches) => branches.iter().map(|branch| named_steps(branch)).sum(),
                    _ => 0,
                }
        })
        .sum()
}
