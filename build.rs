//! Writes down what the binary is built from, and the shipped configuration as Rust source, so that the binary alone is
//! enough for `demo`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    // A build from a copy without its history is told.
    println!("cargo::rerun-if-env-changed=STAGEWATCH_REVISION");
    if std::env::var_os("STAGEWATCH_REVISION").is_none() {
        say(
            "STAGEWATCH_REVISION",
            Command::new("git").args(["rev-parse", "--short=12", "HEAD"]),
        );
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    say("STAGEWATCH_RUSTC", Command::new(rustc).arg("--version"));
    // A path that does not exist would make every build run this again.
    for watched in ["build.rs", ".git/HEAD", "config"] {
        if root.join(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    let mut source = String::from("&[\n");
    for file in shipped(&root.join("config")) {
        let name = file.strip_prefix(root.join("config")).expect("it was found there");
        writeln!(
            source,
            "    ({:?}, include_str!({:?})),",
            name.display().to_string(),
            file
        )
        .expect("a String takes it");
    }
    source.push(']');
    std::fs::write(out.join("shipped.rs"), source).expect("OUT_DIR can be written");
}

/// The main files, the module files and the diagnosis files, by name.
fn shipped(config: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = [config.to_path_buf(), config.join("modules"), config.join("diagnosis")]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn say(name: &str, command: &mut Command) {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!(
        "cargo::rustc-env={name}={}",
        text.unwrap_or_else(|| "unknown".to_owned())
    );
}
