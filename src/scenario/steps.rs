//! How each kind of step is carried out. Must not: decide whether the run goes on.

mod http;
mod offer;
mod open;
mod request;
mod send;
mod session;
mod sse;

use super::execution::{Branch, Done, Execution};
use crate::catalog::{Action, Step};
use crate::failure::{Failure, Kind};
use crate::transcript::Observation;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

impl Execution {
    /// Carries out a step that acts; repetitions and branches are the execution's own.
    pub(super) async fn act(&self, step: &Step, branch: &Branch) -> Done {
        match &step.action {
            Action::Http(http) => self.http(step, http, branch).await,
            Action::Sse(sse) => self.sse(step, sse, branch).await,
            Action::Open(open) => self.open(step, open, branch).await,
            Action::Send(send) => self.send(step, send, branch).await,
            Action::Receive(receive) => self.receive(step, receive, branch).await,
            Action::Ping(ping) => self.ping(step, &ping.on, branch).await,
            Action::HoldReading { on, hold } => self.hold_reading(on, *hold, branch).await,
            Action::Close { on, code, reason } => self.close(step, on, (*code, reason), branch).await,
            Action::Abort { on, half_frame } => self.abort(step, on, *half_frame, branch).await,
            Action::Offer { on, hold } => self.offer(on, *hold, branch).await,
            Action::Borrow { resident, on } => self.borrow(step, resident, on, branch).await,
            Action::Wait(pause) => self.wait(*pause, branch).await,
            Action::Repeat { .. } | Action::Times { .. } | Action::Parallel(_) | Action::Group(_) => {
                Done::new(Observation::Nothing {}, None)
            }
        }
    }

    async fn wait(&self, pause: Duration, branch: &Branch) -> Done {
        let until = Instant::now() + pause;
        sleep_until(until.min(branch.deadline)).await;
        let cut = (until > branch.deadline).then(|| {
            let detail = format!("a wait of {} s does not fit in what is left", pause.as_secs_f64());
            Failure::new(Kind::ScenarioDeadline, detail)
        });
        Done::new(Observation::Nothing {}, cut)
    }
}
