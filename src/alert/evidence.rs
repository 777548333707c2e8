//! What transcripts show about a broken socket, in short: the answer itself, what the other credential meets, what plain
//! requests meet. Pure.

use super::Credential;
use super::text::inert;
use crate::failure::UpgradeOutcome;
use crate::limits::ALERT_QUOTE_CHARS_MAX;
use crate::transcript::{Entry, HttpExchange, Observation, Transcript, UpgradeExchange};
use std::sync::Arc;
use url::Url;

/// Plain requests that are quoted.
const REQUESTS_QUOTED_MAX: usize = 4;

/// What was shown, for people.
pub(super) fn shown(credential: Credential) -> &'static str {
    match credential {
        Credential::Nobody => "without a token",
        Credential::Valid => "with a valid token",
    }
}

/// What happened instead of the right answer.
pub(super) fn happened(outcome: UpgradeOutcome) -> String {
    use UpgradeOutcome as O;
    match outcome {
        O::Ok => "were answered as they should".to_owned(),
        O::HttpOther => "were answered with another HTTP status than is right".to_owned(),
        O::BadHandshake => "were answered with a broken handshake".to_owned(),
        O::Timeout => "met no answer in time".to_owned(),
        O::Refused => "met a refused connection".to_owned(),
        O::Reset => "met a connection that was closed without an answer".to_owned(),
        O::Dns => "did not get past name resolution".to_owned(),
        O::Tls => "did not get past TLS".to_owned(),
        status => format!(
            "were answered with HTTP {}",
            status.as_str().trim_start_matches("http_")
        ),
    }
}

/// The newest answer to an upgrade of this kind that was `outcome`, as ` by LAYER: EXCERPT`.
pub(super) fn answered_by(
    transcripts: &[Arc<Transcript>],
    (socket, credential, outcome): (&str, Credential, UpgradeOutcome),
) -> String {
    let found = upgrades(transcripts, socket, credential).find(|upgrade| upgrade.outcome == outcome);
    let Some(http) = found.map(|upgrade| &upgrade.http) else {
        return String::new();
    };
    let mut said = String::new();
    if !http.layer.is_empty() && http.layer != "unknown" {
        said.push_str(" by ");
        said.push_str(&inert(&http.layer));
    }
    if !http.body.text.trim().is_empty() {
        said.push_str(": ");
        said.push_str(&excerpt(&http.body.text));
    }
    said
}

/// How the newest session without a welcome ended, as `: DETAIL`.
pub(super) fn met(transcripts: &[Arc<Transcript>], socket: &str) -> String {
    let opened = |transcript: &&Arc<Transcript>| {
        transcript.entries.iter().any(|entry| {
            matches!(&entry.seen, Observation::Upgrade(upgrade) if upgrade.accepted && upgrade.endpoint == socket)
        })
    };
    let failures = transcripts.iter().filter(opened).filter_map(|transcript| {
        let waits = |entry: &&Entry| matches!(entry.seen, Observation::Received(_));
        let failure = transcript.entries.iter().find(waits)?.failure.as_ref()?;
        Some((transcript.started_unix, failure))
    });
    let newest = failures.max_by(|(one, _), (other, _)| one.total_cmp(other));
    newest.map_or_else(String::new, |(_, failure)| format!(": {}", excerpt(&failure.detail)))
}

/// What else was seen: the other credential on the same socket, and plain requests.
pub(super) fn beside(transcripts: &[Arc<Transcript>], socket: &str, credential: Credential) -> Vec<String> {
    let other = match credential {
        Credential::Nobody => Credential::Valid,
        Credential::Valid => Credential::Nobody,
    };
    let mut said: Vec<String> = upgrades(transcripts, socket, other)
        .take(1)
        .map(|upgrade| format!("{}: {}", shown(other), answer(upgrade)))
        .collect();
    let requests = transcripts.iter().flat_map(|transcript| &transcript.entries);
    let mut quoted: Vec<String> = Vec::new();
    for entry in requests {
        let Observation::Http(http) = &entry.seen else { continue };
        let token = if entry.credential.is_some() {
            " with a token"
        } else {
            ""
        };
        let text = format!("{} {}{token}: {}", inert(&http.method), path(http), status(http));
        if quoted.len() < REQUESTS_QUOTED_MAX && !quoted.contains(&text) {
            quoted.push(text);
        }
    }
    said.extend(quoted);
    said
}

/// Upgrades of this kind, newest first.
fn upgrades<'a>(
    transcripts: &'a [Arc<Transcript>],
    socket: &'a str,
    credential: Credential,
) -> impl Iterator<Item = &'a UpgradeExchange> {
    let mut found: Vec<(f64, &UpgradeExchange)> = transcripts
        .iter()
        .flat_map(|transcript| transcript.entries.iter().map(move |entry| (transcript, entry)))
        .filter_map(|(transcript, entry)| match &entry.seen {
            Observation::Upgrade(upgrade) if upgrade.endpoint == socket && upgrade.token == credential.as_str() => {
                Some((transcript.started_unix + entry.offset_ms / 1e3, upgrade))
            }
            _ => None,
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.into_iter().map(|(_, upgrade)| upgrade)
}

fn answer(upgrade: &UpgradeExchange) -> String {
    let status = status(&upgrade.http);
    if upgrade.outcome == UpgradeOutcome::Ok {
        format!("{status}, as it should")
    } else {
        format!("{status} ({})", upgrade.outcome)
    }
}

fn status(http: &HttpExchange) -> String {
    http.status
        .map_or_else(|| "no answer".to_owned(), |status| status.to_string())
}

fn path(http: &HttpExchange) -> String {
    let path = Url::parse(&http.url).map_or_else(|_| String::new(), |url| url.path().to_owned());
    excerpt(&path)
}

/// One inert line of bounded length.
pub(super) fn excerpt(text: &str) -> String {
    let line = inert(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= ALERT_QUOTE_CHARS_MAX {
        return line;
    }
    let kept: String = line.chars().take(ALERT_QUOTE_CHARS_MAX).collect();
    format!("{kept}…")
}
