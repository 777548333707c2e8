//! Whether the schedule still goes round. It beats each second; a thread of the system, which no blocked task can hold up,
//! ends the process when it stops beating, for its supervisor to start it anew. When the daemon stops, the same thread sees
//! to it that this comes to an end.

use super::supervisor::Supervisor;
use crate::limits::{STALLED_AFTER, STOPPED_WITHIN};
use crate::record::metrics::Metrics;
use crate::schedule::{Observer, SkipCause};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Exit status of a daemon that stood still or would not end: an internal error, as sysexits(3) has it.
const STOOD_STILL: i32 = 70;
/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is wrong with the daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The schedule has not gone round for [`STALLED_AFTER`].
    Stalled,
    /// Stopping takes longer than [`STOPPED_WITHIN`].
    DoesNotEnd,
}

/// How long each may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two beats.
    pub beat: Duration,
    /// For the end.
    pub end: Duration,
    /// Between two looks.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            beat: STALLED_AFTER,
            end: STOPPED_WITHIN,
            look: LOOK_EVERY,
        }
    }
}

/// The beat of the schedule.
pub struct Pulse {
    supervisor: Supervisor,
    began: Instant,
    /// Milliseconds since `began`.
    beat: AtomicU64,
    fed: AtomicU64,
    ending: Mutex<Option<Instant>>,
    ended: AtomicBool,
}

impl Pulse {
    /// It has just beaten.
    pub fn new(supervisor: Supervisor) -> Arc<Self> {
        Arc::new(Self {
            supervisor,
            began: Instant::now(),
            beat: AtomicU64::new(0),
            fed: AtomicU64::new(0),
            ending: Mutex::new(None),
            ended: AtomicBool::new(false),
        })
    }

    /// Whoever started us.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The schedule went round: the supervisor hears of it three times in its period.
    pub fn beat(&self) {
        let now = self.now();
        self.beat.store(now, Ordering::Relaxed);
        let Some(period) = self.supervisor.watchdog() else {
            return;
        };
        let due = u64::try_from(period.as_millis() / 3).unwrap_or(u64::MAX);
        if now - self.fed.load(Ordering::Relaxed) >= due {
            self.fed.store(now, Ordering::Relaxed);
            self.supervisor.alive();
        }
    }

    /// From now on it need not beat, but end.
    pub fn end(&self) {
        self.supervisor.stopping();
        self.ending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(Instant::now);
    }

    /// Everything has ended.
    pub fn ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Looks after it until it has ended, or calls `trouble` and ends.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn watch(
        self: &Arc<Self>,
        patience: Patience,
        trouble: impl FnOnce(Trouble) + Send + 'static,
    ) -> std::io::Result<()> {
        let pulse = Arc::clone(self);
        let look = move || {
            while !pulse.ended.load(Ordering::Relaxed) {
                if let Some(found) = pulse.trouble(patience) {
                    return trouble(found);
                }
                std::thread::sleep(patience.look);
            }
        };
        std::thread::Builder::new().name("pulse".to_owned()).spawn(look)?;
        Ok(())
    }

    fn trouble(&self, patience: Patience) -> Option<Trouble> {
        let ending = *self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        match ending {
            Some(since) => (since.elapsed() > patience.end).then_some(Trouble::DoesNotEnd),
            None => {
                let quiet = Duration::from_millis(self.now() - self.beat.load(Ordering::Relaxed));
                (quiet > patience.beat).then_some(Trouble::Stalled)
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Says what is wrong and ends the process at once, whatever its tasks do.
pub fn exit(trouble: Trouble) {
    match trouble {
        Trouble::Stalled => tracing::error!("app.stalled: the schedule stands still; ending, to be started anew"),
        Trouble::DoesNotEnd => tracing::error!("app.does_not_end: stopping takes too long; ending at once"),
    }
    std::process::exit(STOOD_STILL);
}

/// Tells metrics and pulse what the schedule does.
pub(super) struct Told {
    pub(super) metrics: Arc<Metrics>,
    pub(super) pulse: Arc<Pulse>,
}

impl Observer for Told {
    fn started(&self, delay: Duration) {
        self.metrics.started(delay);
    }

    fn skipped(&self, cause: SkipCause, slots: u64) {
        self.metrics.skipped(cause, slots);
    }

    fn ticked(&self) {
        self.metrics.ticked();
        self.pulse.beat();
    }

    fn rearmed(&self, scenario: &str) {
        self.metrics.rearmed(scenario);
    }

    fn clock_jumped(&self, by_s: f64) {
        self.metrics.clock_jumped(by_s);
    }
}
