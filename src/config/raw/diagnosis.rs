//! The shape of a diagnosis file: facts and rules over evidence.

use super::Named;
use crate::catalog::{Priority, Severity};
use schemars::JsonSchema;
use serde::Deserialize;

/// A file of diagnosis rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisFile {
    /// What the rules are about, in one line.
    pub diagnosis: String,
    /// Named CEL values over the evidence, in order; known to the rules of this file and of those after it.
    #[serde(default)]
    pub facts: Named<String>,
    /// The rules, in order: the first that holds leads the diagnosis.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Identifier, unique among all rules.
    pub id: String,
    /// What is wrong, in one line.
    pub title: String,
    /// How bad it is; critical when left out.
    pub severity: Option<Severity>,
    /// Its text is shown only to callers who may see sensitive findings.
    #[serde(default)]
    pub sensitive: bool,
    /// CEL over the evidence: whether it is so.
    pub when: String,
    /// What it means for the users of the target.
    pub impact: Option<String>,
    /// Facts that point at the cause.
    #[serde(default)]
    pub indicators: Vec<String>,
    /// CEL: rows of the evidence that are quoted.
    #[serde(default)]
    pub quotes: Vec<String>,
    /// The whys, in order.
    pub whys: Vec<Why>,
    /// The first question that cannot be answered from outside.
    pub stops_at: StopsAt,
    /// What to do.
    pub actions: Vec<Action>,
}

/// One why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The question.
    pub why: String,
    /// Its answer.
    pub answer: String,
    /// What the answer rests on.
    pub evidence: String,
}

/// Where the chain of whys stops.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopsAt {
    /// The question.
    pub why: String,
    /// Where its answer is: a log query, a setting, a dependency.
    pub look: String,
}

/// A recommended action.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// How urgent.
    pub priority: Priority,
    /// What to do.
    pub text: String,
}
