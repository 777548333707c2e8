//! From evidence to explanation: the diagnosis rules asked in order over what one iteration saw. Pure: no IO, no clock; the
//! same evidence gives the same text, byte for byte. A rule says only what its evidence shows, and where the chain of whys
//! leaves what can be seen from outside it says so, and where to look.

use crate::catalog::{Priority, Rule, Rules, Severity};
use crate::expression::{Functions, Scope, Shared, Template};
use crate::run::Judgement;
use crate::sensitive::{Viewer, shows};
use crate::transcript::Transcript;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

mod quote;
mod recent;
mod rows;

pub use recent::{Recent, known_ms, since, wrong_since};

/// What a diagnosis is made of.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What the scenarios saw; lists hold all of it, and what is read by the name of its scenario is of the newest run.
    pub transcripts: &'a [Arc<Transcript>],
    /// The latest judgement of each check.
    pub judgements: &'a [&'a Judgement],
    /// `target.*`.
    pub facts: &'a BTreeMap<String, Value>,
    /// The configured functions.
    pub functions: &'a Arc<Functions>,
    /// `time_scale`.
    pub time_scale: f64,
}

/// What the rules say of the evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The rules that hold, in their order: the first leads.
    pub causes: Vec<Cause>,
}

/// One rule that holds, with its texts filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The rule's id.
    pub rule: String,
    /// What is wrong, in one line.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Its text is shown only to callers who may see sensitive findings.
    #[serde(default)]
    pub sensitive: bool,
    /// What it means for the users of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// Facts that point at the cause.
    #[serde(default)]
    pub indicators: Vec<String>,
    /// The evidence quoted.
    #[serde(default)]
    pub quotes: Vec<Quote>,
    /// The whys, in order.
    pub whys: Vec<Why>,
    /// Where the chain stops.
    pub stops_at: StopsAt,
    /// What to do, most urgent first.
    pub actions: Vec<Action>,
}

/// A row of the evidence, or how many more there are like those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// `module/scenario.step`; empty for a number of further rows.
    pub of: String,
    /// Run id.
    pub run: String,
    /// W3C trace id that the run's requests carried: the target's log has it if it keeps trace ids.
    pub trace_id: String,
    /// What was seen.
    pub says: String,
    /// Where the target's log of that run is read, if the configuration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// One why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The question.
    pub why: String,
    /// Its answer.
    pub answer: String,
    /// What the answer rests on.
    pub evidence: String,
}

/// The first question that cannot be answered from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopsAt {
    /// The question.
    pub why: String,
    /// Where its answer is.
    pub look: String,
}

/// A recommended action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// How urgent.
    pub priority: Priority,
    /// What to do.
    pub text: String,
}

/// Asks every rule in order.
pub fn diagnose(rules: &Rules, evidence: &Evidence) -> Diagnosis {
    let rows = rows::Rows::of(evidence);
    let mut scope = Scope::with_functions(evidence.functions);
    let facts: Map<String, Value> = evidence.facts.clone().into_iter().collect();
    scope.set("target", &Value::Object(facts));
    scope.set("time_scale", &Value::from(evidence.time_scale));
    rows.bind(&mut scope);
    for (name, expression) in &rules.facts {
        let value = expression.evaluate_shared(&scope);
        scope.set_shared(name, &value.unwrap_or_else(|_| Shared::of(&Value::Null)));
    }
    let mut causes: Vec<Cause> = Vec::new();
    for rule in &rules.rules {
        let named: Vec<Value> = causes.iter().map(|cause| Value::from(cause.rule.as_str())).collect();
        scope.set("named", &Value::Array(named));
        if rule.when.holds(&scope) == Ok(true) {
            causes.push(cause(rule, &scope));
        }
    }
    Diagnosis { causes }
}

/// A rule's texts, filled in.
fn cause(rule: &Rule, scope: &Scope) -> Cause {
    let say = |template: &Template| template.say(scope);
    let mut actions: Vec<Action> = rule
        .actions
        .iter()
        .map(|action| Action {
            priority: action.priority,
            text: say(&action.text),
        })
        .collect();
    actions.sort_by_key(|action| action.priority);
    Cause {
        rule: rule.id.clone(),
        title: say(&rule.title),
        severity: rule.severity,
        sensitive: rule.sensitive,
        impact: rule.impact.as_ref().map(say),
        indicators: rule.indicators.iter().map(say).collect(),
        quotes: rule.quotes.iter().flat_map(|rows| quote::quotes(rows, scope)).collect(),
        whys: rule
            .whys
            .iter()
            .map(|why| Why {
                why: say(&why.why),
                answer: say(&why.answer),
                evidence: say(&why.evidence),
            })
            .collect(),
        stops_at: StopsAt {
            why: say(&rule.stops_at.why),
            look: say(&rule.stops_at.look),
        },
        actions,
    }
}

impl Diagnosis {
    /// What leads, if any rule holds.
    pub fn lead(&self) -> Option<&Cause> {
        self.causes.first()
    }

    /// The diagnosis as `viewer` may see it: of a sensitive finding, perhaps only that there is one, how bad it is, and where
    /// to read it.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        let shown = |cause: &Cause| {
            if shows(cause.sensitive, viewer) {
                cause.clone()
            } else {
                withheld(cause)
            }
        };
        Self {
            causes: self.causes.iter().map(shown).collect(),
        }
    }
}

fn withheld(cause: &Cause) -> Cause {
    Cause {
        rule: "sensitive".to_owned(),
        title: "A sensitive finding, whose text is not shown here".to_owned(),
        severity: cause.severity,
        sensitive: true,
        impact: None,
        indicators: Vec::new(),
        quotes: Vec::new(),
        whys: Vec::new(),
        stops_at: StopsAt {
            why: "What is it?".to_owned(),
            look: "Read it with `stagewatch diagnose --sensitive` over the stored evidence".to_owned(),
        },
        actions: Vec::new(),
    }
}
