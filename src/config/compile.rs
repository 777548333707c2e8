//! Shapes to [`Catalog`]. Every part says all of its mistakes and goes on with a stand-in, so that one load shows them all;
//! a catalog is only given out when there was no mistake.

use super::Overrides;
use super::environment::Environment;
use super::error::{At, Page, Report};
use super::raw::diagnosis::DiagnosisFile;
use super::raw::{MainFile, ModuleFile};
use crate::catalog::{Catalog, Module};
use crate::expression::Functions;
use crate::limits::{CHECKS_MAX, MODULES_MAX, SCENARIOS_MAX};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

mod alerting;
mod auth;
mod check;
mod cost;
mod credential;
mod diagnosis;
mod forbidden;
mod judging;
mod logs;
mod names;
mod request_step;
mod scalar;
mod scenario;
mod schedule;
mod secret;
mod seen;
mod service;
mod socket_step;
mod step;
mod target;
mod uniqueness;
mod wire;

pub use cost::runs_in;
use names::Names;
pub use schedule::longest_gap;

/// Files that were read and have the right shape.
pub struct Loaded {
    /// Path of the main file.
    pub path: PathBuf,
    /// The main file.
    pub main: (Page, MainFile),
    /// The module files, in order.
    pub modules: Vec<(Page, ModuleFile)>,
    /// The diagnosis files, in order.
    pub diagnosis: Vec<(Page, DiagnosisFile)>,
    /// SHA-256 of everything read.
    pub digest: String,
    /// The same without the modules.
    pub ground: aws_lc_rs::digest::Context,
    /// Whether every file had the right shape; otherwise names of other modules may be missing for no fault of theirs.
    pub complete: bool,
}

/// What every part of the compilation needs.
pub(super) struct Context<'load> {
    pub environment: &'load dyn Environment,
    pub folder: PathBuf,
    pub time_scale: f64,
    pub main: &'load MainFile,
    pub names: Names,
    /// Names of configured functions.
    pub functions: Rc<BTreeSet<String>>,
    /// Configured functions.
    pub configured: Arc<Functions>,
    /// Whether every base and socket is on this machine.
    pub is_loopback: bool,
    /// The secrets that were read.
    pub seen: RefCell<seen::Seen>,
}

impl Context<'_> {
    /// A path relative to the main file.
    pub fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }
}

/// Compiles everything; none when a mistake was reported.
pub fn compile(
    loaded: &Loaded,
    environment: &dyn Environment,
    overrides: &Overrides,
    report: &Report,
) -> Option<Catalog> {
    let (page, main) = &loaded.main;
    let top = At::top(page, report);
    let names = Names::collect(loaded);
    let functions = main.target.functions.iter().map(|(name, _)| name.to_owned());
    let functions: Rc<BTreeSet<String>> = Rc::new(functions.collect());
    let configured = target::functions(main, &functions, top.key("target").key("functions"));
    let context = Context {
        environment,
        folder: loaded.path.parent().unwrap_or(Path::new("")).to_owned(),
        time_scale: scalar::time_scale(main, overrides, top),
        main,
        names,
        functions,
        configured: Arc::new(configured),
        is_loopback: target::is_loopback(&main.target),
        seen: RefCell::default(),
    };
    uniqueness::check(&context, loaded, report);
    let target = target::target(&context, top.key("target"));
    let service = service::service(&context, overrides, top.key("service"));
    let credentials = credential::sources(&context, top);
    let latency_targets = target::latency_targets(&context, top.key("latency_targets"));
    let modules: Vec<Module> = loaded
        .modules
        .iter()
        .map(|(page, shape)| module(&context, (page, shape), At::top(page, report)))
        .collect();
    too_many(&modules, top);
    let alerting = alerting::alerting(&context, overrides, top);
    // What comes before has read every secret.
    let seen = context.seen.take();
    let mut catalog = Catalog {
        source: loaded.path.clone(),
        digest: loaded.digest.clone(),
        ground: seen.ground(loaded.ground.clone()),
        secret_files: seen.files(),
        target,
        service,
        time_scale: context.time_scale,
        credentials,
        modules,
        latency_targets,
        diagnosis: diagnosis::rules(&context, &loaded.diagnosis, report),
        alerting,
    };
    catalog.modules.sort_by_key(|module| module.number);
    report.is_empty().then_some(catalog)
}

fn module<'load>(context: &Context<'load>, (page, shape): (&Page, &'load ModuleFile), at: At<'load>) -> Module {
    scalar::identifier(&shape.module, "module", at.key("module"));
    let runbook = shape.runbook.as_deref();
    Module {
        id: shape.module.clone(),
        digest: seen::sha256(&page.text),
        number: shape.number,
        title: shape.title.clone(),
        severity: shape.severity.unwrap_or(crate::catalog::Severity::Warning),
        owner: shape.owner.clone(),
        runbook: runbook.map(|url| scalar::web_link(url, at.key("runbook"))),
        active_hours: shape
            .active_hours
            .as_ref()
            .map(|hours| schedule::active_hours(context, hours, at.key("active_hours"))),
        scenarios: scenario::scenarios(context, shape, at),
        checks: check::checks(context, shape, at),
    }
}

fn too_many(modules: &[Module], top: At) {
    let counts = BTreeMap::from([
        ("modules", (modules.len(), MODULES_MAX)),
        (
            "scenarios",
            (modules.iter().map(|module| module.scenarios.len()).sum(), SCENARIOS_MAX),
        ),
        (
            "checks",
            (modules.iter().map(|module| module.checks.len()).sum(), CHECKS_MAX),
        ),
    ]);
    for (what, (count, most)) in counts {
        if count > most {
            top.key("modules").wrong(
                format!("there are {count} {what}, at most {most} are allowed"),
                "split the configuration over several daemons",
            );
        }
    }
}
