//! From the catalog's plain settings to those of the probe. Must not: read a file; the probe does.

use crate::catalog::Shown;
use crate::catalog::wire::{Resolver, SystemRoots, WireSettings};
use crate::probe::{self, AddressPolicy, Network};

/// The probe's settings for the catalog's.
pub(super) fn settings(catalog: &WireSettings) -> probe::WireSettings {
    let files = catalog.ca_files.clone();
    let roots = match (catalog.system_roots, files.is_empty()) {
        (SystemRoots::Ignored, _) => probe::Roots::Files(files),
        (SystemRoots::Used, true) => probe::Roots::System,
        (SystemRoots::Used, false) => probe::Roots::SystemAnd(files),
    };
    let proxy = catalog.proxy.as_ref().map(|proxy| probe::Proxy {
        url: proxy.url.to_string(),
        authorization: proxy.authorization.clone(),
    });
    let resolver = match catalog.resolver {
        Resolver::System => probe::Resolver::System,
        Resolver::Hickory => probe::Resolver::Hickory,
    };
    probe::WireSettings {
        roots,
        client_certificate: catalog.client_certificate.clone(),
        proxy,
        // A token that is fetched comes with each run.
        proxy_authorization: match &catalog.proxy_authorization {
            Some(Shown::Fixed(secret)) => Some(secret.clone()),
            Some(Shown::Token(_)) | None => None,
        },
        resolver,
        headers: catalog.headers.clone(),
        user_agent: catalog.user_agent.clone(),
        addresses: addresses(&catalog.allow_addresses),
        origins: catalog.origins.iter().map(ToString::to_string).collect(),
    }
}

/// The address families that may be dialled although they are not public; networks in CIDR notation are taken as they are.
fn addresses(allowed: &[String]) -> AddressPolicy {
    let networks = |name: &str| match name {
        "loopback" => vec!["127.0.0.0/8", "::1"],
        "private" => vec!["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
        "link_local" => vec!["169.254.0.0/16", "fe80::/10"],
        _ => Vec::new(),
    };
    let mut allow: Vec<Network> = Vec::new();
    for name in allowed {
        allow.extend(name.parse::<Network>());
        allow.extend(networks(name).into_iter().flat_map(str::parse::<Network>));
    }
    AddressPolicy {
        allow,
        deny: Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn families_are_networks() {
        let policy = addresses(&["loopback".to_owned(), "10.1.0.0/16".to_owned()]);
        assert!(policy.denies(Ipv4Addr::LOCALHOST.into()).is_none());
        assert!(policy.denies(Ipv4Addr::new(10, 1, 2, 3).into()).is_none());
        assert!(policy.denies(Ipv4Addr::new(10, 2, 2, 3).into()).is_some());
    }
}
