//! The monitor's own health, as facts for people.

use super::draw;
use super::overview::Fact;
use crate::serve::{App, Health};

const SKIPPED: &str = "stagewatch_scheduler_skipped_runs_total";
const ERRORS: &str = "stagewatch_history_write_errors_total";
const LOST: &str = "stagewatch_history_dropped_rows_total";
const CONTROLS: &str = "stagewatch_controls_reachable_ratio";
const BUDGET: &str = "stagewatch_budget_remaining_ratio";
const MEMORY: &str = "process_resident_memory_bytes";
/// Metrics about the monitor that the page shows.
const OWN: [&str; 6] = [SKIPPED, ERRORS, LOST, CONTROLS, BUDGET, MEMORY];

/// What is known of the monitor itself.
pub(super) fn facts(app: &App) -> Vec<Fact> {
    let fact = |name: &str, value: String, bad| Fact {
        name: name.to_owned(),
        value,
        bad,
    };
    let mut facts = vec![match (app.served.health)() {
        Health::Well => fact("health", "well".to_owned(), false),
        Health::Degraded(why) => fact("health", why, true),
    }];
    if let Some(why) = &app.served.live.status().config_refused {
        let first = why.lines().next().unwrap_or_default();
        facts.push(fact(
            "configuration",
            format!("the last reload was refused: {first}"),
            true,
        ));
    }
    let read = app.served.metrics.read(&OWN);
    let of = |name: &str| read.get(name).map(Vec::as_slice).unwrap_or_default();
    let total = |name: &str| of(name).iter().map(|reading| reading.value).sum::<f64>();
    for (name, metric, bad) in [
        ("slots missed", SKIPPED, false),
        ("write errors", ERRORS, true),
        ("rows lost", LOST, true),
    ] {
        let count = total(metric);
        facts.push(fact(name, format!("{count:.0}"), bad && count > 0.0));
    }
    if let Some(share) = of(CONTROLS).first().map(|reading| reading.value) {
        facts.push(fact("controls reachable", draw::percent(Some(share)), share < 0.5));
    }
    for reading in of(BUDGET) {
        let name = format!("budget {}", reading.labels.concat().replace('_', " "));
        let left = reading.value;
        facts.push(fact(&name, format!("{} left", draw::percent(Some(left))), left < 0.1));
    }
    facts.push(fact(
        "memory",
        format!("{:.0} MiB", total(MEMORY) / 1024.0 / 1024.0),
        false,
    ));
    facts
}
