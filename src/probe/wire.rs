//! What all runs against one target share: TLS, resolver, proxy, fixed headers, origins. Built once per configuration.
//! Must not: hold anything of a run.

use super::client::{Client, RunStart};
use super::resolve::Names;
use super::settings::{WireError, WireSettings};
use super::tls::TlsConfigs;
use crate::crypto::init_crypto;
use crate::secret::Secret;
use http::header::{HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use std::collections::HashSet;
use std::sync::Arc;
use url::Url;

/// The way to one target, shared by all runs.
pub struct Wire {
    pub(super) tls: TlsConfigs,
    pub(super) names: Names,
    pub(super) proxy: Option<ProxyRoute>,
    /// On requests to own origins.
    pub(super) fixed_headers: HeaderMap,
    pub(super) user_agent: HeaderValue,
    origins: HashSet<String>,
}

/// A configured proxy, ready for reqwest and for our own dialling.
pub(super) struct ProxyRoute {
    pub(super) reqwest: reqwest::Proxy,
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
}

impl Wire {
    /// Reads certificates and checks every value.
    ///
    /// # Errors
    /// A file, header, origin or proxy that cannot be used; the message names it and says what to write.
    pub fn new(settings: &WireSettings) -> Result<Arc<Self>, WireError> {
        init_crypto();
        let proxy = settings.proxy.as_ref().map(proxy_route).transpose()?;
        let proxy_host = proxy.as_ref().and_then(|proxy| proxy.url.host_str()).map(str::to_owned);
        let mut fixed_headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            let (parsed_name, parsed_value) = parsed.ok_or_else(|| WireError::Header(name.clone()))?;
            fixed_headers.append(parsed_name, parsed_value);
        }
        if let Some(authorization) = &settings.proxy_authorization {
            fixed_headers.insert(
                PROXY_AUTHORIZATION,
                secret_header(authorization, "proxy-authorization")?,
            );
        }
        let parse_origin = |text: &String| {
            let url = Url::parse(text).ok().filter(Url::has_host);
            url.as_ref()
                .map(origin_of)
                .ok_or_else(|| WireError::Origin(text.clone()))
        };
        let user_agent = HeaderValue::try_from(&settings.user_agent);
        Ok(Arc::new(Self {
            tls: TlsConfigs::new(settings)?,
            names: Names::new(&settings.resolver, settings.addresses.clone(), proxy_host)?,
            proxy,
            fixed_headers,
            user_agent: user_agent.map_err(|_| WireError::Header(USER_AGENT.to_string()))?,
            origins: settings.origins.iter().map(parse_origin).collect::<Result<_, _>>()?,
        }))
    }

    /// A client for one scenario run, with cookies and connections of its own.
    pub fn client(self: &Arc<Self>, run: RunStart) -> Client {
        Client::new(Arc::clone(self), run)
    }

    /// Whether `url` belongs to the target, so that credentials may be sent to it.
    pub fn owns(&self, url: &Url) -> bool {
        self.origins.contains(&origin_of(url))
    }
}

/// `scheme://host:port` with the WebSocket schemes as their HTTP ones and the port always there.
pub(super) fn origin_of(url: &Url) -> String {
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        other => other,
    };
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    format!("{scheme}://{host}:{}", url.port_or_known_default().unwrap_or_default())
}

fn proxy_route(proxy: &super::settings::Proxy) -> Result<ProxyRoute, WireError> {
    let bad = || WireError::Proxy(crate::secret::Redactor::default().url(&proxy.url));
    let url = Url::parse(&proxy.url)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(bad)?;
    let mut reqwest = reqwest::Proxy::all(url.clone()).map_err(|_| bad())?;
    let authorization = match &proxy.authorization {
        None => None,
        Some(secret) => {
            let value = secret_header(secret, "proxy-authorization")?;
            reqwest = reqwest.custom_http_auth(value.clone());
            Some(value)
        }
    };
    Ok(ProxyRoute {
        reqwest,
        url,
        authorization,
    })
}

/// A header value that no debug output shows.
pub(super) fn secret_header(secret: &Secret, name: &str) -> Result<HeaderValue, WireError> {
    let mut value = HeaderValue::try_from(secret.expose()).map_err(|_| WireError::Header(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
