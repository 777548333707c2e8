//! The shipped configurations: both load over the same modules, and every file of them fits the schema.

use chrono::{DateTime, Utc};
use serde_json::Value;
use stagewatch::catalog::Catalog;
use stagewatch::config::{Environment, FileRead, ProcessEnvironment, load, plan, schema};
use std::io;
use std::path::{Path, PathBuf};

/// The file system, and a value for every variable that a deployment would set.
struct Deployed;

impl Environment for Deployed {
    fn variable(&self, name: &str) -> Option<String> {
        let set = name.starts_with("STAGEWATCH_") && !name.ends_with("_FILE");
        set.then(|| "set-by-the-deployment".to_owned())
    }

    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead> {
        ProcessEnvironment.read(path, bytes_max)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        ProcessEnvironment.list(directory)
    }

    fn now(&self) -> DateTime<Utc> {
        crate::support::now()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn shipped(name: &str) -> Catalog {
    load(&folder().join(name), &Deployed).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn both_load_over_the_same_modules_and_fit_their_limits() {
    let staging = shipped("stagewatch.yaml");
    let rehearsal = shipped("rehearsal.yaml");
    let names = |catalog: &Catalog| -> Vec<String> { catalog.checks().map(|(_, check)| check.full_id()).collect() };
    assert_eq!(names(&staging), names(&rehearsal));
    assert_eq!((staging.modules.len(), names(&staging).len()), (10, 58));
    assert!((staging.time_scale - 1.0).abs() < f64::EPSILON);
    for catalog in [&staging, &rehearsal] {
        let plan = plan(catalog);
        assert!(
            plan.limits
                .iter()
                .all(|limit| limit.fits() && limit.worst > 0.0 && limit.burst > 0.0),
            "{plan}"
        );
        assert!(plan.pools.iter().all(|pool| pool.fits()), "{plan}");
        assert!(plan.series <= plan.series_max, "{plan}");
    }
}

#[test]
fn every_file_fits_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut files = vec![folder().join("stagewatch.yaml"), folder().join("rehearsal.yaml")];
    files.extend(ProcessEnvironment.list(&folder().join("modules")).unwrap());
    for path in files {
        let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let complaints: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert_eq!(complaints, Vec::<String>::new(), "{}", path.display());
    }
}
