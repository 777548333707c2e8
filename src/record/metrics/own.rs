//! Metrics of the daemon itself: is it on time, does it store, what does it run on.

use super::refused::{Refusals, Refused};
use super::{BUCKETS, Maker, Metrics, MetricsError};
use crate::catalog::Catalog;
use crate::clock;
use crate::history::HistoryStats;
use crate::schedule::{Observer, SkipCause};
use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::Level;
use tracing_subscriber::layer::{Context, Layer};

/// Messages logged by level, counted by [`LogCounter`]; statics, because the subscriber exists before any catalog.
static LOGGED: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Counts log messages by level.
pub struct LogCounter;

impl<S: tracing::Subscriber> Layer<S> for LogCounter {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let place = match *event.metadata().level() {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            Level::TRACE => 4,
        };
        LOGGED[place].fetch_add(1, Ordering::Relaxed);
    }
}

/// Handles of the daemon's own metrics.
pub struct Own {
    delay: Histogram,
    skipped: IntCounterVec,
    last_tick: Gauge,
    rearmed: IntCounter,
    clock_jumps: IntCounter,
    controls: GaugeVec,
    budgets: GaugeVec,
    history_errors: IntCounter,
    history_dropped: IntCounter,
    history_corrupt: IntCounter,
    history_damaged: IntCounter,
    history_degraded: Gauge,
    reloaded: Gauge,
    reloaded_at: Gauge,
    logged: Vec<IntCounter>,
    refusals: Refusals,
}

impl Own {
    pub(super) fn new(make: &Maker, _catalog: &Catalog) -> Result<Self, MetricsError> {
        build_info(make)?;
        make.collector(ProcessCollector::for_self())?;
        let none: &[&str] = &[];
        let single = |vec: Result<IntCounterVec, MetricsError>| vec.map(|vec| vec.with_label_values(none));
        let skipped = make.counters(
            "scheduler_skipped_runs_total",
            "Slots that passed without a run.",
            &["cause"],
        )?;
        for cause in SkipCause::ALL {
            skipped.with_label_values(&[cause.as_str()]);
        }
        let logged = make.counters("log_messages_total", "Messages logged.", &["level"])?;
        let reloaded = make
            .gauges(
                "config_last_reload_successful",
                "Whether the last load of the configuration was accepted.",
                none,
            )?
            .with_label_values(none);
        let reloaded_at = make
            .gauges(
                "config_last_reload_success_timestamp_seconds",
                "When a configuration was last accepted.",
                none,
            )?
            .with_label_values(none);
        reloaded.set(1.0);
        reloaded_at.set(clock::unix_seconds(clock::now()));
        Ok(Self {
            delay: make
                .histograms(
                    "scheduler_delay_seconds",
                    "Time from a slot to the start of its run.",
                    (none, &BUCKETS),
                )?
                .with_label_values(none),
            skipped,
            last_tick: make
                .gauges(
                    "scheduler_last_tick_timestamp_seconds",
                    "When the scheduler last went round.",
                    none,
                )?
                .with_label_values(none),
            rearmed: single(make.counters(
                "scheduler_rearmed_total",
                "Scenarios that had stalled and were armed again.",
                none,
            ))?,
            clock_jumps: single(make.counters(
                "clock_jumps_total",
                "Jumps of wall time against the monotonic clock.",
                none,
            ))?,
            controls: make.gauges(
                "controls_reachable_ratio",
                "Share of control addresses that answer.",
                none,
            )?,
            budgets: make.gauges("budget_remaining_ratio", "Share of a budget that is left.", &["budget"])?,
            history_errors: single(make.counters(
                "history_write_errors_total",
                "Writes to the history that failed.",
                none,
            ))?,
            history_dropped: single(make.counters(
                "history_dropped_rows_total",
                "Rows lost because the history could not be written for too long.",
                none,
            ))?,
            history_corrupt: single(make.counters(
                "history_corrupt_files_total",
                "History files found corrupt and put aside.",
                none,
            ))?,
            history_damaged: single(make.counters(
                "history_damaged_rows_total",
                "Rows of the history that were not as they had been written.",
                none,
            ))?,
            history_degraded: make
                .gauges(
                    "history_degraded",
                    "Whether the history is kept in memory for now, because it cannot be written.",
                    none,
                )?
                .with_label_values(none),
            reloaded,
            reloaded_at,
            logged: LEVELS.iter().map(|level| logged.with_label_values(&[*level])).collect(),
            refusals: Refusals::new(make)?,
        })
    }

    /// The share of control addresses that answer; none while no control is configured.
    pub fn set_controls(&self, ratio: Option<f64>) {
        if let Some(ratio) = ratio {
            self.controls.with_label_values::<&str>(&[]).set(ratio);
        }
    }

    /// What is left of a budget.
    pub fn set_budget(&self, name: &str, ratio: f64) {
        self.budgets.with_label_values(&[name]).set(ratio);
    }

    /// Totals of the history store since the start.
    pub fn set_history(&self, stats: &HistoryStats) {
        raise(&self.history_errors, stats.write_errors);
        raise(&self.history_dropped, stats.dropped_rows);
        raise(&self.history_corrupt, stats.corrupt_files);
        raise(&self.history_damaged, stats.damaged_rows);
        self.history_degraded.set(f64::from(u8::from(stats.degraded.is_some())));
    }

    /// The listener did not let somebody in.
    pub fn refused(&self, cause: Refused) {
        self.refusals.count(cause);
    }

    /// Another configuration was accepted, or refused.
    pub fn set_reloaded(&self, accepted: bool) {
        self.reloaded.set(if accepted { 1.0 } else { 0.0 });
        if accepted {
            self.reloaded_at.set(clock::unix_seconds(clock::now()));
        }
    }

    /// Forgets the budgets of the last catalog.
    pub fn forget_budgets(&self) {
        self.budgets.reset();
    }

    pub(super) fn refresh(&self) {
        for (counter, logged) in self.logged.iter().zip(&LOGGED) {
            raise(counter, logged.load(Ordering::Relaxed));
        }
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn build_info(make: &Maker) -> Result<(), MetricsError> {
    make.gauges(
        "build_info",
        "What this daemon was built from.",
        &["version", "revision", "rustc"],
    )?
    .with_label_values(&[
        env!("CARGO_PKG_VERSION"),
        env!("STAGEWATCH_REVISION"),
        env!("STAGEWATCH_RUSTC"),
    ])
    .set(1.0);
    Ok(())
}

impl Observer for Metrics {
    fn started(&self, delay: Duration) {
        self.own().delay.observe(delay.as_secs_f64());
    }

    fn skipped(&self, cause: SkipCause, slots: u64) {
        self.own().skipped.with_label_values(&[cause.as_str()]).inc_by(slots);
    }

    fn ticked(&self) {
        self.own().last_tick.set(clock::unix_seconds(clock::now()));
    }

    fn rearmed(&self, _scenario: &str) {
        self.own().rearmed.inc();
    }

    fn clock_jumped(&self, _by_s: f64) {
        self.own().clock_jumps.inc();
    }
}
