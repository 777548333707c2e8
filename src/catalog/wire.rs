//! How requests are made, as plain settings.

use super::Shown;
use crate::secret::Secret;
use std::path::PathBuf;
use url::Url;

/// How every request to the target is made.
#[derive(Clone, Debug, Default)]
pub struct WireSettings {
    /// `User-Agent`.
    pub user_agent: String,
    /// Fixed extra headers.
    pub headers: Vec<(String, String)>,
    /// Which resolver.
    pub resolver: Resolver,
    /// Extra certificate authorities, PEM files; the system's are used as well unless `only_ca_files`.
    pub ca_files: Vec<PathBuf>,
    /// Whether the system's authorities count.
    pub system_roots: SystemRoots,
    /// Client certificate and key, PEM files.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Forward proxy (CONNECT for https and wss).
    pub proxy: Option<Proxy>,
    /// `Proxy-Authorization` sent to the target's own origins, for an identity-aware proxy in front of it.
    pub proxy_authorization: Option<Shown>,
    /// Address families that may be dialled although they are not public: `loopback`, `private`, `link_local`.
    pub allow_addresses: Vec<String>,
    /// Origins that credentials may be sent to: those of all bases and sockets.
    pub origins: Vec<Url>,
}

/// Which resolver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// getaddrinfo.
    #[default]
    System,
    /// hickory: cancellable, tells NXDOMAIN from SERVFAIL; does not read nsswitch.
    Hickory,
}

/// Whether the system's certificate authorities count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemRoots {
    /// Beside the configured ones.
    #[default]
    Used,
    /// Only the configured ones count.
    Ignored,
}

/// A forward proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// `http://host:port`.
    pub url: Url,
    /// `Proxy-Authorization` for the proxy itself.
    pub authorization: Option<Secret>,
}
