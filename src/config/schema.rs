//! The JSON Schema of the configuration files, for editors and for `stagewatch schema`.

use super::raw::diagnosis::DiagnosisFile;
use super::raw::{MainFile, ModuleFile};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// One document: a file is a main file, a module file or a diagnosis file. `$defs` holds them as `main`, `module` and
/// `diagnosis`.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let main = generator.subschema_for::<MainFile>();
    let module = generator.subschema_for::<ModuleFile>();
    let diagnosis = generator.subschema_for::<DiagnosisFile>();
    let mut definitions = generator.take_definitions(true);
    definitions.insert("main".to_owned(), main.into());
    definitions.insert("module".to_owned(), module.into());
    definitions.insert("diagnosis".to_owned(), diagnosis.into());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stagewatch configuration",
        "description": "A main file (`target:`), a module file (`module:`) or a diagnosis file (`diagnosis:` and `rules:`).",
        "if": { "type": "object", "required": ["module"] },
        "then": { "$ref": "#/$defs/module" },
        "else": {
            "if": { "type": "object", "properties": { "diagnosis": { "type": "string" } }, "required": ["diagnosis"], "not": { "required": ["target"] } },
            "then": { "$ref": "#/$defs/diagnosis" },
            "else": { "$ref": "#/$defs/main" },
        },
        "$defs": definitions,
    })
}
