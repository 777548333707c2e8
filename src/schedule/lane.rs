//! One scenario's lane: waits for its slots, runs, says what was missed. One run in flight, by construction.

use super::{Event, Execute, Observer, SkipCause, plan, timetable, wakes};
use crate::catalog::{ActiveHours, Scenario, Schedule};
use crate::clock;
use crate::limits::RESIDENT_PAUSE_MAX;
use crate::scenario::Outcome;
use crate::verdict::UnknownReason;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// What wakes a lane besides its own timer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wake {
    /// A calendar slot, enqueued at this moment.
    Slot(Instant),
    /// Somebody asked for a run at this moment.
    Now(Instant),
}

/// What all lanes share.
pub(super) struct LaneParts {
    pub(super) active_hours: Option<ActiveHours>,
    pub(super) execute: Arc<dyn Execute>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) slots: Arc<Semaphore>,
    /// Cancelled: no run starts any more.
    pub(super) admitting: CancellationToken,
    /// Cancelled: runs in flight end now.
    pub(super) cancelling: CancellationToken,
}

/// A scenario with its task.
pub(super) struct Lane {
    pub(super) scenario: Arc<Scenario>,
    pub(super) period: Duration,
    wakes: Mutex<mpsc::Sender<Wake>>,
    alive: Arc<Mutex<Instant>>,
    task: Mutex<JoinHandle<()>>,
    parts: Arc<LaneParts>,
}

impl Lane {
    /// Spawns the lane; its first run starts at `first`.
    pub(super) fn start(scenario: Arc<Scenario>, first: Instant, parts: Arc<LaneParts>) -> Self {
        let period = plan::period(&scenario, clock::now());
        // A calendar lane shows no sign of life until its first slot, so it counts as alive until then.
        let alive = Arc::new(Mutex::new(first));
        let (sender, task) = spawn(&scenario, first, &alive, &parts);
        Self {
            scenario,
            period,
            wakes: Mutex::new(sender),
            alive,
            task: Mutex::new(task),
            parts,
        }
    }

    /// Wakes the lane. False when it is gone, has so many wakes waiting that this one is missed, or is a
    /// resident, which runs all the time.
    pub(super) fn wake(&self, wake: Wake) -> bool {
        if self.scenario.schedule == Schedule::Resident {
            return false;
        }
        let sent = lock(&self.wakes).try_send(wake);
        match (&sent, wake) {
            (Err(_), Wake::Slot(_)) => self.parts.observer.skipped(SkipCause::Overrun, 1),
            // A full queue holds a request that asks for the same.
            (Err(mpsc::error::TrySendError::Full(_)), Wake::Now(_)) => return true,
            _ => {}
        }
        sent.is_ok()
    }

    /// Time since the last sign of life.
    pub(super) fn quiet(&self) -> Duration {
        Instant::now().saturating_duration_since(*lock(&self.alive))
    }

    /// Replaces a task that shows no sign of life.
    pub(super) fn rearm(&self) {
        let now = Instant::now();
        *lock(&self.alive) = now;
        let (sender, task) = spawn(&self.scenario, now, &self.alive, &self.parts);
        *lock(&self.wakes) = sender;
        std::mem::replace(&mut *lock(&self.task), task).abort();
    }

    /// Waits until the task has ended, or until the deadline.
    pub(super) async fn ended(&self, deadline: Instant) {
        while !lock(&self.task).is_finished() && Instant::now() < deadline {
            sleep_until((Instant::now() + Duration::from_millis(10)).min(deadline)).await;
        }
    }

    /// Starts no further run; one in flight may end.
    pub(super) fn admit_no_more(&self) {
        self.parts.admitting.cancel();
    }

    /// Ends the run in flight now.
    pub(super) fn cancel(&self) {
        self.parts.cancelling.cancel();
    }

    /// Ends the task.
    pub(super) fn abort(&self) {
        lock(&self.task).abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is inside is replaced whole, so a panic elsewhere cannot have left it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(
    scenario: &Arc<Scenario>,
    first: Instant,
    alive: &Arc<Mutex<Instant>>,
    parts: &Arc<LaneParts>,
) -> (mpsc::Sender<Wake>, JoinHandle<()>) {
    let (sender, receiver) = wakes();
    let task = LaneTask {
        scenario: Arc::clone(scenario),
        alive: Arc::clone(alive),
        parts: Arc::clone(parts),
        last_start: None,
        last_end: None,
        active: true,
    };
    (sender, tokio::spawn(task.run(first, receiver)))
}

struct LaneTask {
    scenario: Arc<Scenario>,
    alive: Arc<Mutex<Instant>>,
    parts: Arc<LaneParts>,
    last_start: Option<Instant>,
    last_end: Option<Instant>,
    active: bool,
}

/// What a lane does next.
enum Next {
    Run { slot: Instant },
    Passed { slots: u64 },
    Nothing,
    Stop,
}

impl LaneTask {
    async fn run(mut self, first: Instant, mut wakes: mpsc::Receiver<Wake>) {
        if self.scenario.schedule == Schedule::Resident {
            return self.reside(first).await;
        }
        tokio::select! {
            () = self.parts.admitting.cancelled() => return,
            () = sleep_until(first) => {}
        }
        let mut timer = self.timer();
        let mut next = Next::Run { slot: first };
        loop {
            match next {
                Next::Run { slot } => self.run_if_active(slot).await,
                Next::Passed { slots } => self.missed(slots).await,
                Next::Nothing => {}
                Next::Stop => return,
            }
            let stop = self.parts.admitting.clone();
            next = tokio::select! {
                biased;
                () = stop.cancelled() => Next::Stop,
                slot = tick(&mut timer) => self.on_slot(slot),
                wake = wakes.recv() => match wake {
                    Some(Wake::Slot(slot)) => self.on_slot(slot),
                    Some(Wake::Now(asked)) if self.last_start.is_some_and(|start| asked <= start) => Next::Nothing,
                    Some(Wake::Now(_)) => Next::Run { slot: Instant::now() },
                    None => Next::Stop,
                },
            };
            *lock(&self.alive) = Instant::now();
        }
    }

    /// The timer of an interval; calendar lanes have none.
    fn timer(&self) -> Option<Interval> {
        let Schedule::Every(period) = self.scenario.schedule else {
            return None;
        };
        let now_ms = u64::try_from(clock::now().timestamp_millis()).unwrap_or(0);
        let wait = plan::first_slot(&self.scenario.id, period, now_ms, Duration::ZERO);
        let mut timer = interval_at(Instant::now() + wait, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Some(timer)
    }

    /// A slot that came while the last run was going on has passed: it is counted, and the next one is waited for.
    fn on_slot(&self, slot: Instant) -> Next {
        let Some(end) = self.last_end.filter(|end| slot <= *end) else {
            return Next::Run { slot };
        };
        let slots = match self.scenario.schedule {
            Schedule::Every(period) => plan::slots_within(Duration::ZERO, end - slot, period),
            _ => 1,
        };
        Next::Passed { slots }
    }

    async fn missed(&self, slots: u64) {
        tracing::info!(scenario = %self.scenario.id, slots, "schedule.missed: the last run was still going on");
        self.parts.observer.skipped(SkipCause::Overrun, slots);
        self.send(Event::Missed {
            scenario: Arc::clone(&self.scenario),
            slots,
        })
        .await;
    }

    async fn run_if_active(&mut self, slot: Instant) {
        if self.check_active().await {
            self.run_once(slot).await;
        }
    }

    /// Whether the timetable allows a run now; tells once when it no longer does.
    async fn check_active(&mut self) -> bool {
        let active = self
            .parts
            .active_hours
            .as_ref()
            .is_none_or(|hours| timetable::active(hours, clock::now()));
        if self.active && !active {
            self.send(Event::Inactive {
                scenario: Arc::clone(&self.scenario),
            })
            .await;
        }
        self.active = active;
        active
    }

    async fn run_once(&mut self, slot: Instant) {
        let slots = Arc::clone(&self.parts.slots);
        let permit = tokio::select! {
            () = self.parts.admitting.cancelled() => {
                return self.parts.observer.skipped(SkipCause::Shutdown, 1);
            }
            permit = slots.acquire() => permit,
        };
        let stop = self.parts.cancelling.child_token();
        let outcome = self.execute(slot, stop).await;
        drop(permit);
        self.finish(outcome).await;
    }

    async fn execute(&mut self, slot: Instant, stop: CancellationToken) -> Outcome {
        let start = Instant::now();
        self.last_start = Some(start);
        *lock(&self.alive) = start;
        self.parts.observer.started(start.saturating_duration_since(slot));
        let outcome = self.parts.execute.execute(&self.scenario, stop).await;
        let end = Instant::now();
        self.last_end = Some(end);
        *lock(&self.alive) = end;
        outcome
    }

    async fn finish(&self, outcome: Outcome) {
        if let Outcome::Refused { reason, note } = &outcome {
            if self.parts.admitting.is_cancelled() {
                // It was refused because we are stopping, which says nothing about anybody.
                return self.parts.observer.skipped(SkipCause::Shutdown, 1);
            }
            tracing::info!(scenario = %self.scenario.id, %reason, note, "schedule.refused");
            if *reason == UnknownReason::Budget {
                self.parts.observer.skipped(SkipCause::Budget, 1);
            }
        }
        self.send(Event::Finished {
            scenario: Arc::clone(&self.scenario),
            outcome,
        })
        .await;
    }

    async fn send(&self, event: Event) {
        // The receiver is gone only while the daemon stops.
        let _ = self.parts.events.send(event).await;
    }

    /// Run after run; after a failing one a pause that doubles.
    async fn reside(mut self, first: Instant) {
        let mut pause = Duration::from_secs(1);
        let mut slot = first;
        loop {
            let stop = self.parts.admitting.clone();
            if timeout_at(slot, stop.cancelled()).await.is_ok() {
                return;
            }
            *lock(&self.alive) = Instant::now();
            if self.check_active().await {
                let token = self.parts.admitting.child_token();
                let _guard = self.end_with_active_hours(token.clone());
                let started = Instant::now();
                let outcome = self.execute(slot, token).await;
                let well = matches!(&outcome, Outcome::Ran(transcript) if transcript.broke_off.is_none());
                self.finish(outcome).await;
                pause = if well {
                    Duration::from_secs(1)
                } else {
                    (pause * 2).min(RESIDENT_PAUSE_MAX).min(self.scenario.deadline)
                };
                let earliest = if well { started + pause } else { Instant::now() + pause };
                slot = earliest.max(Instant::now());
            } else {
                slot = Instant::now() + Duration::from_secs(1);
            }
        }
    }

    /// Cancels a resident's run when its active hours end.
    fn end_with_active_hours(&self, token: CancellationToken) -> Option<AbortOnDrop> {
        let hours = self.parts.active_hours.clone()?;
        Some(AbortOnDrop(tokio::spawn(async move {
            while timetable::active(&hours, clock::now()) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            token.cancel();
        })))
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn tick(timer: &mut Option<Interval>) -> Instant {
    match timer {
        Some(timer) => timer.tick().await,
        None => std::future::pending().await,
    }
}
