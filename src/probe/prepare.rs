//! From a caller's request to what goes on the wire: URL, headers, body, and the rule that credentials go to configured
//! origins only. Must not: do IO.

use super::client::Client;
use super::request::{Cookies, HttpRequest, RequestBody};
use super::wire::origin_of;
use crate::failure::{Blame, Failure, Kind, Phase};
use crate::limits::EVIDENCE_EXCERPT_BYTES;
use crate::transcript::HttpExchange;
use bytes::Bytes;
use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::uri::PathAndQuery;
use reqwest::cookie::CookieStore;
use std::borrow::Cow;
use std::net::IpAddr;
use url::{Host, Url};

/// A request as it goes on the wire.
pub(super) struct Prepared {
    pub(super) method: Method,
    /// Scheme `http` or `https`, no user information, no fragment.
    pub(super) url: Url,
    /// The path as written by the caller, if it must not be normalised.
    pub(super) written: Option<PathAndQuery>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// Builds the request, and checks that it may be sent: URL, literal address, destination of credentials.
    pub(super) fn prepare(&self, request: &HttpRequest) -> Result<Prepared, Failure> {
        let url = self.target_url(&request.url)?;
        let own = self.wire.owns(&url);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, self.wire.user_agent.clone());
        if own {
            headers.extend(self.wire.fixed_headers.clone());
            if let Some(presented) = &self.presented {
                headers.insert(PROXY_AUTHORIZATION, presented.clone());
            }
            let (traceparent, request_id) = self.run.trace.next();
            insert(&mut headers, HeaderName::from_static("traceparent"), &traceparent)?;
            insert(&mut headers, HeaderName::from_static("x-request-id"), &request_id)?;
        }
        let body = body_bytes(&request.body, &mut headers);
        if let Some(token) = &request.authorization {
            self.run.redactor.learn(token);
            insert(&mut headers, AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
        }
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name).map_err(|_| invalid(format!("`{name}` is no header name")))?;
            insert(&mut headers, name, value)?;
        }
        if !own {
            self.refuse_secrets(request, &url, &body)?;
        }
        self.learn(&headers, &url, &request.body);
        let written = if request.raw_path {
            Some(written_path(&request.url)?)
        } else {
            None
        };
        let mut prepared = Prepared {
            method: request.method.clone(),
            url,
            written,
            headers,
            body,
        };
        self.add_cookies(&mut prepared, request.cookies);
        Ok(prepared)
    }

    /// What the request itself calls a credential must not come back into the record either.
    fn learn(&self, headers: &HeaderMap, url: &Url, body: &RequestBody) {
        let named = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let json = match body {
            RequestBody::Json(json) => Some(json),
            RequestBody::None | RequestBody::Text(_) | RequestBody::Bytes(_) => None,
        };
        self.run.redactor.learn_request(named, url.query(), json);
    }

    /// Adds the run's cookies for the URL, unless the caller wrote a `Cookie` header.
    pub(super) fn add_cookies(&self, prepared: &mut Prepared, cookies: Cookies) {
        if cookies == Cookies::Keep && !prepared.headers.contains_key(COOKIE) {
            prepared
                .headers
                .extend(self.jar.cookies(&prepared.url).map(|value| (COOKIE, value)));
        }
    }

    /// Parses a URL and refuses what may not be requested.
    pub(super) fn target_url(&self, text: &str) -> Result<Url, Failure> {
        let shown = self.run.redactor.url(text);
        let mut url = Url::parse(text).map_err(|error| invalid(format!("`{shown}` is no absolute url: {error}")))?;
        let scheme = match url.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            other => return Err(invalid(format!("scheme `{other}` is none of http, https, ws, wss"))),
        };
        if url.set_scheme(scheme).is_err() || !url.has_host() {
            return Err(invalid(format!("`{shown}` has no host")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(format!(
                "`{shown}` has user information; configure a credential instead"
            )));
        }
        url.set_fragment(None);
        if let Some((host, address)) = literal_address(&url) {
            self.wire.names.allowed(&host, address)?;
        }
        Ok(url)
    }

    /// Nothing secret leaves for an origin that is not the target's.
    fn refuse_secrets(&self, request: &HttpRequest, url: &Url, body: &Bytes) -> Result<(), Failure> {
        let redactor = &self.run.redactor;
        let mut headers = request.headers.iter();
        let secret_header = headers.any(|(name, value)| redactor.holds_secret_header(name, value));
        let secret_body = redactor.holds_secret(&String::from_utf8_lossy(body));
        if request.authorization.is_some() || secret_header || secret_body {
            let origin = origin_of(url);
            return Err(invalid(format!(
                "a credential would leave for {origin}; add that origin to the target or drop it"
            )));
        }
        Ok(())
    }

    /// The part of the record that is known before anything is sent.
    pub(super) fn record_request(&self, request: &HttpRequest, prepared: Option<&Prepared>) -> HttpExchange {
        let redactor = &self.run.redactor;
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), redactor.header(name.as_str(), &value))
        };
        let body = prepared
            .map(|prepared| String::from_utf8_lossy(&prepared.body))
            .unwrap_or_default();
        HttpExchange {
            method: request.method.to_string(),
            url: redactor.url(&request.url),
            request_headers: prepared
                .map(|prepared| prepared.headers.iter().map(shown).collect())
                .unwrap_or_default(),
            request_body: if body.is_empty() {
                String::new()
            } else {
                self.redacted_body(&body)
            },
            ..HttpExchange::default()
        }
    }

    /// A request's body for the record. JSON is redacted by member names too.
    fn redacted_body(&self, body: &str) -> String {
        let mut json = serde_json::from_str(body).ok();
        let hidden = json.as_mut().is_some_and(|json| self.run.redactor.json(json));
        match json {
            Some(json) if hidden => self.run.redactor.excerpt(&json.to_string(), EVIDENCE_EXCERPT_BYTES),
            _ => self.run.redactor.excerpt(body, EVIDENCE_EXCERPT_BYTES),
        }
    }
}

/// A mistake of the step, not of the target.
pub(super) fn invalid(detail: String) -> Failure {
    Failure::new(Kind::StepInvalid, detail)
        .in_phase(Phase::Request)
        .blamed_on(Blame::Monitor)
}

/// The host's text and address, if it is written as an address.
pub(super) fn literal_address(url: &Url) -> Option<(String, IpAddr)> {
    match url.host()? {
        Host::Ipv4(address) => Some((address.to_string(), address.into())),
        Host::Ipv6(address) => Some((address.to_string(), address.into())),
        Host::Domain(_) => None,
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Failure> {
    // A secret in a bad value must not be shown, so the message names the header only.
    let value =
        HeaderValue::try_from(value).map_err(|_| invalid(format!("the value of header `{name}` is not valid")))?;
    headers.insert(name, value);
    Ok(())
}

fn body_bytes(body: &RequestBody, headers: &mut HeaderMap) -> Bytes {
    match body {
        RequestBody::None => Bytes::new(),
        RequestBody::Json(json) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            json.to_string().into()
        }
        RequestBody::Text(text) => text.clone().into(),
        RequestBody::Bytes(bytes) => bytes.clone().into(),
    }
}

/// Everything after the authority, untouched.
fn written_path(url: &str) -> Result<PathAndQuery, Failure> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find(['/', '?', '#']).map_or("/", |at| &after_scheme[at..]);
    let path = path.split('#').next().unwrap_or("/");
    let path = if path.starts_with('/') {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("/{path}"))
    };
    PathAndQuery::try_from(path.as_ref()).map_err(|error| {
        invalid(format!(
            "the path cannot be sent as written: {error}; percent-encode it"
        ))
    })
}
