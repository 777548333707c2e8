//! A WebSocket session as its owner sees it. Must not: touch the stream; its task does.

use super::task::{Command, Shared, drive};
use super::{Counts, Outgoing, Rule, SeenFrame};
use crate::failure::{Failure, Kind};
use crate::limits::{CLOSE_REASON_BYTES_MAX, WS_COMMANDS_MAX};
use crate::probe::client::RunStart;
use crate::probe::timing::millis;
use crate::secret::cut;
use crate::transcript::Closed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// An open WebSocket. Its frames are read and stamped in the background, protocol pings are answered. Dropping it closes the
/// connection without a Close frame.
pub struct Session {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    run: RunStart,
    switched_at: Instant,
    _task: AbortOnDropHandle<()>,
}

impl Session {
    pub(in crate::probe) fn start<S>(stream: S, run: RunStart, switched_at: Instant) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (commands, inbox) = mpsc::channel(WS_COMMANDS_MAX);
        let shared = Arc::new(Shared {
            queue: Default::default(),
            rule: Mutex::default(),
            pings: Mutex::default(),
            hold: watch::Sender::new(false),
            commands: commands.downgrade(),
        });
        let task = AbortOnDropHandle::new(tokio::spawn(drive(stream, Arc::clone(&shared), inbox)));
        Self {
            shared,
            commands,
            run,
            switched_at,
            _task: task,
        }
    }

    /// When the 101 was complete: latencies count from here until the first message is sent.
    pub fn switched_at(&self) -> Instant {
        self.switched_at
    }

    /// Sends a message and returns when its last byte was flushed.
    ///
    /// # Errors
    /// The session's end, or `ws_no_answer` if the peer does not read until the deadline. A message that is still being
    /// written then is written on, for half a frame would break the session.
    pub async fn send(&self, message: Outgoing, deadline: Instant) -> Result<Instant, Failure> {
        let flushed = self.command(deadline, |reply| Command::Send(message, reply)).await;
        flushed.map_err(|failure| self.told(failure))
    }

    /// The next data frame or close; `None` at the deadline. After the close, its failure.
    ///
    /// # Errors
    /// How the session ended, once every frame that came before has been returned.
    pub async fn next(&mut self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        self.next_shared(deadline).await
    }

    /// As [`Session::next`], for a session that several steps use at once: each frame goes to one of those who wait.
    ///
    /// # Errors
    /// As [`Session::next`].
    pub async fn next_shared(&self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        self.shared
            .queue
            .next(deadline)
            .await
            .map_err(|failure| self.told(failure))
    }

    /// Round trip of a protocol ping in milliseconds.
    ///
    /// # Errors
    /// `ws_half_open` if no pong comes in time, or the session's end.
    pub async fn ping(&self, within: Duration) -> Result<f64, Failure> {
        let deadline = Instant::now() + within;
        let number = rand::random();
        let (answer, pong) = oneshot::channel();
        self.shared
            .pings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((number, answer));
        let half_open = || Failure::new(Kind::WsHalfOpen, format!("no pong within {} ms", within.as_millis()));
        let flushed = match self.command(deadline, |reply| Command::Ping(number, reply)).await {
            Ok(flushed) => flushed,
            Err(failure) if failure.kind == Kind::WsNoAnswer => return Err(half_open()),
            Err(failure) => return Err(self.told(failure)),
        };
        match timeout_at(deadline, pong).await {
            Ok(Ok(at)) => Ok(millis(flushed, at)),
            Ok(Err(_)) => Err(self.told(self.shared.queue.end_or_gone())),
            Err(_) => {
                self.shared
                    .pings
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .retain(|(awaited, _)| *awaited != number);
                Err(half_open())
            }
        }
    }

    /// Stops (`true`) or resumes reading, so that the peer meets back-pressure. Pings are not answered meanwhile.
    pub fn hold_reading(&self, hold: bool) {
        self.shared.hold.send_replace(hold);
    }

    /// Answers frames by `rule` from now on; the frames are delivered all the same.
    pub fn answer(&self, rule: Rule) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = Some(rule);
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.shared.queue.counts()
    }

    /// Why the session is over, if it is. Frames may still wait to be read.
    pub fn ended(&self) -> Option<Failure> {
        self.shared.queue.ended().map(|failure| self.told(failure))
    }

    /// Closes with a closing handshake (RFC 6455 section 7) and waits for the peer's Close. `on` is left to the caller.
    ///
    /// # Errors
    /// `ws_no_answer` if the peer does not answer in time; the session's end if it ended otherwise before.
    pub async fn close(self, code: u16, reason: &str, within: Duration) -> (Closed, Option<Failure>) {
        let deadline = Instant::now() + within;
        let mut closed = Closed {
            on: String::new(),
            how: "close".to_owned(),
            answer: None,
        };
        let before = self.shared.queue.ended();
        self.hold_reading(false);
        if before.is_none() {
            let reason = cut(reason, CLOSE_REASON_BYTES_MAX).to_owned();
            // Whether the Close could be sent shows in how the session ends.
            let _ = self
                .command(deadline, |reply| Command::Close(code, reason, reply))
                .await;
        }
        let ended = self.shared.queue.wait_end(deadline).await;
        closed.answer = self.shared.queue.closed().and_then(|close| close.close(&self.run));
        let failure = match (before, &closed.answer) {
            (Some(before), _) => Some(before),
            (None, Some(_)) => None,
            (None, None) if ended => Some(self.shared.queue.end_or_gone()),
            (None, None) => Some(Failure::new(
                Kind::WsNoAnswer,
                format!("no answer to our Close within {} ms", within.as_millis()),
            )),
        };
        (closed, failure.map(|failure| self.told(failure)))
    }

    /// Drops the connection without a Close frame. The library owns the socket, so whether FIN or RST is sent depends on what
    /// is unread; a [`RawSession`](super::RawSession) sends RST for sure.
    pub fn reset(self) -> Closed {
        Closed {
            on: String::new(),
            how: "reset".to_owned(),
            answer: None,
        }
    }

    async fn command(
        &self,
        deadline: Instant,
        command: impl FnOnce(oneshot::Sender<Result<Instant, Failure>>) -> Command,
    ) -> Result<Instant, Failure> {
        if let Some(end) = self.shared.queue.ended() {
            return Err(end);
        }
        let (reply, done) = oneshot::channel();
        let slow = || Failure::new(Kind::WsNoAnswer, "the peer did not take what we sent in time");
        match timeout_at(deadline, self.commands.send(command(reply))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.shared.queue.end_or_gone()),
            Err(_) => return Err(slow()),
        }
        match timeout_at(deadline, done).await {
            Ok(Ok(written)) => written.map_err(|failure| self.shared.queue.ended().unwrap_or(failure)),
            Ok(Err(_)) => Err(self.shared.queue.end_or_gone()),
            Err(_) => Err(slow()),
        }
    }

    fn told(&self, mut failure: Failure) -> Failure {
        failure.detail = self.run.redactor.line(&failure.detail, crate::limits::DETAIL_BYTES_MAX);
        failure
    }
}
