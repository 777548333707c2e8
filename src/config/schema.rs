//! The JSON Schema of the configuration files, for editors and for `stagewatch schema`, and the reference made from it.

use super::raw::diagnosis::DiagnosisFile;
use super::raw::{MainFile, ModuleFile, Vocabulary};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// One document for all files: a module file has `module`, a main file has `target.bases`, a diagnosis file has `diagnosis`,
/// anything else is a vocabulary. `$defs` holds them as `main`, `module`, `diagnosis` and `vocabulary`.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let main = generator.subschema_for::<MainFile>();
    let module = generator.subschema_for::<ModuleFile>();
    let diagnosis = generator.subschema_for::<DiagnosisFile>();
    let vocabulary = generator.subschema_for::<Vocabulary>();
    let mut definitions = generator.take_definitions(true);
    definitions.insert("main".to_owned(), main.into());
    definitions.insert("module".to_owned(), module.into());
    definitions.insert("diagnosis".to_owned(), diagnosis.into());
    definitions.insert("vocabulary".to_owned(), vocabulary.into());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stagewatch configuration",
        "description": "A main file (`target:` with `bases:`), a module file (`module:`), a diagnosis file (`diagnosis:` and `rules:`) or a vocabulary file.",
        "if": { "type": "object", "required": ["module"] },
        "then": { "$ref": "#/$defs/module" },
        "else": {
            "if": { "type": "object", "required": ["target"], "properties": { "target": { "required": ["bases"] } } },
            "then": { "$ref": "#/$defs/main" },
            "else": {
                "if": { "type": "object", "required": ["diagnosis"] },
                "then": { "$ref": "#/$defs/diagnosis" },
                "else": { "$ref": "#/$defs/vocabulary" },
            },
        },
        "$defs": definitions,
    })
}

/// The reference of all keys in Markdown, made from the schema: `docs/config.md`.
pub fn reference() -> String {
    let schema = schema();
    let empty = Map::new();
    let definitions = schema["$defs"].as_object().unwrap_or(&empty);
    let mut text = String::from(
        "# Configuration reference\n\n\
         Made from the JSON Schema (`stagewatch schema`); do not edit. A main file is a [MainFile](#mainfile), each of its \
         modules a [ModuleFile](#modulefile), and what several main files share a [Vocabulary](#vocabulary). \
         Keys without \"yes\" may be left out. Expressions are CEL: see [language.md](language.md).\n",
    );
    for (name, definition) in definitions {
        if definition.get("$ref").is_some() {
            continue;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n## {name}\n\n{}", description(definition));
        let _ = match definition["properties"].as_object() {
            Some(properties) => write!(text, "\n{}", keys(properties, &definition["required"])),
            None => writeln!(text, "\nWritten as {}.", kind(definition)),
        };
    }
    text
}

fn keys(properties: &Map<String, Value>, required: &Value) -> String {
    let is_required = |key: &str| {
        required
            .as_array()
            .is_some_and(|keys| keys.iter().any(|known| known == key))
    };
    let mut table = String::from("| key | needed | written as | meaning |\n|---|---|---|---|\n");
    for (key, property) in properties {
        let needed = if is_required(key) { "yes" } else { "" };
        let _ = writeln!(
            table,
            "| `{key}` | {needed} | {} | {} |",
            kind(property),
            description(property)
        );
    }
    table
}

fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or("");
    text.replace('\n', " ").replace('|', "\\|")
}

/// How a value is written, in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let choices: Vec<String> = choices.iter().map(kind).filter(|kind| kind != "null").collect();
        return choices.join(" or ");
    }
    if let Some(constant) = schema["const"].as_str() {
        return format!("`{constant}`");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .filter_map(|value| Some(format!("`{}`", value.as_str()?)))
            .collect();
        return values.join(" or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| *one != "null")
            .collect(),
        _ => Vec::new(),
    };
    let words = types.iter().map(|one| match *one {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" => format!("mapping of names to {}", kind(&schema["additionalProperties"])),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "string" => "text".to_owned(),
        other => other.to_owned(),
    });
    let words: Vec<String> = words.collect();
    match words.as_slice() {
        [] => "anything".to_owned(),
        // A text that may be written as a plain number or truth value.
        [first, _, _] if first == "text" => "text".to_owned(),
        words => words.join(" or "),
    }
}
