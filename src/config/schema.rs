//! The JSON Schema of the configuration files, for editors and for `stagewatch schema`.

use super::raw::{MainFile, ModuleFile};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// One document: a file is either a main file or a module file. `$defs` holds both as `main` and `module`.
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let main = generator.subschema_for::<MainFile>();
    let module = generator.subschema_for::<ModuleFile>();
    let mut definitions = generator.take_definitions(true);
    definitions.insert("main".to_owned(), main.into());
    definitions.insert("module".to_owned(), module.into());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stagewatch configuration",
        "description": "A main file (`target:`) or a module file (`module:`).",
        "if": { "type": "object", "required": ["module"] },
        "then": { "$ref": "#/$defs/module" },
        "else": { "$ref": "#/$defs/main" },
        "$defs": definitions,
    })
}
