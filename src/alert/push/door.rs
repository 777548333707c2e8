//! One Alertmanager at one address, as HTTP. Owns: its client, which follows no redirect, knows no proxy of the environment
//! and shows its credentials to nobody else. Must not: remember alerts.

use super::Fault;
use crate::catalog::Shown;
use crate::catalog::alerting::{Alertmanager, PushAuth};
use crate::identity::Tokens;
use crate::limits::ADOPTED_BYTES_MAX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a kept connection is used again; a restarted Alertmanager is then met with a new one.
const IDLE_FOR: Duration = Duration::from_secs(20);

/// All addresses of one configured Alertmanager.
#[derive(Clone)]
pub(super) struct Doors {
    name: Arc<str>,
    url: Url,
    headers: HeaderMap,
    tls: ClientConfig,
    within: Duration,
    every_address: bool,
    named: Door,
    /// What every door shows, if that is a token that is fetched.
    tokens: Option<Arc<Tokens>>,
}

/// One Alertmanager.
#[derive(Clone)]
pub(super) struct Door {
    /// Configured name.
    pub(super) name: Arc<str>,
    alerts: Url,
    client: Client,
    tokens: Option<Arc<Tokens>>,
}

impl Doors {
    /// Reads the authorities. Blocking, at start only.
    pub(super) fn new(alertmanager: &Alertmanager) -> Result<Self, String> {
        let mut url = alertmanager.url.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let headers = headers(alertmanager)?;
        let tls = tls(alertmanager.ca_file.as_deref())?;
        let name: Arc<str> = alertmanager.name.as_str().into();
        let client = client(&headers, &tls, (alertmanager.within, None)).map_err(|error| error.to_string())?;
        let tokens = tokens(&alertmanager.auth)?;
        let named = Door::new(&name, &url, (client, tokens.clone()))?;
        Ok(Self {
            name,
            url,
            headers,
            tls,
            within: alertmanager.within,
            every_address: alertmanager.every_address,
            named,
            tokens,
        })
    }

    /// Configured name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The door that the URL's name leads to, whichever address that is.
    pub(super) fn named(&self) -> Door {
        self.named.clone()
    }

    /// Whether each address is a door.
    pub(super) fn every_address(&self) -> bool {
        self.every_address
    }

    /// Host and port to resolve.
    pub(super) fn host(&self) -> (String, u16) {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), self.url.port_or_known_default().unwrap_or(80))
    }

    /// The door at one address; name and certificate stay those of the URL.
    pub(super) fn at(&self, address: SocketAddr) -> Result<Door, String> {
        let (host, _) = self.host();
        let made = client(&self.headers, &self.tls, (self.within, Some((&host, address))));
        let made = made.map_err(|error| error.to_string())?;
        Door::new(&self.name, &self.url, (made, self.tokens.clone()))
    }
}

impl Door {
    fn new(name: &Arc<str>, base: &Url, (client, tokens): (Client, Option<Arc<Tokens>>)) -> Result<Self, String> {
        Ok(Self {
            name: Arc::clone(name),
            alerts: base.join("api/v2/alerts").map_err(|error| error.to_string())?,
            client,
            tokens,
        })
    }

    /// The request with our token, if a token is what we show.
    async fn shown(&self, request: RequestBuilder) -> Result<RequestBuilder, Fault> {
        match &self.tokens {
            None => Ok(request),
            Some(tokens) => {
                let token = tokens.get().await.map_err(|_| Fault::NoToken)?;
                Ok(request.bearer_auth(token.expose()))
            }
        }
    }

    /// Sends alerts. Only an answer that looks like Alertmanager's counts as taken: a log-in page with status 200 does not.
    pub(super) async fn send(&self, alerts: &[Value]) -> Result<(), Fault> {
        let request = self.shown(self.client.post(self.alerts.clone())).await?;
        let answer = request.json(alerts).send().await;
        let answer = answer.map_err(|error| fault(&error))?;
        let status = answer.status();
        let content = answer.headers().get(CONTENT_TYPE);
        let content = content.and_then(|content| content.to_str().ok()).unwrap_or_default();
        let (is_html, is_json) = (
            content.starts_with("text/html"),
            content.starts_with("application/json"),
        );
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Err(Fault::Rejected),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if is_json => Err(Fault::Rejected),
            _ if status.is_success() && !is_html => drained(answer).await,
            _ => Err(Fault::Answer(status.as_u16())),
        }
    }

    /// The alerts that it has and that fit every matcher (`name="value"`), silenced and inhibited ones among them.
    pub(super) async fn list(&self, matchers: &[String]) -> Result<Vec<Value>, Fault> {
        let filters = matchers.iter().map(|matcher| ("filter", matcher.as_str()));
        let query: Vec<(&str, &str)> = std::iter::once(("active", "true")).chain(filters).collect();
        let request = self.shown(self.client.get(self.alerts.clone())).await?;
        let answer = request.query(&query).send().await;
        let mut answer = answer.map_err(|error| fault(&error))?;
        if !answer.status().is_success() {
            return Err(Fault::Answer(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ADOPTED_BYTES_MAX {
                return Err(Fault::Broken);
            }
        }
        serde_json::from_slice(&body).map_err(|_| Fault::Answer(answer.status().as_u16()))
    }
}

/// Reads the little that is left, so that the connection can be used again.
async fn drained(mut answer: Response) -> Result<(), Fault> {
    // An answer of Alertmanager is empty; more than one piece of anything else is not waited for.
    match answer.chunk().await {
        Ok(_) => Ok(()),
        Err(error) => Err(fault(&error)),
    }
}

fn fault(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_connect() {
        Fault::Connect
    } else {
        Fault::Broken
    }
}

fn client(
    headers: &HeaderMap,
    tls: &ClientConfig,
    (within, fixed): (Duration, Option<(&str, SocketAddr)>),
) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .default_headers(headers.clone())
        .user_agent(concat!("stagewatch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .timeout(within)
        .connect_timeout(within)
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(1);
    match fixed {
        Some((host, address)) => builder.resolve(host, address),
        None => builder,
    }
    .build()
}

fn headers(alertmanager: &Alertmanager) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &alertmanager.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header name"))?;
        headers.insert(name, hidden(value.expose())?);
    }
    let authorization = match &alertmanager.auth {
        PushAuth::Nobody | PushAuth::Bearer(Shown::Token(_)) => return Ok(headers),
        PushAuth::Basic { user, password } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
        }
        PushAuth::Bearer(Shown::Fixed(token)) => format!("Bearer {}", token.expose()),
    };
    headers.insert(AUTHORIZATION, hidden(&authorization)?);
    Ok(headers)
}

/// What is fetched, if a token is what we show.
fn tokens(auth: &PushAuth) -> Result<Option<Arc<Tokens>>, String> {
    match auth {
        PushAuth::Bearer(Shown::Token(access)) => {
            let tokens = Tokens::new(access.clone()).map_err(|error| error.to_string())?;
            Ok(Some(Arc::new(tokens)))
        }
        PushAuth::Nobody | PushAuth::Basic { .. } | PushAuth::Bearer(Shown::Fixed(_)) => Ok(None),
    }
}

/// A header value that no debug output shows.
fn hidden(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "a header value holds characters that no header may hold")?;
    value.set_sensitive(true);
    Ok(value)
}

/// TLS that trusts the authorities of the file, or the system's.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}
