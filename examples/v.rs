//! scratch
use stagewatch::config;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    match config::load(std::path::Path::new(&path), &config::ProcessEnvironment) {
        Ok(c) => println!("{}", config::plan(&c)),
        Err(e) => println!("{e}"),
    }
}
