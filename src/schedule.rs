//! When scenarios run. `plan` and `timetable` are pure; the loop keeps one task per scenario, one run in flight per
//! scenario, and a cap on all of them together; `commands` runs confirm bursts beside them. It knows no verdict and no
//! metric: what happens goes out as [`Event`]s and through the [`Observer`].
//!
//! Intervals are tokio timers with a stable phase; calendar schedules wake their lane through tokio-cron-scheduler, which
//! only enqueues; residents follow one another. A late slot is counted as missed, never queued.

mod commands;
mod cron;
mod lane;
pub mod plan;
pub mod timetable;
mod watchdog;

use crate::catalog::{ActiveHours, Catalog, Scenario, Schedule};
use crate::limits::{DRAIN_WITHIN, WAKES_PER_SCENARIO_MAX};
use crate::scenario::Outcome;
use arc_swap::ArcSwap;
pub use commands::{Commander, CommandsWaiting, commands};
use lane::{Lane, LaneParts, Wake};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Carries out runs; the scenario runner, or a stand-in in tests.
pub trait Execute: Send + Sync + 'static {
    /// Runs `scenario` once. It must end soon after `stop` is cancelled, and must not panic.
    fn execute<'a>(
        &'a self,
        scenario: &'a Arc<Scenario>,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
}

/// Why a slot passed without a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipCause {
    /// The last run of the scenario was still going on.
    Overrun,
    /// A budget refused the run.
    Budget,
    /// The daemon was stopping.
    Shutdown,
    /// The alert fold asked for a run that could not be made: too many commands or runs, no such watch, outside active hours.
    Command,
}

impl SkipCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Overrun, Self::Budget, Self::Shutdown, Self::Command];

    /// Label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "overrun",
            Self::Budget => "budget",
            Self::Shutdown => "shutdown",
            Self::Command => "command",
        }
    }
}

/// Is told what the schedule itself does; implemented by the metrics.
pub trait Observer: Send + Sync + 'static {
    /// A run started this long after its slot.
    fn started(&self, delay: Duration);
    /// Slots passed without a run.
    fn skipped(&self, cause: SkipCause, slots: u64);
    /// The watchdog went round.
    fn ticked(&self);
    /// A stalled scenario was armed again.
    fn rearmed(&self, scenario: &str);
    /// Wall time jumped against the monotonic clock by this many seconds.
    fn clock_jumped(&self, by_s: f64);
}

/// What the schedule hands on.
#[derive(Debug)]
pub enum Event {
    /// A run ended, or was refused.
    Finished {
        /// Which.
        scenario: Arc<Scenario>,
        /// What became of it.
        outcome: Outcome,
    },
    /// Slots passed without a run.
    Missed {
        /// Which.
        scenario: Arc<Scenario>,
        /// How many.
        slots: u64,
    },
    /// Its active hours are over; verdicts are `off` until the next run.
    Inactive {
        /// Which.
        scenario: Arc<Scenario>,
    },
}

/// What a scheduler needs.
pub struct Parts {
    /// What to run.
    pub catalog: Arc<Catalog>,
    /// How.
    pub execute: Arc<dyn Execute>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Where events go; the scheduler waits while it is full.
    pub events: mpsc::Sender<Event>,
    /// What the alert fold asks for; its other half comes from [`commands`] too.
    pub commands: CommandsWaiting,
}

/// Why scheduling could not start.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The calendar scheduler refused.
    #[error("the calendar scheduler does not start: {0}")]
    Cron(String),
}

/// The lanes as they are now, by scenario.
type Lanes = BTreeMap<String, Arc<Lane>>;

/// What runs are made with now.
struct Arm {
    catalog: Arc<Catalog>,
    execute: Arc<dyn Execute>,
    slots: Arc<Semaphore>,
}

impl Arm {
    fn of(catalog: Arc<Catalog>, execute: Arc<dyn Execute>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(catalog.service.concurrency.max(1))),
            catalog,
            execute,
        }
    }
}

/// The running schedule.
pub struct Scheduler {
    arm: Arc<ArcSwap<Arm>>,
    lanes: Arc<ArcSwap<Lanes>>,
    observer: Arc<dyn Observer>,
    events: mpsc::Sender<Event>,
    admitting: CancellationToken,
    cancelling: CancellationToken,
    cron: Option<cron::Calendar>,
    watchdog: JoinHandle<()>,
    carrying: JoinHandle<()>,
}

impl Scheduler {
    /// Starts a lane for every enabled scenario: each runs once as soon as the target's limits allow, cheap ones first,
    /// then takes its stable phase.
    ///
    /// # Errors
    /// When the calendar scheduler does not start.
    pub async fn start(parts: Parts) -> Result<Self, ScheduleError> {
        let (admitting, cancelling) = (CancellationToken::new(), CancellationToken::new());
        let arm = Arc::new(ArcSwap::from_pointee(Arm::of(parts.catalog, parts.execute)));
        let lanes = Arc::new(ArcSwap::from_pointee(Lanes::new()));
        let watchdog = tokio::spawn(watchdog::watch(
            Arc::clone(&lanes),
            Arc::clone(&parts.observer),
            admitting.clone(),
        ));
        let carrier = commands::Carrier {
            arm: Arc::clone(&arm),
            lanes: Arc::clone(&lanes),
            observer: Arc::clone(&parts.observer),
            events: parts.events.clone(),
            admitting: admitting.clone(),
            cancelling: cancelling.clone(),
        };
        let carrying = tokio::spawn(commands::carry_out(carrier, parts.commands));
        let mut scheduler = Self {
            arm,
            lanes,
            observer: parts.observer,
            events: parts.events,
            admitting,
            cancelling,
            cron: None,
            watchdog,
            carrying,
        };
        scheduler.fill().await?;
        Ok(scheduler)
    }

    /// Ends the lanes of all scenarios but those named (full ids), as [`Scheduler::stop`] ends them all. Calendar slots are
    /// lost until [`Scheduler::take_up`].
    pub async fn retire(&mut self, all_but: &BTreeSet<String>) {
        if let Some(cron) = self.cron.take() {
            cron.stop().await;
        }
        let (staying, leaving): (Lanes, Lanes) = Lanes::clone(&self.lanes.load())
            .into_iter()
            .partition(|(id, _)| all_but.contains(id));
        self.lanes.store(Arc::new(staying));
        leaving.values().for_each(|lane| lane.admit_no_more());
        wait(leaving.values(), Instant::now() + DRAIN_WITHIN).await;
        leaving.values().for_each(|lane| lane.cancel());
        wait(leaving.values(), Instant::now() + DRAIN_WITHIN).await;
        leaving.values().for_each(|lane| lane.abort());
    }

    /// Takes up another catalog: starts a lane for every enabled scenario that has none, and the calendar for all of them.
    ///
    /// # Errors
    /// When the calendar scheduler does not start.
    pub async fn take_up(&mut self, catalog: Arc<Catalog>, execute: Arc<dyn Execute>) -> Result<(), ScheduleError> {
        let before = self.arm.load_full();
        let mut arm = Arm::of(catalog, execute);
        if before.catalog.service.concurrency == arm.catalog.service.concurrency {
            // Lanes that go on count together with those that begin.
            arm.slots = Arc::clone(&before.slots);
        }
        self.arm.store(Arc::new(arm));
        self.fill().await
    }

    async fn fill(&mut self) -> Result<(), ScheduleError> {
        let (arm, started) = (self.arm.load_full(), Instant::now());
        let mut lanes = Lanes::clone(&self.lanes.load());
        for (scenario, offset) in plan::first_runs(&arm.catalog) {
            let id = scenario.id.clone();
            lanes.entry(id).or_insert_with(|| {
                let parts = LaneParts {
                    active_hours: active_hours(&arm.catalog, &scenario.module),
                    execute: Arc::clone(&arm.execute),
                    observer: Arc::clone(&self.observer),
                    events: self.events.clone(),
                    slots: Arc::clone(&arm.slots),
                    admitting: self.admitting.child_token(),
                    cancelling: self.cancelling.child_token(),
                };
                Arc::new(Lane::start(scenario, started + offset, Arc::new(parts)))
            });
        }
        let lanes = Arc::new(lanes);
        self.lanes.store(Arc::clone(&lanes));
        self.cron = cron::Calendar::start(&lanes).await?;
        Ok(())
    }

    /// What can ask for runs without owning the schedule.
    pub fn handle(&self) -> RunNow {
        RunNow {
            lanes: Arc::clone(&self.lanes),
        }
    }

    /// Stops admitting runs, lets those in flight end for [`DRAIN_WITHIN`], cancels the rest and waits for them once more.
    pub async fn stop(mut self) {
        self.admitting.cancel();
        if let Some(cron) = self.cron.take() {
            cron.stop().await;
        }
        let lanes = self.lanes.load_full();
        let deadline = Instant::now() + DRAIN_WITHIN;
        wait(lanes.values(), deadline).await;
        let mut carried = timeout_at(deadline, &mut self.carrying).await.is_ok();
        self.cancelling.cancel();
        let deadline = Instant::now() + DRAIN_WITHIN;
        wait(lanes.values(), deadline).await;
        lanes.values().for_each(|lane| lane.abort());
        if !carried {
            carried = timeout_at(deadline, &mut self.carrying).await.is_ok();
        }
        if !carried {
            self.carrying.abort();
        }
        self.watchdog.abort();
    }
}

/// Waits for lanes to end, until the deadline.
async fn wait<'a>(lanes: impl Iterator<Item = &'a Arc<Lane>>, deadline: Instant) {
    for lane in lanes {
        lane.ended(deadline).await;
    }
}

/// Asks for runs.
#[derive(Clone)]
pub struct RunNow {
    lanes: Arc<ArcSwap<Lanes>>,
}

impl RunNow {
    /// Asks for one more run of each of `scenarios` (full ids) now; several requests that come before a run starts are one.
    /// Returns those that will run (disabled ones and residents do not).
    pub fn ask(&self, scenarios: &[String]) -> Vec<String> {
        let (now, lanes) = (Instant::now(), self.lanes.load());
        scenarios
            .iter()
            .filter(|id| lanes.get(*id).is_some_and(|lane| lane.wake(Wake::Now(now))))
            .cloned()
            .collect()
    }
}

fn active_hours(catalog: &Catalog, module: &str) -> Option<ActiveHours> {
    let found = catalog.modules.iter().find(|candidate| candidate.id == module)?;
    found.active_hours.clone()
}

fn is_cron(scenario: &Scenario) -> bool {
    matches!(scenario.schedule, Schedule::Cron { .. })
}

/// A bounded channel of wakes.
fn wakes() -> (mpsc::Sender<Wake>, mpsc::Receiver<Wake>) {
    mpsc::channel(WAKES_PER_SCENARIO_MAX)
}
