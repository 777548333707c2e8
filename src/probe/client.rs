//! The client of one scenario run: cookies, connections, trace ids, and the two ways to send a request (reqwest, or a
//! connection dialled here). Must not: read bodies or judge answers.

use super::request::{ConnectionUse, HttpVersion};
use super::settings::WireError;
use super::timing::{MarkConnect, Moments};
use super::wire::{Wire, origin_of, secret_header};
use crate::failure::Failure;
use crate::limits::{CONNECT_WITHIN, DETAIL_BYTES_MAX, HEAD_BYTES_MAX};
use crate::secret::{Redactor, Secret};
use crate::transcript::TlsFacts;
use http::header::{HeaderValue, PROXY_AUTHORIZATION};
use reqwest::cookie::Jar;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use url::Url;

/// What a client takes from its run.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// Offsets count from here.
    pub at: Instant,
    /// Passes everything that enters a transcript; learns the secrets that the client is given.
    pub redactor: Redactor,
    /// Identifies our requests to the target.
    pub trace: Trace,
}

impl RunStart {
    /// Milliseconds from the start of the run to `at`.
    pub fn offset_ms(&self, at: Instant) -> f64 {
        super::timing::millis(self.at, at)
    }
}

/// Trace id of a run (W3C Trace Context) and the numbers of its requests. Clones count together.
#[derive(Clone, Debug)]
pub struct Trace {
    id: String,
    requests: Arc<AtomicU64>,
}

impl Trace {
    /// `id`: 32 hexadecimal digits, not all zero.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            requests: Arc::default(),
        }
    }

    /// A trace with a random id.
    pub fn random() -> Self {
        Self::new(format!("{:032x}", rand::random::<u128>() | 1))
    }

    /// The trace id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Values of `traceparent` and `X-Request-ID` for the next request.
    pub(super) fn next(&self) -> (String, String) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let span = rand::random::<u64>() | 1;
        let short = self.id.get(..16).unwrap_or(&self.id);
        (format!("00-{}-{span:016x}-01", self.id), format!("{short}-{number}"))
    }
}

/// Sends the requests of one run. Requests may run at the same time.
pub struct Client {
    pub(super) wire: Arc<Wire>,
    pub(super) run: RunStart,
    pub(super) jar: Jar,
    /// `Proxy-Authorization` of this run's requests to own origins.
    pub(super) presented: Option<HeaderValue>,
    engines: Mutex<HashMap<Engine, reqwest::Client>>,
    /// What the handshake of an origin's connection showed, for later requests on a pooled one.
    tls_seen: Mutex<HashMap<String, TlsFacts>>,
}

/// A token as an identity-aware proxy is shown it: `Proxy-Authorization: Bearer …`.
pub struct Presented {
    token: Secret,
    header: HeaderValue,
}

impl Presented {
    /// A token, ready to be sent.
    ///
    /// # Errors
    /// A token that no header may hold.
    pub fn new(token: Secret) -> Result<Self, WireError> {
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        let header = secret_header(&bearer, PROXY_AUTHORIZATION.as_str())?;
        Ok(Self { token, header })
    }
}

/// What a reqwest client is fixed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Engine {
    pub(super) connection: ConnectionUse,
    pub(super) version: HttpVersion,
    pub(super) accept_gzip: bool,
}

impl Client {
    pub(super) fn new(wire: Arc<Wire>, run: RunStart) -> Self {
        Self {
            wire,
            run,
            jar: Jar::default(),
            presented: None,
            engines: Mutex::default(),
            tls_seen: Mutex::default(),
        }
    }

    /// Shows this to the identity-aware proxy before the target's own origins.
    #[must_use]
    pub fn presenting(mut self, presented: Option<Presented>) -> Self {
        self.presented = presented.map(|presented| {
            self.run.redactor.learn(&presented.token);
            presented.header
        });
        self
    }

    /// The run this client belongs to.
    pub fn run(&self) -> &RunStart {
        &self.run
    }

    /// The reqwest client for `engine`, made at first use: with ready TLS settings that costs microseconds.
    pub(super) fn engine(&self, engine: Engine) -> reqwest::Result<reqwest::Client> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = engines.get(&engine) {
            return Ok(client.clone());
        }
        let client = self.build(engine)?;
        engines.insert(engine, client.clone());
        Ok(client)
    }

    fn build(&self, engine: Engine) -> reqwest::Result<reqwest::Client> {
        let tls = match engine.version {
            HttpVersion::Any => &self.wire.tls.any,
            HttpVersion::Http1 => &self.wire.tls.http1,
            HttpVersion::Http2 => &self.wire.tls.http2,
        };
        let head_max = u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX);
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(self.wire.names.clone())
            .connector_layer(MarkConnect)
            .connect_timeout(CONNECT_WITHIN)
            .no_proxy()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .gzip(engine.accept_gzip)
            .http2_max_header_list_size(head_max);
        if let Some(proxy) = &self.wire.proxy {
            builder = builder.proxy(proxy.reqwest.clone());
        }
        builder = match engine.version {
            HttpVersion::Any => builder,
            HttpVersion::Http1 => builder.http1_only(),
            HttpVersion::Http2 => builder.http2_prior_knowledge(),
        };
        match engine.connection {
            ConnectionUse::Fresh => builder.pool_max_idle_per_host(0),
            ConnectionUse::Pooled => builder,
        }
        .build()
    }

    /// The certificate facts of `url`'s connection: those just seen, or those of the one that is being used again.
    pub(super) fn tls_facts(&self, url: &Url, moments: &Moments) -> Option<TlsFacts> {
        if url.scheme() != "https" {
            return None;
        }
        let mut known = self.tls_seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &moments.tls {
            Some(facts) => {
                known.insert(origin_of(url), facts.clone());
                Some(facts.clone())
            }
            None => known.get(&origin_of(url)).cloned(),
        }
    }

    /// `failure` with a detail that may be stored.
    pub(super) fn told(&self, mut failure: Failure) -> Failure {
        failure.detail = self.run.redactor.line(&failure.detail, DETAIL_BYTES_MAX);
        failure
    }
}
