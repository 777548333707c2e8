//! What followed each 101 of one transcript: for the metrics and for the watch of sessions. Pure.

use super::{Entry, Observation, UpgradeExchange};
use crate::closed_set;
use crate::failure::{Blame, Class, Failure, Kind};

closed_set! {
    /// What followed a 101 with a valid token (observability.md C1).
    pub enum SessionOutcome {
        /// What should follow.
        Ok => "ok",
        /// Nothing came.
        NoWelcome => "no_welcome",
        /// The peer closed, or broke the protocol so that we had to.
        ClosedEarly => "closed_early",
        /// An error frame came instead.
        AuthErrorFrame => "auth_error_frame",
        /// Something came, but not what was waited for.
        Mute => "mute",
        /// Pings are answered, messages are not.
        Zombie => "zombie",
    }
}

/// Sessions of one transcript, gathered entry by entry.
#[derive(Default)]
pub struct Sessions {
    open: Vec<Session>,
}

/// A session as it was at the end of its transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Configured name of its endpoint.
    pub endpoint: String,
    /// The first thing that went wrong on it, or `ok`.
    pub outcome: SessionOutcome,
    /// How long it was held, milliseconds.
    pub held_ms: f64,
    /// What the first wait on it met, the welcome or not, and when that ended (milliseconds from the start of the run). None
    /// when nothing was waited for, or when that it failed says nothing about the target.
    pub opening: Option<(SessionOutcome, f64)>,
}

struct Session {
    key: (String, Vec<u32>),
    valid: bool,
    waited: bool,
    opened_ms: f64,
    last_ms: f64,
    ended: Ended,
}

impl Sessions {
    /// Takes an accepted handshake on the handle `on`.
    pub fn opened(&mut self, on: &str, entry: &Entry, upgrade: &UpgradeExchange) {
        self.open.push(Session {
            key: (on.to_owned(), entry.place.clone()),
            // A settled open only looks for a refusal; nothing is said on it afterwards.
            valid: upgrade.token == "valid" && upgrade.frames.is_empty() && upgrade.close.is_none(),
            waited: false,
            opened_ms: entry.offset_ms,
            last_ms: entry.offset_ms + entry.duration_ms,
            ended: Ended {
                endpoint: upgrade.endpoint.clone(),
                outcome: SessionOutcome::Ok,
                held_ms: 0.0,
                opening: None,
            },
        });
    }

    /// The latest session on this handle whose place encloses the entry's.
    fn find(&mut self, on: &str, entry: &Entry) -> Option<&mut Session> {
        self.open
            .iter_mut()
            .rev()
            .find(|session| session.key.0 == on && entry.place.starts_with(&session.key.1))
    }

    /// Endpoint of the session that an entry is about.
    pub fn endpoint(&mut self, on: &str, entry: &Entry) -> Option<String> {
        self.find(on, entry).map(|session| session.ended.endpoint.clone())
    }

    /// Notes what a receive step means for its session; gives the time to the first application frame.
    pub fn received(&mut self, on: &str, entry: &Entry) -> Option<f64> {
        let session = self.find(on, entry)?;
        session.last_ms = entry.offset_ms + entry.duration_ms;
        if let Some(failure) = entry
            .failure
            .as_ref()
            .filter(|_| session.ended.outcome == SessionOutcome::Ok)
        {
            session.ended.outcome = wrong(failure).unwrap_or(SessionOutcome::Ok);
        }
        let Observation::Received(received) = &entry.seen else {
            return None;
        };
        let first = !std::mem::replace(&mut session.waited, true);
        if first {
            let met = match &entry.failure {
                None => received.matched.then_some(SessionOutcome::Ok),
                Some(failure) if failure.blame == Blame::Monitor => None,
                Some(failure) => wrong(failure).or_else(|| broken(failure)),
            };
            session.ended.opening = met.map(|met| (met, session.last_ms));
        }
        received.latency_ms.filter(|_| first && received.matched)
    }

    /// Every session with a valid token.
    pub fn ended(self) -> impl Iterator<Item = Ended> {
        self.open
            .into_iter()
            .filter(|session| session.valid)
            .map(|session| Ended {
                held_ms: session.last_ms - session.opened_ms,
                ..session.ended
            })
    }
}

/// The outcome that a failed receive stands for, if it stands for one.
fn wrong(failure: &Failure) -> Option<SessionOutcome> {
    match failure.kind {
        Kind::WsSilent => Some(SessionOutcome::NoWelcome),
        Kind::WsClosed => Some(SessionOutcome::ClosedEarly),
        Kind::WsErrorFrame => Some(SessionOutcome::AuthErrorFrame),
        Kind::WsZombie => Some(SessionOutcome::Zombie),
        Kind::WsNoAnswer | Kind::WsHalfOpen => Some(SessionOutcome::Mute),
        _ => None,
    }
}

/// A session that we had to end because the peer does not keep to the protocol.
fn broken(failure: &Failure) -> Option<SessionOutcome> {
    matches!(failure.class, Class::Protocol | Class::TooLarge).then_some(SessionOutcome::ClosedEarly)
}
