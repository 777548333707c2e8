//! Configuration: YAML for structure, CEL for expressions, everything compiled at load into a [`Catalog`] that is never
//! changed afterwards. Every mistake of every file is found in one load and shown with file, line, caret and what to write
//! instead. Nothing here runs, listens or keeps anything.

use crate::catalog::Catalog;
use crate::secret::Secret;
use aws_lc_rs::digest::{Context as Digest, SHA256};
use compile::Loaded;
use error::{Page, Report};
use raw::{MainFile, ModuleFile};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod compile;
mod environment;
mod error;
mod known;
mod lexicon;
mod place;
mod plan;
mod raw;
mod schema;
mod source;
mod words;

pub use environment::{Environment, FileRead, MemoryEnvironment, Owner, ProcessEnvironment};
pub use error::{ConfigErrors, Mistake};
pub use plan::{Plan, PlannedLimit, PlannedPool, PlannedScenario, plan, series_bound};
pub use schema::schema;

/// Where modules are when the main file does not say.
const MODULES: &str = "modules";

/// What the command line says and the file does not.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Listen address.
    pub listen: Option<SocketAddr>,
    /// Directory for history, ledger and budgets.
    pub data_dir: Option<PathBuf>,
    /// Factor on schedules and windows.
    pub time_scale: Option<f64>,
    /// Token for mutating endpoints.
    pub api_token: Option<Secret>,
}

/// Loads the main file at `path` and its modules.
///
/// # Errors
/// Every mistake of every file.
pub fn load(path: &Path, environment: &dyn Environment) -> Result<Catalog, ConfigErrors> {
    load_with(path, environment, &Overrides::default())
}

/// As [`load`], with what the command line says.
///
/// # Errors
/// Every mistake of every file.
pub fn load_with(path: &Path, environment: &dyn Environment, overrides: &Overrides) -> Result<Catalog, ConfigErrors> {
    let report = Report::default();
    let catalog =
        read(path, environment, &report).and_then(|loaded| compile::compile(&loaded, environment, overrides, &report));
    match (report.finish(), catalog) {
        (None, Some(catalog)) => Ok(catalog),
        (Some(errors), _) => Err(errors),
        (None, None) => unreachable!("a load without a catalog says why"),
    }
}

/// Reads and parses all files; none when the main file does not have the right shape.
fn read(path: &Path, environment: &dyn Environment, report: &Report) -> Option<Loaded> {
    let shown = |path: &Path| {
        path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    };
    let page = source::read(environment, path, &shown(path), 0, report)?;
    let main: MainFile = source::parse(&page, report)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut digest = Digest::new(&SHA256);
    digest.update(page.text.as_bytes());
    let mut modules = Vec::new();
    let mut complete = true;
    for (place, name) in module_files(&main, &page, folder, environment, report)
        .iter()
        .enumerate()
    {
        let module = source::read(environment, &folder.join(name), name, place + 1, report);
        let Some(module_page) = module else {
            complete = false;
            continue;
        };
        digest.update(name.as_bytes());
        digest.update(module_page.text.as_bytes());
        match source::parse::<ModuleFile>(&module_page, report) {
            Some(shape) => modules.push((module_page, shape)),
            None => complete = false,
        }
    }
    let digest = digest
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(Loaded {
        path: path.to_owned(),
        main: (page, main),
        modules,
        digest,
        complete,
    })
}

/// Names of the module files, relative to the main file.
fn module_files(
    main: &MainFile,
    page: &Page,
    folder: &Path,
    environment: &dyn Environment,
    report: &Report,
) -> Vec<String> {
    use raw::main_file::Modules;
    let directory = match &main.modules {
        Some(Modules::Files(files)) => return files.clone(),
        Some(Modules::Directory(directory)) => directory.as_str(),
        None => MODULES,
    };
    let at = error::At::top(page, report).key("modules");
    let is_yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    match environment.list(&folder.join(directory)) {
        Ok(paths) => paths
            .iter()
            .filter(|path| is_yaml(path))
            .filter_map(|path| path.file_name())
            .map(|name| format!("{directory}/{}", name.to_string_lossy()))
            .collect(),
        Err(error) => {
            at.wrong(
                format!("the directory `{directory}` cannot be read: {error}"),
                "write `modules:` with a directory or a list of files",
            );
            Vec::new()
        }
    }
}
