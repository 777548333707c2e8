//! Names that stand twice: modules, numbers, scenarios, checks, series, steps.

use super::names::{inner_steps, step_id};
use super::{Context, Loaded};
use crate::config::error::{At, Report};
use crate::config::raw::{ModuleFile, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// Says every name that stands twice.
pub fn check(context: &Context, loaded: &Loaded, report: &Report) {
    let mut modules = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    let mut series = BTreeMap::new();
    for (page, module) in &loaded.modules {
        let at = At::top(page, report);
        once(
            &mut modules,
            module.module.clone(),
            &page.name,
            "module",
            at.key("module"),
        );
        once(
            &mut numbers,
            module.number,
            &page.name,
            "module number",
            at.key("number"),
        );
        let mut checks = BTreeMap::new();
        for (place, check) in module.checks.iter().enumerate() {
            let at = at.key("checks").item(place).key("id");
            once(&mut checks, check.id.clone(), &page.name, "check", at);
        }
        for (name, scenario) in module.scenarios.iter() {
            let at = at.key("scenarios").key(name);
            for (place, measure) in scenario.measures.iter().enumerate() {
                let at = at.key("measures").item(place).key("series");
                once(&mut series, measure.series.clone(), &page.name, "series", at);
            }
        }
        step_ids(module, at);
    }
    let limits = &context.main.target.limits;
    let top = At::top(&loaded.main.0, report).key("target").key("limits");
    let mut names = BTreeMap::new();
    for (place, limit) in limits.iter().enumerate() {
        once(
            &mut names,
            limit.name.clone(),
            &loaded.main.0.name,
            "limit",
            top.item(place).key("name"),
        );
    }
}

fn once<K: Ord + Display>(seen: &mut BTreeMap<K, String>, name: K, file: &str, what: &str, at: At) {
    match seen.get(&name) {
        Some(first) => at.wrong(
            format!("the {what} `{name}` stands twice"),
            if first == file {
                "give one of them another name".to_owned()
            } else {
                format!("the first one is in {first}; rename one of them")
            },
        ),
        None => {
            seen.insert(name, file.to_owned());
        }
    }
}

fn step_ids(module: &ModuleFile, at: At) {
    for (name, scenario) in module.scenarios.iter() {
        let at = at.key("scenarios").key(name);
        let mut seen = BTreeSet::new();
        for (key, steps) in [("steps", &scenario.steps), ("cleanup", &scenario.cleanup)] {
            step_ids_in(steps, name, &mut seen, at.key(key));
        }
    }
}

fn step_ids_in<'load>(steps: &'load [Step], scenario: &str, seen: &mut BTreeSet<&'load str>, at: At) {
    for (place, step) in steps.iter().enumerate() {
        let at = at.item(place);
        if let Some(id) = step_id(step) {
            let id_at = ACTIONS_WITH_ID.iter().fold(at, |at, action| at.key(action)).key("id");
            if id == scenario {
                id_at.wrong(
                    format!("the step `{id}` has the name of its scenario"),
                    "give the step another id: in expressions the scenario's name stands for all of its steps",
                );
            } else if !seen.insert(id) {
                id_at.wrong(
                    format!("the step `{id}` stands twice in this scenario"),
                    "give one of them another id",
                );
            }
        }
        for (branch, inner) in inner_steps(step).enumerate() {
            let at = match (&step.parallel, &step.group) {
                (Some(_), _) => at.key("parallel").item(branch),
                (None, Some(_)) => at.key("group"),
                (None, None) => at.key("steps"),
            };
            step_ids_in(inner, scenario, seen, at);
        }
    }
}

/// Actions whose mapping may hold an `id`.
pub const ACTIONS_WITH_ID: [&str; 10] = [
    "http",
    "sse",
    "ws.open",
    "ws.send",
    "ws.receive",
    "ws.ping",
    "ws.close",
    "ws.abort",
    "ws.offer",
    "ws.borrow",
];
