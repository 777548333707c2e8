//! The status page: server-rendered, complete without a script, everything that a target or a configuration said is escaped
//! text. A small script of ours keeps it live and asks for runs; a strict policy allows nothing else.

mod check;
mod draw;
mod evidence;
mod frame;
mod overview;
#[cfg(test)]
mod timing;

use super::api::ask::{Asked, Named};
use super::api::{check_of, may_see, scenario_is_sensitive};
use super::problem::Problem;
use super::{App, Health, stored};
use crate::clock;
use crate::history::{HistoryError, Reader, Span, VerdictHead};
use crate::limits::PAGE_RENDERED_FOR;
use crate::record::live::Viewer;
use crate::run::Judgement;
use crate::transcript::Transcript;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use check::{CheckPage, RunPage};
use evidence::RunView;
use frame::Frame;
use overview::{Fact, Overview};
use serde::Deserialize;
use std::sync::{Arc, PoisonError};
use tokio::time::Instant;

/// Judgements listed on the page of a check.
const LAST: u32 = 20;
/// Runs whose evidence is shown for one judgement.
const RUNS: usize = 6;

/// `GET /page.css`.
pub(super) async fn style() -> Response {
    let style = include_str!("../../templates/page.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], style).into_response()
}

/// `GET /live.js`.
pub(super) async fn script() -> Response {
    let script = include_str!("../../templates/live.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
}

/// `GET /icon.svg`.
pub(super) async fn icon() -> Response {
    let icon = include_str!("../../templates/icon.svg");
    ([(header::CONTENT_TYPE, "image/svg+xml")], icon).into_response()
}

/// `GET /`: rendered once for all readers that come within [`PAGE_RENDERED_FOR`].
pub(super) async fn overview(State(app): State<Arc<App>>) -> Result<Html<String>, Problem> {
    {
        let drawn = app.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, page)) = drawn.as_ref().filter(|(at, _)| at.elapsed() < PAGE_RENDERED_FOR) {
            tracing::trace!(?at, "serve.page_again");
            return Ok(Html(page.clone()));
        }
    }
    let page = render(&overview_of(&app))?;
    let mut drawn = app.drawn.lock().unwrap_or_else(PoisonError::into_inner);
    *drawn = Some((Instant::now(), page.0.clone()));
    Ok(page)
}

fn overview_of(app: &App) -> Overview {
    let catalog = app.served.catalog.load();
    Overview::of(overview::Seen {
        status: &app.served.live.status().seen_by(Viewer::Anyone),
        catalog: &catalog,
        trend: &app.served.trend,
        now: clock::unix_seconds(clock::now()),
        monitor: monitor(app),
    })
}

const SKIPPED: &str = "stagewatch_scheduler_skipped_runs_total";
const ERRORS: &str = "stagewatch_history_write_errors_total";
const LOST: &str = "stagewatch_history_dropped_rows_total";
const CONTROLS: &str = "stagewatch_controls_reachable_ratio";
const BUDGET: &str = "stagewatch_budget_remaining_ratio";
const MEMORY: &str = "process_resident_memory_bytes";
/// Metrics about the monitor that the page shows.
const OWN: [&str; 6] = [SKIPPED, ERRORS, LOST, CONTROLS, BUDGET, MEMORY];

/// What is known of the monitor itself.
fn monitor(app: &App) -> Vec<Fact> {
    let fact = |name: &str, value: String, bad| Fact {
        name: name.to_owned(),
        value,
        bad,
    };
    let mut facts = vec![match (app.served.health)() {
        Health::Well => fact("health", "well".to_owned(), false),
        Health::Degraded(why) => fact("health", why, true),
    }];
    if let Some(why) = &app.served.live.status().config_refused {
        let first = why.lines().next().unwrap_or_default();
        facts.push(fact(
            "configuration",
            format!("the last reload was refused: {first}"),
            true,
        ));
    }
    let read = app.served.metrics.read(&OWN);
    let of = |name: &str| read.get(name).map(Vec::as_slice).unwrap_or_default();
    let total = |name: &str| of(name).iter().map(|reading| reading.value).sum::<f64>();
    for (name, metric, bad) in [
        ("slots missed", SKIPPED, false),
        ("write errors", ERRORS, true),
        ("rows lost", LOST, true),
    ] {
        let count = total(metric);
        facts.push(fact(name, format!("{count:.0}"), bad && count > 0.0));
    }
    if let Some(share) = of(CONTROLS).first().map(|reading| reading.value) {
        facts.push(fact("controls reachable", draw::percent(Some(share)), share < 0.5));
    }
    for reading in of(BUDGET) {
        let name = format!("budget {}", reading.labels.concat().replace('_', " "));
        let left = reading.value;
        facts.push(fact(&name, format!("{} left", draw::percent(Some(left))), left < 0.1));
    }
    facts.push(fact(
        "memory",
        format!("{:.0} MiB", total(MEMORY) / 1024.0 / 1024.0),
        false,
    ));
    facts
}

/// Query of a check's page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckQuery {
    /// Number of an earlier judgement.
    judgement: Option<String>,
}

/// What of a check's page is in the history.
struct Past {
    last: Vec<VerdictHead>,
    judgement: Option<Judgement>,
    runs: Vec<RunView>,
}

/// `GET /checks/{module}/{check}`.
pub(super) async fn check(
    State(app): State<Arc<App>>,
    Named((module, id)): Named<(String, String)>,
    Asked(query): Asked<CheckQuery>,
) -> Result<Html<String>, Problem> {
    let check = check_of(&app, &module, &id)?;
    let status = app.served.live.status().seen_by(Viewer::Anyone);
    let missing = || Problem::new(StatusCode::NOT_FOUND, "there is no such check or judgement");
    let row = query.judgement.as_deref().map(str::parse::<i64>).transpose();
    let row = row.map_err(|_| missing())?;
    let now_module = status.modules.iter().find(|known| known.id == module);
    let now = now_module.and_then(|known| known.checks.iter().find(|known| known.id == id));
    let now = now.ok_or_else(missing)?;
    let catalog = app.served.catalog.load_full();
    let known = catalog.modules.iter().find(|known| known.id == module);
    let known = known.ok_or_else(missing)?;

    let full = check.full_id();
    let latest = now.judgement.clone();
    let past = stored(&app, move |reader| past(reader, &full, row, latest.as_deref().cloned())).await?;
    if row.is_some() && past.judgement.is_none() {
        return Err(missing());
    }
    let at = clock::unix_seconds(clock::now());
    let strip = app.served.trend.strips(at).remove(&check.full_id());
    render(&CheckPage::of(check::Seen {
        status: &status,
        catalog: &catalog,
        module: known,
        check: &check,
        now,
        strip: strip.unwrap_or_default(),
        over: app.served.trend.over(),
        judgement: past.judgement,
        row,
        last: past.last,
        runs: past.runs,
    }))
}

/// The last judgements of a check, the one to show, and the runs that it read.
fn past(reader: &Reader, check: &str, row: Option<i64>, latest: Option<Judgement>) -> Result<Past, HistoryError> {
    let span = Span {
        from: 0.0,
        until: f64::MAX,
        after: None,
        limit: LAST,
    };
    let last = reader.browse_verdicts(check, &span)?.items;
    let judgement = match row {
        Some(row) => reader
            .judgement(check, row)?
            .and_then(|text| serde_json::from_str(&text).ok()),
        None => latest,
    };
    let mut runs = Vec::new();
    for read in judgement
        .iter()
        .flat_map(|judgement: &Judgement| &judgement.transcripts)
        .take(RUNS)
    {
        let transcript = reader.run(&read.run)?.and_then(|run| run.transcript);
        let transcript: Option<Transcript> = transcript.and_then(|text| serde_json::from_str(&text).ok());
        runs.extend(transcript.map(|transcript| RunView::of(&transcript, &read.entries)));
    }
    Ok(Past { last, judgement, runs })
}

/// `GET /runs/{run}`.
pub(super) async fn run(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "there is no such run, or it is no longer kept");
    let run = stored(&app, move |reader| reader.run(&id)).await?.ok_or_else(missing)?;
    may_see(&app, &headers, scenario_is_sensitive(&app, &run.scenario))?;
    let transcript = run
        .transcript
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let transcript: Transcript = transcript.ok_or_else(missing)?;
    let status = app.served.live.status();
    render(&RunPage {
        frame: Frame::of(&status, &run.scenario, app.served.trend.over()),
        runs: vec![RunView::of(&transcript, &[])],
    })
}

fn render(page: &impl Template) -> Result<Html<String>, Problem> {
    page.render().map(Html).map_err(|error| {
        tracing::error!(%error, "serve.page_not_drawn");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be drawn")
    })
}
