//! Incidents: what failed together, why, and what was told about it.

use super::ask::{Asked, Named, SpanQuery};
use super::{rfc3339, viewer};
use crate::clock;
use crate::history::{IncidentFilter, StoredAlert};
use crate::incident::{Incident, Member};
use crate::notice::Annotation;
use crate::serve::problem::Problem;
use crate::serve::{App, stored};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Query of `GET /api/v1/incidents`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct IncidentsQuery {
    open: Option<bool>,
    member: Option<String>,
    from: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl IncidentsQuery {
    fn split(self) -> (IncidentFilter, SpanQuery) {
        let filter = IncidentFilter {
            open: self.open,
            member: self.member,
            ..IncidentFilter::default()
        };
        (filter, SpanQuery::new((self.from, self.until), self.limit, self.cursor))
    }
}

/// `GET /api/v1/incidents`: those that went on within a time range, newest first.
pub(in crate::serve) async fn incidents(
    State(app): State<Arc<App>>,
    Asked(query): Asked<IncidentsQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let (filter, span) = query.split();
    let span = span.span(clock::now())?;
    let viewer = viewer(&app, &headers);
    let page = stored(&app, move |reader| reader.browse_incidents(&filter, &span)).await?;
    let items: Vec<Value> = page.items.iter().map(|one| head(&one.seen_by(viewer))).collect();
    Ok(Json(
        json!({ "items": items, "next": page.next.map(|next| next.to_string()) }),
    ))
}

/// `GET /api/v1/incidents/{incident}`: with its diagnosis and whys, what changed, what was alerted and what people said.
pub(in crate::serve) async fn incident(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let found = stored(&app, move |reader| reader.account(&id)).await?;
    let whole = found.ok_or_else(missing)?.seen_by(viewer(&app, &headers));
    let mut shown = head(&whole.incident);
    let incident = serde_json::to_value(&whole.incident).unwrap_or_default();
    for (name, value) in incident.as_object().into_iter().flatten() {
        if shown.get(name).is_none() {
            shown[name] = value.clone();
        }
    }
    shown["alerts"] = whole.alerts.iter().map(alert).collect();
    shown["marks"] = whole.marks.iter().map(mark).collect();
    shown["evidence_kept"] = json!(whole.evidence_kept);
    Ok(Json(shown))
}

/// `GET /api/v1/incidents/{incident}/evidence`: what it was judged from, as `judge` and `diagnose` read it.
pub(in crate::serve) async fn evidence(
    State(app): State<Arc<App>>,
    Named(id): Named<String>,
) -> Result<Json<Value>, Problem> {
    let text = stored(&app, move |reader| reader.incident_evidence(&id)).await?;
    let read = text.and_then(|text| serde_json::from_str(&text).ok());
    let gone = "there is no such incident, or its evidence is no longer kept";
    read.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, gone))
}

/// There is no such incident.
pub(in crate::serve) fn missing() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no such incident, or it is no longer kept",
    )
}

/// An incident in a list.
fn head(incident: &Incident) -> Value {
    let now = clock::unix_seconds(clock::now());
    let lead = incident.diagnosis.lead();
    json!({
        "id": incident.id,
        "title": incident.title,
        "severity": incident.severity,
        "opened_at": rfc3339(incident.opened_at),
        "closed_at": incident.closed_at.map(rfc3339),
        "duration_s": incident.duration_s(now),
        "cause": lead.map(|cause| &cause.title),
        "members": incident.members.iter().map(member).collect::<Vec<_>>(),
        "first_bad": incident.first_bad,
        "last_good": incident.last_good,
    })
}

fn member(member: &Member) -> Value {
    json!({
        "kind": member.kind,
        "name": member.name,
        "says": member.says,
        "since": rfc3339(member.since),
        "until": member.until.map(rfc3339),
        "aftermath": member.aftermath,
    })
}

fn alert(alert: &StoredAlert) -> Value {
    json!({
        "name": alert.id.name,
        "labels": alert.id.labels,
        "severity": alert.severity,
        "owner": alert.owner,
        "started_at": rfc3339(alert.started),
        "ended_at": alert.ended.map(rfc3339),
        "annotations": alert.annotations,
    })
}

fn mark(mark: &Annotation) -> Value {
    json!({ "at": rfc3339(mark.at), "text": mark.text, "version": mark.version })
}
