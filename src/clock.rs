//! The only place that asks for wall time. Durations use tokio's `Instant`.

use chrono::{DateTime, SecondsFormat, Utc};

/// The wall clock now.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Seconds since 1970, with fraction.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of this century fit the mantissa to the microsecond"
)]
pub fn unix_seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_micros() as f64 / 1e6
}

/// RFC 3339 of seconds since 1970; empty for what is no moment.
pub fn rfc3339_of(unix: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "microseconds of this millennium fit an i64"
    )]
    let at = DateTime::from_timestamp_micros((unix * 1e6) as i64);
    at.map(rfc3339).unwrap_or_default()
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
