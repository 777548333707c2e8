//! What the expression language knows, as the load asks it: functions with the nearest name, and names that look like
//! variables and are none. Pure.

use super::words::did_you_mean;
use crate::expression::{Functions, functions};
use std::collections::BTreeSet;

/// Names of types, which CEL reads like variables.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// Whether a name that looks like a variable is a type, or the name space of a function.
pub fn is_type(name: &str) -> bool {
    TYPES.contains(&name) || name == "optional"
}

/// Whether every expression may call `name`, of the language or `configured`.
pub fn is_function(name: &str, configured: &BTreeSet<String>) -> bool {
    functions::is_known(name) || configured.contains(name)
}

/// What to write instead of an unknown function.
pub fn suggest_function(name: &str, configured: &BTreeSet<String>) -> String {
    did_you_mean(name, configured.iter().map(String::as_str))
        .or_else(|| functions::closest(name, &Functions::new()).map(|near| format!("did you mean `{near}`?")))
        .unwrap_or_else(|| "the functions are listed in docs/language.md".to_owned())
}
