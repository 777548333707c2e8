//! What callers may ask: path, query and body read into plain data, or refused with a sentence. Malformed is 400;
//! well-formed but absurd (a range that is too long, a page that is too large) is 422.

use crate::history::Span;
use crate::limits::{API_PAGE, API_PAGE_MAX, API_RANGE, API_RANGE_MAX, CHECKS_MAX};
use crate::serve::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The query.
pub(in crate::serve) struct Asked<T>(pub(in crate::serve) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<T>::try_from_uri(&parts.uri).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("the query is wrong: {}", cause(&error)),
            )
        })?;
        Ok(Self(query))
    }
}

/// The named segments of the path.
pub(in crate::serve) struct Named<T>(pub(in crate::serve) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::<T>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path holds something that is no name"))?;
        Ok(Self(named))
    }
}

/// A JSON body. A browser form cannot send that type across origins.
pub(in crate::serve) struct Sent<T>(pub(in crate::serve) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the body as application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|refused| Problem::new(refused.status(), "the body is too large or did not arrive"))?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body is wrong: {error}")))
    }
}

/// A time range and a page of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct SpanQuery {
    from: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// The same, of one scenario.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct RunsQuery {
    pub(in crate::serve) scenario: Option<String>,
    from: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

impl RunsQuery {
    pub(in crate::serve) fn split(self) -> (Option<String>, SpanQuery) {
        let span = SpanQuery::new((self.from, self.until), self.limit, self.cursor);
        (self.scenario, span)
    }
}

impl SpanQuery {
    /// From its words.
    pub(in crate::serve) fn new(
        (from, until): (Option<String>, Option<String>),
        limit: Option<String>,
        cursor: Option<String>,
    ) -> Self {
        Self {
            from,
            until,
            limit,
            cursor,
        }
    }

    /// The span, ending at `now` unless the caller says otherwise.
    pub(in crate::serve) fn span(&self, now: DateTime<Utc>) -> Result<Span, Problem> {
        let until = self.until.as_deref().map_or(Ok(now), |text| time("until", text))?;
        let from = match self.from.as_deref() {
            Some(text) => time("from", text)?,
            None => until - chrono::TimeDelta::from_std(API_RANGE).unwrap_or_default(),
        };
        let range = until - from;
        if range < chrono::TimeDelta::zero() {
            return Err(absurd("`from` is later than `until`"));
        }
        if range.to_std().unwrap_or_default() > API_RANGE_MAX {
            return Err(absurd("a time range is at most 31 days"));
        }
        let after = match self.cursor.as_deref() {
            Some(text) => Some(text.parse().map_err(|()| absurd("`cursor` is none that a page gave"))?),
            None => None,
        };
        Ok(Span {
            from: crate::clock::unix_seconds(from),
            until: crate::clock::unix_seconds(until),
            after,
            limit: limit(self.limit.as_deref())?,
        })
    }
}

/// The size of a page.
pub(in crate::serve) fn limit(text: Option<&str>) -> Result<u32, Problem> {
    let limit = number("limit", text)?.unwrap_or_else(|| u64::from(API_PAGE));
    u32::try_from(limit)
        .ok()
        .filter(|limit| (1..=API_PAGE_MAX).contains(limit))
        .ok_or_else(|| absurd(&format!("`limit` is 1 to {API_PAGE_MAX}")))
}

/// How many items to leave out.
pub(in crate::serve) fn offset(text: Option<&str>) -> Result<usize, Problem> {
    let skipped = number("offset", text)?.unwrap_or(0);
    usize::try_from(skipped)
        .ok()
        .filter(|skipped| *skipped <= CHECKS_MAX)
        .ok_or_else(|| absurd(&format!("`offset` is at most {CHECKS_MAX}")))
}

/// A number that is not negative.
fn number(name: &str, text: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("`{name}` is a whole number"),
        ));
    }
    text.parse()
        .map(Some)
        .map_err(|_| absurd(&format!("`{name}` is far too large")))
}

/// What one of a closed set is called, or what there is.
pub(in crate::serve) fn one_of<T: std::str::FromStr<Err = String>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("`{name}`: {error}")))
}

fn time(name: &str, text: &str) -> Result<DateTime<Utc>, Problem> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| {
            let says = format!("`{name}` is a time such as 2026-01-31T12:00:00Z (write `+` as %2B)");
            Problem::new(StatusCode::BAD_REQUEST, says)
        })
}

fn absurd(says: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, says)
}

/// The innermost cause: the outer ones only say that something was deserialised.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
