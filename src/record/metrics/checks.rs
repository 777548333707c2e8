//! Metrics of checks and modules: from judgements only.

use super::exemplars::{Origin, Timer, Timers};
use super::{BUCKETS, Maker, MetricsError};
use crate::alert::needing_sockets;
use crate::catalog::{Catalog, Check, Module};
use crate::clock;
use crate::failure::{Blame, Class};
use crate::run::{Judgement, Missed};
use crate::schedule::plan;
use crate::verdict::{UnknownReason, Verdict};
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(super) struct CheckMetrics {
    checks: BTreeMap<(String, String), Handles>,
    modules: BTreeMap<String, ModuleHandles>,
}

struct Handles {
    runs: [(Verdict, IntCounter); 3],
    failures: Vec<(Class, IntCounter)>,
    verdicts: Vec<(Verdict, Gauge)>,
    consecutive_failures: Gauge,
    consecutive_unjudged: Gauge,
    blame: GaugeVec,
    last_run: Gauge,
    last_success: Gauge,
    duration: Timer,
}

struct ModuleHandles {
    id: String,
    unknowns: Vec<(UnknownReason, IntCounter)>,
    counts: Vec<(Verdict, Gauge)>,
    pass_ratio: GaugeVec,
    coverage_ratio: GaugeVec,
    /// The latest verdict of each check; none before the first.
    latest: Mutex<BTreeMap<String, Option<Verdict>>>,
}

/// The families, only needed while handles are made.
struct Families {
    runs: IntCounterVec,
    failures: IntCounterVec,
    unknowns: IntCounterVec,
    verdict: GaugeVec,
    consecutive_failures: GaugeVec,
    consecutive_unjudged: GaugeVec,
    blame: GaugeVec,
    last_run: GaugeVec,
    last_success: GaugeVec,
    duration: Timers,
    info: GaugeVec,
    interval: GaugeVec,
    pass_ratio: GaugeVec,
    coverage_ratio: GaugeVec,
    module_checks: GaugeVec,
}

const CHECK: [&str; 2] = ["module", "check"];

impl Families {
    fn new(make: &Maker) -> Result<Self, MetricsError> {
        let with = |label: &'static str| [CHECK[0], CHECK[1], label];
        Ok(Self {
            runs: make.counters(
                "check_runs_total",
                "Judgements made; a missed or stale one counts as unknown.",
                &with("verdict"),
            )?,
            failures: make.counters(
                "check_failures_total",
                "Failed judgements by the class of the first broken expectation.",
                &with("reason"),
            )?,
            unknowns: make.counters(
                "check_unknowns_total",
                "Judgements that could not be made, by reason.",
                &["module", "reason"],
            )?,
            verdict: make.gauges(
                "check_verdict",
                "The latest verdict: exactly one of pass, fail, unknown, off is 1.",
                &with("verdict"),
            )?,
            consecutive_failures: make.gauges(
                "check_consecutive_failures",
                "Failed judgements since the last pass.",
                &CHECK,
            )?,
            consecutive_unjudged: make.gauges(
                "check_consecutive_unjudged",
                "Unknown judgements since the last pass or fail.",
                &CHECK,
            )?,
            blame: make.gauges(
                "check_blame",
                "1 for who is to blame that the latest verdict is fail or unknown.",
                &with("blame"),
            )?,
            last_run: make.gauges(
                "check_last_run_timestamp_seconds",
                "When it was last judged on evidence.",
                &CHECK,
            )?,
            last_success: make.gauges(
                "check_last_success_timestamp_seconds",
                "When it last passed; 0 until the first pass.",
                &CHECK,
            )?,
            duration: make.timers(
                "check_duration_seconds",
                "Wire time of the scenarios that a passing check judged.",
                (&CHECK, &BUCKETS),
            )?,
            info: make.gauges(
                "check_info",
                "Static facts of a check.",
                &["module", "check", "severity", "owner", "title", "needs_socket"],
            )?,
            interval: make.gauges(
                "check_interval_seconds",
                "Period of the slowest scenario it judges.",
                &CHECK,
            )?,
            pass_ratio: make.gauges(
                "module_pass_ratio",
                "pass / (pass + fail + unknown) over the latest verdicts of the module's checks.",
                &["module"],
            )?,
            coverage_ratio: make.gauges(
                "module_coverage_ratio",
                "(pass + fail) / (pass + fail + unknown) over the latest verdicts of the module's checks.",
                &["module"],
            )?,
            module_checks: make.gauges(
                "module_checks",
                "Number of the module's checks by latest verdict.",
                &["module", "verdict"],
            )?,
        })
    }

    fn check(&self, (module, check): (&Module, &Check), (latest, needs_socket): (Verdict, bool)) -> Handles {
        let of = [module.id.as_str(), check.id.as_str()];
        let with = |value: &'static str| [of[0], of[1], value];
        self.info
            .with_label_values(&[
                of[0],
                of[1],
                check.severity.as_str(),
                module.owner.as_str(),
                check.title.as_str(),
                if needs_socket { "true" } else { "false" },
            ])
            .set(1.0);
        let verdicts: Vec<_> = Verdict::ALL
            .iter()
            .map(|verdict| (*verdict, self.verdict.with_label_values(&with(verdict.as_str()))))
            .collect();
        set_only(&verdicts, latest);
        Handles {
            runs: [Verdict::Pass, Verdict::Fail, Verdict::Unknown]
                .map(|verdict| (verdict, self.runs.with_label_values(&with(verdict.as_str())))),
            failures: Class::ALL
                .iter()
                .map(|class| (*class, self.failures.with_label_values(&with(class.as_str()))))
                .collect(),
            verdicts,
            consecutive_failures: self.consecutive_failures.with_label_values(&of),
            consecutive_unjudged: self.consecutive_unjudged.with_label_values(&of),
            blame: self.blame.clone(),
            last_run: self.last_run.with_label_values(&of),
            last_success: self.last_success.with_label_values(&of),
            duration: self.duration.with(&of),
        }
    }

    fn module(&self, module: &Module, before: Option<&CheckMetrics>) -> ModuleHandles {
        let id = module.id.as_str();
        let latest = |check: &Arc<Check>| {
            let known = before.and_then(|before| before.latest(module, check));
            (check.id.clone(), known)
        };
        ModuleHandles {
            id: module.id.clone(),
            unknowns: UnknownReason::ALL
                .iter()
                .map(|reason| (*reason, self.unknowns.with_label_values(&[id, reason.as_str()])))
                .collect(),
            counts: Verdict::ALL
                .iter()
                .map(|verdict| (*verdict, self.module_checks.with_label_values(&[id, verdict.as_str()])))
                .collect(),
            pass_ratio: self.pass_ratio.clone(),
            coverage_ratio: self.coverage_ratio.clone(),
            latest: Mutex::new(module.checks.iter().map(latest).collect()),
        }
    }
}

impl CheckMetrics {
    pub(super) fn new(make: &Maker, catalog: &Catalog, before: Option<&Self>) -> Result<Self, MetricsError> {
        let families = Families::new(make)?;
        let mut checks = BTreeMap::new();
        // As the alerts say it, so that what inhibits the ones inhibits the rules.
        let needing = needing_sockets(catalog);
        for (module, check) in catalog.checks() {
            let of = [module.id.as_str(), check.id.as_str()];
            families
                .interval
                .with_label_values(&of)
                .set(interval(catalog, check).as_secs_f64());
            let latest = before
                .and_then(|before| before.latest(module, check))
                .unwrap_or(Verdict::Unknown);
            let handles = families.check((module, check), (latest, needing.contains(&check.full_id())));
            checks.insert((module.id.clone(), check.id.clone()), handles);
        }
        let modules: BTreeMap<_, _> = catalog
            .modules
            .iter()
            .map(|module| (module.id.clone(), families.module(module, before)))
            .collect();
        modules.values().for_each(ModuleHandles::count);
        Ok(Self { checks, modules })
    }

    /// The latest verdict of a check.
    fn latest(&self, module: &Module, check: &Check) -> Option<Verdict> {
        let latest = &self.modules.get(&module.id)?.latest;
        let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.get(&check.id).copied().flatten()
    }

    pub(super) fn judged(&self, judgement: &Judgement, at: f64, origin: Option<Origin>) {
        let key = (judgement.module.clone(), judgement.id.clone());
        let (Some(check), Some(module)) = (self.checks.get(&key), self.modules.get(&judgement.module)) else {
            return;
        };
        check.judged(judgement, at, origin);
        if let Some(reason) = judgement.reason.filter(|_| judgement.verdict == Verdict::Unknown) {
            count(&module.unknowns, reason, 1);
        }
        module.judged(judgement);
    }

    /// A missed slot is an unknown judgement that is counted; the latest verdict stays until its evidence is stale.
    pub(super) fn missed(&self, missed: &Missed) {
        for key in &missed.checks {
            let (Some(check), Some(module)) = (self.checks.get(key), self.modules.get(&key.0)) else {
                continue;
            };
            count(&check.runs, Verdict::Unknown, missed.slots);
            count(&module.unknowns, UnknownReason::Missed, missed.slots);
        }
    }
}

/// The period of the slowest enabled scenario that a check reads, else that of passive checks.
fn interval(catalog: &Catalog, check: &Check) -> Duration {
    let now = clock::now();
    let needs = check.scenarios();
    catalog
        .scenarios()
        .filter(|scenario| needs.contains(&scenario.id.as_str()))
        .map(|scenario| plan::period(scenario, now))
        .max()
        .unwrap_or_else(|| plan::passive_period(catalog.time_scale))
}

fn count<T: PartialEq + Copy>(counters: &[(T, IntCounter)], value: T, times: u64) {
    if let Some((_, counter)) = counters.iter().find(|(label, _)| *label == value) {
        counter.inc_by(times);
    }
}

fn set_only(gauges: &[(Verdict, Gauge)], only: Verdict) {
    for (verdict, gauge) in gauges {
        gauge.set(if *verdict == only { 1.0 } else { 0.0 });
    }
}

impl Handles {
    fn judged(&self, judgement: &Judgement, at: f64, origin: Option<Origin>) {
        set_only(&self.verdicts, judgement.verdict);
        count(&self.runs, judgement.verdict, 1);
        self.blamed(judgement);
        match judgement.verdict {
            Verdict::Pass => {
                self.consecutive_failures.set(0.0);
                self.consecutive_unjudged.set(0.0);
                self.last_success.set(at);
                self.duration.observe(judgement.duration_ms / 1000.0, origin);
            }
            Verdict::Fail => {
                let class = judgement
                    .failure
                    .as_ref()
                    .map_or(Class::Expectation, |failure| failure.class);
                count(&self.failures, class, 1);
                self.consecutive_failures.inc();
                self.consecutive_unjudged.set(0.0);
            }
            Verdict::Unknown => self.consecutive_unjudged.inc(),
            Verdict::Off => {}
        }
        // A judgement that only says that evidence is missing must not make a dead scenario look alive.
        let on_evidence = !matches!(judgement.reason, Some(UnknownReason::Stale | UnknownReason::Missed));
        if on_evidence && judgement.verdict != Verdict::Off {
            self.last_run.set(at);
        }
    }
}

impl Handles {
    /// Only the present blame has a series.
    fn blamed(&self, judgement: &Judgement) {
        let red = matches!(judgement.verdict, Verdict::Fail | Verdict::Unknown);
        for blame in Blame::ALL {
            let of = [judgement.module.as_str(), judgement.id.as_str(), blame.as_str()];
            if red && judgement.blames == Some(*blame) {
                self.blame.with_label_values(&of).set(1.0);
            } else {
                // An absent series is no error.
                let _ = self.blame.remove_label_values(&of);
            }
        }
    }
}

impl ModuleHandles {
    fn judged(&self, judgement: &Judgement) {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(judgement.id.clone(), Some(judgement.verdict));
        self.count();
    }

    /// Counts the latest verdicts. A check before its first judgement is unknown, but ratios wait for a first verdict.
    fn count(&self) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |verdict: Verdict| {
            let found = latest
                .values()
                .filter(|seen| seen.unwrap_or(Verdict::Unknown) == verdict);
            f64::from(u32::try_from(found.count()).unwrap_or(u32::MAX))
        };
        for (verdict, gauge) in &self.counts {
            gauge.set(of(*verdict));
        }
        let (pass, fail, unknown) = (of(Verdict::Pass), of(Verdict::Fail), of(Verdict::Unknown));
        let judged = pass + fail + unknown;
        let any = latest.values().any(Option::is_some);
        if any && judged > 0.0 {
            self.pass_ratio.with_label_values(&[&self.id]).set(pass / judged);
            self.coverage_ratio
                .with_label_values(&[&self.id])
                .set((pass + fail) / judged);
        } else {
            // All off, or nothing judged yet: no ratio is better than a made-up one. An absent series is no error.
            let _ = self.pass_ratio.remove_label_values(&[&self.id]);
            let _ = self.coverage_ratio.remove_label_values(&[&self.id]);
        }
    }
}
