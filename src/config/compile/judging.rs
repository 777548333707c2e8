//! What the judge sees of needed scenarios: which names expressions over their transcripts may read.

use super::names::ScenarioNames;
use super::{Context, target};
use crate::catalog::step::CaptureKind;
use crate::config::lexicon::{Lexicon, Root};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What every run has, and what an expression over several runs may read without saying of which.
const COMMON: [&str; 2] = ["nonce", "started"];

/// Collects needed scenarios.
pub struct Judging<'load, 'context> {
    context: &'context Context<'load>,
    scenarios: Vec<&'context ScenarioNames>,
}

impl<'load, 'context> Judging<'load, 'context> {
    /// With none yet.
    pub fn new(context: &'context Context<'load>) -> Self {
        Self {
            context,
            scenarios: Vec::new(),
        }
    }

    /// Adds a scenario by its full id; says whether there is one.
    pub fn need(&mut self, id: &str) -> bool {
        let found = self.context.names.scenarios.get(id);
        self.scenarios.extend(found);
        found.is_some()
    }

    /// The variables that they give: steps, variables, captures and credentials by name as far as only one scenario has the
    /// name, and each scenario's own name as a mapping of all of it.
    pub fn lexicon(&self) -> Lexicon {
        let mut owners: BTreeMap<&str, Vec<(&str, Root)>> = BTreeMap::new();
        for scenario in &self.scenarios {
            for (name, root) in members(scenario) {
                owners.entry(name).or_default().push((&scenario.name, root));
            }
        }
        let mut lexicon = Lexicon::new(Rc::clone(&self.context.functions)).with("target", target::root(self.context));
        lexicon.add("time_scale", Root::Context);
        for (name, mut found) in owners {
            // Of what every run has, the first need's is meant.
            let root = if found.len() > 1 && !COMMON.contains(&name) {
                Root::Ambiguous(
                    found
                        .iter()
                        .map(|(scenario, _)| format!("`{scenario}.{name}`"))
                        .collect(),
                )
            } else {
                found.swap_remove(0).1
            };
            lexicon.add(name, root);
        }
        for scenario in &self.scenarios {
            let same = self
                .scenarios
                .iter()
                .filter(|other| other.name == scenario.name)
                .count();
            let root = if same > 1 {
                Root::Ambiguous(vec![
                    "parts that need one of these scenarios each: they have the same name".to_owned(),
                ])
            } else {
                Root::Scenario(
                    members(scenario)
                        .into_iter()
                        .map(|(name, root)| (name.to_owned(), root))
                        .collect(),
                )
            };
            lexicon.add(&scenario.name, root);
        }
        lexicon
    }
}

/// What a scenario gives, by name.
pub fn members(scenario: &ScenarioNames) -> Vec<(&str, Root)> {
    let mut members: Vec<(&str, Root)> = ["nonce", "started", "run"].map(|name| (name, Root::Context)).to_vec();
    members.extend(scenario.steps.iter().map(|name| (name.as_str(), Root::Evidence)));
    members.extend(scenario.vars.iter().map(|name| (name.as_str(), Root::Context)));
    members.extend(scenario.credentials.iter().map(|(name, count)| {
        let facts = if *count > 1 {
            Root::Context
        } else {
            Root::fields(["user", "sub", "claims"])
        };
        (name.as_str(), facts)
    }));
    members.extend(scenario.captures.iter().map(|(name, kind)| {
        let root = match kind {
            CaptureKind::Plain => Root::Evidence,
            CaptureKind::Secret => Root::EvidenceFields(["claims", "header", "digest"].map(str::to_owned).into()),
        };
        (name.as_str(), root)
    }));
    members
}
