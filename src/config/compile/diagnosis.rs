//! Diagnosis rules: what their expressions may read, and the mistakes of those that read something else.

use super::judging::members;
use super::scalar::{identifier, identifier_key};
use super::{Context, target};
use crate::catalog::Severity;
use crate::catalog::rule::{Action, BESIDE, LISTS, Rule, Rules, StopsAt, Why};
use crate::config::error::{At, Page, Report};
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw::diagnosis::{self as raw, DiagnosisFile};
use crate::limits::DIAGNOSIS_RULES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Compiles the rules of all files, in order.
pub fn rules(context: &Context, files: &[(Page, DiagnosisFile)], report: &Report) -> Rules {
    let mut lexicon = lexicon(context);
    let mut rules = Rules::default();
    let mut ids = BTreeSet::new();
    for (page, file) in files {
        let at = At::top(page, report);
        if file.diagnosis.trim().is_empty() {
            at.key("diagnosis")
                .wrong("the file does not say what its rules are about", "write one line");
        }
        for (name, source) in file.facts.iter() {
            let at = at.key("facts").key(name);
            identifier_key(name, "fact", at);
            if lexicon.root(name).is_some() {
                at.name().wrong(
                    format!("the fact `{name}` has a name that is already taken"),
                    "give the fact another name",
                );
            }
            rules
                .facts
                .push((name.to_owned(), lexicon.expression_or_placeholder(source, at)));
            lexicon.add(name, Root::Evidence);
        }
        for (place, shape) in file.rules.iter().enumerate() {
            let at = at.key("rules").item(place);
            identifier(&shape.id, "rule", at.key("id"));
            if !ids.insert(shape.id.as_str()) {
                at.key("id").wrong(
                    format!("there are two rules `{}`", shape.id),
                    "give one of them another id",
                );
            }
            rules.rules.push(rule(&lexicon, shape, at));
        }
        if rules.rules.len() > DIAGNOSIS_RULES_MAX {
            at.key("rules").wrong(
                format!("there are more than {DIAGNOSIS_RULES_MAX} diagnosis rules"),
                "keep the rules that name different causes",
            );
        }
    }
    rules
}

/// What every rule may read: the evidence by module, scenario and step, and as lists; verdicts; the target's facts.
fn lexicon(context: &Context) -> Lexicon {
    let names = &context.names;
    let mut modules: BTreeMap<String, BTreeMap<String, Root>> = BTreeMap::new();
    for (id, scenario) in &names.scenarios {
        let Some((module, name)) = id.split_once('/') else {
            continue;
        };
        let members = members(scenario).into_iter();
        let seen = Root::Scenario(members.map(|(name, root)| (name.to_owned(), root)).collect());
        modules
            .entry(module.to_owned())
            .or_default()
            .insert(name.to_owned(), seen);
    }
    let mut checks: BTreeMap<String, BTreeMap<String, Root>> = BTreeMap::new();
    for id in &names.checks {
        if let Some((module, name)) = id.split_once('/') {
            let of_module = checks.entry(module.to_owned()).or_default();
            of_module.insert(name.to_owned(), Root::Evidence);
        }
    }
    let mut lexicon = Lexicon::new(Rc::clone(&context.functions)).with("target", target::root(context));
    for (name, scenarios) in modules {
        lexicon.add(&name, Root::Scenario(scenarios));
    }
    let checks = checks.into_iter().map(|(name, of)| (name, Root::Scenario(of)));
    lexicon.add("checks", Root::Scenario(checks.collect()));
    for name in LISTS {
        lexicon.add(name, Root::Evidence);
    }
    for name in BESIDE {
        lexicon.add(name, Root::Context);
    }
    if !names.complete {
        lexicon.excuse_unknown();
    }
    lexicon
}

fn rule<'load>(lexicon: &Lexicon, shape: &'load raw::Rule, at: At<'load>) -> Rule {
    let template = |text: &str, at: At| lexicon.template_or_placeholder(text, at);
    let when = lexicon.expression_or_placeholder(&shape.when, at.key("when"));
    if lexicon.knows_all(&when) && !lexicon.reads_evidence(&when) {
        at.key("when").wrong(
            "the rule reads nothing that was observed",
            "read a step, a list of the evidence, a fact or a verdict",
        );
    }
    if shape.whys.is_empty() {
        at.key("whys").wrong(
            "the rule answers no why",
            "write `whys: [ { why: …, answer: …, evidence: … } ]`",
        );
    }
    if shape.actions.is_empty() {
        at.key("actions").wrong(
            "the rule recommends nothing",
            "write `actions: [ { priority: P0, text: … } ]`",
        );
    }
    let whys = shape.whys.iter().enumerate().map(|(place, why)| {
        let at = at.key("whys").item(place);
        Why {
            why: template(&why.why, at.key("why")),
            answer: template(&why.answer, at.key("answer")),
            evidence: template(&why.evidence, at.key("evidence")),
        }
    });
    let actions = shape.actions.iter().enumerate().map(|(place, action)| Action {
        priority: action.priority,
        text: template(&action.text, at.key("actions").item(place).key("text")),
    });
    let indicators = shape.indicators.iter().enumerate();
    let quotes = shape.quotes.iter().enumerate();
    Rule {
        id: shape.id.clone(),
        title: template(&shape.title, at.key("title")),
        severity: shape.severity.unwrap_or(Severity::Critical),
        sensitive: shape.sensitive,
        impact: shape.impact.as_ref().map(|text| template(text, at.key("impact"))),
        indicators: indicators
            .map(|(place, text)| template(text, at.key("indicators").item(place)))
            .collect(),
        quotes: quotes
            .map(|(place, source)| lexicon.expression_or_placeholder(source, at.key("quotes").item(place)))
            .collect(),
        whys: whys.collect(),
        stops_at: StopsAt {
            why: template(&shape.stops_at.why, at.key("stops_at").key("why")),
            look: template(&shape.stops_at.look, at.key("stops_at").key("look")),
        },
        actions: actions.collect(),
        when,
    }
}
