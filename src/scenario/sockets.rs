//! The sockets of one run by their handles, whatever stands behind them: a session of our own, a raw one, or one that a
//! resident scenario lends. Must not: know a step, or interpret a frame.

use super::residents::Borrowed;
use crate::failure::{Blame, Failure, Kind};
use crate::limits::{CLOSE_WITHIN, WELCOME_FRAMES_MAX};
use crate::probe::{Opcode, Outgoing, RawSession, SeenFrame, Session};
use crate::transcript::{Closed, Frame, UpgradeExchange};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::RwLock;
use tokio::time::Instant;

/// Close code of an end in good order (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;

/// A handle and the places in concurrent repetitions that it was opened in.
type Handle = (String, Vec<u32>);

/// The open sockets of one run.
#[derive(Default)]
pub(super) struct Sockets {
    open: Mutex<BTreeMap<Handle, Arc<Socket>>>,
    /// Replaced by another one under the same handle.
    left: Mutex<Vec<Arc<Socket>>>,
}

/// A socket. Several branches may use it at once.
pub(super) struct Socket {
    link: RwLock<Option<Link>>,
    story: Mutex<Story>,
}

/// What stands behind a socket.
pub(super) enum Link {
    /// A session of this run.
    Own(Session),
    /// A session without a background task.
    Raw(tokio::sync::Mutex<RawSession>),
    /// A resident's session.
    Borrowed(Borrowed),
}

/// What has happened on a socket so far.
pub(super) struct Story {
    /// The handshake, with the frames that came until the welcome.
    pub(super) opened: UpgradeExchange,
    /// Full name of the credential it was opened with.
    pub(super) credential: Option<String>,
    /// Whether a frame that was waited for has come.
    pub(super) welcomed: bool,
    /// Data frames that steps have seen.
    pub(super) frames: u64,
    /// When our last message was flushed, or the handshake done.
    pub(super) last_sent: Instant,
    /// Frames lost before a step could see them, as far as reported.
    pub(super) dropped: u64,
}

impl Story {
    /// The story of a socket whose handshake is done.
    pub(super) fn new(opened: UpgradeExchange, credential: Option<String>) -> Self {
        Self {
            opened,
            credential,
            welcomed: false,
            frames: 0,
            last_sent: Instant::now(),
            dropped: 0,
        }
    }

    /// Adds a data frame; those before the welcome tell a refusal from a session.
    pub(super) fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        if self.before_welcome() {
            self.opened.frames.push(frame.clone());
        }
    }

    /// Whether a refusal may still come in place of the welcome.
    pub(super) fn before_welcome(&self) -> bool {
        !self.welcomed && self.opened.frames.len() < WELCOME_FRAMES_MAX
    }
}

impl Sockets {
    /// Keeps `socket` as `on`, apart for each pass of a concurrent repetition.
    pub(super) fn put(&self, on: &str, crowd: &[u32], socket: Arc<Socket>) {
        let replaced = lock(&self.open).insert((on.to_owned(), crowd.to_vec()), socket);
        lock(&self.left).extend(replaced);
    }

    /// The socket `on` as seen from a pass: its own, else one from around it.
    ///
    /// # Errors
    /// `step_invalid` when no such socket is open.
    pub(super) fn find(&self, on: &str, crowd: &[u32]) -> Result<Arc<Socket>, Failure> {
        let open = lock(&self.open);
        let depths = (0..=crowd.len()).rev();
        let mut found = depths.filter_map(|depth| open.get(&(on.to_owned(), crowd[..depth].to_vec())));
        found
            .next()
            .cloned()
            .ok_or_else(|| Failure::new(Kind::StepInvalid, format!("no socket `{on}` is open")))
    }

    /// Forgets `socket`, which its step has closed.
    pub(super) fn forget(&self, socket: &Arc<Socket>) {
        lock(&self.open).retain(|_, other| !Arc::ptr_eq(other, socket));
    }

    /// Closes everything that is still open, within `CLOSE_WITHIN`. That is good manners, not evidence.
    pub(super) async fn close_all(&self) {
        let open = std::mem::take(&mut *lock(&self.open));
        let mut sockets = std::mem::take(&mut *lock(&self.left));
        sockets.extend(open.into_values());
        join_all(sockets.iter().map(|socket| socket.close(NORMAL, "", CLOSE_WITHIN))).await;
    }
}

impl Socket {
    pub(super) fn new(link: Link, story: Story) -> Arc<Self> {
        Arc::new(Self {
            link: RwLock::new(Some(link)),
            story: Mutex::new(story),
        })
    }

    /// What has happened on it.
    pub(super) fn story(&self) -> MutexGuard<'_, Story> {
        lock(&self.story)
    }

    /// Sends a message; gives when its last byte was flushed.
    ///
    /// # Errors
    /// As those of the session behind it.
    pub(super) async fn send(&self, message: Outgoing, deadline: Instant) -> Result<Instant, Failure> {
        let flushed = self.send_quietly(message, deadline).await?;
        self.story().last_sent = flushed;
        Ok(flushed)
    }

    /// Sends on behalf of a borrower, whose own socket keeps the story.
    pub(super) async fn send_quietly(&self, message: Outgoing, deadline: Instant) -> Result<Instant, Failure> {
        match self.link.read().await.as_ref() {
            Some(Link::Own(session)) => session.send(message, deadline).await,
            Some(Link::Raw(session)) => session.lock().await.send(message, deadline).await,
            Some(Link::Borrowed(borrowed)) => Box::pin(borrowed.lender().send_quietly(message, deadline)).await,
            None => Err(gone()),
        }
    }

    /// The next frame or close; `None` at the deadline.
    ///
    /// # Errors
    /// How the session ended, once all its frames have been given.
    pub(super) async fn next(&self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        match self.link.read().await.as_ref() {
            Some(Link::Own(session)) => session.next_shared(deadline).await,
            Some(Link::Raw(session)) => session.lock().await.next(deadline).await,
            Some(Link::Borrowed(borrowed)) => borrowed.next(deadline).await,
            None => Err(gone()),
        }
    }

    /// Round trip of a protocol ping, milliseconds.
    ///
    /// # Errors
    /// `ws_half_open`, or how the session ended; `step_invalid` on a raw socket.
    pub(super) async fn ping(&self, within: Duration) -> Result<f64, Failure> {
        match self.link.read().await.as_ref() {
            Some(Link::Own(session)) => session.ping(within).await,
            Some(Link::Raw(_)) => Err(unfit("a raw socket does not follow pings")),
            Some(Link::Borrowed(borrowed)) => Box::pin(borrowed.lender().ping(within)).await,
            None => Err(gone()),
        }
    }

    /// Stops or resumes reading.
    ///
    /// # Errors
    /// `step_invalid` on a raw or borrowed socket.
    pub(super) async fn hold_reading(&self, hold: bool) -> Result<(), Failure> {
        match self.link.read().await.as_ref() {
            Some(Link::Own(session)) => session.hold_reading(hold),
            Some(_) => return Err(unfit("only a socket of this run can stop reading")),
            None => return Err(gone()),
        }
        Ok(())
    }

    /// Frames lost since the last call, because nobody read them in time.
    pub(super) async fn newly_dropped(&self) -> u64 {
        let all = match self.link.read().await.as_ref() {
            Some(Link::Own(session)) => session.counts().frames_dropped,
            Some(Link::Borrowed(borrowed)) => borrowed.dropped(),
            Some(Link::Raw(_)) | None => 0,
        };
        let mut story = self.story();
        let new = all.saturating_sub(story.dropped);
        story.dropped = story.dropped.max(all);
        new
    }

    /// Ends the socket with a closing handshake; a borrowed one is given back.
    pub(super) async fn close(&self, code: u16, reason: &str, within: Duration) -> (Closed, Option<Failure>) {
        let how = |how: &str| Closed {
            how: how.to_owned(),
            ..Closed::default()
        };
        match self.link.write().await.take() {
            Some(Link::Own(session)) => session.close(code, reason, within).await,
            Some(Link::Raw(session)) => (session.into_inner().reset(), None),
            Some(Link::Borrowed(_)) => (how("given_back"), None),
            None => (how("close"), Some(gone())),
        }
    }

    /// Breaks the connection off with RST, after half a frame if asked.
    ///
    /// # Errors
    /// `step_invalid` when the socket cannot do that.
    pub(super) async fn abort(&self, half: Half, deadline: Instant) -> Result<Closed, Failure> {
        let link = self.link.write().await.take();
        match (link, half) {
            (Some(Link::Raw(session)), half) => {
                let mut session = session.into_inner();
                if half == Half::First {
                    session.half_frame(deadline).await?;
                }
                Ok(session.reset())
            }
            (Some(Link::Own(session)), Half::Not) => Ok(session.reset()),
            (Some(_), _) => Err(unfit("half a frame needs a socket opened with `raw: true`")),
            (None, _) => Err(gone()),
        }
    }
}

/// Whether half a frame is sent before an RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// No.
    Not,
    /// The first half.
    First,
}

/// Whether a frame carries application data.
pub(super) fn is_data(frame: &SeenFrame) -> bool {
    matches!(frame.opcode(), Opcode::Text | Opcode::Binary)
}

fn gone() -> Failure {
    Failure::new(Kind::StepInvalid, "the socket was closed by an earlier step")
}

fn unfit(detail: &str) -> Failure {
    Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
