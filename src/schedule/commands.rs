//! Carries out what the alerts ask for: a confirm burst beside the lanes, or one more run of a scenario in its lane.
//! A burst ignores that a scenario has one run in flight, and nothing else: concurrency, budgets, back-off and active hours
//! hold for it. What cannot be done is counted and said, and never waits for anything but a free place.

use super::lane::Wake;
use super::{Arm, Event, Lanes, Observer, SkipCause, timetable};
use crate::alert::{Command, Credential, Obey};
use crate::catalog::Scenario;
use crate::catalog::watch::{siblings, watch};
use crate::clock;
use crate::limits::{BURST_ATTEMPTS_MAX, BURST_MERGED_FOR, COMMANDS_WAITING_MAX, SIBLINGS_EVERY};
use crate::scenario::Outcome;
use crate::verdict::UnknownReason;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Takes commands without ever waiting.
pub struct Commander {
    queue: mpsc::Sender<Command>,
    observer: Arc<dyn Observer>,
}

/// The other end of a [`Commander`]: what the schedule has still to do.
pub struct CommandsWaiting(mpsc::Receiver<Command>);

/// A bounded queue of commands; the schedule is given the second half.
pub fn commands(observer: Arc<dyn Observer>) -> (Arc<Commander>, CommandsWaiting) {
    let (queue, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
    (Arc::new(Commander { queue, observer }), CommandsWaiting(waiting))
}

impl Obey for Commander {
    fn obey(&self, command: &Command) {
        match self.queue.try_send(command.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!(?command, "schedule.command_dropped: too many commands are waiting");
                self.observer.skipped(SkipCause::Command, 1);
            }
            Err(TrySendError::Closed(_)) => self.observer.skipped(SkipCause::Shutdown, 1),
        }
    }
}

/// What carrying out needs.
pub(super) struct Carrier {
    pub(super) arm: Arc<ArcSwap<Arm>>,
    pub(super) lanes: Arc<ArcSwap<Lanes>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) events: mpsc::Sender<Event>,
    /// Cancelled: no run starts any more.
    pub(super) admitting: CancellationToken,
    /// Cancelled: runs in flight end now.
    pub(super) cancelling: CancellationToken,
}

/// What has been confirmed lately.
#[derive(Default)]
struct Recent {
    bursts: BTreeMap<(String, Credential), Instant>,
    siblings: BTreeMap<String, Instant>,
}

/// Carries out commands until nothing is admitted any more, and waits for the runs that it started.
pub(super) async fn carry_out(carrier: Carrier, CommandsWaiting(mut waiting): CommandsWaiting) {
    let carrier = Arc::new(carrier);
    let mut recent = Recent::default();
    let mut runs = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = carrier.admitting.cancelled() => break,
            command = waiting.recv() => match command {
                Some(Command::Confirm { socket, credential, attempts }) => {
                    for scenario in carrier.burst(&mut recent, (socket, credential), attempts) {
                        runs.spawn(Arc::clone(&carrier).run(scenario, Instant::now()));
                    }
                }
                Some(Command::Probe { socket, credential }) => carrier.probe(&socket, credential),
                Some(Command::Ask { scenarios }) => scenarios.iter().for_each(|scenario| carrier.ask(scenario)),
                None => break,
            },
            Some(ended) = runs.join_next() => said(ended),
        }
    }
    waiting.close();
    while let Some(ended) = runs.join_next().await {
        said(ended);
    }
}

fn said(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "schedule.burst_lost: a run of a confirm burst died");
    }
}

impl Carrier {
    /// The runs of a burst; none when it is part of the last one.
    fn burst(&self, recent: &mut Recent, of: (String, Credential), attempts: u32) -> Vec<Arc<Scenario>> {
        let (now, arm) = (Instant::now(), self.arm.load_full());
        let (socket, credential) = &of;
        let Some(watch) = watch(&arm.catalog, socket, *credential) else {
            self.unwatched(socket, *credential);
            return Vec::new();
        };
        let last = recent.bursts.get(&of);
        if last.is_some_and(|last| now.duration_since(*last) < BURST_MERGED_FOR) {
            tracing::debug!(socket, %credential, "schedule.burst_merged: one has just begun");
            return Vec::new();
        }
        let again = usize::try_from(attempts.min(BURST_ATTEMPTS_MAX)).unwrap_or(0);
        let mut runs = vec![Arc::clone(watch); again];
        let pause = SIBLINGS_EVERY.mul_f64(arm.catalog.time_scale);
        for scenario in siblings(&arm.catalog, socket) {
            let last = recent.siblings.get(&scenario.id);
            if last.is_none_or(|last| now.duration_since(*last) >= pause) {
                recent.siblings.insert(scenario.id.clone(), now);
                runs.push(Arc::clone(scenario));
            }
        }
        tracing::info!(socket, %credential, runs = runs.len(), "schedule.burst: an answer was wrong, asking again");
        recent.bursts.insert(of, now);
        runs
    }

    fn probe(&self, socket: &str, credential: Credential) {
        let arm = self.arm.load_full();
        let Some(watch) = watch(&arm.catalog, socket, credential) else {
            return self.unwatched(socket, credential);
        };
        self.ask(&watch.id);
    }

    /// One more run of a scenario in its lane.
    fn ask(&self, scenario: &str) {
        let lanes = self.lanes.load_full();
        let lane = lanes.get(scenario);
        if !lane.is_some_and(|lane| lane.wake(Wake::Now(Instant::now()))) {
            tracing::info!(scenario, "schedule.ask_skipped: it cannot be asked to run");
            self.observer.skipped(SkipCause::Command, 1);
        }
    }

    fn unwatched(&self, socket: &str, credential: Credential) {
        tracing::warn!(socket, %credential, "schedule.unwatched: no scenario watches this socket so");
        self.observer.skipped(SkipCause::Command, 1);
    }

    /// One run of a burst, if there is a place for it soon.
    async fn run(self: Arc<Self>, scenario: Arc<Scenario>, asked: Instant) {
        let arm = self.arm.load_full();
        let hours = super::active_hours(&arm.catalog, &scenario.module);
        if hours.is_some_and(|hours| !timetable::active(&hours, clock::now())) {
            tracing::info!(scenario = %scenario.id, "schedule.burst_skipped: outside its active hours");
            return self.observer.skipped(SkipCause::Command, 1);
        }
        let patience = arm.catalog.alerting.sockets.confirm_within;
        let permit = tokio::select! {
            biased;
            () = self.admitting.cancelled() => return self.observer.skipped(SkipCause::Shutdown, 1),
            permit = timeout(patience, arm.slots.acquire()) => permit,
        };
        let Ok(permit) = permit else {
            tracing::info!(scenario = %scenario.id, "schedule.burst_skipped: too much is in flight");
            return self.observer.skipped(SkipCause::Command, 1);
        };
        self.observer.started(asked.elapsed());
        let outcome = arm.execute.execute(&scenario, self.cancelling.child_token()).await;
        drop(permit);
        if let Outcome::Refused { reason, note } = &outcome {
            // It says nothing about the scenario's own slots, so that its verdicts stay what they are.
            tracing::info!(scenario = %scenario.id, %reason, note, "schedule.burst_skipped: refused");
            let cause = if *reason == UnknownReason::Budget {
                SkipCause::Budget
            } else {
                SkipCause::Command
            };
            return self.observer.skipped(cause, 1);
        }
        // The receiver is gone only while the daemon stops.
        let _ = self.events.send(Event::Finished { scenario, outcome }).await;
    }
}
