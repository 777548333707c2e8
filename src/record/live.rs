//! The latest verdicts, as one snapshot that readers take without waiting: for the status API, the page and the demo's table.

use super::Sink;
use crate::catalog::{Catalog, Severity};
use crate::clock;
use crate::run::{Judgement, Run};
pub use crate::sensitive::Viewer;
use crate::sensitive::shows;
use crate::verdict::{UnknownReason, Verdict};
use arc_swap::ArcSwap;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Everything as it is now.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Name of the target.
    pub target: String,
    /// Its environment.
    pub environment: String,
    /// When this daemon started, RFC 3339.
    pub started_at: String,
    /// When the last judgement was made, RFC 3339; empty before the first.
    pub updated_at: String,
    /// Factor on schedules and windows.
    pub time_scale: f64,
    /// SHA-256 of the configuration.
    pub config_digest: String,
    /// Why the last reload was refused as a whole; none when the last load was accepted.
    pub config_refused: Option<String>,
    /// Verdicts of checks and modules, counted.
    pub summary: Summary,
    /// Modules in order.
    pub modules: Vec<ModuleStatus>,
}

/// Verdicts, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// How many pass.
    pub pass: usize,
    /// How many fail.
    pub fail: usize,
    /// How many are unknown, those included that were not judged yet.
    pub unknown: usize,
    /// How many are off.
    pub off: usize,
}

/// Counts of checks and of modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Checks.
    pub checks: Counts,
    /// Modules.
    pub modules: Counts,
    /// Checks that were not judged yet since the start.
    pub pending: usize,
}

/// One module.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleStatus {
    /// Number in the report.
    pub number: u32,
    /// Identifier.
    pub id: String,
    /// Title.
    pub title: String,
    /// `pass` when all its checks that are not off pass.
    pub verdict: Verdict,
    /// pass / (pass + fail + unknown); none before a first verdict or when all are off.
    pub pass_ratio: Option<f64>,
    /// (pass + fail) / (pass + fail + unknown).
    pub coverage_ratio: Option<f64>,
    /// Its checks in order.
    pub checks: Vec<CheckStatus>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckStatus {
    /// Identifier in its module.
    pub id: String,
    /// One line.
    pub title: String,
    /// What it observes.
    pub description: String,
    /// Severity of its alerts.
    pub severity: Severity,
    /// The latest verdict; none before the first.
    pub verdict: Option<Verdict>,
    /// Why it is unknown.
    pub reason: Option<UnknownReason>,
    /// Since when the verdict has been what it is, RFC 3339.
    pub since: Option<String>,
    /// When it last passed, RFC 3339.
    pub last_pass_at: Option<String>,
    /// Failed judgements since the last pass.
    pub consecutive_failures: u64,
    /// The judgement with its evidence.
    #[serde(serialize_with = "inner")]
    pub judgement: Option<Arc<Judgement>>,
    /// Its text is shown only to callers with a token.
    #[serde(skip)]
    pub sensitive: bool,
}

impl Status {
    /// The status as `viewer` may see it.
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        let mut status = self.clone();
        for check in status.modules.iter_mut().flat_map(|module| &mut module.checks) {
            if !shows(check.sensitive, viewer) {
                check.judgement = None;
            }
        }
        status
    }

    /// The check that `judgement` is of.
    fn check(&mut self, judgement: &Judgement) -> Option<&mut CheckStatus> {
        let module = self.modules.iter_mut().find(|module| module.id == judgement.module)?;
        module.checks.iter_mut().find(|check| check.id == judgement.id)
    }

    fn find(&self, module: &str, check: &str) -> Option<&CheckStatus> {
        let module = self.modules.iter().find(|known| known.id == module)?;
        module.checks.iter().find(|known| known.id == check)
    }
}

/// Keeps the latest status.
pub struct Live {
    building: Mutex<Status>,
    latest: ArcSwap<Status>,
}

impl Live {
    /// The status before anything was judged.
    pub fn new(catalog: &Catalog) -> Arc<Self> {
        let mut status = Status {
            target: catalog.target.name.clone(),
            environment: catalog.target.environment.clone(),
            started_at: clock::rfc3339(clock::now()),
            updated_at: String::new(),
            time_scale: catalog.time_scale,
            config_digest: catalog.digest.clone(),
            config_refused: None,
            summary: Summary::default(),
            modules: catalog.modules.iter().map(module).collect(),
        };
        count(&mut status);
        Arc::new(Self {
            latest: ArcSwap::from_pointee(status.clone()),
            building: Mutex::new(status),
        })
    }

    /// Takes another catalog: checks that it still has keep what is known of them.
    pub fn reload(&self, catalog: &Catalog) {
        let mut status = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let mut modules: Vec<_> = catalog.modules.iter().map(module).collect();
        for module in &mut modules {
            for check in &mut module.checks {
                if let Some(known) = status.find(&module.id, &check.id) {
                    check.goes_on(known);
                }
            }
        }
        status.modules = modules;
        status.target.clone_from(&catalog.target.name);
        status.environment.clone_from(&catalog.target.environment);
        status.time_scale = catalog.time_scale;
        status.config_digest.clone_from(&catalog.digest);
        status.config_refused = None;
        count(&mut status);
        self.latest.store(Arc::new(status.clone()));
    }

    /// A reload was refused as a whole.
    pub fn refused(&self, why: &str) {
        let mut status = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        status.config_refused = Some(why.to_owned());
        self.latest.store(Arc::new(status.clone()));
    }

    /// The latest snapshot.
    pub fn status(&self) -> Arc<Status> {
        self.latest.load_full()
    }
}

impl Sink for Live {
    fn take(&self, run: &Arc<Run>) {
        if run.judgements.is_empty() && run.repeated.is_empty() {
            return;
        }
        let mut status = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clock::rfc3339_of(run.at);
        for judgement in &run.judgements {
            if let Some(check) = status.check(judgement) {
                check.take(judgement, &at);
            }
        }
        for judgement in &run.repeated {
            if let Some(check) = status.check(judgement) {
                check.judgement = Some(Arc::clone(judgement));
            }
        }
        status.updated_at = at;
        count(&mut status);
        self.latest.store(Arc::new(status.clone()));
    }
}

impl CheckStatus {
    /// Keeps what was known under the last catalog.
    fn goes_on(&mut self, known: &Self) {
        self.verdict = known.verdict;
        self.reason = known.reason;
        self.since.clone_from(&known.since);
        self.last_pass_at.clone_from(&known.last_pass_at);
        self.consecutive_failures = known.consecutive_failures;
        self.judgement.clone_from(&known.judgement);
    }

    fn take(&mut self, judgement: &Arc<Judgement>, at: &str) {
        if self.verdict != Some(judgement.verdict) {
            self.since = Some(at.to_owned());
        }
        match judgement.verdict {
            Verdict::Pass => {
                self.consecutive_failures = 0;
                self.last_pass_at = Some(at.to_owned());
            }
            Verdict::Fail => self.consecutive_failures += 1,
            Verdict::Unknown | Verdict::Off => {}
        }
        self.verdict = Some(judgement.verdict);
        self.reason = judgement.reason;
        self.judgement = Some(Arc::clone(judgement));
    }
}

fn module(module: &crate::catalog::Module) -> ModuleStatus {
    ModuleStatus {
        number: module.number,
        id: module.id.clone(),
        title: module.title.clone(),
        verdict: Verdict::Unknown,
        pass_ratio: None,
        coverage_ratio: None,
        checks: module
            .checks
            .iter()
            .map(|check| CheckStatus {
                id: check.id.clone(),
                title: check.title.clone(),
                description: check.description.clone(),
                severity: check.severity,
                verdict: None,
                reason: None,
                since: None,
                last_pass_at: None,
                consecutive_failures: 0,
                judgement: None,
                sensitive: check.sensitive,
            })
            .collect(),
    }
}

impl Counts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Fail => self.fail += 1,
            Verdict::Unknown => self.unknown += 1,
            Verdict::Off => self.off += 1,
        }
    }

    /// The verdict of a module with these checks: pass when all that are not off pass.
    fn verdict(self) -> Verdict {
        if self.fail > 0 {
            Verdict::Fail
        } else if self.unknown > 0 {
            Verdict::Unknown
        } else if self.pass > 0 {
            Verdict::Pass
        } else {
            Verdict::Off
        }
    }
}

fn count(status: &mut Status) {
    let mut summary = Summary::default();
    for module in &mut status.modules {
        let mut counts = Counts::default();
        for check in &module.checks {
            counts.add(check.verdict.unwrap_or(Verdict::Unknown));
            summary.checks.add(check.verdict.unwrap_or(Verdict::Unknown));
            summary.pending += usize::from(check.verdict.is_none());
        }
        module.verdict = counts.verdict();
        summary.modules.add(module.verdict);
        let judged = counts.pass + counts.fail + counts.unknown;
        let any = module.checks.iter().any(|check| check.verdict.is_some());
        module.pass_ratio = ratio(counts.pass, judged).filter(|_| any);
        module.coverage_ratio = ratio(counts.pass + counts.fail, judged).filter(|_| any);
    }
    status.summary = summary;
}

#[expect(clippy::cast_precision_loss, reason = "numbers of checks are small")]
fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn inner<S: serde::Serializer>(judgement: &Option<Arc<Judgement>>, serializer: S) -> Result<S::Ok, S::Error> {
    judgement.as_deref().serialize(serializer)
}
