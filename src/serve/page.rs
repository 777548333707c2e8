//! The status page: server-rendered, complete without a script, everything that a target or a configuration said is escaped
//! text. A small script of ours keeps it live and asks for runs; a strict policy allows nothing else.

mod check;
mod draw;
mod evidence;
mod frame;
mod incident;
mod monitor;
mod overview;
#[cfg(test)]
mod timing;

use super::api::ask::{Asked, Named};
use super::api::incidents::missing;
use super::api::{check_of, may_see, rfc3339, scenario_is_sensitive};
use super::problem::Problem;
use super::{App, notices, stored};
use crate::catalog::Logs;
use crate::clock;
use crate::history::{HistoryError, IncidentFilter, Reader, Span, VerdictHead};
use crate::incident::Incident;
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
use frame::{Frame, day_time};
use incident::{IncidentPage, IncidentView, IncidentsPage};
use overview::Overview;
use serde::Deserialize;
use std::sync::{Arc, PoisonError};
use tokio::time::Instant;

/// Judgements listed on the page of a check.
const LAST: u32 = 20;
/// Open incidents shown on the overview; the page of incidents has them all.
const OPEN: u32 = 5;
/// Incidents that are over, on one page.
const OVER: u32 = 10;
/// Iterations listed.
const REPORTS: u32 = 24;
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
    let open = stored(&app, |reader| reader.incidents(&open(OPEN))).await?;
    let page = render(&overview_of(&app, &open))?;
    let mut drawn = app.drawn.lock().unwrap_or_else(PoisonError::into_inner);
    *drawn = Some((Instant::now(), page.0.clone()));
    Ok(page)
}

/// Those that are open.
fn open(limit: u32) -> IncidentFilter {
    IncidentFilter {
        open: Some(true),
        limit,
        ..IncidentFilter::default()
    }
}

fn overview_of(app: &App, open: &[Incident]) -> Overview {
    let catalog = app.served.catalog.load();
    Overview::of(overview::Seen {
        status: &app.served.live.status().seen_by(Viewer::Anyone),
        catalog: &catalog,
        trend: &app.served.trend,
        now: clock::unix_seconds(clock::now()),
        open,
        maintenance: notices::shown(app),
        monitor: monitor::facts(app),
    })
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
    let logs = catalog.target.logs.clone();
    let read = stored(&app, move |reader| {
        past(reader, (&full, row), latest.as_deref().cloned(), logs.as_ref())
    });
    let past = read.await?;
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
fn past(
    reader: &Reader,
    (check, row): (&str, Option<i64>),
    latest: Option<Judgement>,
    logs: Option<&Logs>,
) -> Result<Past, HistoryError> {
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
        runs.extend(transcript.map(|transcript| RunView::of(&transcript, &read.entries, logs)));
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
        runs: vec![RunView::of(
            &transcript,
            &[],
            app.served.catalog.load().target.logs.as_ref(),
        )],
    })
}

/// Query of the page of incidents.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentsQuery {
    /// Where it goes on.
    cursor: Option<String>,
}

/// `GET /incidents`.
pub(super) async fn incidents(
    State(app): State<Arc<App>>,
    Asked(query): Asked<IncidentsQuery>,
) -> Result<Html<String>, Problem> {
    let after = query.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|()| Problem::new(StatusCode::BAD_REQUEST, "`cursor` is none that a page gave"))?;
    let span = |limit, after| Span {
        from: 0.0,
        until: f64::MAX,
        after,
        limit,
    };
    let over = IncidentFilter {
        open: Some(false),
        ..IncidentFilter::default()
    };
    let read = stored(&app, move |reader| {
        let open = reader.incidents(&open(0))?;
        let over = reader.browse_incidents(&over, &span(OVER, after))?;
        Ok((open, over, reader.browse_iterations(&span(REPORTS, None))?))
    });
    let (open, over, reports) = read.await?;
    let now = clock::unix_seconds(clock::now());
    let shown = |found: &[Incident]| {
        let views = found.iter();
        views
            .map(|one| IncidentView::short(&one.seen_by(Viewer::Anyone), now))
            .collect()
    };
    let reports = reports.items.into_iter();
    render(&IncidentsPage {
        frame: Frame::of(&app.served.live.status(), "Incidents", app.served.trend.over()),
        open: shown(&open),
        over: shown(&over.items),
        next: over.next.map(|next| next.to_string()),
        reports: reports.map(|(number, at)| (number, day_time(&rfc3339(at)))).collect(),
    })
}

/// `GET /incidents/{incident}`.
pub(super) async fn incident(State(app): State<Arc<App>>, Named(id): Named<String>) -> Result<Html<String>, Problem> {
    let found = stored(&app, move |reader| reader.account(&id)).await?;
    let whole = found.ok_or_else(missing)?.seen_by(Viewer::Anyone);
    let status = app.served.live.status();
    let frame = Frame::of(&status, &whole.incident.title, app.served.trend.over());
    render(&IncidentPage::of(frame, &whole, clock::unix_seconds(clock::now())))
}

fn render(page: &impl Template) -> Result<Html<String>, Problem> {
    page.render().map(Html).map_err(|error| {
        tracing::error!(%error, "serve.page_not_drawn");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be drawn")
    })
}
