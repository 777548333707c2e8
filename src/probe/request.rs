//! What a caller asks the probe to do. Plain values; every wait in them has a deadline. Must not: do IO.

use crate::limits::{BODY_BYTES_MAX, STEP_WITHIN};
use crate::secret::Secret;
use http::Method;
use serde_json::Value;
use std::time::Duration;

/// One HTTP request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Absolute URL; `ws` and `wss` mean `http` and `https`. User information is refused.
    pub url: String,
    /// Headers beside those that we set ourselves; a header given here wins.
    pub headers: Vec<(String, String)>,
    /// A token, sent as `Authorization: Bearer …`. Only ever sent to a configured origin.
    pub authorization: Option<Secret>,
    /// What to do with the run's cookies.
    pub cookies: Cookies,
    /// Body.
    pub body: RequestBody,
    /// Which connection to use.
    pub connection: ConnectionUse,
    /// Which HTTP version to speak.
    pub version: HttpVersion,
    /// What to do with redirects.
    pub redirects: Redirects,
    /// Send the path exactly as written in `url` (`/../etc`, `..%2f`), over a connection of its own.
    pub raw_path: bool,
    /// For everything, from resolution to the last byte.
    pub within: Duration,
    /// Bytes of the body that are read; more is `body_too_large`.
    pub body_max: usize,
    /// Record when the pieces of the body arrive.
    pub incremental: bool,
    /// Also connect once to each address of the host, beside the request.
    pub each_address: bool,
    /// Offer gzip. The body limit counts unpacked bytes.
    pub accept_gzip: bool,
}

impl HttpRequest {
    /// A request with the defaults of a probe: new connection, any version, cookies kept, redirects recorded, no gzip.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            authorization: None,
            cookies: Cookies::Keep,
            body: RequestBody::None,
            connection: ConnectionUse::Fresh,
            version: HttpVersion::Any,
            redirects: Redirects::Record,
            raw_path: false,
            within: STEP_WITHIN,
            body_max: BODY_BYTES_MAX,
            incremental: false,
            each_address: false,
            accept_gzip: false,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }
}

/// A request's body.
#[derive(Clone, Debug, Default)]
pub enum RequestBody {
    /// None.
    #[default]
    None,
    /// JSON; sets `Content-Type: application/json` unless the request has one.
    Json(Value),
    /// Text, as it is.
    Text(String),
    /// Bytes, as they are.
    Bytes(Vec<u8>),
}

/// What to do with the run's cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cookies {
    /// Send those that fit, keep those that are set.
    #[default]
    Keep,
    /// Neither send nor keep any.
    Drop,
}

/// Which connection to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConnectionUse {
    /// A new one, closed afterwards.
    #[default]
    Fresh,
    /// One that an earlier request of this run left open, if there is one.
    Pooled,
}

/// Which HTTP version to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// What ALPN settles on; HTTP/1.1 without TLS.
    #[default]
    Any,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge on `http://`.
    Http2,
}

/// What to do with redirects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// The redirect is the answer.
    #[default]
    Record,
    /// Follow up to `REDIRECTS_MAX` within the same origin; any other is `redirect_refused`.
    FollowSameOrigin,
}

/// One WebSocket opening handshake.
#[derive(Clone, Debug)]
pub struct UpgradeRequest {
    /// Configured name of the socket endpoint, for the record.
    pub endpoint: String,
    /// Absolute URL, `ws`, `wss`, `http` or `https`.
    pub url: String,
    /// Which credential is shown, for the record: `none`, `valid`, `tampered`, …
    pub token: String,
    /// How the credential is shown.
    pub shown: Shown,
    /// Subprotocols to offer, in order, beside a credential among them.
    pub subprotocols: Vec<String>,
    /// Further headers, such as `Origin`.
    pub headers: Vec<(String, String)>,
    /// What to do with the run's cookies.
    pub cookies: Cookies,
    /// For everything up to the verified 101.
    pub within: Duration,
}

impl UpgradeRequest {
    /// A handshake without credential and subprotocol.
    pub fn new(endpoint: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            url: url.into(),
            token: "none".to_owned(),
            shown: Shown::Nothing,
            subprotocols: Vec::new(),
            headers: Vec::new(),
            cookies: Cookies::Keep,
            within: STEP_WITHIN,
        }
    }
}

/// How a credential is shown in a handshake. Named by the caller, never a silent fallback.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Not at all.
    Nothing,
    /// As `Authorization: Bearer …`.
    Header(Secret),
    /// As a last item of `Sec-WebSocket-Protocol`: the whole item, such as
    /// [`jwt::subprotocol_item`](super::jwt::subprotocol_item) makes it.
    Subprotocol(Secret),
}

impl Shown {
    /// The transport's name in transcripts.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Header(_) => "header",
            Self::Subprotocol(_) => "subprotocol",
        }
    }
}
