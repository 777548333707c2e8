//! How the daemon itself serves and stores.

use super::scalar::{number, url};
use super::{Context, secret};
use crate::catalog::{Retention, Service};
use crate::config::Overrides;
use crate::config::error::At;
use crate::config::raw;
use crate::limits::{CONCURRENCY, CONCURRENCY_MAX, HISTORY_BYTES_MIN, HISTORY_DAYS, SERIES_MAX, SERVE_HOSTS_MAX};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// Where it listens when nothing is said.
const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));

/// How the daemon serves and stores.
pub fn service(context: &Context, overrides: &Overrides, at: At) -> Service {
    let shape = &context.main.service;
    let listen = match &shape.listen {
        Some(text) => text.parse().unwrap_or_else(|_| {
            at.key("listen").wrong(
                format!("`{text}` is no address with a port"),
                "write it as in 127.0.0.1:9464",
            );
            LISTEN
        }),
        None => LISTEN,
    };
    let listen = overrides.listen.unwrap_or(listen);
    let insecure_listen = overrides.insecure_listen || shape.insecure_listen.unwrap_or(false);
    let named = shape.web_config.as_ref().map(|path| context.path(path));
    let web_config = overrides.web_config.clone().or(named);
    if !listen.ip().is_loopback() && !insecure_listen && web_config.is_none() {
        at.key("listen").wrong(
            format!("{listen} is open to the network, and nobody has to say who they are"),
            "name a `web_config` with users, or write `insecure_listen: true` (--insecure-listen) where a firewall says who comes",
        );
    }
    let external_url = shape.external_url.as_ref();
    let token = shape.api_token.as_ref().filter(|_| overrides.api_token.is_none());
    Service {
        listen,
        insecure_listen,
        hosts: hosts(shape.hosts.as_deref().unwrap_or_default(), at.key("hosts")),
        web_config,
        external_url: external_url.map(|text| url(text, &["http", "https"], at.key("external_url"))),
        data_dir: overrides
            .data_dir
            .clone()
            .unwrap_or_else(|| context.path(shape.data_dir.as_deref().unwrap_or("data"))),
        api_token: overrides
            .api_token
            .clone()
            .or_else(|| token.and_then(|source| secret::required(context, source, at.key("api_token")))),
        series_max: number(
            shape.series_max.unwrap_or(SERIES_MAX),
            "series_max",
            (100, 1_000_000),
            at.key("series_max"),
        ),
        concurrency: number(
            shape.concurrency.unwrap_or(CONCURRENCY),
            "concurrency",
            (1, CONCURRENCY_MAX),
            at.key("concurrency"),
        ),
        history: retention(&shape.history, at.key("history")),
    }
}

fn retention(shape: &raw::History, at: At) -> Retention {
    let usual = Retention::default();
    let days = number(shape.days.unwrap_or(HISTORY_DAYS), "days", (1, 3650), at.key("days"));
    let bytes = shape.bytes.unwrap_or(usual.bytes_max);
    Retention {
        keep: Duration::from_secs(u64::from(days) * 24 * 3600),
        bytes_max: number(bytes, "bytes", (HISTORY_BYTES_MIN, u64::MAX >> 1), at.key("bytes")),
    }
}

/// Names as they stand in a request's `Host`, without port.
fn hosts(names: &[String], at: At) -> Vec<String> {
    let plain = |name: &&String| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        !name.is_empty() && name.len() <= 253 && name.chars().all(fine)
    };
    if names.len() > SERVE_HOSTS_MAX {
        at.wrong(
            format!("there are {} names, at most {SERVE_HOSTS_MAX} are allowed", names.len()),
            "name those that callers use",
        );
    }
    if let Some(wrong) = names.iter().find(|name| !plain(name)) {
        at.wrong(
            format!("`{wrong}` is no name of a host"),
            "write it without scheme and port, as in monitor.example.org",
        );
    }
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}
