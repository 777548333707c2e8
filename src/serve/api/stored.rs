//! What was: judgements and runs, a page at a time.

use super::ask::{Asked, Named, RunsQuery, SpanQuery};
use super::{check_of, may_see, rfc3339, scenario_is_sensitive, viewer};
use crate::clock;
use crate::history::{RunHead, VerdictHead};
use crate::sensitive::shows;
use crate::serve::problem::Problem;
use crate::serve::{App, stored};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /api/v1/checks/{module}/{check}/judgements`.
pub(in crate::serve) async fn judgements(
    State(app): State<Arc<App>>,
    Named((module, id)): Named<(String, String)>,
    Asked(query): Asked<SpanQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let sensitive = check_of(&app, &module, &id)?.sensitive;
    let seen = may_see(&app, &headers, sensitive).is_ok();
    let span = query.span(clock::now())?;
    let check = format!("{module}/{id}");
    let page = stored(&app, move |reader| reader.browse_verdicts(&check, &span)).await?;
    let items: Vec<Value> = page.items.iter().map(|head| verdict_json(head, seen)).collect();
    Ok(Json(
        json!({ "items": items, "next": page.next.map(|next| next.to_string()) }),
    ))
}

/// `GET /api/v1/checks/{module}/{check}/judgements/{judgement}`: with everything that was compared.
pub(in crate::serve) async fn judgement(
    State(app): State<Arc<App>>,
    Named((module, id, row)): Named<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let missing = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "there is no such judgement, or it is no longer kept",
        )
    };
    may_see(&app, &headers, check_of(&app, &module, &id)?.sensitive)?;
    let row: i64 = row.parse().map_err(|_| missing())?;
    let check = format!("{module}/{id}");
    let text = stored(&app, move |reader| reader.judgement(&check, row)).await?;
    let text = text.ok_or_else(missing)?;
    Ok(Json(serde_json::from_str(&text).map_err(|_| missing())?))
}

/// `GET /api/v1/runs`.
pub(in crate::serve) async fn runs(
    State(app): State<Arc<App>>,
    Asked(query): Asked<RunsQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (scenario, span) = query.split();
    let span = span.span(clock::now())?;
    let page = stored(&app, move |reader| reader.browse_runs(scenario.as_deref(), &span)).await?;
    let viewer = viewer(&app, &headers);
    let seen = |head: &RunHead| shows(scenario_is_sensitive(&app, &head.scenario), viewer);
    let items: Vec<Value> = page.items.iter().map(|head| run_json(head, seen(head))).collect();
    Ok(Json(
        json!({ "items": items, "next": page.next.map(|next| next.to_string()) }),
    ))
}

/// `GET /api/v1/runs/{run}`: with its transcript, as long as that is kept.
pub(in crate::serve) async fn run(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let run = stored(&app, move |reader| reader.run(&id)).await?;
    let run = run.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such run"))?;
    may_see(&app, &headers, scenario_is_sensitive(&app, &run.scenario))?;
    let transcript: Option<Value> = run.transcript.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Json(json!({
        "id": run.id,
        "scenario": run.scenario,
        "started_at": rfc3339(run.at),
        "transcript": transcript,
    })))
}

/// A judgement in a list; of a sensitive one only that there is one.
pub(super) fn verdict_json(head: &VerdictHead, seen: bool) -> Value {
    json!({
        "id": head.row.to_string(),
        "at": rfc3339(head.at),
        "verdict": head.verdict,
        "reason": head.reason,
        "kind": head.kind.as_ref().filter(|_| seen),
        "detail": head.detail.as_ref().filter(|_| seen),
        "duration_ms": head.duration_ms,
        "kept": head.kept,
    })
}

/// A run in a list; of one that a sensitive check reads, not how it ended.
fn run_json(head: &RunHead, seen: bool) -> Value {
    let broke = head.broke.as_ref().filter(|_| seen);
    json!({
        "id": head.id,
        "scenario": head.scenario,
        "started_at": rfc3339(head.at),
        "duration_ms": head.duration_ms,
        "broke_off": broke.map(|(step, kind)| json!({ "step": step, "kind": kind })),
        "kept": head.kept,
    })
}
