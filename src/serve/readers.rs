//! Readers who have to say who they are, when the web configuration has users: by name and password, or by the API token.

use super::App;
use super::problem::Problem;
use crate::record::metrics::Refused;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// Lets readers through.
pub(super) async fn reader(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match admit(&app, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(web) = app.web.as_ref().filter(|web| web.has_users()) else {
        return Ok(());
    };
    let Some((name, password)) = basic(headers) else {
        if app.token.shown(headers) {
            return Ok(());
        }
        return Err(Problem::who_are_you("readers have to say who they are"));
    };
    if app.token.brake.holds() {
        return Err(
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords; wait a minute")
                .refusing(Refused::Brake),
        );
    }
    if web.admits(&name, &password).await {
        return Ok(());
    }
    app.token.brake.wrong();
    Err(Problem::who_are_you("name or password is wrong"))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
