//! The frames of a session that wait for a step, and how the session ended. Bounded: the oldest frames go first, counted.
//! Must not: do IO.

use super::{Counts, SeenFrame};
use crate::failure::{Failure, Kind};
use crate::limits::{WS_QUEUE_BYTES_MAX, WS_QUEUE_FRAMES_MAX};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Shared between a session's task, which pushes, and its owner, who waits.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<SeenFrame>,
    bytes: usize,
    counts: Counts,
    end: Option<Failure>,
    close: Option<SeenFrame>,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a data frame.
    pub(super) fn push(&self, frame: SeenFrame) {
        let mut state = self.state();
        state.bytes += size(&frame);
        state.frames.push_back(frame);
        while state.frames.len() > WS_QUEUE_FRAMES_MAX || state.bytes > WS_QUEUE_BYTES_MAX {
            let Some(oldest) = state.frames.pop_front() else { break };
            state.bytes -= size(&oldest);
            state.counts.frames_dropped += 1;
        }
        self.changed.notify_one();
    }

    /// The peer closed: the close is the last frame, and afterwards there is a failure for whoever goes on waiting.
    pub(super) fn close(&self, close: SeenFrame) {
        let mut state = self.state();
        if state.end.is_none() {
            state.end = Some(close.close_failure());
            state.close = Some(close.clone());
            state.frames.push_back(close);
        }
        self.changed.notify_one();
    }

    /// The session broke.
    pub(super) fn fail(&self, failure: Failure) {
        self.state().end.get_or_insert(failure);
        self.changed.notify_one();
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.state().counts);
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Why the session is over, if it is.
    pub(super) fn ended(&self) -> Option<Failure> {
        self.state().end.clone()
    }

    /// How the peer closed, if it did.
    pub(super) fn closed(&self) -> Option<SeenFrame> {
        self.state().close.clone()
    }

    /// The failure of an operation that the session's end cut short.
    pub(super) fn end_or_gone(&self) -> Failure {
        self.ended()
            .unwrap_or_else(|| Failure::new(Kind::Cancelled, "the session's task is gone"))
    }

    /// The next frame; `None` at the deadline; the end's failure when there will be no more.
    pub(super) async fn next(&self, deadline: Instant) -> Result<Option<SeenFrame>, Failure> {
        loop {
            {
                let mut state = self.state();
                if let Some(frame) = state.frames.pop_front() {
                    state.bytes = state.bytes.saturating_sub(size(&frame));
                    return Ok(Some(frame));
                }
                if let Some(end) = &state.end {
                    return Err(end.clone());
                }
            }
            if timeout_at(deadline, self.changed.notified()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Waits until the session is over; `false` at the deadline.
    pub(super) async fn wait_end(&self, deadline: Instant) -> bool {
        while self.ended().is_none() {
            if timeout_at(deadline, self.changed.notified()).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// What a queued frame holds in memory.
fn size(frame: &SeenFrame) -> usize {
    frame.expose_text().len() + size_of::<SeenFrame>()
}
