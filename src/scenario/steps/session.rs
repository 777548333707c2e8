//! `ws.receive`, `ws.ping`, `ws.hold`, `ws.close`, `ws.abort`: the dialogue on an open socket.

use crate::catalog::step::{Hold, Receive, Silence};
use crate::catalog::{SocketEndpoint, Step};
use crate::failure::{Failure, Kind, Phase};
use crate::limits::{CLOSE_AFTER_ERROR_FRAME, FRAMES_PER_STEP_MAX};
use crate::probe::SeenFrame;
use crate::scenario::execution::{Branch, Done, Execution};
use crate::scenario::sockets::{Half, Socket, is_data};
use crate::transcript::{Close, Closed, Frame, Observation, Pong, Received};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// Frames that a step has seen, bounded.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) frames: Vec<Frame>,
    pub(super) dropped: u64,
    pub(super) close: Option<Close>,
}

impl Collected {
    pub(super) fn add(&mut self, frame: Frame) {
        if self.frames.len() < FRAMES_PER_STEP_MAX {
            self.frames.push(frame);
        } else {
            self.dropped += 1;
        }
    }
}

/// How a wait for frames ended.
pub(super) enum Ended {
    /// The frame that was waited for came: as it arrived, and as it is recorded.
    Matched(SeenFrame, Frame),
    /// The deadline passed.
    Deadline,
    /// The session is over.
    Over(Failure),
}

impl Execution {
    /// Reads frames into `collected` until `matches` takes one, the deadline, or the end of the session.
    pub(super) async fn collect(
        &self,
        socket: &Socket,
        collected: &mut Collected,
        mut deadline: Instant,
        mut matches: impl FnMut(&Frame, &mut Instant) -> bool,
    ) -> Ended {
        loop {
            let seen = match socket.next(deadline).await {
                Ok(Some(seen)) => seen,
                Ok(None) => return Ended::Deadline,
                Err(failure) => return Ended::Over(failure),
            };
            if let Some(close) = seen.close(self.run()) {
                collected.close = Some(close);
                // The session's own failure for this close comes next.
                continue;
            }
            let frame = seen.frame(self.run());
            if is_data(&seen) {
                socket.story().add(&frame);
            }
            let matched = matches(&frame, &mut deadline);
            collected.add(frame.clone());
            if matched {
                return Ended::Matched(seen, frame);
            }
        }
    }

    pub(super) async fn receive(&self, step: &Step, receive: &Receive, branch: &Branch) -> Done {
        let begun = Instant::now();
        let mut received = Received {
            on: receive.on.clone(),
            ..Received::default()
        };
        let socket = match self.sockets.find(&receive.on, &branch.layer.crowd) {
            Ok(socket) => socket,
            Err(failure) => return Done::new(Observation::Received(received), Some(failure)),
        };
        let endpoint = self.endpoint_of(&socket);
        let mut collected = Collected::default();
        let deadline = branch.deadline_in(step.within);
        let ended = self
            .collect(&socket, &mut collected, deadline, |frame, deadline| {
                let Some(until) = &receive.until else { return false };
                if self.bindings.holds(&branch.layer, until, &[("frame", &view(frame))]) {
                    return true;
                }
                if self.is_error_frame(endpoint, &socket) {
                    // The close that follows is evidence too, but nothing else is waited for.
                    *deadline = (*deadline).min(Instant::now() + CLOSE_AFTER_ERROR_FRAME);
                }
                false
            })
            .await;
        let mut raw = None;
        if let Ended::Matched(seen, frame) = &ended {
            fill_matched(&mut received, (seen, frame), &socket);
            raw = Some(json!({ "matched": true, "json": seen.expose_json(), "text": seen.expose_text() }));
        }
        let failure = self.missed(receive, step, &socket, &collected, &ended);
        received.frames = collected.frames;
        received.frames_dropped = collected.dropped + socket.newly_dropped().await;
        received.close = collected.close;
        received.waited_ms = begun.elapsed().as_secs_f64() * 1e3;
        let credential = socket.story().credential.clone();
        Done {
            raw,
            credential,
            ..Done::new(Observation::Received(received), failure)
        }
    }

    /// The failure of a receive that did not get what it waited for. Collecting (no `until`) and `silence: ends` take the
    /// deadline and the peer's close for an end; both are in the entry.
    fn missed(
        &self,
        receive: &Receive,
        step: &Step,
        socket: &Arc<Socket>,
        collected: &Collected,
        ended: &Ended,
    ) -> Option<Failure> {
        let waited = receive.until.is_some() && receive.silence == Silence::Fails;
        if let Ended::Matched(..) = ended {
            return None;
        }
        let failure = if receive.until.is_some() && self.refused_after_101(socket, collected) {
            let mut failure = Failure::new(Kind::WsErrorFrame, "an error frame came instead of what was waited for");
            failure.close_code = collected.close.as_ref().map(|close| close.code);
            failure
        } else {
            match ended {
                Ended::Over(failure) if failure.kind == Kind::WsClosed && !waited => return None,
                Ended::Over(failure) => failure.clone(),
                Ended::Deadline if waited => no_answer(socket, step),
                Ended::Deadline | Ended::Matched(..) => return None,
            }
        };
        Some(failure.in_phase(phase_of(socket)))
    }

    fn endpoint_of(&self, socket: &Socket) -> Option<&SocketEndpoint> {
        let name = socket.story().opened.endpoint.clone();
        self.runner.catalog.target.sockets.get(&name)
    }

    fn is_error_frame(&self, endpoint: Option<&SocketEndpoint>, socket: &Socket) -> bool {
        let Some(that) = endpoint.and_then(|endpoint| endpoint.error_frame.as_ref()) else {
            return false;
        };
        let story = socket.story();
        let opened = story.before_welcome().then(|| story.opened.clone());
        drop(story);
        opened.is_some_and(|opened| self.says(that, &opened))
    }

    /// Whether the session was refused after its 101: by the endpoint's error frame, before any welcome. Lets the user rest
    /// when the refusal says so.
    fn refused_after_101(&self, socket: &Socket, collected: &Collected) -> bool {
        let (mut opened, credential) = {
            let story = socket.story();
            if story.welcomed {
                return false;
            }
            (story.opened.clone(), story.credential.clone())
        };
        opened.close.clone_from(&collected.close);
        let Some(endpoint) = self.runner.catalog.target.sockets.get(&opened.endpoint) else {
            return false;
        };
        if let Some(credential) = credential {
            self.rest_if_limited(&opened, endpoint, &credential);
        }
        endpoint
            .error_frame
            .as_ref()
            .is_some_and(|that| self.says(that, &opened))
    }

    pub(super) async fn ping(&self, step: &Step, on: &str, branch: &Branch) -> Done {
        let within = branch
            .deadline_in(step.within)
            .saturating_duration_since(Instant::now());
        let rtt = match self.sockets.find(on, &branch.layer.crowd) {
            Ok(socket) => socket.ping(within).await,
            Err(failure) => Err(failure),
        };
        let pong = Pong {
            on: on.to_owned(),
            rtt_ms: rtt.as_ref().ok().copied(),
        };
        Done::new(Observation::Pong(pong), rtt.err())
    }

    pub(super) async fn hold_reading(&self, on: &str, hold: Hold, branch: &Branch) -> Done {
        let held = match self.sockets.find(on, &branch.layer.crowd) {
            Ok(socket) => socket.hold_reading(hold == Hold::Stop).await,
            Err(failure) => Err(failure),
        };
        Done::new(Observation::Nothing {}, held.err())
    }

    pub(super) async fn close(&self, step: &Step, on: &str, (code, reason): (u16, &str), branch: &Branch) -> Done {
        let within = branch
            .deadline_in(step.within)
            .saturating_duration_since(Instant::now());
        let (closed, failure) = match self.sockets.find(on, &branch.layer.crowd) {
            Ok(socket) => {
                let closed = socket.close(code, reason, within).await;
                self.sockets.forget(&socket);
                closed
            }
            Err(failure) => (Closed::default(), Some(failure)),
        };
        Done::new(
            Observation::Closed(Closed {
                on: on.to_owned(),
                ..closed
            }),
            failure,
        )
    }

    pub(super) async fn abort(&self, step: &Step, on: &str, half_frame: bool, branch: &Branch) -> Done {
        let half = if half_frame { Half::First } else { Half::Not };
        let closed = match self.sockets.find(on, &branch.layer.crowd) {
            Ok(socket) => {
                let closed = socket.abort(half, branch.deadline_in(step.within)).await;
                self.sockets.forget(&socket);
                closed
            }
            Err(failure) => Err(failure),
        };
        let failure = closed.as_ref().err().cloned();
        let closed = Closed {
            on: on.to_owned(),
            ..closed.unwrap_or_default()
        };
        Done::new(Observation::Closed(closed), failure)
    }
}

/// A frame as expressions read it (`frame`).
fn view(frame: &Frame) -> Value {
    serde_json::to_value(frame).unwrap_or_default()
}

fn fill_matched(received: &mut Received, (seen, frame): (&SeenFrame, &Frame), socket: &Socket) {
    let mut story = socket.story();
    story.welcomed = true;
    received.matched = true;
    // An answer cannot have come before the question; a frame that did has no latency.
    let latency = seen.at().checked_duration_since(story.last_sent);
    received.latency_ms = latency.map(|latency| latency.as_secs_f64() * 1e3);
    received.json.clone_from(&frame.json);
    received.text.clone_from(&frame.text);
    received.at_ms = Some(frame.offset_ms);
}

/// Until the first message that was waited for has come, a session is in its welcome.
fn phase_of(socket: &Socket) -> Phase {
    if socket.story().welcomed {
        Phase::Session
    } else {
        Phase::Welcome
    }
}

/// Nothing came: silence if the peer has said nothing at all since the 101.
fn no_answer(socket: &Socket, step: &Step) -> Failure {
    let within = step.within.as_secs_f64();
    let story = socket.story();
    if story.frames == 0 && !story.welcomed {
        return Failure::new(Kind::WsSilent, format!("no frame within {within} s after the 101"));
    }
    Failure::new(
        Kind::WsNoAnswer,
        format!("what was waited for did not come within {within} s"),
    )
}
