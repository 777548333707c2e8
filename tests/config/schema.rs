//! The JSON Schema: every file that loads fits it, and an unknown key does not.

use crate::support::{MAIN, MODULE};
use jsonschema::Validator;
use serde_json::Value;
use stagewatch::config::{reference, schema};

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn json(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap()
}

fn complaints(yaml: &str) -> Vec<String> {
    let value = json(yaml);
    validator()
        .iter_errors(&value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

#[test]
fn the_fixtures_fit() {
    for file in [MAIN, MODULE, include_str!("small.yaml")] {
        assert_eq!(complaints(file), Vec::<String>::new());
    }
}

#[test]
fn unknown_keys_and_wrong_types_do_not_fit() {
    for wrong in [
        MAIN.replace("bases:", "basis:"),
        MODULE.replace("deadline: 30s", "deadline: 30"),
        MODULE.replace("whole_path: true", "whole_path: often"),
        MODULE.replace("severity: critical", "severity: fatal"),
        MODULE.replace("repeat: 3", "repeat: many"),
        MODULE.replace("{ scaled: 10s }", "{ scald: 10s }"),
    ] {
        assert!(!complaints(&wrong).is_empty());
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let mut bare = Vec::new();
    for (name, definition) in definitions {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            if property.get("description").is_none() {
                bare.push(format!("{name}.{key}"));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
    assert!(definitions.len() > 30);
}

#[test]
fn a_vocabulary_fits() {
    assert_eq!(
        complaints("target: { functions: { double: { of: x, is: \"x + x\" } } }\nlogins: {}"),
        Vec::<String>::new()
    );
    assert!(!complaints("target: { functoins: {} }").is_empty());
}

/// Written anew with `UPDATE_EXPECTED=1`.
#[test]
fn the_reference_is_that_of_the_schema() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), reference());
}
