//! Notices a lane that has not moved for two periods, and a wall clock that jumps. It knows nothing of runs.

use super::lane::Lane;
use super::{Lanes, Observer, plan};
use crate::clock;
use crate::limits::{CLEANUP_WITHIN, STALL_GRACE};
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Difference between wall and monotonic time that counts as a jump (a slewed clock stays far below).
const JUMP_S: f64 = 2.0;

/// Looks after the lanes until `stop`.
pub(super) async fn watch(lanes: Arc<ArcSwap<Lanes>>, observer: Arc<dyn Observer>, stop: CancellationToken) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut wall, mut monotonic) = (clock::unix_seconds(clock::now()), Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        observer.ticked();
        let (wall_now, monotonic_now) = (clock::unix_seconds(clock::now()), Instant::now());
        let jump = wall_now - wall - (monotonic_now - monotonic).as_secs_f64();
        (wall, monotonic) = (wall_now, monotonic_now);
        if jump.abs() > JUMP_S {
            tracing::warn!(by_s = jump, "schedule.clock_jump: wall time jumped");
            observer.clock_jumped(jump);
        }
        for lane in lanes.load().values() {
            look_at(lane, observer.as_ref());
        }
    }
}

fn look_at(lane: &Lane, observer: &dyn Observer) {
    // A run in flight is a sign of life until its own deadline has passed; the runner ends it then.
    let period = lane.period.max(lane.scenario.deadline + CLEANUP_WITHIN);
    if plan::stalled(lane.quiet(), period, STALL_GRACE) {
        tracing::error!(scenario = %lane.scenario.id, "schedule.stalled: not started for two periods, armed again");
        observer.rearmed(&lane.scenario.id);
        lane.rearm();
    }
}
