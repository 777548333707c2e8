//! Schedules and timetables. Cron patterns are read with the options that tokio-cron-scheduler uses (seconds first, day of
//! month and day of week both), so that nothing is accepted here that would be read otherwise there.

use super::Context;
use super::scalar::{Scale, duration};
use crate::catalog::{ActiveHours, Schedule};
use crate::config::error::At;
use crate::config::raw::{self, TextOr};
use crate::config::words::{did_you_mean, suggest};
use crate::limits::PERIOD_MIN;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use std::time::Duration;

/// Smallest and largest value of each of the six fields, with its name.
const FIELDS: [(&str, u32, u32); 6] = [
    ("seconds", 0, 59),
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
];

/// The schedule of a scenario.
pub fn schedule(context: &Context, shape: &TextOr<raw::ScheduleTimes>, at: At) -> Option<Schedule> {
    const FORMS: &str =
        "write `{every: 5m}`, `{cron: \"0 */5 * * * *\", zone: UTC}`, `{on_confirm: SOCKET}` or `resident`";
    let times = match shape {
        TextOr::Text(word) if word == "resident" => return Some(Schedule::Resident),
        TextOr::Text(word) => {
            at.wrong(format!("`{word}` is no schedule"), FORMS);
            return None;
        }
        TextOr::Detailed(times) => times,
    };
    if times.zone.is_some() && times.cron.is_none() {
        at.key("zone").wrong(
            "only calendar times have a time zone",
            "leave `zone` out, or write `cron`",
        );
    }
    match (&times.every, &times.cron, &times.on_confirm) {
        (Some(every), None, None) => {
            if humantime::parse_duration(&every.0).is_ok_and(|period| period < PERIOD_MIN) {
                at.key("every")
                    .wrong(format!("the period `{}` is too short", every.0), "write 1s or more");
                return None;
            }
            let period = duration(context, every, Scale::Scaled, at.key("every"));
            Some(Schedule::Every(period.max(PERIOD_MIN)))
        }
        (None, Some(pattern), None) => {
            let zone = zone(times.zone.as_deref(), at.key("zone"));
            if let Some(cron) = cron(pattern, at.key("cron")) {
                fires(context, &cron, zone, pattern, at.key("cron"));
            }
            Some(Schedule::Cron {
                pattern: pattern.clone(),
                zone,
            })
        }
        (None, None, Some(socket)) => {
            known_socket(context, socket, at.key("on_confirm"));
            Some(Schedule::OnConfirm { socket: socket.clone() })
        }
        _ => {
            at.wrong("a schedule has one of `every`, `cron` and `on_confirm`", FORMS);
            None
        }
    }
}

fn known_socket(context: &Context, socket: &str, at: At) {
    let sockets = &context.main.target.sockets;
    if sockets.get(socket).is_none() {
        let known: Vec<&str> = sockets.iter().map(|(name, _)| name).collect();
        at.wrong(
            format!("the socket `{socket}` is not configured"),
            suggest(socket, known),
        );
    }
}

/// The active hours of a module.
pub fn active_hours(context: &Context, shape: &raw::ActiveHours, at: At) -> ActiveHours {
    let places = (at.key("cron"), at.key("zone"));
    timetable(context, (&shape.cron, shape.zone.as_deref()), places)
}

/// A pattern of five fields and its zone, each with its place.
pub fn timetable(
    context: &Context,
    (pattern, zone_name): (&str, Option<&str>),
    (at, zone_at): (At, At),
) -> ActiveHours {
    let zone = zone(zone_name, zone_at);
    let fields = pattern.split_whitespace().count();
    if fields == 5 {
        if let Some(cron) = parsed(&format!("0 {pattern}"), at, pattern) {
            fires(context, &cron, zone, pattern, at);
        }
    } else {
        at.wrong(
            format!("a timetable has five fields, this one has {fields}"),
            "write minute, hour, day of month, month, day of week, as in `* 7-20 * * 1-5`",
        );
    }
    ActiveHours {
        cron: pattern.to_owned(),
        zone,
    }
}

fn zone(name: Option<&str>, at: At) -> Tz {
    let name = name.unwrap_or("UTC");
    name.parse().unwrap_or_else(|_| {
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let help = did_you_mean(name, known).unwrap_or_else(|| "write an IANA name, as in Europe/Paris".to_owned());
        at.wrong(format!("unknown time zone `{name}`"), help);
        Tz::UTC
    })
}

fn cron(pattern: &str, at: At) -> Option<Cron> {
    let fields = pattern.split_whitespace().count();
    if fields == 5 && !pattern.starts_with('@') {
        at.wrong(
            "a cron pattern has six fields, seconds first; this one has five",
            format!("write `0 {pattern}`"),
        );
        return None;
    }
    parsed(pattern, at, pattern)
}

fn parsed(pattern: &str, at: At, shown: &str) -> Option<Cron> {
    if let Some((field, step, most)) = wide_step(pattern) {
        at.wrong(
            format!("the step {step} of the {field} in `{shown}` is wider than its range"),
            format!("write a step of at most {most}, or the values themselves"),
        );
        return None;
    }
    match parser().parse(pattern) {
        Ok(cron) => Some(cron),
        Err(error) => {
            at.wrong(
                format!("`{shown}` is no cron pattern: {error}"),
                "write seconds, minutes, hours, day of month, month, day of week, as in `0 */5 * * * *`",
            );
            None
        }
    }
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Required)
        .dom_and_dow(true)
        .build()
}

/// A step like `*/90` of minutes, which croner takes for `0`.
fn wide_step(pattern: &str) -> Option<(&'static str, u32, u32)> {
    for (text, (name, least, most)) in pattern.split_whitespace().zip(FIELDS) {
        for item in text.split(',') {
            let Some((range, step)) = item.split_once('/') else {
                continue;
            };
            let width = range
                .split_once('-')
                .and_then(|(low, high)| high.parse::<u32>().ok()?.checked_sub(low.parse().ok()?))
                .unwrap_or(most - least);
            if let Ok(step) = step.parse::<u32>()
                && step > width
            {
                return Some((name, step, width));
            }
        }
    }
    None
}

fn fires(context: &Context, cron: &Cron, zone: Tz, pattern: &str, at: At) {
    let now = context.environment.now().with_timezone(&zone);
    if cron.find_next_occurrence(&now, false).is_err() {
        at.wrong(
            format!("`{pattern}` never fires"),
            "no date from now on has these fields: day of month and day of week must both fit",
        );
    }
}

/// At most `count` occurrences from a fixed day on, for the plan, which must not depend on when it is made.
pub fn occurrences(pattern: &str, zone: Tz, count: usize) -> Vec<DateTime<Tz>> {
    let start = DateTime::<Utc>::from_timestamp(REFERENCE_DAY, 0).unwrap_or_default();
    match parser().parse(pattern) {
        Ok(cron) => cron.iter_after(start.with_timezone(&zone)).take(count).collect(),
        Err(_) => Vec::new(),
    }
}

/// 2026-01-01, a Thursday.
const REFERENCE_DAY: i64 = 1_767_225_600;

/// The gap that two neighbours of a list keep at least.
pub fn shortest_gap(times: &[DateTime<Tz>]) -> Option<Duration> {
    times
        .windows(2)
        .filter_map(|pair| (pair[1] - pair[0]).to_std().ok())
        .min()
}
