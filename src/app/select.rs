//! From what somebody wants judged to the scenarios that have to run. Pure.

use crate::catalog::check::ExtractOf;
use crate::catalog::{Catalog, Check, Scenario};
use crate::schedule::plan;
use crate::serve::Wanted;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Full ids of the checks that `wanted` names.
///
/// # Errors
/// When there is no such module or check.
pub fn named(catalog: &Catalog, wanted: &Wanted) -> Result<Vec<String>, String> {
    let all = catalog.checks().map(|(_, check)| check);
    let found: Vec<String> = match wanted {
        Wanted::All => all.map(|check| check.full_id()).collect(),
        Wanted::Module(id) => {
            let modules: Vec<_> = catalog.modules.iter().map(|module| module.id.as_str()).collect();
            if !modules.contains(&id.as_str()) {
                return Err(format!("there is no module `{id}`; there are {}", modules.join(", ")));
            }
            all.filter(|check| check.module == *id)
                .map(|check| check.full_id())
                .collect()
        }
        Wanted::Check(id) => all
            .filter(|check| check.full_id() == *id)
            .map(|check| check.full_id())
            .collect(),
    };
    match (wanted, found.is_empty()) {
        (Wanted::Check(id), true) => Err(format!(
            "there is no check `{id}`; write MODULE/CHECK{}",
            hint(catalog, id)
        )),
        _ => Ok(found),
    }
}

/// Checks of that name in other modules, or those of the module.
fn hint(catalog: &Catalog, id: &str) -> String {
    let (module, name) = id.split_once('/').unwrap_or(("", id));
    let near: Vec<_> = catalog
        .checks()
        .filter(|(_, check)| check.id == name || check.module == module)
        .map(|(_, check)| check.full_id())
        .collect();
    if near.is_empty() {
        String::new()
    } else {
        format!(", such as {}", near.join(", "))
    }
}

/// The checks (full ids) with all those whose verdicts they read, however far down.
pub fn with_prerequisites(catalog: &Catalog, checks: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = checks.to_vec();
    while let Some(id) = open.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        if let Some(check) = find(catalog, &id) {
            open.extend(reads(check).map(str::to_owned));
        }
    }
    found
}

/// Full ids of the checks whose verdicts `check` reads.
pub fn reads(check: &Check) -> impl Iterator<Item = &str> {
    check.parts.iter().flat_map(|part| {
        let verdicts = part.verdicts.iter().map(|(_, id)| id.as_str());
        verdicts.chain(part.rolls_up.iter().map(String::as_str))
    })
}

/// The scenarios that these checks (full ids) read, those that feed the extracts of the ledger they judge, and the residents
/// whose sockets those borrow; each once, disabled ones too.
pub fn scenarios<'a>(catalog: &'a Catalog, checks: &BTreeSet<String>) -> Vec<&'a Arc<Scenario>> {
    let checks: Vec<_> = checks.iter().filter_map(|id| find(catalog, id)).collect();
    let mut ids: BTreeSet<&str> = checks.iter().flat_map(|check| check.scenarios()).collect();
    for extract in checks
        .iter()
        .flat_map(|check| &check.parts)
        .flat_map(|part| &part.extracts)
    {
        ids.extend(feeding(catalog, &extract.of));
    }
    let borrowed: Vec<&str> = catalog
        .scenarios()
        .filter(|scenario| ids.contains(scenario.id.as_str()))
        .flat_map(|scenario| plan::borrowed(&scenario.steps))
        .collect();
    ids.extend(borrowed);
    catalog
        .scenarios()
        .filter(|scenario| ids.contains(scenario.id.as_str()))
        .collect()
}

/// The scenarios whose runs give new items to an extract.
fn feeding<'a>(catalog: &'a Catalog, of: &'a ExtractOf) -> Vec<&'a str> {
    match of {
        ExtractOf::Series(series) => catalog
            .scenarios()
            .filter(|scenario| scenario.measures.iter().any(|measure| measure.series == *series))
            .map(|scenario| scenario.id.as_str())
            .collect(),
        ExtractOf::Runs(scenarios) => scenarios.iter().map(String::as_str).collect(),
        // Verdicts of the past and answers of all traffic: nothing in particular feeds them.
        ExtractOf::Verdicts(_) | ExtractOf::Statuses(_) => Vec::new(),
    }
}

/// The check of that full id.
pub fn find<'a>(catalog: &'a Catalog, id: &str) -> Option<&'a Arc<Check>> {
    catalog
        .checks()
        .map(|(_, check)| check)
        .find(|check| check.full_id() == id)
}
