//! The composition root: puts the rooms together, supervises them, drains them. Decides nothing itself.

mod alerting;
pub mod assemble;
mod confirm;
pub mod daemon;
pub mod demo;
mod depends;
pub mod drill;
pub mod explain;
pub mod explaining;
mod grounds;
pub mod iteration;
pub mod iterations;
mod judging;
mod notices;
pub mod once;
pub mod pulse;
pub mod rejudge;
pub mod reload;
pub mod select;
pub mod shipped;
mod standing;
pub mod supervisor;

use crate::alert::push::PushError;
use crate::catalog::Scenario;
use crate::history::HistoryError;
use crate::record::metrics::MetricsError;
use crate::scenario::{Outcome, Runner, RunnerError};
use crate::schedule::{Execute, ScheduleError};
use crate::serve::ListenError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why the rooms could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A metric was refused.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The runner cannot be made.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Alerts cannot be pushed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The schedule cannot start.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// There is no such module or check.
    #[error("{0}")]
    Unknown(String),
    /// The operating system refuses something.
    #[error("{what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// The runner as the schedule sees it.
struct Runs(Arc<Runner>);

impl Execute for Runs {
    fn execute<'a>(
        &'a self,
        scenario: &'a Arc<Scenario>,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(self.0.run(scenario, stop))
    }
}
