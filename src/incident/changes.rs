//! What changed between the last good evidence and the first bad: status, headers, who answered, version, certificate,
//! addresses, and how long each phase took beside the median of the good ones. Pure; it compares and guesses nothing.

use crate::limits::{CHANGES_MAX, DETAIL_BYTES_MAX};
use crate::transcript::{HttpExchange, Observation, Phases, Transcript};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Headers that differ from one answer to the next by nature.
const VOLATILE: [&str; 16] = [
    "age",
    "alt-svc",
    "content-length",
    "date",
    "etag",
    "expires",
    "last-modified",
    "report-to",
    "retry-after",
    "sec-websocket-accept",
    "server-timing",
    "set-cookie",
    "traceparent",
    "x-cloud-trace-context",
    "x-request-id",
    "x-trace-id",
];
/// Members of JSON bodies, at the top or one level below, that say which build answers.
const VERSIONS: [&str; 7] = [
    "version",
    "revision",
    "build",
    "commit",
    "release",
    "image",
    "started_at",
];

/// Something that was one thing and is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What: `status`, `answered by`, `header server`, `certificate`, `phase first_byte`, …
    pub what: String,
    /// In the good evidence; empty when there was none.
    pub from: String,
    /// In the bad evidence; empty when there was none.
    pub to: String,
}

/// What differs in step `step` between `good` and `bad`; `phases` are those of the good runs before, oldest first.
pub fn changes(step: &str, (good, bad): (&Transcript, &Transcript), phases: &[Phases]) -> Vec<Change> {
    let mut found = Found(Vec::new());
    let exchanges = (exchange(good, step), exchange(bad, step));
    if let (Some(good), Some(bad)) = exchanges {
        found.text("status", &number(good.status), &number(bad.status));
        found.text("answered by", &good.layer, &bad.layer);
        found.text("HTTP version", &good.http_version, &bad.http_version);
        found.text(
            "address",
            good.peer.as_deref().unwrap_or(""),
            bad.peer.as_deref().unwrap_or(""),
        );
        certificate(good, bad, &mut found);
        headers(good, bad, &mut found);
        durations(phases, &bad.phases, &mut found);
    }
    versions(good, bad, &mut found);
    found.0.truncate(CHANGES_MAX);
    found.0
}

/// Phases of the exchange of `step`, if it had one.
pub(super) fn phases_of<'a>(transcript: &'a Transcript, step: &str) -> Option<&'a Phases> {
    exchange(transcript, step).map(|http| &http.phases)
}

/// Headers of answers by which the target's log finds the request.
const IDS: [&str; 5] = [
    "traceparent",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-request-id",
    "x-trace-id",
];

/// Trace and request ids in the answer to `step`, by header.
pub(super) fn ids_of(transcript: &Transcript, step: &str) -> BTreeMap<String, String> {
    let headers = exchange(transcript, step).map(|http| &http.headers);
    let ids = IDS.iter().filter_map(|name| {
        let value = headers?.get(*name)?;
        Some(((*name).to_owned(), bounded(value)))
    });
    ids.collect()
}

fn exchange<'a>(transcript: &'a Transcript, step: &str) -> Option<&'a HttpExchange> {
    let entry = transcript.entries.iter().find(|entry| entry.id == step)?;
    http(&entry.seen)
}

fn http(seen: &Observation) -> Option<&HttpExchange> {
    match seen {
        Observation::Http(http) => Some(http),
        Observation::Upgrade(upgrade) => Some(&upgrade.http),
        Observation::Sse(read) => Some(&read.http),
        _ => None,
    }
}

struct Found(Vec<Change>);

impl Found {
    fn text(&mut self, what: &str, from: &str, to: &str) {
        if from != to {
            self.0.push(Change {
                what: bounded(what),
                from: bounded(from),
                to: bounded(to),
            });
        }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(DETAIL_BYTES_MAX / 4).collect()
}

fn number(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| status.to_string())
}

fn certificate(good: &HttpExchange, bad: &HttpExchange, found: &mut Found) {
    let (Some(good), Some(bad)) = (&good.tls, &bad.tls) else {
        return;
    };
    let ends = |at: Option<i64>| at.map_or_else(String::new, |at| at.to_string());
    found.text("TLS version", &good.version, &bad.version);
    found.text("certificate subject", &good.subject, &bad.subject);
    found.text(
        "certificate ends (seconds since 1970)",
        &ends(good.not_after_unix),
        &ends(bad.not_after_unix),
    );
}

fn headers(good: &HttpExchange, bad: &HttpExchange, found: &mut Found) {
    let names: BTreeSet<&String> = good.headers.keys().chain(bad.headers.keys()).collect();
    for name in names.into_iter().filter(|name| !VOLATILE.contains(&name.as_str())) {
        let value = |http: &HttpExchange| http.headers.get(name).cloned().unwrap_or_default();
        found.text(&format!("header {name}"), &value(good), &value(bad));
    }
}

/// Each phase beside the median of the good ones.
fn durations(good: &[Phases], bad: &Phases, found: &mut Found) {
    type Take = fn(&Phases) -> Option<f64>;
    let takes: [(&str, Take); 5] = [
        ("dns", |phases| phases.dns_ms),
        ("connect", |phases| phases.connect_ms),
        ("tls", |phases| phases.tls_ms),
        ("first_byte", |phases| phases.first_byte_ms),
        ("body", |phases| phases.body_ms),
    ];
    for (name, take) in takes {
        let mut before: Vec<f64> = good.iter().filter_map(take).collect();
        before.sort_by(f64::total_cmp);
        let median = before.get(before.len() / 2).copied();
        if let (Some(median), Some(now)) = (median, take(bad)) {
            let from = format!("{median:.1} ms (median of {})", before.len());
            found.text(&format!("phase {name}"), &from, &format!("{now:.1} ms"));
        }
    }
}

/// What the answers of the whole runs say about which build answers.
fn versions(good: &Transcript, bad: &Transcript, found: &mut Found) {
    for entry in &bad.entries {
        let Some(now) = http(&entry.seen).and_then(|http| http.json.as_ref()) else {
            continue;
        };
        let Some(before) = exchange(good, &entry.id).and_then(|http| http.json.as_ref()) else {
            continue;
        };
        for name in VERSIONS {
            for (from, to) in [(&before[name], &now[name]), (&before["data"][name], &now["data"][name])] {
                if from.is_string() || to.is_string() {
                    found.text(&format!("{} {name}", entry.id), &said(from), &said(to));
                }
            }
        }
    }
}

fn said(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
