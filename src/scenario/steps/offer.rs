//! `ws.offer` and `ws.borrow`: a resident scenario keeps a socket open and lends it to others.

use super::session::Collected;
use crate::catalog::Step;
use crate::failure::Failure;
use crate::limits::OFFER_GRACE;
use crate::scenario::execution::{Branch, Done, Execution};
use crate::scenario::residents::Standing;
use crate::scenario::sockets::{Link, Socket, Story, is_data};
use crate::transcript::{Observation, Received};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often an offer that is over looks whether its borrowers have gone.
const LOOK: Duration = Duration::from_millis(50);

impl Execution {
    /// Lends the socket for `hold`, or until the peer closes, the run is stopped, or offers are ended. Borrowers who have it
    /// then may finish, within `OFFER_GRACE`. Every frame of the time is kept.
    pub(super) async fn offer(&self, on: &str, hold: Duration, branch: &Branch) -> Done {
        let begun = Instant::now();
        let mut received = Received {
            on: on.to_owned(),
            ..Received::default()
        };
        let socket = match self.sockets.find(on, &branch.layer.crowd) {
            Ok(socket) => socket,
            Err(failure) => return Done::new(Observation::Received(received), Some(failure)),
        };
        let mut endings = self.runner.residents.endings();
        let standing = self
            .runner
            .residents
            .offer(&self.scenario.id, on, Arc::clone(&socket), self.purse.tokens());
        let mut collected = Collected::default();
        let until = branch.deadline_in(hold);
        let over = tokio::select! {
            biased;
            () = branch.stop.cancelled() => None,
            _ = endings.changed() => None,
            over = self.lend(&socket, &standing, &mut collected, until) => over,
        };
        standing.withdraw();
        let over = match over {
            Some(over) => Some(over),
            None => {
                self.wait_for_borrowers(&socket, &standing, &mut collected, branch)
                    .await
            }
        };
        received.frames = collected.frames;
        received.frames_dropped = collected.dropped + socket.newly_dropped().await;
        received.close = collected.close;
        received.waited_ms = begun.elapsed().as_secs_f64() * 1e3;
        Done::new(Observation::Received(received), over)
    }

    /// Passes frames on until `until`; gives how the session ended, if it did.
    async fn lend(
        &self,
        socket: &Socket,
        standing: &Standing<'_>,
        collected: &mut Collected,
        until: Instant,
    ) -> Option<Failure> {
        loop {
            match socket.next(until).await {
                Ok(Some(seen)) => {
                    standing.share(&seen);
                    match seen.close(self.run()) {
                        Some(close) => collected.close = Some(close),
                        None => {
                            let frame = seen.frame(self.run());
                            if is_data(&seen) {
                                socket.story().add(&frame);
                            }
                            collected.add(frame);
                        }
                    }
                }
                Ok(None) => return None,
                Err(failure) => {
                    standing.end(&failure);
                    return Some(failure);
                }
            }
        }
    }

    async fn wait_for_borrowers(
        &self,
        socket: &Socket,
        standing: &Standing<'_>,
        collected: &mut Collected,
        branch: &Branch,
    ) -> Option<Failure> {
        let until = branch.deadline_in(OFFER_GRACE);
        let all_gone = async {
            while standing.is_lent() {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            biased;
            () = all_gone => None,
            over = self.lend(socket, standing, collected, until) => over,
        }
    }

    pub(super) async fn borrow(&self, step: &Step, resident: &str, on: &str, branch: &Branch) -> Done {
        let deadline = branch.deadline_in(step.within);
        let failure = match self.runner.residents.borrow(resident, on, deadline).await {
            Ok(borrowed) => {
                borrowed
                    .secrets()
                    .iter()
                    .for_each(|secret| self.run().redactor.learn(secret));
                // The handshake is the resident's evidence; here the session is simply there.
                let lent = borrowed.lender().story().opened.clone();
                let mut story = Story::new(lent, None);
                story.opened.frames.clear();
                story.welcomed = true;
                self.sockets
                    .put(on, &branch.layer.crowd, Socket::new(Link::Borrowed(borrowed), story));
                None
            }
            Err(failure) => Some(failure),
        };
        Done::new(Observation::Nothing {}, failure)
    }
}
