//! What people tell the daemon: maintenance and annotations. It checks the shape of what they say; what becomes of it is the
//! business of whoever implements [`Notices`].

use super::App;
use super::api::ask::Sent;
use super::problem::Problem;
use crate::clock;
use crate::limits::{ANNOTATION_AGE_MAX, MAINTENANCE_AT_ONCE_MAX, MAINTENANCE_MAX, NOTICE_CHARS_MAX};
use crate::notice::{Annotation, Maintenance};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Carries out what people say.
pub trait Notices: Send + Sync {
    /// Begins maintenance of `modules` (empty: the whole target).
    ///
    /// # Errors
    /// When there is no such module, with a sentence fragment that says so.
    fn maintain(&self, reason: String, modules: Vec<String>, lasts: Duration) -> Result<Maintenance, String>;
    /// Ends the maintenance of this id, or all that people have begun; gives what ended.
    fn end_maintenance(&self, id: Option<&str>) -> Vec<String>;
    /// The maintenance that goes on, recurring windows included.
    fn maintenance(&self) -> Vec<Maintenance>;
    /// Keeps an annotation; one with a version is a deploy mark.
    fn annotate(&self, annotation: Annotation);
}

/// Body of `POST /api/v1/maintenance`: begins one, or ends what was begun.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaintenanceBody {
    reason: Option<String>,
    #[serde(default)]
    modules: Vec<String>,
    lasts: Option<String>,
    #[serde(default)]
    end: bool,
    id: Option<String>,
}

/// Body of `POST /api/v1/annotations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnnotationBody {
    text: String,
    version: Option<String>,
    at: Option<DateTime<Utc>>,
}

/// Maintenance with moments as people read them.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    pub(super) reason: String,
    pub(super) modules: Vec<String>,
    pub(super) whole_target: bool,
    from: String,
    pub(super) until: String,
}

impl From<Maintenance> for Shown {
    fn from(one: Maintenance) -> Self {
        Self {
            whole_target: one.modules.is_empty(),
            from: clock::rfc3339_of(one.from),
            until: clock::rfc3339_of(one.until),
            id: one.id,
            reason: one.reason,
            modules: one.modules,
        }
    }
}

/// The maintenance that goes on.
pub(super) fn shown(app: &App) -> Vec<Shown> {
    app.served.notices.maintenance().into_iter().map(Shown::from).collect()
}

/// `GET /api/v1/maintenance`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    Json(json!({ "maintenance": shown(&app) })).into_response()
}

/// `POST /api/v1/maintenance`.
pub(super) async fn maintain(
    State(app): State<Arc<App>>,
    Sent(body): Sent<MaintenanceBody>,
) -> Result<Response, Problem> {
    const FORM: &str = "write {\"reason\": \"…\", \"lasts\": \"2h\"}, with \"modules\": [\"ID\"] unless it is the whole target, \
                        or {\"end\": true}, with an \"id\" unless all end";
    if body.end {
        return Ok(ended(&app, body.id.as_deref()));
    }
    let (Some(reason), Some(lasts), None) = (&body.reason, &body.lasts, &body.id) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, FORM));
    };
    let reason = text(reason, "reason")?;
    let lasts =
        humantime::parse_duration(lasts).map_err(|error| absurd(&format!("`lasts`: {error}; write 30m or 2h")))?;
    if lasts.is_zero() || lasts > MAINTENANCE_MAX {
        let most = humantime::format_duration(MAINTENANCE_MAX);
        return Err(absurd(&format!("`lasts` is more than nothing and at most {most}")));
    }
    if app.served.notices.maintenance().len() >= MAINTENANCE_AT_ONCE_MAX {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too much maintenance goes on already; end some of it",
        ));
    }
    let begun = app
        .served
        .notices
        .maintain(reason, body.modules, lasts)
        .map_err(|unknown| Problem::new(StatusCode::NOT_FOUND, unknown))?;
    tracing::warn!(id = begun.id, reason = begun.reason, modules = ?begun.modules, "serve.maintenance_begun");
    Ok((StatusCode::CREATED, Json(Shown::from(begun))).into_response())
}

/// `DELETE /api/v1/maintenance`: ends all that people have begun.
pub(super) async fn end(State(app): State<Arc<App>>) -> Response {
    ended(&app, None)
}

fn ended(app: &App, id: Option<&str>) -> Response {
    let ended = app.served.notices.end_maintenance(id);
    tracing::warn!(?ended, "serve.maintenance_ended");
    Json(json!({ "ended": ended })).into_response()
}

/// `POST /api/v1/annotations`.
pub(super) async fn annotate(
    State(app): State<Arc<App>>,
    Sent(body): Sent<AnnotationBody>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let at = body.at.unwrap_or(now);
    let age = now.signed_duration_since(at).to_std().unwrap_or_default();
    if at > now + chrono::Duration::minutes(1) || age > ANNOTATION_AGE_MAX {
        let most = humantime::format_duration(ANNOTATION_AGE_MAX);
        return Err(absurd(&format!("`at` is not in the future and at most {most} ago")));
    }
    let annotation = Annotation {
        at: clock::unix_seconds(at),
        text: text(&body.text, "text")?,
        version: body
            .version
            .as_deref()
            .map(|version| text(version, "version"))
            .transpose()?,
    };
    tracing::info!(text = annotation.text, version = annotation.version, "serve.annotated");
    let answer = json!({ "at": clock::rfc3339(at), "text": annotation.text, "version": annotation.version });
    app.served.notices.annotate(annotation);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// A text for people: one line, not empty, not too long.
fn text(given: &str, what: &str) -> Result<String, Problem> {
    let line = given.trim();
    let fits = !line.is_empty() && line.chars().count() <= NOTICE_CHARS_MAX && !line.chars().any(char::is_control);
    if fits {
        Ok(line.to_owned())
    } else {
        Err(absurd(&format!(
            "`{what}` is one line of 1 to {NOTICE_CHARS_MAX} characters"
        )))
    }
}

/// Well-formed, and not what can be.
fn absurd(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}
