//! What holds now: status, modules, checks.

use super::ask::{Asked, Named, limit, offset};
use super::{check_of, viewer};
use crate::clock;
use crate::history::Span;
use crate::record::live::{CheckStatus, ModuleStatus, Status};
use crate::serve::problem::Problem;
use crate::serve::{App, notices, stored};
use crate::verdict::Verdict;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Judgements shown beside a check.
const LAST: u32 = 10;

/// `GET /api/v1/status`: modules, checks and their latest judgements with evidence.
pub(in crate::serve) async fn status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let status = StatusNow {
        status: app.served.live.status().seen_by(viewer(&app, &headers)),
        maintenance: notices::shown(&app),
    };
    Json(status).into_response()
}

/// The status with the maintenance that goes on.
#[derive(Serialize)]
struct StatusNow {
    #[serde(flatten)]
    status: Status,
    maintenance: Vec<notices::Shown>,
}

/// `GET /api/v1/modules`.
pub(in crate::serve) async fn modules(State(app): State<Arc<App>>) -> Json<Value> {
    let status = app.served.live.status();
    let items: Vec<Value> = status.modules.iter().map(|module| module_json(&app, module)).collect();
    Json(json!({ "items": items }))
}

/// `GET /api/v1/modules/{module}`.
pub(in crate::serve) async fn module(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
) -> Result<Json<Value>, Problem> {
    let status = app.served.live.status();
    let module = status.modules.iter().find(|module| module.id == id);
    let module = module.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such module"))?;
    Ok(Json(module_json(&app, module)))
}

/// A module with the ids and verdicts of its checks.
fn module_json(app: &App, module: &ModuleStatus) -> Value {
    let catalog = app.served.catalog.load();
    let known = catalog.modules.iter().find(|known| known.id == module.id);
    let checks: Vec<Value> = module
        .checks
        .iter()
        .map(|check| json!({ "id": check.id, "title": check.title, "verdict": check.verdict, "reason": check.reason }))
        .collect();
    json!({
        "id": module.id,
        "number": module.number,
        "title": module.title,
        "owner": known.map(|known| &known.owner),
        "severity": known.map(|known| known.severity),
        "runbook": known.and_then(|known| known.runbook.as_ref()),
        "verdict": module.verdict,
        "pass_ratio": module.pass_ratio,
        "coverage_ratio": module.coverage_ratio,
        "checks": checks,
    })
}

/// Query of `GET /api/v1/checks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct ChecksQuery {
    module: Option<String>,
    verdict: Option<String>,
    limit: Option<String>,
    offset: Option<String>,
}

/// `GET /api/v1/checks`: every check with its latest verdict, without evidence.
pub(in crate::serve) async fn checks(
    State(app): State<Arc<App>>,
    Asked(query): Asked<ChecksQuery>,
) -> Result<Json<Value>, Problem> {
    let verdict = query.verdict.as_deref().map(str::parse::<Verdict>).transpose();
    let verdict = verdict.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error))?;
    let most = usize::try_from(limit(query.limit.as_deref())?).unwrap_or(usize::MAX);
    let skipped = offset(query.offset.as_deref())?;
    let status = app.served.live.status();
    let found: Vec<Value> = status
        .modules
        .iter()
        .filter(|module| query.module.as_ref().is_none_or(|wanted| *wanted == module.id))
        .flat_map(|module| module.checks.iter().map(move |check| (module, check)))
        .filter(|(_, check)| verdict.is_none_or(|wanted| check.verdict == Some(wanted)))
        .map(|(module, check)| check_json(&module.id, check))
        .collect();
    let total = found.len();
    let items: Vec<Value> = found.into_iter().skip(skipped).take(most).collect();
    let next = skipped.saturating_add(items.len());
    let next = (next < total && !items.is_empty()).then_some(next);
    Ok(Json(json!({ "items": items, "total": total, "next": next })))
}

/// `GET /api/v1/checks/{module}/{check}`: one check with its latest judgement and those before it.
pub(in crate::serve) async fn check(
    State(app): State<Arc<App>>,
    Named((module, id)): Named<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    check_of(&app, &module, &id)?;
    let status = app.served.live.status().seen_by(viewer(&app, &headers));
    let known = status.modules.iter().find(|known| known.id == module);
    let known = known.and_then(|known| known.checks.iter().find(|check| check.id == id));
    let known = known.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such check"))?;
    let span = Span {
        from: 0.0,
        until: clock::unix_seconds(clock::now()),
        after: None,
        limit: LAST,
    };
    let full = format!("{module}/{id}");
    let last = stored(&app, move |reader| reader.browse_verdicts(&full, &span)).await?;
    let mut shown = check_json(&module, known);
    shown["description"] = json!(known.description);
    shown["judgement"] = json!(known.judgement.as_deref());
    shown["last"] = last
        .items
        .iter()
        .map(|head| super::stored::verdict_json(head, !known.sensitive || known.judgement.is_some()))
        .collect();
    Ok(Json(shown))
}

fn check_json(module: &str, check: &CheckStatus) -> Value {
    json!({
        "module": module,
        "id": check.id,
        "title": check.title,
        "severity": check.severity,
        "verdict": check.verdict,
        "reason": check.reason,
        "since": check.since,
        "last_pass_at": check.last_pass_at,
        "consecutive_failures": check.consecutive_failures,
    })
}
