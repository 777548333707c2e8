//! The JSON API.

use super::problem::Problem;
use super::{App, Wanted};
use crate::record::live::Viewer;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /api/v1/status`: modules, checks and their latest judgements with evidence.
pub(super) async fn status(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let viewer = if app.token.shown(&headers) {
        Viewer::Operator
    } else {
        Viewer::Anyone
    };
    Json(app.served.live.status().seen_by(viewer)).into_response()
}

/// Body of `POST /api/v1/run`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum RunBody {
    Module(String),
    Check(String),
    All(Value),
}

/// `POST /api/v1/run`: one more run of what a module, a check or everything reads.
pub(super) async fn run(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim() == "application/json")
        });
    // A browser form cannot send this type across origins.
    if !json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as application/json",
        ));
    }
    let bad = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "write one of {\"module\": \"ID\"}, {\"check\": \"MODULE/CHECK\"}, {\"all\": true}",
        )
    };
    let wanted = match serde_json::from_slice(&body).map_err(|_| bad())? {
        RunBody::Module(id) => Wanted::Module(id),
        RunBody::Check(id) => Wanted::Check(id),
        RunBody::All(Value::Bool(true)) => Wanted::All,
        RunBody::All(_) => return Err(bad()),
    };
    let scenarios = app
        .served
        .commands
        .run_now(&wanted)
        .map_err(|unknown| Problem::new(StatusCode::NOT_FOUND, unknown))?;
    tracing::info!(?wanted, scenarios = scenarios.len(), "serve.run_now");
    Ok((StatusCode::ACCEPTED, Json(json!({ "scenarios": scenarios }))).into_response())
}
