//! The thread that judges: CEL and ledger reads take milliseconds that belong to no network task. It takes events in order,
//! ticks each second, and hands every run to the sinks.

use super::AppError;
use super::assemble::{Assembler, Moment};
use crate::record::Fan;
use crate::schedule::Event;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How often it looks for what is due by time alone.
const TICK: Duration = Duration::from_secs(1);

/// Something to be done between two judgements, when nothing waits.
type Between = Box<dyn FnOnce(&mut Assembler) + Send>;

/// The running thread.
pub(super) struct Judging {
    thread: JoinHandle<()>,
    between: mpsc::Sender<Between>,
    stop: CancellationToken,
}

impl Judging {
    pub(super) fn start(assembler: Assembler, events: mpsc::Receiver<Event>, fan: Fan) -> Result<Self, AppError> {
        let runtime = Handle::current();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (between, asked) = mpsc::channel(1);
        let thread = std::thread::Builder::new()
            .name("judging".to_owned())
            .spawn(move || runtime.block_on(judge(assembler, (events, asked), (fan, stopped))))
            .map_err(no_thread("no thread for judging"))?;
        Ok(Self { thread, between, stop })
    }

    /// Does something between two judgements, after all that waits has been judged; false when the thread has ended.
    pub(super) async fn between(&self, what: impl FnOnce(&mut Assembler) + Send + 'static) -> bool {
        let (done, waiting) = oneshot::channel();
        let what: Between = Box::new(move |assembler| {
            what(assembler);
            // Whoever waited has gone while the daemon stops.
            let _ = done.send(());
        });
        self.between.send(what).await.is_ok() && waiting.await.is_ok()
    }

    /// Whether it has ended; while the daemon runs that means that it panicked.
    pub(super) fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets it judge what is waiting, and waits for its end.
    pub(super) async fn finish(self, within: Duration) {
        self.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || self.thread.join().is_ok());
        match tokio::time::timeout(within, joined).await {
            Ok(Ok(true)) => {}
            _ => tracing::error!("app.judging_lost: the judging thread did not end well"),
        }
    }
}

/// What to say when a thread cannot be made.
pub(super) fn no_thread(what: &'static str) -> impl FnOnce(std::io::Error) -> AppError {
    move |source| AppError::System { what, source }
}

async fn judge(
    mut assembler: Assembler,
    (mut events, mut asked): (mpsc::Receiver<Event>, mpsc::Receiver<Between>),
    (fan, stop): (Fan, CancellationToken),
) {
    let mut timer = tokio::time::interval(TICK);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let run = tokio::select! {
            biased;
            event = events.recv() => match event {
                Some(event) => Some(assembler.take(event, &Moment::now())),
                None => return,
            },
            Some(what) = asked.recv() => {
                what(&mut assembler);
                None
            }
            _ = timer.tick() => assembler.tick(&Moment::now()),
            () = stop.cancelled(), if !events.is_closed() => {
                // What was sent before is still received, then the channel is at its end.
                events.close();
                None
            }
        };
        if let Some(run) = run {
            fan.take(run);
        }
    }
}
