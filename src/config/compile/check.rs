//! Checks and their parts: what each needs, and that each expectation rests on something observed.

use super::Context;
use super::judging::Judging;
use super::names::Names;
use super::scalar::{Scale, duration, identifier, identifier_key, number, web_link};
use super::scenario::RESERVED;
use crate::catalog::check::ExtractOf;
use crate::catalog::{Check, Expectation, Extract, Note, Part, Severity, UnknownWhen};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw::{self, ModuleFile, TextOr};
use crate::config::words::suggest;
use crate::expression::{Expression, Functions};
use crate::limits::{EXTRACT_ITEMS, EXTRACT_ITEMS_MAX};
use std::sync::Arc;

/// The checks of a module.
pub fn checks<'load>(context: &Context<'load>, module: &'load ModuleFile, at: At<'load>) -> Vec<Arc<Check>> {
    let shapes = module.checks.iter().enumerate();
    shapes
        .map(|(place, shape)| Arc::new(check(context, module, shape, at.key("checks").item(place))))
        .collect()
}

fn check<'load>(context: &Context<'load>, module: &'load ModuleFile, shape: &'load raw::Check, at: At<'load>) -> Check {
    identifier(&shape.id, "check", at.key("id"));
    if shape.parts.is_empty() {
        at.key("parts").wrong(
            format!("the check `{}` has no parts", shape.id),
            "write `parts:` with at least one `expect`",
        );
    }
    let parts = shape.parts.iter().enumerate();
    let parts: Vec<Part> = parts
        .map(|(place, part)| self::part(context, &module.module, part, at.key("parts").item(place)))
        .collect();
    let reads_socket = parts.iter().flat_map(|part| &part.needs).any(|scenario| {
        let found = context.names.scenarios.get(scenario);
        found.is_some_and(|scenario| scenario.has_socket)
    });
    // Answers of all our traffic, refused upgrades among them.
    let reads_statuses = parts
        .iter()
        .flat_map(|part| &part.extracts)
        .any(|extract| matches!(extract.of, ExtractOf::Statuses(_)));
    let runbook = shape.runbook.as_deref();
    Check {
        id: shape.id.clone(),
        module: module.module.clone(),
        title: shape.title.clone(),
        description: shape.description.clone(),
        severity: shape.severity.or(module.severity).unwrap_or(Severity::Warning),
        runbook: runbook
            .map(|url| web_link(url, at.key("runbook")))
            .or_else(|| module.runbook.clone()),
        sensitive: shape.sensitive,
        whole_path: shape.whole_path,
        needs_socket: shape.needs_socket.unwrap_or(reads_socket || reads_statuses),
        parts,
    }
}

/// A check of a scenario that hardly ever runs could hardly ever be judged.
fn seldom_scenario(names: &Names, id: &str, at: At) {
    if names.scenarios.get(id).is_some_and(|scenario| scenario.is_on_confirm) {
        at.wrong(
            format!("`{id}` runs only on confirm, so that a check of it would be unknown nearly always"),
            "read it in a diagnosis rule, or give it an interval",
        );
    }
}

fn part<'load>(context: &Context<'load>, module: &str, shape: &'load raw::Part, at: At<'load>) -> Part {
    let mut judging = Judging::new(context);
    let mut needs = Vec::new();
    for (place, text) in shape.needs.iter().enumerate() {
        let id = full_id(module, text);
        if needs.contains(&id) {
            at.key("needs")
                .item(place)
                .wrong(format!("`{id}` stands twice"), "name it once");
        } else if judging.need(&id) {
            seldom_scenario(&context.names, &id, at.key("needs").item(place));
            needs.push(id);
        } else {
            unknown_scenario(&context.names, &id, at.key("needs").item(place));
        }
    }
    let mut lexicon = judging.lexicon();
    if needs.len() < shape.needs.len() {
        lexicon.excuse_unknown();
    }
    let mut add = |name: &str, what: &str, at: At| {
        identifier_key(name, what, at);
        if lexicon.root(name).is_some() || RESERVED.contains(&name) {
            at.name().wrong(
                format!("the {what} `{name}` has a name that is already taken"),
                format!("give the {what} another name"),
            );
        }
        lexicon.add(name, Root::Evidence);
    };
    for (name, _) in shape.ledger.iter() {
        add(name, "extract", at.key("ledger").key(name));
    }
    for (name, _) in shape.verdicts.iter() {
        add(name, "verdict", at.key("verdicts").key(name));
    }
    if shape.expect.is_empty() && shape.rolls_up.is_empty() {
        at.wrong(
            "the part expects nothing",
            "write `expect: [ { that: … } ]`, or `rolls_up: [ … ]`",
        );
    }
    let ledger = shape.ledger.iter();
    let verdicts = shape.verdicts.iter();
    let rolls_up = shape.rolls_up.iter().enumerate();
    Part {
        title: shape.title.clone(),
        extracts: ledger
            .filter_map(|(name, extract)| self::extract(context, module, (name, extract), at.key("ledger").key(name)))
            .collect(),
        verdicts: verdicts
            .map(|(name, check)| {
                (
                    name.to_owned(),
                    known_check(context, module, check, at.key("verdicts").key(name)),
                )
            })
            .collect(),
        rolls_up: rolls_up
            .map(|(place, check)| known_check(context, module, check, at.key("rolls_up").item(place)))
            .collect(),
        unknown_when: unknown_when(&lexicon, shape, at.key("unknown_when")),
        expect: expectations(&lexicon, &context.configured, shape, at.key("expect")),
        notes: notes(&lexicon, shape, at.key("note")),
        needs,
    }
}

fn full_id(module: &str, text: &str) -> String {
    if text.contains('/') {
        text.to_owned()
    } else {
        format!("{module}/{text}")
    }
}

fn unknown_scenario(names: &Names, id: &str, at: At) {
    if names.complete {
        let known: Vec<&str> = names.scenarios.keys().map(String::as_str).collect();
        at.wrong(format!("there is no scenario `{id}`"), suggest(id, known));
    }
}

fn known_check(context: &Context, module: &str, text: &str, at: At) -> String {
    let id = full_id(module, text);
    let names = &context.names;
    if names.complete && !names.checks.contains(&id) {
        let known: Vec<&str> = names.checks.iter().map(String::as_str).collect();
        at.wrong(format!("there is no check `{id}`"), suggest(&id, known));
    }
    id
}

fn extract(context: &Context, module: &str, (name, shape): (&str, &raw::Extract), at: At) -> Option<Extract> {
    let of = match (&shape.series, &shape.verdicts, &shape.runs, &shape.statuses) {
        (Some(series), None, None, None) => {
            known_series(&context.names, series, at.key("series"));
            ExtractOf::Series(series.clone())
        }
        (None, Some(checks), None, None) => {
            let checks = checks.iter().enumerate();
            let known =
                checks.map(|(place, check)| known_check(context, module, check, at.key("verdicts").item(place)));
            ExtractOf::Verdicts(known.collect())
        }
        (None, None, Some(scenarios), None) => {
            let ids: Vec<String> = scenarios.iter().map(|text| full_id(module, text)).collect();
            for (place, id) in ids.iter().enumerate() {
                if !context.names.scenarios.contains_key(id) {
                    unknown_scenario(&context.names, id, at.key("runs").item(place));
                }
            }
            ExtractOf::Runs(ids)
        }
        (None, None, None, Some(statuses)) => ExtractOf::Statuses(statuses.clone()),
        _ => {
            at.wrong(
                "an extract of the ledger holds exactly one thing",
                "write one of: series, verdicts, runs, statuses",
            );
            return None;
        }
    };
    Some(Extract {
        name: name.to_owned(),
        of,
        over: duration(context, &shape.over, Scale::Scaled, at.key("over")),
        limit: number(
            shape.limit.unwrap_or(EXTRACT_ITEMS),
            "limit",
            (1, EXTRACT_ITEMS_MAX),
            at.key("limit"),
        ),
    })
}

fn known_series(names: &Names, series: &str, at: At) {
    if names.complete && !names.series.contains(series) {
        let known: Vec<&str> = names.series.iter().map(String::as_str).collect();
        at.wrong(
            format!("no scenario measures the series `{series}`"),
            suggest(series, known),
        );
    }
}

fn unknown_when<'load>(lexicon: &Lexicon, shape: &'load raw::Part, at: At<'load>) -> Vec<UnknownWhen> {
    let shapes = shape.unknown_when.iter().enumerate();
    shapes
        .map(|(place, condition)| {
            let at = at.item(place);
            UnknownWhen {
                when: lexicon.expression_or_placeholder(&condition.when, at.key("when")),
                reason: condition.reason,
                note: condition
                    .note
                    .as_ref()
                    .and_then(|note| lexicon.template(note, at.key("note"))),
            }
        })
        .collect()
}

fn notes<'load>(lexicon: &Lexicon, shape: &'load raw::Part, at: At<'load>) -> Vec<Note> {
    let shapes = shape.note.iter().enumerate();
    shapes
        .map(|(place, note)| {
            let at = at.item(place);
            match note {
                TextOr::Text(text) => Note {
                    say: lexicon.template_or_placeholder(text, at),
                    when: None,
                },
                TextOr::Detailed(note) => Note {
                    say: lexicon.template_or_placeholder(&note.say, at.key("say")),
                    when: lexicon.optional(note.when.as_ref(), at.key("when")),
                },
            }
        })
        .collect()
}

fn expectations<'load>(
    lexicon: &Lexicon,
    functions: &Functions,
    shape: &'load raw::Part,
    at: At<'load>,
) -> Vec<Expectation> {
    let shapes = shape.expect.iter().enumerate();
    shapes
        .filter_map(|(place, expect)| expectation(lexicon, functions, expect, at.item(place)))
        .collect()
}

fn expectation<'load>(
    lexicon: &Lexicon,
    functions: &Functions,
    shape: &'load raw::Expect,
    at: At<'load>,
) -> Option<Expectation> {
    let witness = lexicon.optional(shape.witness.as_ref(), at.key("witness"));
    let message = shape
        .message
        .as_ref()
        .and_then(|text| lexicon.template(text, at.key("else")));
    let when = lexicon.optional(shape.when.as_ref(), at.key("when"));
    let that = lexicon.expression(&shape.that, at.key("that"))?;
    rests_on_evidence(lexicon, &that, &shape.that, at.key("that"));
    match &witness {
        Some(witness) => {
            if !lexicon.reads_evidence(witness) {
                at.key("witness").wrong(
                    "the witness reads nothing that was observed",
                    "name what shows that somebody was listening",
                );
            } else if witness.is_absence(functions) {
                at.key("witness").wrong(
                    "the witness is an absence itself",
                    "name something that must have been seen, as in `size(echo) == 3`",
                );
            }
        }
        None if shape.witness.is_none() && that.is_absence(functions) => at.key("that").wrong(
            "an absence needs a witness: this also holds when nothing was seen at all",
            "add `witness: …`, which must hold for the absence to count, as in `size(echo) == 3`",
        ),
        None => {}
    }
    Some(Expectation {
        that,
        message,
        witness,
        class: shape.class,
        when,
    })
}

fn rests_on_evidence(lexicon: &Lexicon, that: &Expression, source: &str, at: At) {
    if lexicon.knows_all(that) && !lexicon.reads_evidence(that) {
        at.wrong_inside(
            source,
            (0, source.chars().count()),
            "the expectation reads nothing that was observed, so it says nothing about the target",
            "read a step, an extract of the ledger or a verdict",
        );
    }
}
