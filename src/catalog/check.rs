//! Checks, compiled.

use crate::closed_set;
use crate::expression::{Expression, Template};
use crate::failure::Class;
use crate::verdict::UnknownReason;
use std::time::Duration;

closed_set! {
    /// Severity of an alert.
    pub enum Severity {
        /// Pages.
        Critical => "critical",
        /// Makes a ticket.
        Warning => "warning",
        /// Tells nobody.
        Info => "info",
    }
}

/// A pure judgement.
#[derive(Debug)]
pub struct Check {
    /// Identifier, unique in its module.
    pub id: String,
    /// Module it stands in.
    pub module: String,
    /// One line.
    pub title: String,
    /// What it observes, and what cannot be observed.
    pub description: String,
    /// Severity, if other than the module's.
    pub severity: Severity,
    /// Runbook, if other than the module's.
    pub runbook: Option<String>,
    /// Its text is shown only to callers with a token.
    pub sensitive: bool,
    /// A broken prerequisite fails it, naming the first broken step, instead of leaving it unknown.
    pub whole_path: bool,
    /// Whether it needs a socket: for inhibition of alerts.
    pub needs_socket: bool,
    /// Parts; the worst wins.
    pub parts: Vec<Part>,
}

impl Check {
    /// `module/check`.
    pub fn full_id(&self) -> String {
        format!("{}/{}", self.module, self.id)
    }

    /// The scenarios its parts read, each once, in order.
    pub fn scenarios(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for scenario in self.parts.iter().flat_map(|part| &part.needs) {
            if !found.contains(&scenario.as_str()) {
                found.push(scenario);
            }
        }
        found
    }
}

/// One part of a check.
#[derive(Debug)]
pub struct Part {
    /// Name shown, empty if the check has only one.
    pub title: String,
    /// Full ids of the scenarios whose transcripts it reads.
    pub needs: Vec<String>,
    /// Extracts of the ledger by variable name.
    pub extracts: Vec<Extract>,
    /// Verdicts of other checks by variable name (`NAME.verdict`, `NAME.reason`, `NAME.age_s`), full ids.
    pub verdicts: Vec<(String, String)>,
    /// The part's verdict is the worst of these (full ids of checks), beside its expectations.
    pub rolls_up: Vec<String>,
    /// Conditions under which it cannot be judged, in order.
    pub unknown_when: Vec<UnknownWhen>,
    /// What must hold.
    pub expect: Vec<Expectation>,
    /// What is shown, not judged.
    pub notes: Vec<Note>,
}

/// A condition under which a part cannot be judged.
#[derive(Debug)]
pub struct UnknownWhen {
    /// The condition.
    pub when: Expression,
    /// The reason.
    pub reason: UnknownReason,
    /// What to say.
    pub note: Option<Template>,
}

/// What must hold.
#[derive(Debug)]
pub struct Expectation {
    /// The expression.
    pub that: Expression,
    /// Message when it is false.
    pub message: Option<Template>,
    /// For an absence: what proves that somebody was listening. Unless it holds the expectation is unknown.
    pub witness: Option<Expression>,
    /// Class of the failure, if other than the evidence says.
    pub class: Option<Class>,
    /// Judged only if this holds; otherwise it is left out.
    pub when: Option<Expression>,
}

/// What is shown.
#[derive(Debug)]
pub struct Note {
    /// The text.
    pub say: Template,
    /// Shown only if this holds.
    pub when: Option<Expression>,
}

/// An extract of the ledger.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Variable.
    pub name: String,
    /// What.
    pub of: ExtractOf,
    /// How far back.
    pub over: Duration,
    /// At most this many newest items.
    pub limit: usize,
}

/// What an extract holds.
#[derive(Clone, Debug)]
pub enum ExtractOf {
    /// Measurements of a series: `[{"at": unix seconds, "value": …}]`, oldest first.
    Series(String),
    /// Verdicts of checks (full ids; empty = all): `[{"at", "check", "verdict", "reason", "kind"}]`.
    Verdicts(Vec<String>),
    /// Runs of scenarios (full ids): `[{"at", "scenario", "broke_off": step or null, "kind"}]`.
    Runs(Vec<String>),
    /// Answers seen in our own traffic by status: `[{"at", "base", "path", "status", "retry_after"}]` for statuses in the list (empty = 429 and all 5xx).
    Statuses(Vec<u16>),
}

/// An availability objective of a module.
#[derive(Clone, Debug)]
pub struct Objective {
    /// Share of passing judgements, 0 to 1.
    pub pass_ratio: f64,
}
