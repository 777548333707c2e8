//! Diagnosis rules, compiled: plain data, in the order in which they are asked. What they say of evidence is found out in
//! `diagnose`; nothing here evaluates.

use super::Severity;
use crate::closed_set;
use crate::expression::{Expression, Template};

closed_set! {
    /// How urgent a recommended action is.
    pub enum Priority {
        /// At once.
        P0 => "P0",
        /// Soon.
        P1 => "P1",
        /// When there is time.
        P2 => "P2",
    }
}

/// The lists of evidence that rules read: every row, and those of one kind; every verdict.
pub const LISTS: [&str; 5] = ["rows", "upgrades", "requests", "sessions", "verdicts"];
/// What rules read beside evidence: ids of the rules that held before, and the factor on schedules.
pub const BESIDE: [&str; 2] = ["named", "time_scale"];

/// Every rule, with the facts that they share.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Named values, in order: each may read those before it. One that cannot be had is null.
    pub facts: Vec<(String, Expression)>,
    /// The rules, in order: the first that holds leads the diagnosis.
    pub rules: Vec<Rule>,
}

/// One rule: what evidence it stands on, and what it says.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Identifier, unique among all rules.
    pub id: String,
    /// What is wrong, in one line.
    pub title: Template,
    /// How bad it is.
    pub severity: Severity,
    /// Its text is shown only to callers who may see sensitive findings.
    pub sensitive: bool,
    /// Over the evidence: whether it is so. One that cannot be evaluated does not hold.
    pub when: Expression,
    /// What it means for the users of the target.
    pub impact: Option<Template>,
    /// Facts that point at the cause.
    pub indicators: Vec<Template>,
    /// The evidence it quotes: each gives a row of the evidence or a list of them.
    pub quotes: Vec<Expression>,
    /// The whys, in order.
    pub whys: Vec<Why>,
    /// Where the chain stops.
    pub stops_at: StopsAt,
    /// What to do.
    pub actions: Vec<Action>,
}

/// One why.
#[derive(Clone, Debug)]
pub struct Why {
    /// The question.
    pub why: Template,
    /// Its answer.
    pub answer: Template,
    /// What the answer rests on.
    pub evidence: Template,
}

/// The first question that cannot be answered from outside.
#[derive(Clone, Debug)]
pub struct StopsAt {
    /// The question.
    pub why: Template,
    /// Where its answer is: a log query, a setting, a dependency.
    pub look: Template,
}

/// A recommended action.
#[derive(Clone, Debug)]
pub struct Action {
    /// How urgent.
    pub priority: Priority,
    /// What to do.
    pub text: Template,
}
