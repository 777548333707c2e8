//! Each file in `bad/` is a configuration with one mistake (or a few), and beside it stands what is said of it, to the
//! letter. A file that begins with `module:` is a module beside the good main file; any other is a main file beside the
//! good module. Write the expected texts anew with `UPDATE_EXPECTED=1`, and read the difference.

use crate::support::{MAIN, MODULE, main_path, world};
use stagewatch::config::load;
use std::path::Path;

#[test]
fn every_bad_configuration_is_refused_with_its_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let is_module = text
            .lines()
            .find(|line| !line.starts_with('#'))
            .is_some_and(|line| line.starts_with("module:"));
        let environment = if is_module {
            world(MAIN, &text)
        } else {
            world(&text, MODULE)
        };
        let said = match load(&main_path(), &environment) {
            Ok(_) => "accepted".to_owned(),
            Err(errors) => errors.to_string(),
        };
        let expected_path = path.with_extension("err");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected_path, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if said != expected || said == "accepted" {
            wrong.push(format!("{}\nexpected:\n{expected}\nsaid:\n{said}", path.display()));
        }
    }
    assert!(paths.len() > 60, "only {} bad configurations", paths.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
