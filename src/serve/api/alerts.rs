//! What fires now and what does not: the desk's own view, beside the last push to each Alertmanager.

use super::viewer;
use crate::alert::Alert;
use crate::clock;
use crate::record::live::Viewer;
use crate::serve::App;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::DateTime;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /api/v1/alerts`.
pub(in crate::serve) async fn now(State(app): State<Arc<App>>, headers: HeaderMap) -> Json<Value> {
    let (board, viewer) = (&app.served.alerts, viewer(&app, &headers));
    let now = board.now();
    let firing: Vec<Value> = now.firing.iter().map(|alert| firing(alert, viewer)).collect();
    let watches: Vec<Value> = now
        .watches
        .iter()
        .map(|watch| {
            json!({
                "socket": watch.socket, "credential": watch.credential, "state": watch.state, "outcome": watch.outcome,
                "since": watch.since.map(time), "judged": watch.judged,
            })
        })
        .collect();
    let catalog = app.served.catalog.load();
    let pushes: Vec<Value> = catalog
        .alerting
        .alertmanagers
        .iter()
        .map(|one| {
            let last = board.pushed(&one.name);
            let fault = last.as_ref().and_then(|last| last.fault);
            json!({
                "alertmanager": one.name, "at": last.map(|last| time(last.at)), "fault": fault.map(|fault| fault.to_string()),
            })
        })
        .collect();
    Json(json!({
        "firing": firing, "drafts": now.drafts, "suppressed": now.suppressed, "watches": watches, "dropped": now.dropped, "pushes": pushes,
    }))
}

/// Its texts quote what was seen, also of sensitive checks: only whoever shows the token reads them.
fn firing(alert: &Alert, viewer: Viewer) -> Value {
    let mut shown = json!({
        "name": alert.id.name, "labels": alert.id.labels, "severity": alert.severity, "owner": alert.owner, "since": time(alert.starts_at),
        "page": alert.page,
    });
    if viewer == Viewer::Operator {
        shown["annotations"] = json!(alert.annotations);
    }
    shown
}

/// RFC 3339 of seconds since 1970.
#[expect(
    clippy::cast_possible_truncation,
    reason = "milliseconds of this century fit; a moment beyond is the epoch"
)]
fn time(unix: f64) -> String {
    clock::rfc3339(DateTime::from_timestamp_millis((unix * 1000.0).round() as i64).unwrap_or_default())
}
