//! `POST /-/reload`: the configuration is loaded again by whoever runs the daemon.

use super::App;
use super::problem::Problem;
use crate::limits::RELOADED_WITHIN;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Asks for a reload. What came of it is answered: what changed, or why all of it was refused.
pub type ReloadAsked = oneshot::Sender<Result<String, String>>;

/// Asks, waits, answers.
pub(super) async fn reload(State(app): State<Arc<App>>) -> Result<String, Problem> {
    let Some(reloads) = &app.served.reloads else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "this daemon was not started from a file that could be loaded again",
        ));
    };
    match tokio::time::timeout(RELOADED_WITHIN, ask(reloads)).await {
        Ok(Some(Ok(changed))) => Ok(format!("{changed}\n")),
        Ok(Some(Err(refused))) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, refused)),
        Ok(None) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping")),
        Err(_) => Err(Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the reload takes too long; the log will say what became of it",
        )),
    }
}

async fn ask(reloads: &mpsc::Sender<ReloadAsked>) -> Option<Result<String, String>> {
    let (asked, answer) = oneshot::channel();
    reloads.send(asked).await.ok()?;
    answer.await.ok()
}
