//! What a [`Wire`](super::Wire) is built from: plain values, already validated as far as text goes. Must not: do IO.

use super::address::AddressPolicy;
use crate::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How the target is reached.
#[derive(Clone, Debug)]
pub struct WireSettings {
    /// Whom to trust.
    pub roots: Roots,
    /// Certificate chain and PKCS#8 key, two PEM files, for targets that ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// An HTTP proxy through which everything goes: CONNECT for https and wss, forwarding for http and ws. It resolves the
    /// target's name, so the address policy sees literal addresses only. The environment's proxies are never used.
    pub proxy: Option<Proxy>,
    /// Value of `Proxy-Authorization` on every request to the target's own origins, for an identity-aware proxy in front of it.
    pub proxy_authorization: Option<Secret>,
    /// Who resolves names.
    pub resolver: Resolver,
    /// Fixed headers on every request to the target's own origins.
    pub headers: Vec<(String, String)>,
    /// `User-Agent`.
    pub user_agent: String,
    /// Which addresses may be dialled.
    pub addresses: AddressPolicy,
    /// The target's own origins (`https://host:port`; `wss` counts as `https`). Credentials are sent nowhere else.
    pub origins: Vec<String>,
}

impl Default for WireSettings {
    /// System roots and resolver, no proxy, no origins, public addresses only.
    fn default() -> Self {
        Self {
            roots: Roots::System,
            client_certificate: None,
            proxy: None,
            proxy_authorization: None,
            resolver: Resolver::System,
            headers: Vec::new(),
            user_agent: concat!("stagewatch/", env!("CARGO_PKG_VERSION")).to_owned(),
            addresses: AddressPolicy::default(),
            origins: Vec::new(),
        }
    }
}

/// Trusted certificate authorities.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those in these PEM files, and no others.
    Files(Vec<PathBuf>),
    /// Those of the operating system and those in these PEM files.
    SystemAnd(Vec<PathBuf>),
}

/// An HTTP proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: String,
    /// Value of `Proxy-Authorization` for the proxy itself.
    pub authorization: Option<Secret>,
}

/// Who resolves names.
#[derive(Clone, Debug)]
pub enum Resolver {
    /// The C library: honours nsswitch, but cannot be cancelled and tells failures apart by text only.
    System,
    /// hickory with the servers of resolv.conf: cancellable, and tells failures apart. Does not read nsswitch.
    Hickory,
    /// hickory with these servers, asked over UDP and TCP.
    HickoryAt(Vec<SocketAddr>),
}

/// Why a [`Wire`](super::Wire) could not be built.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A PEM file could not be read.
    #[error("cannot read {what} from `{path}`: {why}; give a PEM file")]
    Pem {
        /// What was looked for in the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The client certificate and its key do not fit, or the TLS stack refused them.
    #[error("tls cannot be set up: {0}")]
    Tls(String),
    /// A fixed header is no header.
    #[error("`{0}` is no valid header; names are tokens, values have no control characters")]
    Header(String),
    /// An origin is no origin.
    #[error("`{0}` is no origin; write it like https://host or http://host:port")]
    Origin(String),
    /// The proxy's URL is no URL.
    #[error("proxy `{0}` is not usable; write it like http://host:port")]
    Proxy(String),
    /// The resolver could not be set up.
    #[error("resolver cannot be set up: {0}")]
    Resolver(String),
}
