//! Each file in `bad/` is a configuration with one mistake (or a few), and beside it stands what is said of it, to the
//! letter. A file that begins with `module:` is a module beside the good main file; any other is a main file beside the
//! good module. Write the expected texts anew with `UPDATE_EXPECTED=1`, and read the difference.

use crate::support::{MAIN, MODULE, main_path, refused, world};
use proptest::prelude::*;
use stagewatch::config::load;
use std::fmt::Write;
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

#[test]
fn one_file_does_not_hide_the_mistakes_of_another() {
    let main = MAIN.replace(
        "modules: [module.yaml]",
        "modules: [a.yaml, module.yaml, small.yaml, gone.yaml]",
    );
    let module = MODULE.replace("upgrade.status == 101\", else", "upgrad.status == 101\", else");
    let world = world(&main, &module).with_file("etc/a.yaml", "module: a\nnumber: one\n");
    let errors = load(&main_path(), &world).unwrap_err();
    let said: Vec<_> = errors
        .mistakes()
        .iter()
        .map(|one| (one.file.as_str(), one.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("a.yaml", "this is not a whole number from 0"),
            ("module.yaml", "unknown variable `upgrad`"),
            ("gone.yaml", "there is no such file"),
        ]
    );
    let broken_main = main.replace("environment: rehearsal", "enviroment: rehearsal");
    let errors = load(
        &main_path(),
        &self::world(&broken_main, &module).with_file("etc/a.yaml", "module: a\nnumber: one\n"),
    )
    .unwrap_err();
    let files: Vec<_> = errors.mistakes().iter().map(|one| one.file.as_str()).collect();
    assert_eq!(files, ["main.yaml", "a.yaml", "gone.yaml"], "{errors}");
}

#[test]
fn sizes_are_limited() {
    let comment = format!("{MODULE}# {}\n", "x".repeat(1024 * 1024));
    let large = refused(MAIN, &comment);
    assert_eq!(large.mistakes()[0].message, "the file is larger than 1048576 bytes");
    let mut many = String::from("module: m\nnumber: 2\ntitle: M\nowner: me\nchecks:\n");
    for number in 0..1_001 {
        let _ = writeln!(
            many,
            "  - {{ id: c{number}, title: C, parts: [ {{ rolls_up: [c0] }} ] }}"
        );
    }
    let many = refused(MAIN, &many);
    assert_eq!(
        many.mistakes()[0].message,
        "there are 1001 checks, at most 1000 are allowed",
        "{many}"
    );
}

#[test]
fn no_secret_is_ever_shown() {
    const CANARY: &str = "CANARY-5f3a9c1e7b2d4860";
    let mistakes = [
        ("newline", format!("{CANARY}\n")),
        ("crlf", format!("{CANARY}\r\n")),
        ("bom", format!("\u{feff}{CANARY}")),
        ("space", format!(" {CANARY}")),
    ];
    for (name, content) in mistakes {
        let main = format!("{MAIN}service: {{ api_token: {{ file: secrets/{name} }} }}\n");
        let world = world(&main, MODULE).with_file(format!("etc/secrets/{name}"), content);
        let said = load(&main_path(), &world).unwrap_err().to_string();
        assert!(
            said.contains(&format!("secrets/{name}")) && !said.contains(CANARY),
            "{said}"
        );
    }
    // Secrets that stand in the file itself are blotted out of every line that is shown, whatever is wrong with it.
    for line in [
        format!("service: {{ api_token: {{ value: {CANARY} }}, lisen: x }}"),
        format!("service: {{ api_token: {{ value: \"{CANARY}\" , env: X }} }}"),
        format!("service: {{ external_url: \"https://bob:{CANARY}@host\" }}"),
    ] {
        let said = refused(&format!("{MAIN}{line}\n"), MODULE).to_string();
        assert!(!said.contains(CANARY), "{said}");
    }
    let fields = MAIN.replace(
        "password: rehearsal-only }",
        &format!("password: {CANARY}, pin: {CANARY}, x: \"${{y}}\" }}"),
    );
    let said = refused(&fields, MODULE).to_string();
    assert!(
        said.contains("unknown variable `y`") && !said.contains(CANARY),
        "{said}"
    );
    let accepted = format!("{MAIN}service: {{ api_token: {{ value: {CANARY} }} }}\n");
    let catalog = load(&main_path(), &world(&accepted, MODULE)).unwrap();
    assert_eq!(
        catalog.service.api_token.as_ref().unwrap().expose(),
        CANARY,
        "the control: it was read"
    );
    assert!(!format!("{catalog:?}").contains(CANARY));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A file that is cut, doubled or scrambled anywhere is accepted or refused; nothing panics, and every mistake has a
    /// place in a file.
    #[test]
    fn damaged_files_are_refused_with_a_place(at in 0usize..8_000, length in 1usize..40, insert in "[ -~\\n]{0,6}") {
        let characters: Vec<char> = MODULE.chars().collect();
        let at = at % characters.len();
        let end = (at + length).min(characters.len());
        let damaged: String = characters[..at].iter().copied().chain(insert.chars()).chain(characters[end..].iter().copied()).collect();
        if let Err(errors) = load(&main_path(), &world(MAIN, &damaged)) {
            for mistake in errors.mistakes() {
                let lines = damaged.lines().count().max(MAIN.lines().count());
                prop_assert!(mistake.line <= lines + 1, "{mistake}");
                prop_assert!(!mistake.message.is_empty());
            }
        }
    }
}
