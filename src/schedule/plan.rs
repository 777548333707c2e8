//! What is due when: pure arithmetic over the catalog. Reads no clock and does no IO.

use super::timetable;
use crate::catalog::step::{Action, Step};
use crate::catalog::{Catalog, PlannedRequest, Scenario, Schedule};
use crate::expression::Scope;
use crate::limits::{CONFIRM_EVIDENCE_FOR, FIRST_RUNS_SPACING};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The place of a scenario in its period: a stable hash of its id, so that starts spread and stay put across restarts.
pub fn phase(id: &str, period: Duration) -> Duration {
    // FNV-1a, 64 bit: tiny, and the same on every machine and in every version.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    Duration::from_millis(hash % period_ms)
}

/// How long from now the first regular slot is: the next moment at which unix time is in phase, but not before `earliest`
/// and not so soon after the first run that two runs would come at once.
pub fn first_slot(id: &str, period: Duration, now_unix_ms: u64, earliest: Duration) -> Duration {
    let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    let phase_ms = u64::try_from(phase(id, period).as_millis()).unwrap_or(0);
    let from = now_unix_ms + u64::try_from((earliest + period / 4).as_millis()).unwrap_or(0);
    let into = from % period_ms;
    let wait = if into <= phase_ms {
        phase_ms - into
    } else {
        period_ms - into + phase_ms
    };
    Duration::from_millis(from + wait - now_unix_ms)
}

/// How many slots lie in `[slot, until]`, `slot` included, when slots come every `period`.
pub fn slots_within(slot: Duration, until: Duration, period: Duration) -> u64 {
    let Some(span) = until.checked_sub(slot) else {
        return 0;
    };
    let passed = span.as_nanos() / period.as_nanos().max(1);
    u64::try_from(passed).unwrap_or(u64::MAX - 1) + 1
}

/// The time between two runs of a scenario: the longest gap for calendar schedules, the deadline for residents, and for those
/// that run on confirm, which have none, how long what they saw explains anything.
pub fn period(scenario: &Scenario, from: DateTime<Utc>) -> Duration {
    match &scenario.schedule {
        Schedule::Every(period) => *period,
        Schedule::Cron { pattern, zone } => timetable::longest_gap(pattern, *zone, from).unwrap_or(scenario.deadline),
        Schedule::Resident => scenario.deadline,
        Schedule::OnConfirm { .. } => CONFIRM_EVIDENCE_FOR,
    }
}

/// How often checks are judged that read only the ledger or other checks: each minute, scaled, and at most each second.
pub fn passive_period(time_scale: f64) -> Duration {
    Duration::from_secs(60).mul_f64(time_scale).max(Duration::from_secs(1))
}

/// How old the evidence of a scenario may be: one and a half periods, and the time that the run after it may take to be seen.
pub fn fresh_for(scenario: &Scenario, period: Duration) -> Duration {
    if matches!(scenario.schedule, Schedule::OnConfirm { .. }) {
        return CONFIRM_EVIDENCE_FOR;
    }
    period.mul_f64(1.5) + scenario.deadline
}

/// Whether a lane is stalled: nothing has moved for two periods and the grace. `quiet` counts from the last sign of life.
pub fn stalled(quiet: Duration, period: Duration, grace: Duration) -> bool {
    quiet > period * 2 + grace
}

/// The enabled scenarios (those on confirm excepted) with the time after the start at which each runs for the first time: residents at once, then cheap
/// ones, then those that need a login, then those that borrow a resident's socket; spread so that the target's limits hold.
pub fn first_runs(catalog: &Catalog) -> Vec<(Arc<Scenario>, Duration)> {
    let regular = |scenario: &&Arc<Scenario>| !matches!(scenario.schedule, Schedule::OnConfirm { .. });
    let mut scenarios: Vec<_> = catalog
        .scenarios()
        .filter(|scenario| scenario.enabled)
        .filter(regular)
        .collect();
    scenarios.sort_by_key(|scenario| (rank(scenario), size(scenario), scenario.id.clone()));
    let mut sent = vec![0_f64; catalog.target.limits.len()];
    let mut at = Duration::ZERO;
    let mut planned = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        if scenario.schedule != Schedule::Resident {
            at += FIRST_RUNS_SPACING;
        }
        for (limit, sent) in catalog.target.limits.iter().zip(&sent) {
            // Three quarters of the limit: the other quarter is for what renewals and residents send.
            let share = (sent / f64::from(limit.max.max(1)) / 0.75).floor();
            at = at.max(limit.per.mul_f64(share));
        }
        for (limit, sent) in catalog.target.limits.iter().zip(&mut sent) {
            let counted = scenario.cost.requests.iter().filter(|request| counts(limit, request));
            *sent += counted.map(|request| f64::from(request.times)).sum::<f64>();
        }
        planned.push((Arc::clone(scenario), at));
    }
    planned
}

fn counts(limit: &crate::catalog::RateLimit, request: &PlannedRequest) -> bool {
    let mut scope = Scope::new();
    scope.set(
        "request",
        &json!({ "method": request.method, "base": request.base, "path": request.path, "kind": request.kind }),
    );
    // A limit whose expression cannot be evaluated counts everything: slower, never faster.
    limit.counts.holds(&scope).unwrap_or(true)
}

fn rank(scenario: &Scenario) -> u8 {
    if scenario.schedule == Schedule::Resident {
        0
    } else if borrows(&scenario.steps) {
        3
    } else {
        u8::from(!scenario.credentials.is_empty()) + 1
    }
}

fn size(scenario: &Scenario) -> u64 {
    let requests: u64 = scenario
        .cost
        .requests
        .iter()
        .map(|request| u64::from(request.times))
        .sum();
    requests + u64::from(scenario.cost.messages)
}

/// The residents (full ids) whose sockets these steps borrow.
pub fn borrowed(steps: &[Step]) -> Vec<&str> {
    let mut found = Vec::new();
    for step in steps {
        match &step.action {
            Action::Borrow { resident, .. } => found.push(resident.as_str()),
            Action::Repeat { steps, .. } | Action::Times { steps, .. } | Action::Group(steps) => {
                found.extend(borrowed(steps));
            }
            Action::Parallel(branches) => branches.iter().for_each(|steps| found.extend(borrowed(steps))),
            _ => {}
        }
    }
    found
}

fn borrows(steps: &[Step]) -> bool {
    !borrowed(steps).is_empty()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_phase_is_stable_and_inside_its_period() {
        assert_eq!(
            phase("websocket_events/handshake", MINUTE),
            phase("websocket_events/handshake", MINUTE)
        );
        let phases: std::collections::BTreeSet<_> = (0..50).map(|n| phase(&format!("m/s{n}"), MINUTE)).collect();
        assert!(phases.len() > 40, "50 scenarios share few of the 60,000 phases");
        assert!(phases.iter().all(|phase| *phase < MINUTE));
    }

    #[test]
    fn the_first_slot_is_in_phase_and_not_too_soon() {
        for id in ["m/a", "m/b", "m/c"] {
            for now in [0_u64, 17, 59_999, 1_700_000_000_123] {
                let wait = first_slot(id, MINUTE, now, Duration::from_secs(2));
                assert!(wait >= Duration::from_secs(17), "{id} at {now} waits only {wait:?}");
                assert!(wait <= Duration::from_secs(77));
                let at = now + u64::try_from(wait.as_millis()).unwrap();
                assert_eq!(
                    at % 60_000,
                    u64::try_from(phase(id, MINUTE).as_millis()).unwrap(),
                    "{id} at {now}"
                );
            }
        }
    }

    #[test]
    fn slots_are_counted_with_the_late_one() {
        let second = Duration::from_secs(1);
        assert_eq!(slots_within(second * 10, second * 9, second), 0);
        assert_eq!(slots_within(second * 10, second * 10, second), 1);
        assert_eq!(
            slots_within(second * 10, second * 12 + Duration::from_millis(900), second),
            3
        );
    }

    #[test]
    fn a_lane_stalls_after_two_periods_and_the_grace() {
        let grace = Duration::from_secs(5);
        assert!(!stalled(Duration::from_secs(125), MINUTE, grace));
        assert!(stalled(Duration::from_secs(126), MINUTE, grace));
    }
}
