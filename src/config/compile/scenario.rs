//! Scenarios: schedule, credentials, variables, steps, measures.

use super::auth::{credential_root, credentials};
use super::cost::{cost, longest_burst, shortest_run};
use super::forbidden::forbidden;
use super::judging::Judging;
use super::scalar::{Scale, duration, identifier, identifier_key, number, per_day};
use super::step::{Place, Steps};
use super::{Context, schedule, target};
use crate::catalog::{CredentialUse, Measure, Scenario, Schedule};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw::{self, ModuleFile};
use crate::config::words::suggest;
use crate::expression::Expression;
use crate::limits::{SCENARIO_DEADLINE, STEPS_PER_RUN_MAX};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Names that mean something of their own in expressions.
pub const RESERVED: [&str; 13] = [
    "answer",
    "event",
    "frame",
    "nonce",
    "open",
    "request",
    "run",
    "secret",
    "started",
    "target",
    "time_scale",
    "token",
    "user",
];

/// The scenarios of a module.
pub fn scenarios<'load>(context: &Context<'load>, module: &'load ModuleFile, at: At<'load>) -> Vec<Arc<Scenario>> {
    let shapes = module.scenarios.iter();
    shapes
        .map(|(name, shape)| {
            let at = at.key("scenarios").key(name);
            identifier_key(name, "scenario", at);
            Arc::new(scenario(context, (module, name), shape, at))
        })
        .collect()
}

fn scenario<'load>(
    context: &Context<'load>,
    (module, name): (&'load ModuleFile, &'load str),
    shape: &'load raw::Scenario,
    at: At<'load>,
) -> Scenario {
    let id = format!("{}/{name}", module.module);
    let uses = credentials(context, shape, at);
    let schedule = schedule::schedule(context, &shape.schedule, at.key("schedule"));
    let base = base_lexicon(context, &uses);
    let vars = vars(&base, shape, at.key("vars"));
    one_name_each(shape, &uses, at);
    if shape.steps.is_empty() {
        at.key("steps")
            .wrong("the scenario has no steps", "write `steps:` with at least one");
    }
    let mut known = base;
    for (name, _) in &vars {
        known.add(name, Root::Context);
    }
    let mut compiler = Steps::new(context, &module.module, &uses, known);
    let steps = compiler.list(&shape.steps, Place::Run, at.key("steps"));
    let cleanup = compiler.list(&shape.cleanup, Place::Cleanup, at.key("cleanup"));
    if compiler.count() > STEPS_PER_RUN_MAX {
        at.key("steps").wrong(
            format!(
                "a run makes {} steps, repetitions counted; at most {STEPS_PER_RUN_MAX} are allowed",
                compiler.count()
            ),
            "repeat less often, or split the scenario",
        );
    }
    let shortest = shortest_run(&steps);
    let deadline = match &shape.deadline {
        Some(text) => duration(context, text, Scale::Real, at.key("deadline")),
        None => shortest + SCENARIO_DEADLINE,
    };
    if shortest > deadline {
        at.key("deadline").wrong(
            format!(
                "the steps wait for {} at least, and the deadline is {}",
                humantime::format_duration(shortest),
                humantime::format_duration(deadline)
            ),
            "lengthen the deadline, or wait less",
        );
    }
    if let Some(schedule) = &schedule {
        resident_offers(schedule, context.names.scenarios.get(&id), at);
        if shape.feeds_watch && matches!(schedule, Schedule::OnConfirm { .. }) {
            at.key("feeds_watch").wrong(
                "what runs on confirm is no watch of its own",
                "leave `feeds_watch` out, or give the scenario an interval",
            );
        }
    }
    explains(shape, schedule.as_ref(), at.key("explains"));
    burst(context, longest_burst(&steps), at.key("steps"));
    Scenario {
        cost: cost(&steps, &cleanup, &target::socket_paths(&context.main.target)),
        measures: measures(context, &id, shape, at.key("measures")),
        enabled: shape
            .cost
            .as_ref()
            .is_none_or(|cost| context.main.enable.contains(cost)),
        runs_per_day_max: shape
            .runs_per_day
            .map(|runs| number(runs, "runs_per_day", (1, 100_000), at.key("runs_per_day")))
            .map(|runs| per_day(context, runs)),
        module: module.module.clone(),
        name: name.to_owned(),
        feeds_watch: shape.feeds_watch,
        explains: shape.explains,
        credentials: uses,
        id,
        // The load fails without one.
        schedule: schedule.unwrap_or(Schedule::Resident),
        deadline,
        vars,
        steps,
        cleanup,
    }
}

/// What every expression of a scenario may read: what is there before its first step.
fn base_lexicon<'load>(context: &Context<'load>, uses: &[CredentialUse]) -> Lexicon {
    let mut lexicon = Lexicon::new(Rc::clone(&context.functions)).with("target", target::root(context));
    for name in ["nonce", "started", "time_scale"] {
        lexicon.add(name, Root::Context);
    }
    for one in uses {
        lexicon.add(&one.name, credential_root(context, one, false));
    }
    lexicon
}

fn vars<'load>(base: &Lexicon, shape: &'load raw::Scenario, at: At<'load>) -> Vec<(String, Expression)> {
    let mut lexicon = base.clone().with_random();
    let mut vars = Vec::new();
    for (name, source) in shape.vars.iter() {
        let at = at.key(name);
        identifier_key(name, "variable", at);
        vars.extend(lexicon.expression(&source.0, at).map(|value| (name.to_owned(), value)));
        lexicon.add(name, Root::Context);
    }
    vars
}

/// Variables, credentials, captures and steps share one set of names in expressions.
fn one_name_each(shape: &raw::Scenario, uses: &[CredentialUse], at: At) {
    let mut owners: BTreeMap<&str, &str> = RESERVED.iter().map(|name| (*name, "a word of the language")).collect();
    for one in uses {
        owners.insert(&one.name, "a credential");
    }
    for (name, _) in shape.vars.iter() {
        taken(&owners, name, "variable", at.key("vars").key(name));
        owners.insert(name, "a variable");
    }
    let mut walk = vec![(&shape.steps, at.key("steps")), (&shape.cleanup, at.key("cleanup"))];
    while let Some((steps, at)) = walk.pop() {
        for (place, step) in steps.iter().enumerate() {
            let at = at.item(place);
            for (name, _) in step.capture.iter() {
                let at = at.key("capture").key(name);
                identifier_key(name, "capture", at);
                taken(&owners, name, "capture", at);
            }
            if let Some(id) = super::names::step_id(step) {
                let at = super::uniqueness::ACTIONS_WITH_ID
                    .iter()
                    .fold(at, |at, action| at.key(action))
                    .key("id");
                identifier(id, "step", at);
                if let Some(owner) = owners.get(id) {
                    at.wrong(
                        format!("the step `{id}` has the name of {owner}"),
                        "give the step another id",
                    );
                }
            }
            walk.extend(step.steps.iter().map(|inner| (inner, at.key("steps"))));
            walk.extend(step.group.iter().map(|inner| (inner, at.key("group"))));
            let branches = step.parallel.iter().flatten().enumerate();
            walk.extend(branches.map(|(branch, inner)| (inner, at.key("parallel").item(branch))));
        }
    }
}

fn taken(owners: &BTreeMap<&str, &str>, name: &str, what: &str, at: At) {
    if let Some(owner) = owners.get(name) {
        at.name().wrong(
            format!("the {what} `{name}` has the name of {owner}"),
            format!("give the {what} another name"),
        );
    }
}

fn resident_offers(schedule: &Schedule, names: Option<&super::names::ScenarioNames>, at: At) {
    let offers = names.is_some_and(|names| !names.offers.is_empty());
    match (schedule, offers) {
        (Schedule::Resident, false) => at.key("schedule").wrong(
            "a resident scenario offers no socket",
            "add a step `ws.offer: { hold: 280s }`, or give it an interval",
        ),
        (Schedule::Every(_) | Schedule::Cron { .. } | Schedule::OnConfirm { .. }, true) => at.key("schedule").wrong(
            "only a resident scenario can offer a socket",
            "write `schedule: resident`, or take the `ws.offer` out",
        ),
        _ => {}
    }
}

/// What is asked at any moment costs nothing, and can be asked.
fn explains(shape: &raw::Scenario, schedule: Option<&Schedule>, at: At) {
    let can = matches!(schedule, None | Some(Schedule::Every(_) | Schedule::Cron { .. }));
    if shape.explains && (!can || shape.cost.is_some()) {
        at.wrong(
            "a resident, costly or on-confirm scenario cannot be asked when a check fails",
            "leave `explains` out, or give a scenario without cost an interval",
        );
    }
}

fn burst(context: &Context, longest: u32, at: At) {
    if let Some(most) = forbidden(&context.main.target).burst_max.filter(|most| longest > *most) {
        at.wrong(
            format!("{longest} messages go out in one burst, the target allows {most}"),
            "repeat less often, or put a `wait` or a `ws.receive` between",
        );
    }
}

fn measures<'load>(context: &Context<'load>, id: &str, shape: &'load raw::Scenario, at: At<'load>) -> Vec<Measure> {
    let mut judging = Judging::new(context);
    judging.need(id);
    let lexicon = judging.lexicon();
    let shapes = shape.measures.iter().enumerate();
    shapes
        .map(|(place, measure)| {
            let at = at.item(place);
            identifier(&measure.series, "series", at.key("series"));
            if let Some(name) = &measure.latency_target {
                known_latency_target(context, name, at.key("latency_target"));
            }
            Measure {
                series: measure.series.clone(),
                value: lexicon.expression_or_placeholder(&measure.value, at.key("value")),
                when: lexicon.optional(measure.when.as_ref(), at.key("when")),
                latency_target: measure.latency_target.clone(),
                floor: measure.floor.map(|floor| floor.as_str().to_owned()),
            }
        })
        .collect()
}

fn known_latency_target(context: &Context, name: &str, at: At) {
    let targets = &context.main.latency_targets;
    if targets.get(name).is_none() {
        let known: Vec<&str> = targets.iter().map(|(name, _)| name).collect();
        at.wrong(
            format!("the latency target `{name}` is not configured"),
            suggest(name, known),
        );
    }
}
