//! The load balancer and its firewall as they show on the wire (contract §1, §1.1): front end pages, rate
//! limits, the affinity cookie, and bodies that break off. It must not know what a request means.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;

use super::timing::Timing;

/// Name of the load balancer's generated cookie.
const COOKIE: &str = "GCLB";
/// Lifetime of the cookie in seconds.
const COOKIE_TTL_S: u32 = 3600;
/// Requests per window and address inside `/api`.
const API_PER_WINDOW: usize = 1000;
/// Requests per window and address everywhere else.
const OTHER_PER_WINDOW: usize = 100;
/// Pause between the two halves of a slow body.
const HALF_BODY_PAUSE: Duration = Duration::from_secs(3);

/// A page of the Google front end: HTML, its own fingerprint, none of the application's headers.
pub fn page(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let html = format!(
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error {code} ({reason})</title>\n\
         <p><b>{code}.</b> <ins>That's an error.</ins>\n<p>{reason}. <ins>Please try again in 30 seconds.</ins>\n</html>\n"
    );
    let headers = [
        ("content-type", "text/html; charset=UTF-8"),
        ("server", "Google Frontend"),
        ("via", "1.1 google"),
    ];
    let mut response = (status, headers, html).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = HeaderValue::from_static("60");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// The instance id in the affinity cookie, if the request carries one.
pub fn affinity(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.trim_matches('"'))
}

/// Binds the client to an instance.
pub fn set_affinity(response: &mut Response, instance: &str) {
    let cookie = format!("{COOKIE}={instance}; Path=/; Max-Age={COOKIE_TTL_S}; HttpOnly");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[derive(Default)]
struct Window {
    api: VecDeque<Instant>,
    other: VecDeque<Instant>,
    banned_until: Option<Instant>,
}

/// Cloud Armor's rate limits. All clients of a rehearsal come from one address, so one window is enough.
#[derive(Default)]
pub struct Armor {
    window: Mutex<Window>,
}

impl Armor {
    /// Whether a request to `path` may pass now; over the limit the address is banned for a while.
    pub fn passes(&self, path: &str, timing: Timing) -> bool {
        let now = Instant::now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.banned_until.is_some_and(|until| until > now) {
            return false;
        }
        let (moments, limit) = match path.starts_with("/api") {
            true => (&mut window.api, API_PER_WINDOW),
            false => (&mut window.other, OTHER_PER_WINDOW),
        };
        let old = |at: &Instant| now.duration_since(*at) > timing.rate_window();
        while moments.front().is_some_and(old) {
            moments.pop_front();
        }
        if moments.len() >= limit {
            window.banned_until = Some(now + timing.ban());
            return false;
        }
        moments.push_back(now);
        true
    }
}

/// How a body is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In two halves with a long pause.
    TwoHalves,
    /// Half of it, then the connection breaks.
    CutInTheMiddle,
}

/// Delivers a response's body badly. The announced length stays, so that a client knows what it misses.
pub async fn deliver(response: Response, delivery: Delivery) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    };
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.len() / 2;
    let (first, rest) = (bytes.slice(..half), bytes.slice(half..));
    let body = match delivery {
        Delivery::TwoHalves => {
            let later = stream::once(async move {
                tokio::time::sleep(HALF_BODY_PAUSE).await;
                Ok::<_, Infallible>(rest)
            });
            Body::from_stream(stream::iter([Ok(first)]).chain(later))
        }
        Delivery::CutInTheMiddle => {
            let broken = stream::once(async {
                // Lets the first half leave before the connection goes.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("cut on purpose"))
            });
            Body::from_stream(stream::iter([Ok(first)]).chain(broken))
        }
    };
    Response::from_parts(parts, body)
}
