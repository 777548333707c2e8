//! WebSocket after the 101: frames as seen, messages to send, and the two kinds of session. Must not: judge a dialogue.

mod codec;
mod queue;
mod raw;
mod session;
mod tap;
mod task;

pub use raw::RawSession;
pub use session::Session;

use super::client::RunStart;
use crate::closed_set;
use crate::failure::{Class, Failure, Kind};
use crate::limits::{CLOSE_REASON_BYTES_MAX, EVIDENCE_EXCERPT_BYTES, WS_CONTROL_FRAMES_PER_SECOND_MAX};
use crate::transcript::{Close, Frame};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The code for a Close frame without a code (RFC 6455 section 7.4.1).
pub(super) const NO_CODE: u16 = 1005;
/// The code for an end without a Close frame (RFC 6455 section 7.4.1).
pub(super) const NO_CLOSE: u16 = 1006;

closed_set! {
    /// Kind of a received message or control frame.
    pub enum Opcode {
        /// Text message.
        Text => "text",
        /// Binary message.
        Binary => "binary",
        /// Protocol ping.
        Ping => "ping",
        /// Protocol pong.
        Pong => "pong",
        /// Close frame, or the end of the connection without one (code 1006).
        Close => "close",
    }
}

/// A message to send.
#[derive(Clone)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A text message in several frames.
    Fragments(Vec<String>),
}

/// Makes the automatic answer to a frame, if it wants one.
pub type Rule = Arc<dyn Fn(&SeenFrame) -> Option<String> + Send + Sync>;

/// What a session has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Protocol pings received; each is answered while reading is not held.
    pub pings: u64,
    /// Answers sent by the [`Rule`].
    pub answers: u64,
    /// Answers of the rule that could not be queued because the peer does not read.
    pub answers_lost: u64,
    /// Data frames dropped because nobody read them in time.
    pub frames_dropped: u64,
}

/// A frame or whole message as it arrived, unredacted: it has no `Debug` and goes into transcripts through
/// [`SeenFrame::frame`] only.
#[derive(Clone)]
pub struct SeenFrame {
    at: Instant,
    opcode: Opcode,
    text: String,
    bytes: u64,
    code: u16,
}

impl SeenFrame {
    pub(super) fn text(at: Instant, text: String) -> Self {
        Self {
            at,
            opcode: Opcode::Text,
            bytes: text.len() as u64,
            text,
            code: 0,
        }
    }

    pub(super) fn other(at: Instant, opcode: Opcode, bytes: usize) -> Self {
        Self {
            at,
            opcode,
            bytes: bytes as u64,
            text: String::new(),
            code: 0,
        }
    }

    pub(super) fn closed(at: Instant, code: u16, reason: &str) -> Self {
        Self {
            at,
            opcode: Opcode::Close,
            bytes: reason.len() as u64,
            text: reason.to_owned(),
            code,
        }
    }

    /// When its last byte arrived.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Its kind.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// Bytes of its payload.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The text before redaction (the reason, of a Close), for captures; empty for binary and control frames.
    pub fn expose_text(&self) -> &str {
        &self.text
    }

    /// The text as JSON before redaction, for captures and answers.
    pub fn expose_json(&self) -> Option<Value> {
        serde_json::from_str(&self.text)
            .ok()
            .filter(|_| self.opcode == Opcode::Text)
    }

    /// The frame for the transcript of `run`.
    pub fn frame(&self, run: &RunStart) -> Frame {
        let mut json = self.expose_json();
        let hidden = json.as_mut().is_some_and(|json| run.redactor.json_of(&self.text, json));
        let text = match &json {
            Some(json) if hidden => run.redactor.excerpt(&json.to_string(), EVIDENCE_EXCERPT_BYTES),
            _ => run.redactor.excerpt(&self.text, EVIDENCE_EXCERPT_BYTES),
        };
        Frame {
            offset_ms: run.offset_ms(self.at),
            opcode: self.opcode.as_str().to_owned(),
            text,
            json,
            bytes: self.bytes,
        }
    }

    /// The close for the transcript of `run`, if it is one.
    pub fn close(&self, run: &RunStart) -> Option<Close> {
        (self.opcode == Opcode::Close).then(|| Close {
            code: self.code,
            reason: run.redactor.line(&self.text, CLOSE_REASON_BYTES_MAX),
            offset_ms: run.offset_ms(self.at),
        })
    }

    /// The failure that this close is for somebody who waited for something else.
    pub(super) fn close_failure(&self) -> Failure {
        let detail = match self.code {
            NO_CLOSE => "the connection ended without a Close frame".to_owned(),
            NO_CODE => "the peer closed without a code".to_owned(),
            code if self.text.is_empty() => format!("the peer closed with {code}"),
            code => format!("the peer closed with {code}: {}", self.text),
        };
        let mut failure = Failure::new(Kind::WsClosed, detail).with_close_code(self.code);
        // 1008 is "policy violation", 4401 the common private code for 401 (faults.md F48).
        if matches!(self.code, 1008 | 4401) {
            failure.class = Class::Auth;
        }
        failure
    }
}

/// Notices more control frames in a second than a sane peer sends.
#[derive(Default)]
pub(super) struct FloodGuard {
    window: Option<(Instant, u32)>,
}

impl FloodGuard {
    pub(super) fn count(&mut self, at: Instant) -> Result<(), Failure> {
        let (since, count) = self
            .window
            .filter(|(since, _)| at - *since < Duration::from_secs(1))
            .unwrap_or((at, 0));
        self.window = Some((since, count + 1));
        if count < WS_CONTROL_FRAMES_PER_SECOND_MAX {
            return Ok(());
        }
        let detail = format!("more than {WS_CONTROL_FRAMES_PER_SECOND_MAX} control frames in a second");
        Err(Failure::new(Kind::WsControlFlood, detail))
    }
}
