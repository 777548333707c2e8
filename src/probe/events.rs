//! Reads an event stream: connects the HTTP exchange with the parser, stamps events, knows when to stop. Must not: parse.

use super::classify::{Stage, classify};
use super::client::Client;
use super::exchange::{Opened, Purpose, Way};
use super::request::HttpRequest;
use super::sse::{SseItem, SseParser};
use super::timing::millis;
use crate::failure::{Failure, Kind};
use crate::limits::{BODY_CHUNKS_MAX, EVIDENCE_EXCERPT_BYTES, NAME_BYTES_MAX, SSE_EVENTS_MAX};
use crate::secret::sanitise_text;
use crate::transcript::{Chunk, HttpExchange, SseEvent, SseRead};
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Says whether an event is the one that is waited for.
pub type EventRule = Arc<dyn Fn(&SseEvent) -> bool + Send + Sync>;

/// When to stop reading a stream, at the latest at the request's deadline.
#[derive(Clone)]
pub struct SseUntil {
    /// Stop at the first event that this accepts; not to see one is `sse_silent`.
    pub matches: Option<EventRule>,
    /// Stop after so many events, at most `SSE_EVENTS_MAX`.
    pub events_max: usize,
    /// Longest time without an event; comments do not count as events. Longer is `sse_silent`.
    pub silence: Option<Duration>,
}

impl Default for SseUntil {
    /// Read until the deadline.
    fn default() -> Self {
        Self {
            matches: None,
            events_max: SSE_EVENTS_MAX,
            silence: None,
        }
    }
}

/// A stream while it is read.
struct Reading<'a> {
    client: &'a Client,
    until: &'a SseUntil,
    seen: SseRead,
    parser: SseParser,
    /// The start of the stream, for the record.
    excerpt: Vec<u8>,
    last_event: Option<Instant>,
    matched: bool,
}

/// Why reading stopped.
enum Stop {
    /// The event that was waited for came, or as many as wanted.
    Enough,
    /// The server ended the stream.
    Ended,
    /// Nothing came for longer than allowed.
    Silence,
    /// The deadline passed.
    Deadline,
    Broken(Failure),
}

impl Client {
    /// Reads an event stream. Sends `Accept: text/event-stream` unless the request has an `Accept`.
    ///
    /// # Errors
    /// `http_status` or `sse_content_type` for an answer that is no stream (its body is in the record), `sse_silent`, a limit,
    /// or what broke the stream. A stream that ends, or that goes on at the deadline after at least one event, is no failure
    /// unless a certain event was waited for.
    pub async fn sse(&self, mut request: HttpRequest, until: SseUntil) -> (SseRead, Option<Failure>) {
        if !request
            .headers
            .iter()
            .any(|(name, _)| ACCEPT.as_str().eq_ignore_ascii_case(name))
        {
            request
                .headers
                .push((ACCEPT.to_string(), "text/event-stream".to_owned()));
        }
        let opened = match self.open(&request, Purpose::Http, Way::Library).await {
            Ok(opened) => opened,
            Err(broken) => return (nothing_read(broken.0), Some(broken.1)),
        };
        if let Err(failure) = is_stream(&opened) {
            let (exchange, _) = self.finish(opened, &request).await;
            return (nothing_read(exchange), Some(self.told(failure)));
        }
        self.read_events(opened, &request, &until).await
    }

    async fn read_events(&self, opened: Opened, request: &HttpRequest, until: &SseUntil) -> (SseRead, Option<Failure>) {
        let (started, head_at) = (opened.started, opened.head_at);
        let first_byte_ms = opened.exchange.phases.first_byte_ms.unwrap_or_default();
        let mut reading = Reading {
            client: self,
            until,
            seen: nothing_read(opened.exchange.clone()),
            parser: SseParser::default(),
            excerpt: Vec::new(),
            last_event: None,
            matched: false,
        };
        let stop = reading.run(opened, request).await;
        let now = Instant::now();
        let mut failure = reading.verdict(stop);
        let Reading { mut seen, excerpt, .. } = reading;
        // `first_event_ms` was stamped from the head; the request was handed over earlier.
        seen.first_event_ms = seen.first_event_ms.map(|ms| ms + first_byte_ms);
        seen.http.body.text = sanitise_text(&self.run.redactor.cut_text(&String::from_utf8_lossy(&excerpt)));
        seen.http.body.truncated = seen.http.body.bytes > excerpt.len() as u64 || !seen.ended;
        seen.http.phases.body_ms = Some(millis(head_at, now));
        seen.http.total_ms = millis(started, now);
        failure = failure.map(|failure| self.told(failure));
        (seen, failure)
    }
}

impl Reading<'_> {
    async fn run(&mut self, opened: Opened, request: &HttpRequest) -> Stop {
        let Opened {
            mut body,
            head_at,
            started,
            deadline,
            ..
        } = opened;
        loop {
            let silence = self
                .until
                .silence
                .map(|silence| self.last_event.unwrap_or(head_at) + silence);
            let (wake, stop) = match silence.filter(|silence| *silence < deadline) {
                Some(silence) => (silence, Stop::Silence),
                None => (deadline, Stop::Deadline),
            };
            let data = match timeout_at(wake, body.frames.frame()).await {
                Err(_) => return stop,
                Ok(None) => return Stop::Ended,
                Ok(Some(Err(error))) => return Stop::Broken(classify(error.as_ref(), Stage::Body)),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_) => continue,
                },
            };
            let now = Instant::now();
            self.record_bytes(&data, request.incremental, millis(started, now));
            let mut items = Vec::new();
            let pushed = self.parser.push(&data, &mut items);
            for item in items {
                self.take(item, now, head_at);
                if self.matched || self.seen.events.len() >= self.until.events_max.min(SSE_EVENTS_MAX) {
                    return Stop::Enough;
                }
            }
            if let Err(failure) = pushed {
                return Stop::Broken(failure);
            }
            // A stream that is always ready never lets the timer have its turn.
            if now > deadline {
                return Stop::Deadline;
            }
            if self.seen.http.body.bytes > request.body_max as u64 {
                let detail = format!("the stream is above the limit of {} bytes", request.body_max);
                return Stop::Broken(Failure::new(Kind::BodyTooLarge, detail));
            }
        }
    }

    fn record_bytes(&mut self, data: &[u8], incremental: bool, offset_ms: f64) {
        self.seen.http.body.bytes += data.len() as u64;
        let room = EVIDENCE_EXCERPT_BYTES - self.excerpt.len();
        self.excerpt.extend_from_slice(&data[..data.len().min(room)]);
        if incremental && self.seen.http.chunks.len() < BODY_CHUNKS_MAX {
            self.seen.http.chunks.push(Chunk {
                offset_ms,
                bytes: data.len() as u64,
            });
        }
    }

    fn take(&mut self, item: SseItem, now: Instant, head_at: Instant) {
        let SseItem::Event { event, data, id } = item else {
            self.seen.comments += 1;
            return;
        };
        match self.last_event {
            None => self.seen.first_event_ms = Some(millis(head_at, now)),
            Some(last) => {
                let gap = millis(last, now);
                self.seen.longest_gap_ms = Some(self.seen.longest_gap_ms.map_or(gap, |longest| longest.max(gap)));
            }
        }
        self.last_event = Some(now);
        let shown = self.shown(event, &data, &id, now);
        self.matched = self.until.matches.as_ref().is_some_and(|matches| matches(&shown));
        self.seen.events.push(shown);
    }

    fn shown(&self, event: String, data: &str, id: &str, now: Instant) -> SseEvent {
        let run = &self.client.run;
        let mut json = serde_json::from_str(data).ok();
        let hidden = json.as_mut().is_some_and(|json| run.redactor.json_of(data, json));
        let text = match &json {
            Some(json) if hidden => run.redactor.excerpt(&json.to_string(), EVIDENCE_EXCERPT_BYTES),
            _ => run.redactor.excerpt(data, EVIDENCE_EXCERPT_BYTES),
        };
        SseEvent {
            offset_ms: run.offset_ms(now),
            event: run.redactor.line(&event, NAME_BYTES_MAX),
            data: text,
            json,
            id: run.redactor.line(id, NAME_BYTES_MAX),
        }
    }

    fn verdict(&mut self, stop: Stop) -> Option<Failure> {
        let missing = self.until.matches.is_some() && !self.matched;
        let seen = self.seen.events.len();
        let silent = |why: &str| {
            Failure::new(
                Kind::SseSilent,
                format!("{why}; {seen} events and {} comments came", self.seen.comments),
            )
        };
        match stop {
            Stop::Enough if missing => Some(silent("the event did not come among as many as are read")),
            Stop::Enough => None,
            Stop::Ended => {
                self.seen.ended = true;
                missing.then(|| silent("the stream ended before the event came"))
            }
            Stop::Silence => Some(silent("no event within the longest silence allowed")),
            // Reading until the deadline is a plan, unless nothing came, or something certain was waited for.
            Stop::Deadline if missing || seen == 0 => Some(silent("no such event until the deadline")),
            Stop::Deadline => None,
            Stop::Broken(failure) => Some(failure),
        }
        .map(|failure| match self.seen.http.status {
            Some(status) => failure.with_status(status),
            None => failure,
        })
    }
}

/// Whether an answer is an event stream.
fn is_stream(opened: &Opened) -> Result<(), Failure> {
    let status = opened.parts.status;
    if status != StatusCode::OK {
        let detail = format!("the stream was answered with HTTP {}", status.as_u16());
        return Err(Failure::new(Kind::HttpStatus, detail).with_status(status.as_u16()));
    }
    let value = opened
        .parts
        .headers
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = value
        .as_deref()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        return Ok(());
    }
    let detail = format!("the stream is of type `{essence}`, not text/event-stream");
    Err(Failure::new(Kind::SseContentType, detail).with_status(status.as_u16()))
}

fn nothing_read(http: HttpExchange) -> SseRead {
    SseRead {
        http,
        events: Vec::new(),
        first_event_ms: None,
        longest_gap_ms: None,
        comments: 0,
        ended: false,
    }
}
