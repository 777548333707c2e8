//! What followed each 101 of one transcript. Pure.

use crate::failure::Kind;
use crate::transcript::{Entry, Observation, UpgradeExchange};

/// Sessions of one transcript: what followed each 101.
#[derive(Default)]
pub(super) struct Sessions {
    open: Vec<Session>,
}

struct Session {
    key: (String, Vec<u32>),
    endpoint: String,
    valid: bool,
    welcomed: bool,
    outcome: &'static str,
    opened_ms: f64,
    last_ms: f64,
}

impl Sessions {
    pub(super) fn opened(&mut self, on: &str, entry: &Entry, upgrade: &UpgradeExchange) {
        self.open.push(Session {
            key: (on.to_owned(), entry.place.clone()),
            endpoint: upgrade.endpoint.clone(),
            // A settled open only looks for a refusal; nothing is said on it afterwards.
            valid: upgrade.token == "valid" && upgrade.frames.is_empty() && upgrade.close.is_none(),
            welcomed: false,
            outcome: "ok",
            opened_ms: entry.offset_ms,
            last_ms: entry.offset_ms + entry.duration_ms,
        });
    }

    /// The latest session on this handle whose place encloses the entry's.
    fn find(&mut self, on: &str, entry: &Entry) -> Option<&mut Session> {
        self.open
            .iter_mut()
            .rev()
            .find(|session| session.key.0 == on && entry.place.starts_with(&session.key.1))
    }

    pub(super) fn endpoint(&mut self, on: &str, entry: &Entry) -> Option<String> {
        self.find(on, entry).map(|session| session.endpoint.clone())
    }

    /// Notes what a receive step means for its session; gives the time to the first application frame.
    pub(super) fn received(&mut self, on: &str, entry: &Entry) -> Option<f64> {
        let session = self.find(on, entry)?;
        session.last_ms = entry.offset_ms + entry.duration_ms;
        if let Some(failure) = entry.failure.as_ref().filter(|_| session.outcome == "ok") {
            session.outcome = match failure.kind {
                Kind::WsSilent => "no_welcome",
                Kind::WsClosed => "closed_early",
                Kind::WsErrorFrame => "auth_error_frame",
                Kind::WsZombie => "zombie",
                Kind::WsNoAnswer | Kind::WsHalfOpen => "mute",
                _ => "ok",
            };
        }
        let Observation::Received(received) = &entry.seen else {
            return None;
        };
        let first = !std::mem::replace(&mut session.welcomed, true);
        received.latency_ms.filter(|_| first && received.matched)
    }

    pub(super) fn outcomes(self) -> impl Iterator<Item = (String, &'static str, f64)> {
        self.open
            .into_iter()
            .filter(|session| session.valid)
            .map(|session| (session.endpoint, session.outcome, session.last_ms - session.opened_ms))
    }
}
