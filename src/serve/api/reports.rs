//! Stored iterations, each as a report in any of the forms that `stagewatch report` writes.

use super::ask::{Asked, Named, SpanQuery, one_of};
use super::{rfc3339, viewer};
use crate::clock;
use crate::report::{Colour, Format, render};
use crate::serve::problem::Problem;
use crate::serve::{App, stored};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The page brings its own style and nothing else; in a sandbox not even a mistake in its escaping could run.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// `GET /api/v1/reports`: which iterations are stored, newest first.
pub(in crate::serve) async fn reports(
    State(app): State<Arc<App>>,
    Asked(query): Asked<SpanQuery>,
) -> Result<Json<Value>, Problem> {
    let span = query.span(clock::now())?;
    let page = stored(&app, move |reader| reader.browse_iterations(&span)).await?;
    let items = page.items.iter();
    let items = items.map(|(number, at)| json!({ "number": number, "at": rfc3339(*at) }));
    Ok(Json(
        json!({ "items": items.collect::<Vec<_>>(), "next": page.next.map(|next| next.to_string()) }),
    ))
}

/// Query of `GET /api/v1/reports/{report}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct ReportQuery {
    format: Option<String>,
}

/// `GET /api/v1/reports/{report}`: one iteration by its number or `latest`, compared with those before it.
pub(in crate::serve) async fn report(
    State(app): State<Arc<App>>,
    Named(which): Named<String>,
    Asked(query): Asked<ReportQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || {
        let says = "there is no such report; one is stored each hour (scaled)";
        Problem::new(StatusCode::NOT_FOUND, says)
    };
    let format = query.format.as_deref().unwrap_or(Format::Json.as_str());
    let format: Format = one_of("format", format)?;
    let number = match which.as_str() {
        "latest" => None,
        number => Some(number.parse::<i64>().map_err(|_| missing())?),
    };
    let viewer = viewer(&app, &headers);
    let iteration = app.served.iteration;
    let written = stored(&app, move |reader| {
        let found = iteration(reader, number)?;
        Ok(found.map(|found| render(&found.seen_by(viewer), format, Colour::Plain)))
    });
    let written = written.await?.ok_or_else(missing)?;
    let mut answer = ([(header::CONTENT_TYPE, kind(format))], written).into_response();
    if format == Format::Html {
        let policy = header::HeaderValue::from_static(PAGE_POLICY);
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(answer)
}

const fn kind(format: Format) -> &'static str {
    match format {
        Format::Text => "text/plain; charset=utf-8",
        Format::Json => "application/json",
        Format::Junit => "application/xml",
        Format::Markdown => "text/markdown; charset=utf-8",
        Format::Html => "text/html; charset=utf-8",
    }
}
