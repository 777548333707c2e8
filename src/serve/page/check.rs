//! The page of one check, and that of one run.

use super::draw;
use super::evidence::RunView;
use super::frame::{Frame, clock_time};
use crate::catalog::{Catalog, Check, Module};
use crate::history::VerdictHead;
use crate::record::live::{CheckStatus, Status};
use crate::run::{Compared, Judgement};
use crate::verdict::Verdict;
use askama::Template;
use std::time::Duration;
use url::Url;

/// The page of one check.
#[derive(Template)]
#[template(path = "check.html")]
pub(super) struct CheckPage {
    frame: Frame,
    module: String,
    module_title: String,
    id: String,
    title: String,
    description: String,
    severity: &'static str,
    owner: String,
    mark: &'static str,
    says: String,
    strip: String,
    links: Vec<Link>,
    /// The judgement shown, if there is one and the reader may see it.
    judged: Option<JudgedView>,
    /// Whether another judgement than the latest is shown.
    earlier: bool,
    sensitive: bool,
    last: Vec<LastView>,
    runs: Vec<RunView>,
}

/// A way out of the page; only from the configuration, never from a target.
struct Link {
    name: &'static str,
    href: String,
}

struct JudgedView {
    mark: &'static str,
    at: String,
    says: String,
    took: String,
    expectations: Vec<ExpectationView>,
    notes: Vec<String>,
}

struct ExpectationView {
    mark: &'static str,
    part: String,
    that: String,
    message: String,
    values: Vec<(String, String)>,
}

struct LastView {
    mark: &'static str,
    at: String,
    href: Option<String>,
    says: String,
    took: String,
    shown: bool,
}

/// What the page is made of.
pub(super) struct Seen<'a> {
    pub(super) status: &'a Status,
    pub(super) catalog: &'a Catalog,
    pub(super) module: &'a Module,
    pub(super) check: &'a Check,
    pub(super) now: &'a CheckStatus,
    pub(super) strip: Vec<Option<Verdict>>,
    pub(super) over: Duration,
    /// The judgement to show.
    pub(super) judgement: Option<Judgement>,
    /// Its number, if it is not simply the latest.
    pub(super) row: Option<i64>,
    pub(super) last: Vec<VerdictHead>,
    pub(super) runs: Vec<RunView>,
}

impl CheckPage {
    pub(super) fn of(seen: Seen) -> Self {
        let (module, check) = (seen.module, seen.check);
        let open = !check.sensitive;
        Self {
            frame: Frame::of(seen.status, &check.title, seen.over),
            module: module.id.clone(),
            module_title: module.title.clone(),
            id: check.id.clone(),
            title: check.title.clone(),
            description: check.description.clone(),
            severity: check.severity.as_str(),
            owner: module.owner.clone(),
            mark: draw::mark(seen.now.verdict),
            says: says(seen.now),
            strip: draw::strip(&seen.strip),
            links: links(seen.catalog, module, check),
            judged: seen.judgement.as_ref().filter(|_| open).map(judged),
            earlier: seen.row.is_some(),
            sensitive: check.sensitive,
            last: seen.last.iter().map(|head| last(head, &seen, open)).collect(),
            runs: if open { seen.runs } else { Vec::new() },
        }
    }
}

/// The present verdict in words.
fn says(check: &CheckStatus) -> String {
    let Some(verdict) = check.verdict else {
        return "Not judged yet".to_owned();
    };
    let mut words = vec![verdict.to_string()];
    words.extend(
        check
            .reason
            .map(|reason| format!("({})", reason.as_str().replace('_', " "))),
    );
    words.extend(check.since.as_ref().map(|since| format!("since {}", clock_time(since))));
    if check.consecutive_failures > 1 {
        words.push(format!("· failed {} times in a row", check.consecutive_failures));
    }
    if verdict != Verdict::Pass {
        let passed = check.last_pass_at.as_ref();
        words.push(passed.map_or("· has not passed since the start".to_owned(), |at| {
            format!("· last passed {}", clock_time(at))
        }));
    }
    words.join(" ")
}

fn links(catalog: &Catalog, module: &Module, check: &Check) -> Vec<Link> {
    let mut links = Vec::new();
    if let Some(runbook) = check.runbook.as_ref().or(module.runbook.as_ref()) {
        links.push(Link {
            name: "runbook",
            href: runbook.clone(),
        });
    }
    if let Some(base) = &catalog.alerting.dashboards {
        links.push(Link {
            name: "dashboard",
            href: dashboard(base, &module.id),
        });
    }
    links
}

/// The module's dashboard below the configured Grafana.
fn dashboard(base: &Url, module: &str) -> String {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["d", "stagewatch-module"]);
    }
    url.query_pairs_mut().append_pair("var-module", module);
    url.into()
}

fn judged(judgement: &Judgement) -> JudgedView {
    let mut says = judgement.verdict.to_string();
    if let Some(reason) = judgement.reason {
        says += &format!(": {}", reason.as_str().replace('_', " "));
    }
    if let Some(blocked) = &judgement.blocked_by {
        says += &format!(" {blocked}");
    }
    if let Some(failure) = &judgement.failure {
        says += &format!(" · {} · {}", failure.kind, failure.detail);
    }
    JudgedView {
        mark: draw::mark(Some(judgement.verdict)),
        at: judgement.at.clone(),
        says,
        took: draw::took(judgement.duration_ms),
        expectations: judgement
            .expectations
            .iter()
            .map(|expectation| ExpectationView {
                mark: draw::mark(Some(match expectation.held {
                    Some(true) => Verdict::Pass,
                    Some(false) => Verdict::Fail,
                    None => Verdict::Unknown,
                })),
                part: expectation.part.clone(),
                that: expectation.that.clone(),
                message: expectation.message.clone(),
                values: expectation.values.iter().map(compared).collect(),
            })
            .collect(),
        notes: judgement.notes.clone(),
    }
}

fn compared(compared: &Compared) -> (String, String) {
    let value = compared
        .value
        .as_ref()
        .map_or("no value".to_owned(), ToString::to_string);
    (compared.expression.clone(), value)
}

fn last(head: &VerdictHead, seen: &Seen, open: bool) -> LastView {
    let words = [head.reason.as_deref(), head.kind.as_deref(), head.detail.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().filter(|_| open).collect();
    let href = format!("/checks/{}/{}?judgement={}", seen.module.id, seen.check.id, head.row);
    LastView {
        mark: draw::mark(head.verdict.parse().ok()),
        at: crate::serve::api::rfc3339(head.at),
        href: (open && head.kept).then_some(href),
        says: words.join(" · "),
        took: head.duration_ms.map(draw::took).unwrap_or_default(),
        shown: seen.row == Some(head.row),
    }
}

/// The page of one run.
#[derive(Template)]
#[template(path = "run.html")]
pub(super) struct RunPage {
    pub(super) frame: Frame,
    pub(super) runs: Vec<RunView>,
}
