//! The JSON API. Described by `docs/openapi.yaml`, which is served too and which the tests hold against the routes.

pub(super) mod alerts;
pub(super) mod ask;
pub(super) mod incidents;
pub(super) mod now;
pub(super) mod reports;
mod spec;
pub(super) mod stored;

pub(super) use spec::openapi;

use super::problem::Problem;
use super::{App, Wanted};
use crate::catalog::Check;
use crate::clock;
use crate::record::live::Viewer;
use crate::sensitive::shows;
use ask::Sent;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Body of `POST /api/v1/run`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum RunBody {
    Module(String),
    Check(String),
    All(Value),
}

/// `POST /api/v1/run`: one more run of what a module, a check or everything reads.
pub(super) async fn run(State(app): State<Arc<App>>, Sent(body): Sent<RunBody>) -> Result<Response, Problem> {
    let wanted = match body {
        RunBody::Module(id) => Wanted::Module(id),
        RunBody::Check(id) => Wanted::Check(id),
        RunBody::All(Value::Bool(true)) => Wanted::All,
        RunBody::All(_) => {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "write one of {\"module\": \"ID\"}, {\"check\": \"MODULE/CHECK\"}, {\"all\": true}",
            ));
        }
    };
    let scenarios = app
        .served
        .commands
        .run_now(&wanted)
        .map_err(|unknown| Problem::new(StatusCode::NOT_FOUND, unknown))?;
    tracing::info!(?wanted, scenarios = scenarios.len(), "serve.run_now");
    Ok((StatusCode::ACCEPTED, Json(json!({ "scenarios": scenarios }))).into_response())
}

/// Whoever shows the token sees everything.
pub(super) fn viewer(app: &App, headers: &HeaderMap) -> Viewer {
    if app.token.shown(headers) {
        Viewer::Operator
    } else {
        Viewer::Anyone
    }
}

/// The check of the catalog.
pub(super) fn check_of(app: &App, module: &str, id: &str) -> Result<Arc<Check>, Problem> {
    let catalog = app.served.catalog.load();
    let module = catalog.modules.iter().find(|known| known.id == module);
    module
        .and_then(|module| module.checks.iter().find(|check| check.id == id))
        .cloned()
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such check"))
}

/// Lets the caller see what is sensitive only with the token.
pub(super) fn may_see(app: &App, headers: &HeaderMap, sensitive: bool) -> Result<(), Problem> {
    if shows(sensitive, Viewer::Anyone) {
        Ok(())
    } else {
        app.token.check(headers)
    }
}

/// Whether a sensitive check reads this scenario: then its evidence is sensitive too.
pub(super) fn scenario_is_sensitive(app: &App, scenario: &str) -> bool {
    let catalog = app.served.catalog.load();
    let checks = catalog.modules.iter().flat_map(|module| &module.checks);
    checks
        .filter(|check| check.sensitive)
        .any(|check| check.scenarios().contains(&scenario))
}

/// Seconds since 1970 as RFC 3339.
pub(super) fn rfc3339(unix: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "microseconds of this millennium fit an i64"
    )]
    let at = DateTime::from_timestamp_micros((unix * 1e6) as i64);
    at.map(clock::rfc3339).unwrap_or_default()
}
