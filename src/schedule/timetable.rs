//! Calendar arithmetic over cron patterns: pure, the moment is always given.

use crate::catalog::ActiveHours;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use std::time::Duration;

/// Occurrences looked at to find the longest gap of a pattern: a week of hourly slots.
const OCCURRENCES: usize = 200;

/// Parses a six-field pattern with the options that tokio-cron-scheduler uses.
///
/// # Errors
/// What croner says about the pattern.
pub fn parse(pattern: &str) -> Result<Cron, String> {
    CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build()
        .parse(pattern)
        .map_err(|error| error.to_string())
}

/// The next time after `from` at which the pattern fires; none if it never does.
pub fn next(pattern: &str, zone: Tz, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let next = parse(pattern)
        .ok()?
        .find_next_occurrence(&from.with_timezone(&zone), false)
        .ok()?;
    Some(next.with_timezone(&Utc))
}

/// The longest time between two of the next firings.
pub fn longest_gap(pattern: &str, zone: Tz, from: DateTime<Utc>) -> Option<Duration> {
    let cron = parse(pattern).ok()?;
    let times: Vec<_> = cron
        .iter_after(from.with_timezone(&zone))
        .take(OCCURRENCES)
        .map(|at| at.with_timezone(&Utc))
        .collect();
    times
        .windows(2)
        .filter_map(|pair| (pair[1] - pair[0]).to_std().ok())
        .max()
}

/// Whether `at` lies in the active hours.
pub fn active(hours: &ActiveHours, at: DateTime<Utc>) -> bool {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .dom_and_dow(true)
        .build();
    // A pattern that does not parse was refused at load.
    let Ok(cron) = parser.parse(&hours.cron) else {
        return true;
    };
    let minute = at.timestamp() - at.timestamp().rem_euclid(60);
    let Some(minute) = DateTime::from_timestamp(minute, 0) else {
        return true;
    };
    cron.is_time_matching(&minute.with_timezone(&hours.zone))
        .unwrap_or(true)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn active_hours_follow_the_zone_through_a_change_of_clocks() {
        let hours = ActiveHours {
            cron: "* 7-20 * * 1-5".to_owned(),
            zone: chrono_tz::Europe::Paris,
        };
        // Friday 27 March 2026, winter time: 07:00 is 06:00 UTC.
        assert!(!active(&hours, at("2026-03-27T05:59:59Z")));
        assert!(active(&hours, at("2026-03-27T06:00:30Z")));
        // Monday 30 March, summer time: 07:00 is 05:00 UTC.
        assert!(active(&hours, at("2026-03-30T05:00:30Z")));
        assert!(!active(&hours, at("2026-03-28T10:00:00Z")), "a Saturday");
        assert!(!active(&hours, at("2026-03-30T19:00:00Z")), "21:00 in Paris");
    }

    #[test]
    fn gaps_and_next_times() {
        let from = at("2026-11-20T12:00:00Z");
        let day = Duration::from_secs(86_400);
        assert_eq!(longest_gap("0 */5 * * * *", Tz::UTC, from), Some(day / 288));
        assert_eq!(
            longest_gap("0 0 9 * * 1-5", Tz::UTC, from),
            Some(day * 3),
            "over the weekend"
        );
        assert_eq!(
            next("0 0 9 * * *", chrono_tz::Europe::Paris, from),
            Some(at("2026-11-21T08:00:00Z"))
        );
        assert_eq!(next("0 0 0 30 2 *", Tz::UTC, from), None);
    }
}
