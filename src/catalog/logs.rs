//! Links into the target's log, from a URL template of the configuration, so that any backend fits.

use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;

/// What a link template may ask for: the trace id that our requests carried, and the window as RFC 3339.
pub const HOLES: [&str; 3] = ["${trace_id}", "${from}", "${to}"];

/// Where the target's log is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The URL, with [`HOLES`].
    pub link: String,
    /// How long before and after the start of a run the link looks.
    pub window: Duration,
}

impl Logs {
    /// The link for a run that started at `at` (seconds since 1970) and whose requests carried `trace_id`. What is filled in
    /// is percent-encoded.
    pub fn of(&self, trace_id: &str, at: f64) -> String {
        let window = self.window.as_secs_f64();
        let values = [
            encoded(trace_id),
            encoded(&time(at - window)),
            encoded(&time(at + window)),
        ];
        let pairs = HOLES.iter().zip(&values);
        pairs.fold(self.link.clone(), |link, (hole, value)| link.replace(hole, value))
    }
}

fn time(unix: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of this millennium fit an i64"
    )]
    let at = DateTime::<Utc>::from_timestamp_millis((unix * 1000.0) as i64);
    at.map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holes_are_filled_and_encoded() {
        let logs = Logs {
            link: "https://console.cloud.google.com/logs/query;query=trace%3D%22projects%2Fp%2Ftraces%2F${trace_id}%22;startTime=${from};endTime=${to}?project=p".to_owned(),
            window: Duration::from_secs(60),
        };
        assert_eq!(
            logs.of("0af7\"&x", 1_767_323_045.0),
            "https://console.cloud.google.com/logs/query;query=trace%3D%22projects%2Fp%2Ftraces%2F0af7%22%26x%22;\
             startTime=2026-01-02T03%3A03%3A05Z;endTime=2026-01-02T03%3A05%3A05Z?project=p"
        );
    }
}
