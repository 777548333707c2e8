//! What is accepted, and what becomes of it.

use crate::support::{MAIN, MODULE, main_path, world};
use stagewatch::config::load;

#[test]
fn the_fixture_is_accepted() {
    match load(&main_path(), &world(MAIN, MODULE)) {
        Ok(_) => {}
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn show() {
    let catalog = load(&main_path(), &world(MAIN, MODULE)).unwrap();
    println!("{}", stagewatch::config::plan(&catalog));
    println!("{:#?}", catalog.modules[0].scenarios[0].steps[3]);
    println!(
        "{}",
        serde_json::to_string(&stagewatch::config::schema()).unwrap().len()
    );
}
