//! Files in memory around the fixtures.

use chrono::{DateTime, Utc};
use stagewatch::catalog::Catalog;
use stagewatch::config::{ConfigErrors, FileRead, MemoryEnvironment, Owner, load};
use std::path::{Path, PathBuf};

/// The main file of the fixtures.
pub const MAIN: &str = include_str!("main.yaml");
/// The module file of the fixtures.
pub const MODULE: &str = include_str!("module.yaml");

/// Friday noon.
pub fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A world with these two files, and secrets in every state.
pub fn world(main: &str, module: &str) -> MemoryEnvironment {
    let mut world = MemoryEnvironment::new(now())
        .with_file("etc/main.yaml", main)
        .with_file("etc/module.yaml", module)
        .with_file("etc/small.yaml", include_str!("small.yaml"))
        .with_variable("STAGEWATCH_USER_1", "one@staging.example")
        .with_variable("STAGEWATCH_EMPTY", "")
        .with_variable("STAGEWATCH_SHORT", "abc")
        .with_file("etc/secrets/good", "correct-horse")
        .with_file("etc/secrets/empty", "")
        .with_file("etc/secrets/newline", "correct-horse\n")
        .with_file("etc/secrets/crlf", "correct-horse\r\n")
        .with_file("etc/secrets/bom", "\u{feff}correct-horse")
        .with_file("etc/secrets/world", "correct-horse")
        .with_file("etc/secrets/group", "correct-horse")
        .with_file("etc/secrets/foreign", "correct-horse");
    set(&mut world, "etc/secrets/world", |file| file.mode = 0o644);
    set(&mut world, "etc/secrets/group", |file| file.mode = 0o640);
    set(&mut world, "etc/secrets/foreign", |file| file.owner = Owner::Foreign);
    world
}

fn set(world: &mut MemoryEnvironment, path: &str, change: impl FnOnce(&mut FileRead)) {
    change(world.files.get_mut(Path::new(path)).unwrap());
}

/// The path of the main file in [`world`].
pub fn main_path() -> PathBuf {
    PathBuf::from("etc/main.yaml")
}

/// The catalog of these two files.
pub fn accepted(main: &str, module: &str) -> Catalog {
    load(&main_path(), &world(main, module)).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is said against these two files.
pub fn refused(main: &str, module: &str) -> ConfigErrors {
    match load(&main_path(), &world(main, module)) {
        Ok(_) => panic!("accepted"),
        Err(errors) => errors,
    }
}
