//! How long after one run of a scenario the next one is due. Pure.

use crate::catalog::{Scenario, Schedule};
use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds};
use std::time::Duration;

/// The time from a run at `now` to the next one. A resident's next run starts when this one ends, at the latest at its
/// deadline. Zero for what runs only when asked for, and for a pattern that never fires again.
pub(super) fn period(scenario: &Scenario, now: DateTime<Utc>) -> Duration {
    match &scenario.schedule {
        Schedule::Every(period) => *period,
        Schedule::Resident => scenario.deadline,
        Schedule::OnConfirm { .. } => Duration::ZERO,
        Schedule::Cron { pattern, zone } => {
            let parser = CronParser::builder().seconds(Seconds::Required).build();
            let Ok(cron) = parser.parse(pattern) else {
                return Duration::ZERO;
            };
            let mut slots = cron.iter_after(now.with_timezone(zone));
            // The run belongs to a slot that has just passed, so the gap is that between the next two.
            let gap = slots.next().zip(slots.next()).map(|(next, after)| after - next);
            gap.and_then(|gap| gap.to_std().ok()).unwrap_or_default()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::catalog::Cost;

    #[test]
    fn a_pattern_has_the_gap_between_its_next_two_slots() {
        let schedule = Schedule::Cron {
            pattern: "0 */5 * * * *".to_owned(),
            zone: chrono_tz::UTC,
        };
        let scenario = Scenario {
            id: "m/s".to_owned(),
            module: "m".to_owned(),
            name: "s".to_owned(),
            schedule,
            enabled: true,
            runs_per_day_max: None,
            deadline: Duration::from_secs(9),
            credentials: Vec::new(),
            vars: Vec::new(),
            steps: Vec::new(),
            cleanup: Vec::new(),
            measures: Vec::new(),
            cost: Cost::default(),
            feeds_watch: false,
            explains: false,
        };
        assert_eq!(period(&scenario, DateTime::UNIX_EPOCH).as_secs(), 300);
        let scenario = Scenario {
            schedule: Schedule::Resident,
            ..scenario
        };
        assert_eq!(period(&scenario, DateTime::UNIX_EPOCH).as_secs(), 9);
    }
}
