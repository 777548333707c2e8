//! A run as people read it: a waterfall of its steps, each with what was asked, what came back, and the frames in between.
//! Everything here that a target said is text for the template to escape, cut to what can be read.

use super::draw;
use crate::catalog::Logs;
use crate::failure::Failure;
use crate::transcript::{
    AddressFacts, Close, Entry, Frame, HttpExchange, Observation, Phases, Received, Sent, SseRead, Transcript,
    UpgradeExchange,
};
use std::collections::BTreeMap;

/// Steps shown of one run.
const STEPS: usize = 80;
/// Frames or events shown of one step.
const FRAMES: usize = 40;
/// Characters shown of one text.
const CHARS: usize = 2_000;

/// A run.
pub(super) struct RunView {
    pub(super) id: String,
    pub(super) scenario: String,
    pub(super) started: String,
    pub(super) took: String,
    pub(super) trace_id: String,
    /// Where the target's log of it is read.
    pub(super) log: Option<String>,
    pub(super) broke: Option<String>,
    pub(super) steps: Vec<StepView>,
    /// Steps beyond those shown.
    pub(super) more: usize,
}

/// A step of it.
pub(super) struct StepView {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) says: String,
    pub(super) at: String,
    pub(super) took: String,
    pub(super) bar: String,
    pub(super) failure: Option<String>,
    /// Whether the judgement read it.
    pub(super) read: bool,
    pub(super) phases: Vec<(&'static str, String)>,
    pub(super) texts: Vec<(&'static str, String)>,
    pub(super) frames: Vec<FrameView>,
}

/// One line of a conversation.
pub(super) struct FrameView {
    pub(super) at: String,
    /// Sent by us, or received.
    pub(super) sent: bool,
    pub(super) what: String,
    pub(super) text: String,
}

impl RunView {
    /// The transcript, with the steps in `read` marked and a link into the target's log, if there is one.
    pub(super) fn of(transcript: &Transcript, read: &[String], logs: Option<&Logs>) -> Self {
        let whole = transcript.duration_ms;
        let steps = transcript.entries.iter().take(STEPS);
        Self {
            id: transcript.run.clone(),
            scenario: transcript.scenario.clone(),
            started: transcript.started_at.clone(),
            took: draw::took(whole),
            trace_id: transcript.trace_id.clone(),
            log: logs.map(|logs| logs.of(&transcript.trace_id, transcript.started_unix)),
            broke: transcript
                .broke_off
                .as_ref()
                .map(|broke| format!("{}: {}", broke.step, said(&broke.failure))),
            steps: steps.map(|entry| step(entry, whole, read)).collect(),
            more: transcript.entries.len().saturating_sub(STEPS),
        }
    }
}

fn step(entry: &Entry, whole_ms: f64, read: &[String]) -> StepView {
    let place: String = entry.place.iter().map(|place| format!("[{place}]")).collect();
    let exchange = exchange(&entry.seen);
    let phases = exchange.map(|http| &http.phases);
    let (kind, says) = summary(&entry.seen);
    StepView {
        name: format!("{}{place}", entry.id),
        kind,
        says,
        at: draw::took(entry.offset_ms),
        took: draw::took(entry.duration_ms),
        bar: draw::bar(whole_ms, (entry.offset_ms, entry.duration_ms), phases),
        failure: entry.failure.as_ref().map(said),
        read: read.contains(&entry.id),
        phases: phases_of(phases),
        texts: exchange.map(texts).unwrap_or_default(),
        frames: frames(&entry.seen),
    }
}

fn phases_of(phases: Option<&Phases>) -> Vec<(&'static str, String)> {
    let named = draw::named(phases).into_iter();
    named.map(|(name, took)| (name, draw::took(took))).collect()
}

fn said(failure: &Failure) -> String {
    format!("{}: {}", failure.kind, failure.detail)
}

fn exchange(seen: &Observation) -> Option<&HttpExchange> {
    match seen {
        Observation::Http(http) => Some(http),
        Observation::Upgrade(upgrade) => Some(&upgrade.http),
        Observation::Sse(sse) => Some(&sse.http),
        _ => None,
    }
}

/// Kind and gist of a step.
fn summary(seen: &Observation) -> (&'static str, String) {
    match seen {
        Observation::Http(http) => ("http", asked(http)),
        Observation::Upgrade(upgrade) => ("upgrade", upgraded(upgrade)),
        Observation::Sent(sent) => ("sent", format!("{} bytes on {}", sent.bytes, sent.on)),
        Observation::Received(received) => ("received", heard(received)),
        Observation::Pong(pong) => (
            "ping",
            pong.rtt_ms.map_or("no pong came".to_owned(), |rtt| {
                format!("pong after {}", draw::took(rtt))
            }),
        ),
        Observation::Closed(closed) => ("closed", format!("{} by {}", closed.on, closed.how)),
        Observation::Sse(sse) => ("sse", streamed(sse)),
        Observation::Nothing {} => ("", String::new()),
    }
}

fn asked(http: &HttpExchange) -> String {
    let answer = http.status.map_or("no answer".to_owned(), |status| status.to_string());
    let reached = |one: &AddressFacts| match &one.failure {
        None => format!("; {} reached", one.address),
        Some(failure) => format!("; {}: {}", one.address, failure.kind),
    };
    let each: String = http.each_address.iter().map(reached).collect();
    format!("{} {} → {answer}{each}", http.method, cut(&http.url))
}

fn upgraded(upgrade: &UpgradeExchange) -> String {
    let answer = upgrade
        .http
        .status
        .map_or("no answer".to_owned(), |status| status.to_string());
    format!(
        "{} with {} token by {} → {answer} ({})",
        upgrade.endpoint, upgrade.token, upgrade.transport, upgrade.outcome
    )
}

fn heard(received: &Received) -> String {
    let frames = received.frames.len() as u64 + received.frames_dropped;
    match received.latency_ms.filter(|_| received.matched) {
        Some(latency) => format!("what was waited for after {}; {frames} frames", draw::took(latency)),
        None if received.matched => format!("what was waited for; {frames} frames"),
        None => format!("{frames} frames in {}", draw::took(received.waited_ms)),
    }
}

fn streamed(sse: &SseRead) -> String {
    format!("{}; {} events", asked(&sse.http), sse.events.len())
}

/// The exchange, written out.
fn texts(http: &HttpExchange) -> Vec<(&'static str, String)> {
    let head = |first: String, headers: &BTreeMap<String, String>| {
        let lines = headers.iter().map(|(name, value)| format!("\n{name}: {value}"));
        cut(&format!("{first}{}", lines.collect::<String>()))
    };
    let mut texts = vec![(
        "request",
        head(format!("{} {}", http.method, http.url), &http.request_headers),
    )];
    if !http.request_body.is_empty() {
        texts.push(("request body", cut(&http.request_body)));
    }
    if let Some(status) = http.status {
        texts.push(("answer", head(format!("{} {status}", http.http_version), &http.headers)));
    }
    if !http.body.text.is_empty() {
        texts.push(("answer body", cut(&http.body.text)));
    }
    if let Some(tls) = &http.tls {
        texts.push(("tls", format!("{} {}", tls.version, cut(&tls.subject))));
    }
    texts
}

fn frames(seen: &Observation) -> Vec<FrameView> {
    match seen {
        Observation::Sent(sent) => vec![sent_frame(sent)],
        Observation::Received(received) => conversation(&received.frames, received.close.as_ref()),
        Observation::Upgrade(upgrade) => conversation(&upgrade.frames, upgrade.close.as_ref()),
        Observation::Closed(closed) => conversation(&[], closed.answer.as_ref()),
        Observation::Sse(sse) => {
            let events = sse.events.iter().take(FRAMES).map(|event| FrameView {
                at: draw::took(event.offset_ms),
                sent: false,
                what: event.event.clone(),
                text: cut(&event.data),
            });
            events.collect()
        }
        Observation::Http(_) | Observation::Pong(_) | Observation::Nothing {} => Vec::new(),
    }
}

fn sent_frame(sent: &Sent) -> FrameView {
    FrameView {
        at: draw::took(sent.flushed_ms),
        sent: true,
        what: "text".to_owned(),
        text: cut(&sent.text),
    }
}

fn conversation(frames: &[Frame], close: Option<&Close>) -> Vec<FrameView> {
    let mut lines: Vec<FrameView> = frames
        .iter()
        .take(FRAMES)
        .map(|frame| FrameView {
            at: draw::took(frame.offset_ms),
            sent: false,
            what: frame.opcode.clone(),
            text: if frame.text.is_empty() {
                format!("{} bytes", frame.bytes)
            } else {
                cut(&frame.text)
            },
        })
        .collect();
    lines.extend(close.map(|close| FrameView {
        at: draw::took(close.offset_ms),
        sent: false,
        what: format!("close {}", close.code),
        text: cut(&close.reason),
    }));
    lines
}

/// As much of a text as can be read. Control characters and those that turn the direction of writing are shown as boxes.
fn cut(text: &str) -> String {
    let shown = text.chars().map(|character| match character {
        '\n' | '\t' => character,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{25af}',
        control if control.is_control() => '\u{25af}',
        other => other,
    });
    let mut kept: String = shown.take(CHARS).collect();
    if text.chars().nth(CHARS).is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_texts_are_made_readable() {
        assert_eq!(cut("a\u{202e}b\u{1b}[0m\nc"), "a▯b▯[0m\nc");
        assert_eq!(cut(&"x".repeat(CHARS)).chars().count(), CHARS);
        assert!(cut(&"x".repeat(CHARS + 1)).ends_with('…'));
    }
}
