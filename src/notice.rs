//! What people tell the daemon: maintenance that they have begun, and marks such as deploys; and what maintenance mutes. Plain
//! data and arithmetic: the moment is always given.

use crate::alert::Muted;
use crate::catalog::ActiveHours;
use crate::catalog::alerting::MaintenanceWindow;
use chrono::{DateTime, Duration, Utc};
use croner::parser::{CronParser, Seconds};
use serde::{Deserialize, Serialize};

/// Something that happened to the target and is worth remembering beside what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// When, seconds since 1970.
    pub at: f64,
    /// What, for people.
    pub text: String,
    /// The version that was deployed, if it was a deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Maintenance that somebody has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Identifier, to end it by.
    pub id: String,
    /// Shown to people.
    pub reason: String,
    /// Modules it is about; empty means the whole target.
    pub modules: Vec<String>,
    /// Its begin, seconds since 1970.
    pub from: f64,
    /// Its end, seconds since 1970.
    pub until: f64,
}

impl Maintenance {
    /// Whether it goes on at `now`.
    pub fn goes_on(&self, now: f64) -> bool {
        self.from <= now && now < self.until
    }
}

/// What recurring windows and the maintenance that people have begun mute at a moment.
pub fn muted(windows: &[MaintenanceWindow], begun: &[Maintenance], now: DateTime<Utc>) -> Muted {
    let unix = crate::clock::unix_seconds(now);
    let recurring = windows
        .iter()
        .filter(|window| opened(window, now).is_some())
        .map(|window| &window.modules);
    let begun = begun.iter().filter(|one| one.goes_on(unix)).map(|one| &one.modules);
    let mut muted = Muted::default();
    for modules in recurring.chain(begun) {
        muted.whole |= modules.is_empty();
        muted.modules.extend(modules.iter().cloned());
    }
    muted
}

/// The recurring windows that are open at a moment, as maintenance.
pub fn open_windows(windows: &[MaintenanceWindow], now: DateTime<Utc>) -> Vec<Maintenance> {
    let open = windows.iter().enumerate().filter_map(|(place, window)| {
        let from = crate::clock::unix_seconds(opened(window, now)?);
        Some(Maintenance {
            id: format!("window-{}", place + 1),
            reason: window.reason.clone(),
            modules: window.modules.clone(),
            from,
            until: from + window.lasts.as_secs_f64(),
        })
    });
    open.collect()
}

/// When the window that is open at `now` opened.
fn opened(window: &MaintenanceWindow, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let lasts = Duration::from_std(window.lasts).ok()?;
    // One that starts anew before it is over stays open: the first start that is not over yet counts.
    let start = next(&window.starts, now.checked_sub_signed(lasts)?)?;
    (start <= now).then_some(start)
}

/// The next start after `from`.
fn next(starts: &ActiveHours, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .dom_and_dow(true)
        .build();
    // A pattern that does not parse was refused at load.
    let cron = parser.parse(&starts.cron).ok()?;
    let next = cron
        .find_next_occurrence(&from.with_timezone(&starts.zone), false)
        .ok()?;
    Some(next.with_timezone(&Utc))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn window(cron: &str, minutes: u64, modules: &[&str]) -> MaintenanceWindow {
        MaintenanceWindow {
            reason: "database upgrade".to_owned(),
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            starts: ActiveHours {
                cron: cron.to_owned(),
                zone: chrono_tz::Europe::Paris,
            },
            lasts: std::time::Duration::from_secs(60 * minutes),
        }
    }

    #[test]
    fn a_window_mutes_from_its_start_until_it_is_over() {
        // Sundays at 03:00 in Paris, which is 02:00 UTC in winter, for ninety minutes.
        let windows = [window("0 3 * * 0", 90, &["chat"])];
        let modules = |moment| muted(&windows, &[], at(moment)).modules;
        assert!(modules("2026-11-29T01:59:59Z").is_empty());
        assert!(modules("2026-11-29T02:00:00Z").contains("chat"));
        assert!(modules("2026-11-29T03:29:59Z").contains("chat"));
        assert!(modules("2026-11-29T03:30:00Z").is_empty());
        assert!(modules("2026-11-30T02:10:00Z").is_empty(), "a Monday");
        assert!(
            modules("2026-07-05T01:10:00Z").contains("chat"),
            "in summer an hour earlier"
        );
        assert!(!muted(&windows, &[], at("2026-11-29T02:10:00Z")).whole);
    }

    #[test]
    fn a_window_that_starts_anew_before_it_is_over_stays_open() {
        let windows = [window("*/10 * * * *", 25, &[])];
        for minute in 0..60 {
            let moment = at(&format!("2026-11-29T10:{minute:02}:30Z"));
            assert!(muted(&windows, &[], moment).whole, "{moment}");
        }
        let open = open_windows(&windows, at("2026-11-29T10:31:00Z"));
        assert_eq!(
            (open[0].id.as_str(), open[0].until - open[0].from),
            ("window-1", 1500.0)
        );
    }

    #[test]
    fn what_people_have_begun_mutes_until_its_end() {
        let begun = |modules: &[&str], from: &str, until: &str| Maintenance {
            id: "m1".to_owned(),
            reason: String::new(),
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
            from: crate::clock::unix_seconds(at(from)),
            until: crate::clock::unix_seconds(at(until)),
        };
        let both = [
            begun(&["chat"], "2026-11-29T10:00:00Z", "2026-11-29T11:00:00Z"),
            begun(&[], "2026-11-29T10:30:00Z", "2026-11-29T10:40:00Z"),
        ];
        let at = |moment: &str| {
            let muted = muted(&[], &both, moment.parse().unwrap());
            (muted.modules.len(), muted.whole)
        };
        assert_eq!(at("2026-11-29T09:59:59Z"), (0, false));
        assert_eq!(at("2026-11-29T10:00:00Z"), (1, false));
        assert_eq!(at("2026-11-29T10:35:00Z"), (1, true));
        assert_eq!(at("2026-11-29T10:40:00Z"), (1, false));
        assert_eq!(at("2026-11-29T11:00:00Z"), (0, false));
    }
}
