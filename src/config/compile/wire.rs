//! How requests are made: addresses, certificates, proxies, headers.

use super::Context;
use super::forbidden::forbidden;
use super::scalar::{is_loopback_host, url};
use super::secret::{self, Presence, Shape};
use crate::catalog::Forbidden;
use crate::catalog::wire::{Proxy, Resolver, SystemRoots, WireSettings};
use crate::config::error::At;
use crate::config::raw;
use crate::limits::CONFIG_BYTES_MAX;
use std::path::PathBuf;
use url::{Host, Url};

/// A URL that we shall dial: an address that is not public must be allowed by name.
pub fn dialled(context: &Context, url: Url, at: At) -> Url {
    use raw::main_file::AddressFamily::{LinkLocal, Loopback, Private};
    let host = url.host().map(unmapped);
    let nowhere = match host {
        Some(Host::Ipv4(address)) => address.is_unspecified() || address.is_broadcast() || address.is_multicast(),
        Some(Host::Ipv6(address)) => address.is_unspecified() || address.is_multicast(),
        _ => false,
    };
    if nowhere {
        at.wrong(
            "the host of this URL is no address of one machine",
            "write a host name, or the address of a machine",
        );
    }
    let family = match host {
        host if is_loopback_host(host.clone()) => Some((Loopback, "loopback")),
        Some(Host::Ipv4(address)) if address.is_private() => Some((Private, "private")),
        Some(Host::Ipv4(address)) if address.is_link_local() => Some((LinkLocal, "link_local")),
        Some(Host::Ipv6(address)) if address.is_unique_local() => Some((Private, "private")),
        Some(Host::Ipv6(address)) if address.is_unicast_link_local() => Some((LinkLocal, "link_local")),
        _ => None,
    };
    if let Some((family, name)) = family
        && !context.main.target.http.allow_addresses.contains(&family)
    {
        at.wrong(
            format!("the host of this URL is a {name} address, which is not dialled unless allowed"),
            format!("write `http: {{ allow_addresses: [{name}] }}` under `target`"),
        );
    }
    url
}

/// An IPv4 address written as an IPv6 one is an IPv4 address.
fn unmapped(host: Host<&str>) -> Host<&str> {
    match host {
        Host::Ipv6(address) => address.to_ipv4_mapped().map_or(host, Host::Ipv4),
        other => other,
    }
}

/// The settings of the wire, with the origins that credentials may go to.
pub fn wire(context: &Context, origins: Vec<Url>, at: At) -> WireSettings {
    let shape = &context.main.target.http;
    let forbidden = forbidden(&context.main.target);
    let user_agent = shape
        .user_agent
        .clone()
        .unwrap_or_else(|| format!("stagewatch/{}", env!("CARGO_PKG_VERSION")));
    if let Some(word) = forbidden.user_agent(&user_agent) {
        at.key("user_agent").wrong(
            format!("the user agent `{user_agent}` holds the forbidden word `{word}`"),
            "choose another user agent, or take the word off `target.forbidden.user_agent_words`",
        );
    }
    for (name, value) in shape.headers.iter() {
        header(&forbidden, name, value, at.key("headers").key(name));
    }
    let system_roots = match shape.tls.system_roots {
        raw::RootsUse::Used => SystemRoots::Used,
        raw::RootsUse::Ignored => SystemRoots::Ignored,
    };
    if matches!(system_roots, SystemRoots::Ignored) && shape.tls.ca_files.is_empty() {
        at.key("tls").wrong(
            "no certificate authority is left",
            "name `ca_files`, or leave `system_roots` out",
        );
    }
    WireSettings {
        user_agent,
        headers: shape
            .headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect(),
        resolver: match shape.resolver {
            raw::ResolverName::System => Resolver::System,
            raw::ResolverName::Hickory => Resolver::Hickory,
        },
        ca_files: ca_files(context, at.key("tls").key("ca_files")),
        system_roots,
        client_certificate: client_certificate(context, at.key("tls").key("client_certificate")),
        proxy: shape.proxy.as_ref().map(|proxy| {
            let at = at.key("proxy");
            Proxy {
                url: url(&proxy.url, &["http"], at.key("url")),
                authorization: proxy
                    .authorization
                    .as_ref()
                    .and_then(|source| secret::required(context, source, at.key("authorization"))),
            }
        }),
        proxy_authorization: shape
            .proxy_authorization
            .as_ref()
            .and_then(|source| secret::shown(context, source, at.key("proxy_authorization"))),
        allow_addresses: shape
            .allow_addresses
            .iter()
            .map(|family| family.as_str().to_owned())
            .collect(),
        origins,
    }
}

fn ca_files(context: &Context, at: At) -> Vec<PathBuf> {
    let files = context.main.target.http.tls.ca_files.iter().enumerate();
    files
        .map(|(place, file)| certificates(context, file, at.item(place)))
        .collect()
}

/// The files of the client certificate; its key is a secret like any other.
fn client_certificate(context: &Context, at: At) -> Option<(PathBuf, PathBuf)> {
    let files = context.main.target.http.tls.client_certificate.as_ref()?;
    let key = raw::SecretSource {
        file: Some(files.key.clone()),
        ..raw::SecretSource::default()
    };
    secret::find(context, &key, (Shape::Pem, Presence::Required), at.key("key"));
    Some((
        certificates(context, &files.cert, at.key("cert")),
        context.path(&files.key),
    ))
}

/// The path of a PEM file with certificates; says so when it is none.
pub fn certificates(context: &Context, file: &str, at: At) -> PathBuf {
    let path = context.path(file);
    match context.environment.read(&path, CONFIG_BYTES_MAX) {
        Ok(found) if String::from_utf8_lossy(&found.bytes).contains("-----BEGIN CERTIFICATE-----") => {}
        Ok(_) => at.wrong(
            format!("the file {file} holds no certificate"),
            "write a PEM file (BEGIN CERTIFICATE)",
        ),
        Err(error) => at.wrong(
            format!("the file {file} cannot be read: {error}"),
            "name a PEM file that can",
        ),
    }
    path
}

/// Says what is wrong with a header as far as it is written out.
pub fn header(forbidden: &Forbidden, name: &str, value: &str, at: At) {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        at.name().wrong(
            format!("`{name}` is no header name"),
            "header names are letters, digits and -",
        );
    }
    if value.contains(['\r', '\n']) {
        at.wrong(
            format!("the value of `{name}` holds a line end"),
            "write it on one line",
        );
    }
    if let Some(word) = forbidden.header(name) {
        at.name().wrong(
            format!("the header `{name}` holds the forbidden word `{word}`"),
            "rename the header, or take the word off `target.forbidden.header_words`",
        );
    }
}
