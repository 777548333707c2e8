//! The bound on the time from the first wrong answer that could have been seen to Alertmanager: interval, attempts, burst,
//! wait for the siblings, push. Pure.

use crate::catalog::watch::{Credential, watches};
use crate::catalog::{Action, Catalog, Check, Scenario, Schedule, Severity, Step};
use crate::config::compile::longest_gap;
use std::time::Duration;

/// How soon one kind of page is with Alertmanager at the latest.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPage {
    /// What it is about.
    pub about: String,
    /// What it consists of, for people.
    pub made_of: String,
    /// The bound.
    pub within: Duration,
    /// Whether it is above `alerting.time_to_page`.
    pub is_late: bool,
}

/// Every bound: of each watch, and of the slowest critical check of each module.
pub(super) fn pages(catalog: &Catalog) -> Vec<PlannedPage> {
    let sockets = watches(catalog).map(|(socket, credential, watch)| of_watch(catalog, (socket, credential), watch));
    let modules = catalog.modules.iter().filter_map(|module| {
        let critical = module
            .checks
            .iter()
            .filter(|check| check.severity == Severity::Critical);
        critical
            .filter_map(|check| of_check(catalog, check))
            .max_by_key(|page| page.within)
    });
    sockets.chain(modules).collect()
}

/// The target breaks just after an attempt; the next one meets it and takes as long as it may, and so do those of the burst.
fn of_watch(catalog: &Catalog, (socket, credential): (&str, Credential), watch: &Scenario) -> PlannedPage {
    let rule = &catalog.alerting.sockets;
    let (every, attempt, push) = (interval(watch), attempt(watch), push(catalog));
    let burst = rule.confirm_within + attempt;
    let shown = super::shown;
    page(
        catalog,
        format!("upgrades of {socket}, credential {credential}"),
        format!(
            "{} interval + {} attempt + {} burst + {} siblings + {} push",
            shown(every),
            shown(attempt),
            shown(burst),
            shown(rule.confirm_within),
            shown(push)
        ),
        every + attempt + burst + rule.confirm_within + push,
    )
}

/// So many failures in a row, each a period of the slowest scenario apart.
fn of_check(catalog: &Catalog, check: &Check) -> Option<PlannedPage> {
    let scenarios = check.scenarios();
    let read: Vec<&Scenario> = catalog
        .scenarios()
        .filter(|scenario| scenario.enabled && scenarios.contains(&scenario.id.as_str()))
        .map(AsRef::as_ref)
        .collect();
    let slowest = read
        .iter()
        .max_by_key(|scenario| interval(scenario) + scenario.deadline)?;
    let (every, push, failures) = (interval(slowest), push(catalog), catalog.alerting.checks.failures);
    let shown = super::shown;
    Some(page(
        catalog,
        format!("{}, slowest critical check {}", check.module, check.id),
        format!(
            "{failures} x {} interval + {} run + {} push",
            shown(every),
            shown(slowest.deadline),
            shown(push)
        ),
        every * failures + slowest.deadline + push,
    ))
}

fn page(catalog: &Catalog, about: String, made_of: String, within: Duration) -> PlannedPage {
    let promised = catalog.alerting.time_to_page;
    PlannedPage {
        about,
        made_of,
        within,
        is_late: promised.is_some_and(|promised| within > promised),
    }
}

/// The slowest push; nothing is pushed without an Alertmanager.
fn push(catalog: &Catalog) -> Duration {
    let deadlines = catalog.alerting.alertmanagers.iter().map(|one| one.within);
    deadlines.max().unwrap_or_default()
}

/// The longest time between two starts.
fn interval(scenario: &Scenario) -> Duration {
    match &scenario.schedule {
        Schedule::Every(period) => *period,
        Schedule::Cron { pattern, zone } => longest_gap(pattern, *zone).unwrap_or(scenario.deadline),
        Schedule::Resident | Schedule::OnConfirm { .. } => scenario.deadline,
    }
}

/// The longest time that a run takes to show that it is wrong: its steps' deadlines, or its own.
fn attempt(scenario: &Scenario) -> Duration {
    scenario
        .steps
        .iter()
        .map(longest)
        .fold(Duration::ZERO, Duration::saturating_add)
        .min(scenario.deadline)
}

fn longest(step: &Step) -> Duration {
    match &step.action {
        // Their inner steps have deadlines of their own, and the run has one in any case.
        Action::Repeat { .. } | Action::Times { .. } | Action::Parallel(_) | Action::Group(_) => Duration::MAX,
        Action::Wait(pause) => *pause,
        Action::Offer { hold, .. } => *hold,
        _ => step.within,
    }
}
