//! Configuration: YAML for structure, CEL for expressions, everything compiled at load into a [`Catalog`] that is never
//! changed afterwards. Every mistake of every file is found in one load and shown with file, line, caret and what to write
//! instead. Nothing here runs, listens or keeps anything.

use crate::catalog::Catalog;
use crate::secret::Secret;
use aws_lc_rs::digest::{Context as Digest, SHA256};
use compile::Loaded;
use error::{Page, Report};
use place::Node;
use raw::diagnosis::DiagnosisFile;
use raw::main_file::Modules;
use raw::{MainFile, ModuleFile, Vocabulary};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

mod compile;
mod environment;
mod error;
mod known;
mod lexicon;
mod place;
mod plan;
mod raw;
mod review;
mod schema;
mod source;
mod without;
mod words;

pub use environment::{Environment, FileRead, MemoryEnvironment, Owner, ProcessEnvironment};
pub use error::{ConfigErrors, Mistake};
pub use plan::{Plan, PlannedLimit, PlannedPool, PlannedScenario, plan, series_bound};
pub use schema::{reference, schema};

/// Where modules are when the main file does not say.
const MODULES: &str = "modules";
/// Where diagnosis rules are when the main file does not say; without the directory there are none.
const DIAGNOSIS: &str = "diagnosis";

/// What the command line says and the file does not.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Listen address.
    pub listen: Option<SocketAddr>,
    /// The listener may be open to the network although nobody has to say who they are.
    pub insecure_listen: bool,
    /// The web configuration: TLS and users of the listener.
    pub web_config: Option<PathBuf>,
    /// Directory for history, ledger and budgets.
    pub data_dir: Option<PathBuf>,
    /// Factor on schedules and windows.
    pub time_scale: Option<f64>,
    /// Token for mutating endpoints.
    pub api_token: Option<Secret>,
    /// The only Alertmanager, instead of the file's.
    pub alertmanager: Option<Url>,
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
    let catalog = read(path, environment, &report).and_then(|loaded| {
        let catalog = compile::compile(&loaded, environment, overrides, &report)?;
        if loaded.complete {
            review::review(&catalog, &loaded, &report);
        }
        Some(catalog)
    });
    match (report.finish(), catalog) {
        (None, Some(catalog)) => Ok(catalog),
        (Some(errors), _) => Err(errors),
        (None, None) => unreachable!("a load without a catalog says why"),
    }
}

/// Reads and parses all files, so that one of the wrong shape does not hide the mistakes of the others; none when the main
/// file is one of them.
fn read(path: &Path, environment: &dyn Environment, report: &Report) -> Option<Loaded> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| path.display().to_string());
    let mut page = source::read(environment, path, &name, 0, report)?;
    let mut main: Option<MainFile> = source::parse(&page, report);
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut digest = Digest::new(&SHA256);
    digest.update(page.text.as_bytes());
    let mut knows_vocabulary = true;
    for name in main.as_ref().map_or(Vec::new(), |main| main.include.clone()) {
        let place = page.included.len() + 1;
        let found = source::read(environment, &folder.join(&name), &name, place, report);
        let shape = found
            .as_ref()
            .and_then(|page| source::parse::<Vocabulary>(page, report));
        let (Some(mut found), Some(shape), Some(main)) = (found, shape, main.as_mut()) else {
            knows_vocabulary = false;
            continue;
        };
        digest.update(found.text.as_bytes());
        page.tree.absorb(std::mem::replace(&mut found.tree, Node::nowhere()));
        page.included.push(found);
        main.absorb(shape);
    }
    let mut ground = digest.clone();
    let mut modules = Vec::new();
    let files = module_files(main.as_ref(), (&page, folder), environment, report);
    for (number, name) in files.iter().enumerate() {
        let place = page.included.len() + number + 1;
        let found = source::read(environment, &folder.join(name), name, place, report);
        let shape = found
            .as_ref()
            .and_then(|page| source::parse::<ModuleFile>(page, report));
        digest.update(name.as_bytes());
        digest.update(found.as_ref().map_or(&[], |page| page.text.as_bytes()));
        modules.extend(found.zip(shape));
    }
    let mut diagnosis = Vec::new();
    let named = main.as_ref().and_then(|main| main.diagnosis.clone());
    for name in diagnosis_files(named, (&page, folder), environment, report) {
        let place = page.included.len() + files.len() + diagnosis.len() + 1;
        let rules_page = source::read(environment, &folder.join(&name), &name, place, report);
        let shape = rules_page
            .as_ref()
            .and_then(|page| source::parse::<DiagnosisFile>(page, report));
        if let (Some(page), Some(shape)) = (rules_page, shape) {
            for sum in [&mut digest, &mut ground] {
                sum.update(name.as_bytes());
                sum.update(page.text.as_bytes());
            }
            diagnosis.push((page, shape));
        }
    }
    Some(Loaded {
        path: path.to_owned(),
        // Without its vocabulary, nothing of the rest could be told right from wrong.
        main: (page, main.filter(|_| knows_vocabulary)?),
        complete: modules.len() == files.len(),
        modules,
        diagnosis,
        digest: hexadecimal(digest),
        ground,
    })
}

/// A finished digest as text.
fn hexadecimal(digest: Digest) -> String {
    let finished = digest.finish();
    finished.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names of the module files, relative to the main file.
fn module_files(
    main: Option<&MainFile>,
    (page, folder): (&Page, &Path),
    environment: &dyn Environment,
    report: &Report,
) -> Vec<String> {
    let named = match main {
        Some(main) => main.modules.clone(),
        // All that is needed to look at the modules as well.
        None => source::parse_quietly::<ModulesOnly>(page)
            .and_then(|main| main.modules)
            .or(Some(Modules::Files(Vec::new()))),
    };
    let at = error::At::top(page, report).key("modules");
    let files = match named {
        Some(Modules::Files(files)) => Some(files),
        Some(Modules::Directory(directory)) => listed(&directory, folder, environment, at),
        None => listed(MODULES, folder, environment, at),
    };
    if main.is_some() && files.as_ref().is_some_and(Vec::is_empty) {
        at.wrong(
            "there are no modules",
            "write `modules:` with a directory or a list of files",
        );
    }
    files.unwrap_or_default()
}

fn listed(directory: &str, folder: &Path, environment: &dyn Environment, at: error::At) -> Option<Vec<String>> {
    match environment.list(&folder.join(directory)) {
        Ok(paths) => Some(yaml_files(directory, &paths)),
        Err(error) => {
            at.wrong(
                format!("the directory `{directory}` cannot be read: {error}"),
                "name one that can",
            );
            None
        }
    }
}

/// Names of the diagnosis files, relative to the main file. Only a directory that is named must exist.
fn diagnosis_files(
    named: Option<Modules>,
    (page, folder): (&Page, &Path),
    environment: &dyn Environment,
    report: &Report,
) -> Vec<String> {
    let (directory, is_named) = match named {
        Some(Modules::Files(files)) => return files,
        Some(Modules::Directory(directory)) => (directory, true),
        None => (DIAGNOSIS.to_owned(), false),
    };
    match environment.list(&folder.join(&directory)) {
        Ok(paths) => yaml_files(&directory, &paths),
        Err(error) if is_named => {
            error::At::top(page, report).key("diagnosis").wrong(
                format!("the directory `{directory}` cannot be read: {error}"),
                "write `diagnosis:` with a directory or a list of files",
            );
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// The YAML files among `paths`, as they are named in messages.
fn yaml_files(directory: &str, paths: &[PathBuf]) -> Vec<String> {
    let is_yaml = |path: &&PathBuf| {
        let extension = path.extension();
        extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    paths
        .iter()
        .filter(is_yaml)
        .filter_map(|path| path.file_name())
        .map(|name| format!("{directory}/{}", name.to_string_lossy()))
        .collect()
}

/// What a main file of the wrong shape may still say.
#[derive(serde::Deserialize)]
struct ModulesOnly {
    modules: Option<Modules>,
}
