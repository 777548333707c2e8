//! What all pages have around them.

use crate::record::live::Status;
use std::time::Duration;

/// Name of the target, when it was last judged, what the strips cover.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) target: String,
    pub(super) environment: String,
    pub(super) updated: String,
    pub(super) over: String,
    pub(super) time_scale: String,
}

impl Frame {
    pub(super) fn of(status: &Status, title: &str, over: Duration) -> Self {
        Self {
            title: title.to_owned(),
            target: status.target.clone(),
            environment: status.environment.clone(),
            updated: clock_time(&status.updated_at),
            over: span(over),
            #[expect(clippy::float_cmp, reason = "1 is what stands in the configuration of a real target")]
            time_scale: if status.time_scale == 1.0 {
                String::new()
            } else {
                format!("time scale {}", status.time_scale)
            },
        }
    }
}

/// The time of day of an RFC 3339 moment: what people compare with their own clock.
pub(super) fn clock_time(rfc3339: &str) -> String {
    match rfc3339.get(11..19) {
        Some(time) => format!("{time} UTC"),
        None => "never".to_owned(),
    }
}

/// Day and time of an RFC 3339 moment.
pub(super) fn day_time(rfc3339: &str) -> String {
    let day = rfc3339.get(..10).unwrap_or_default();
    format!("{day} {}", clock_time(rfc3339)).trim_start().to_owned()
}

/// How long something lasts, in words.
pub(super) fn lasting(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else {
        span(Duration::from_secs_f64(seconds))
    }
}

/// A long duration in words.
pub(super) fn span(of: Duration) -> String {
    let minutes = of.as_secs() / 60;
    match minutes {
        0..=119 => format!("{minutes} min"),
        _ => format!("{} h", minutes / 60),
    }
}
