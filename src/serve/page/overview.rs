//! The page of everything at a glance: plain data for the template, made from snapshots.

use super::draw;
use super::frame::{Frame, clock_time};
use super::incident::IncidentView;
use crate::catalog::Catalog;
use crate::incident::Incident;
use crate::record::live::{CheckStatus, ModuleStatus, Status};
use crate::record::trend::Trend;
use crate::run::Judgement;
use crate::sensitive::Viewer;
use crate::serve::notices::Shown;
use crate::verdict::Verdict;
use askama::Template;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Messages shown of one judgement.
const MESSAGES: usize = 2;

/// The page.
#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct Overview {
    frame: Frame,
    mark: &'static str,
    headline: String,
    tiles: Vec<Tile>,
    /// What of the monitor itself needs somebody.
    troubles: Vec<String>,
    maintenance: Vec<MaintenanceView>,
    incidents: Vec<IncidentView>,
    modules: Vec<ModuleView>,
    targets: Vec<TargetView>,
    monitor: Vec<Fact>,
}

/// A number with its name.
struct Tile {
    class: &'static str,
    value: String,
    name: &'static str,
}

/// Maintenance that goes on.
struct MaintenanceView {
    reason: String,
    of: String,
    until: String,
}

struct ModuleView {
    number: u32,
    id: String,
    title: String,
    mark: &'static str,
    pass: String,
    coverage: String,
    strip: String,
    checks: Vec<CheckView>,
}

struct CheckView {
    mark: &'static str,
    href: String,
    title: String,
    strip: String,
    /// Why it does not pass.
    says: Vec<String>,
}

struct TargetView {
    mark: &'static str,
    title: String,
    promise: String,
    measured: String,
    within: String,
    samples: usize,
    spark: String,
}

/// Something known of the monitor itself.
pub(super) struct Fact {
    /// What.
    pub(super) name: String,
    /// How it is.
    pub(super) value: String,
    /// Whether it needs somebody.
    pub(super) bad: bool,
}

/// What the page is made of.
pub(super) struct Seen<'a> {
    pub(super) status: &'a Status,
    pub(super) catalog: &'a Catalog,
    pub(super) trend: &'a Trend,
    /// Seconds since 1970.
    pub(super) now: f64,
    /// Incidents that are open, newest first.
    pub(super) open: &'a [Incident],
    /// The maintenance that goes on.
    pub(super) maintenance: Vec<Shown>,
    pub(super) monitor: Vec<Fact>,
}

type Strips = BTreeMap<String, Vec<Option<Verdict>>>;

impl Overview {
    pub(super) fn of(seen: Seen) -> Self {
        let status = seen.status;
        let strips = seen.trend.strips(seen.now);
        let (verdict, headline) = headline(status);
        Self {
            frame: Frame::of(status, &headline, seen.trend.over()),
            mark: draw::mark(verdict),
            headline,
            tiles: tiles(status),
            troubles: seen.monitor.iter().filter(|fact| fact.bad).map(trouble).collect(),
            maintenance: seen.maintenance.iter().map(maintained).collect(),
            incidents: incidents(seen.open, seen.now),
            modules: status
                .modules
                .iter()
                .map(|module| module_view(module, &strips))
                .collect(),
            targets: targets(&seen),
            monitor: seen.monitor,
        }
    }
}

/// The worst first, and of those the widest.
fn incidents(open: &[Incident], now: f64) -> Vec<IncidentView> {
    let mut open: Vec<&Incident> = open.iter().collect();
    open.sort_by_key(|incident| (incident.severity, Reverse(incident.members.len())));
    let open = open.into_iter().map(|incident| incident.seen_by(Viewer::Anyone));
    open.map(|incident| IncidentView::short(&incident, now)).collect()
}

fn trouble(fact: &Fact) -> String {
    format!("{}: {}", fact.name, fact.value)
}

fn maintained(one: &Shown) -> MaintenanceView {
    MaintenanceView {
        reason: one.reason.clone(),
        of: if one.whole_target {
            "the whole target".to_owned()
        } else {
            one.modules.join(", ")
        },
        until: clock_time(&one.until),
    }
}

/// The one sentence that matters.
fn headline(status: &Status) -> (Option<Verdict>, String) {
    let counts = status.summary.checks;
    let judged = counts.pass + counts.fail + counts.unknown;
    let of = |count: usize| {
        if count == 1 {
            "1 check".to_owned()
        } else {
            format!("{count} checks")
        }
    };
    if counts.fail > 0 {
        let verb = if counts.fail == 1 { "fails" } else { "fail" };
        let modules = status
            .modules
            .iter()
            .filter(|module| module.verdict == Verdict::Fail)
            .count();
        let within = if modules == 1 {
            "1 module".to_owned()
        } else {
            format!("{modules} modules")
        };
        (Some(Verdict::Fail), format!("{} {verb} in {within}", of(counts.fail)))
    } else if status.summary.pending > 0 {
        (None, format!("{} not judged yet", of(status.summary.pending)))
    } else if counts.unknown > 0 {
        (
            Some(Verdict::Unknown),
            format!("Nothing fails, {} cannot be judged", of(counts.unknown)),
        )
    } else if judged == 0 {
        (Some(Verdict::Off), "Every check is off".to_owned())
    } else {
        (Some(Verdict::Pass), format!("All {} pass", of(counts.pass)))
    }
}

fn tiles(status: &Status) -> Vec<Tile> {
    let counts = status.summary.checks;
    let judged = counts.pass + counts.fail + counts.unknown;
    let share = |part: usize| draw::percent(ratio(part, judged));
    let tile = |class, value, name| Tile { class, value, name };
    vec![
        tile("pass", counts.pass.to_string(), "pass"),
        tile("fail", counts.fail.to_string(), "fail"),
        tile("unknown", counts.unknown.to_string(), "unknown"),
        tile("off", counts.off.to_string(), "off"),
        tile("", share(counts.pass), "pass rate"),
        tile("", share(counts.pass + counts.fail), "coverage"),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "numbers of checks are small")]
fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn module_view(module: &ModuleStatus, strips: &Strips) -> ModuleView {
    let of = |check: &CheckStatus| strips.get(&format!("{}/{}", module.id, check.id));
    let judged = module.checks.iter().any(|check| check.verdict.is_some());
    ModuleView {
        number: module.number,
        id: module.id.clone(),
        title: module.title.clone(),
        mark: draw::mark(judged.then_some(module.verdict)),
        pass: draw::percent(module.pass_ratio),
        coverage: draw::percent(module.coverage_ratio),
        strip: draw::strip(&draw::worst(module.checks.iter().filter_map(of).map(Vec::as_slice))),
        checks: module
            .checks
            .iter()
            .map(|check| CheckView {
                mark: draw::mark(check.verdict),
                href: format!("/checks/{}/{}", module.id, check.id),
                title: check.title.clone(),
                strip: of(check).map(|cells| draw::strip(cells)).unwrap_or_default(),
                says: says(check),
            })
            .collect(),
    }
}

/// Why it does not pass, in as few words as there are.
fn says(check: &CheckStatus) -> Vec<String> {
    let judgement = match (check.verdict, &check.judgement) {
        (None, _) => return vec!["not judged yet".to_owned()],
        (Some(Verdict::Pass | Verdict::Off), _) => return Vec::new(),
        (Some(_), None) => return vec!["details need the API token".to_owned()],
        (Some(_), Some(judgement)) => judgement,
    };
    if let Some(blocked) = &judgement.blocked_by {
        // What broke there is told where it broke.
        let broken = blocked.split(": ").next().unwrap_or_default();
        return vec![format!("blocked by {broken}")];
    }
    let mut says: Vec<String> = told(judgement, Some(false));
    if says.is_empty() {
        says.extend(judgement.reason.map(|reason| reason.as_str().replace('_', " ")));
        says.extend(told(judgement, None));
    }
    says.truncate(MESSAGES);
    says
}

/// The messages of the expectations that ended like this, each once.
fn told(judgement: &Judgement, held: Option<bool>) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let ended = judgement
        .expectations
        .iter()
        .filter(|expectation| expectation.held == held);
    for message in ended.map(|expectation| &expectation.message) {
        if !message.is_empty() && !told.contains(message) {
            told.push(message.clone());
        }
    }
    told
}

fn targets(seen: &Seen) -> Vec<TargetView> {
    let targets = seen.catalog.latency_targets.iter();
    let views = targets.map(|(name, target)| {
        let bound_ms = target.seconds * 1000.0;
        let trend = seen.trend.target(name, seen.now, bound_ms);
        let enough = trend.samples >= usize::try_from(target.samples_min).unwrap_or(usize::MAX);
        let verdict = match trend.p95_ms {
            Some(p95) if enough && p95 <= bound_ms => Verdict::Pass,
            Some(_) if enough => Verdict::Fail,
            _ => Verdict::Unknown,
        };
        TargetView {
            mark: draw::mark(Some(verdict)),
            title: target.title.clone(),
            promise: draw::took(bound_ms),
            measured: trend.p95_ms.map_or_else(|| "–".to_owned(), draw::took),
            within: draw::percent(ratio(trend.within, trend.samples)),
            samples: trend.samples,
            spark: draw::sparkline(&trend, bound_ms),
        }
    });
    views.collect()
}
