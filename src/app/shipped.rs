//! The shipped configuration inside the binary, so that `demo` needs no file: what stands in `config/` at build time.

use crate::clock;
use crate::config::MemoryEnvironment;
use std::path::Path;

/// Every file by its path under `config/`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The main file of the rehearsal, inside the embedded folder.
pub const REHEARSAL: &str = "config/rehearsal.yaml";

/// Variables that the shipped files may read.
const VARIABLES: [&str; 1] = ["STAGEWATCH_API_TOKEN"];

/// The shipped files with some texts replaced: addresses that turned out to be taken.
pub fn environment(replacements: &[(String, String)]) -> MemoryEnvironment {
    let set = |environment: MemoryEnvironment, name: &str| match std::env::var(name) {
        Ok(value) => environment.with_variable(name, &value),
        Err(_) => environment,
    };
    let empty = VARIABLES.into_iter().fold(MemoryEnvironment::new(clock::now()), set);
    FILES.iter().fold(empty, |environment, (name, text)| {
        let text = replacements
            .iter()
            .fold((*text).to_owned(), |text, (from, to)| text.replace(from, to));
        environment.with_file(Path::new("config").join(name), text)
    })
}
