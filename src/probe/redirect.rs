//! What a redirect leads to: recorded always, followed within the same origin only, and only when asked. Must not: send.

use super::client::Client;
use super::exchange::Answer;
use super::prepare::Prepared;
use super::request::{HttpRequest, Redirects};
use super::wire::origin_of;
use crate::failure::{Failure, Kind};
use crate::limits::{EVIDENCE_EXCERPT_BYTES, REDIRECTS_MAX};
use crate::transcript::{HttpExchange, Redirect};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION};
use http::{Method, StatusCode};

impl Client {
    /// Records a redirect, and builds the request that follows it, if it may be followed.
    pub(super) fn next_hop(
        &self,
        request: &HttpRequest,
        prepared: &Prepared,
        answer: &Answer,
        exchange: &mut HttpExchange,
    ) -> Result<Option<Prepared>, Failure> {
        let status = answer.parts.status;
        let location = answer.parts.headers.get(LOCATION).filter(|_| status.is_redirection());
        let Some(location) = location else { return Ok(None) };
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let next = prepared
            .url
            .join(&location)
            .ok()
            .filter(|next| origin_of(next) == origin_of(&prepared.url));
        let followed = request.redirects == Redirects::FollowSameOrigin
            && next.is_some()
            && exchange.redirects.len() < REDIRECTS_MAX;
        let shown = self.run.redactor.header("location", &location);
        let shown = crate::secret::cut(&shown, EVIDENCE_EXCERPT_BYTES).to_owned();
        exchange.redirects.push(Redirect {
            status: status.as_u16(),
            location: shown.clone(),
            followed,
        });
        match (request.redirects, next.filter(|_| followed)) {
            (Redirects::Record, _) => Ok(None),
            (Redirects::FollowSameOrigin, Some(next)) => {
                let mut next = redirected(prepared, next, status);
                next.headers.remove(COOKIE);
                self.add_cookies(&mut next, request.cookies);
                Ok(Some(next))
            }
            (Redirects::FollowSameOrigin, None) => {
                let why = if next_is_elsewhere(prepared, &location) {
                    "leads to another origin"
                } else {
                    "is one too many"
                };
                Err(
                    Failure::new(Kind::RedirectRefused, format!("the redirect to {shown} {why}"))
                        .with_status(status.as_u16()),
                )
            }
        }
    }
}

fn next_is_elsewhere(prepared: &Prepared, location: &str) -> bool {
    prepared
        .url
        .join(location)
        .map_or(true, |next| origin_of(&next) != origin_of(&prepared.url))
}

/// The request after a redirect (RFC 9110 section 15.4): 307 and 308 repeat it, the others become GET.
fn redirected(prepared: &Prepared, url: url::Url, status: StatusCode) -> Prepared {
    let repeat = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let repeat = repeat || matches!(prepared.method, Method::GET | Method::HEAD);
    let mut headers = prepared.headers.clone();
    if !repeat {
        headers.remove(CONTENT_TYPE);
    }
    Prepared {
        method: if repeat { prepared.method.clone() } else { Method::GET },
        url,
        written: None,
        headers,
        body: if repeat { prepared.body.clone() } else { Bytes::new() },
    }
}
