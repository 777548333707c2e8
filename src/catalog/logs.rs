//! The target's own log: links into it from a URL template, so that any backend fits, and how Google Cloud Logging is asked.

use super::Access;
use chrono::{DateTime, SecondsFormat, Utc};
use std::time::Duration;
use url::Url;

/// What a link template may ask for: the trace id that our requests carried, the window as RFC 3339, project and query.
pub const HOLES: [&str; 5] = ["${trace_id}", "${from}", "${to}", "${project}", "${query}"];

/// The link into Google Cloud Logging, when a project is all that is configured.
pub const CLOUD_LINK: &str = "https://console.cloud.google.com/logs/query;\
    query=trace%3D%22projects%2F${project}%2Ftraces%2F${trace_id}%22%20${query};startTime=${from};endTime=${to}?project=${project}";

/// Where the target's log is read.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The URL, with [`HOLES`].
    pub link: String,
    /// How long before and after the start of a run the link and the questions look.
    pub window: Duration,
    /// Project whose log it is.
    pub project: String,
    /// Further terms of the query, in the Logging query language, such as a service name.
    pub query: String,
    /// How errors are read when an incident opens; none when they are not.
    pub fetch: Option<LogFetch>,
}

/// When and how errors are read from the log.
#[derive(Clone, Debug)]
pub struct LogFetch {
    /// How long after an incident opened: entries take a while to arrive.
    pub after: Duration,
    /// Where the log is and how it is asked.
    pub settings: LogSettings,
}

/// Where Google Cloud Logging is and how it is asked.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Base of the Logging API, `https://logging.googleapis.com/`.
    pub endpoint: Url,
    /// Project whose log it is.
    pub project: String,
    /// Further terms of the filter, in Google's language, such as a service name.
    pub filter: Option<String>,
    /// How we may read it.
    pub access: Access,
    /// Deadline of one question, the token included.
    pub within: Duration,
}

impl Logs {
    /// The link for a run that started at `at` (seconds since 1970) and whose requests carried `trace_id`. What is filled in
    /// is percent-encoded.
    pub fn of(&self, trace_id: &str, at: f64) -> String {
        let (from, to) = self.window_of(at);
        let values = [trace_id, &from, &to, &self.project, &self.query].map(encoded);
        let pairs = HOLES.iter().zip(&values);
        pairs.fold(self.link.clone(), |link, (hole, value)| link.replace(hole, value))
    }

    /// The window around `at` (seconds since 1970), as RFC 3339.
    pub fn window_of(&self, at: f64) -> (String, String) {
        let window = self.window.as_secs_f64();
        (time(at - window), time(at + window))
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
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    // A plus is a space in forms only.
    encoded.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holes_are_filled_and_encoded() {
        let logs = Logs {
            link: CLOUD_LINK.to_owned(),
            window: Duration::from_secs(60),
            project: "p".to_owned(),
            query: "resource.type=\"cloud_run_revision\" AND x".to_owned(),
            fetch: None,
        };
        assert_eq!(
            logs.of("0af7\"&x", 1_767_323_045.0),
            "https://console.cloud.google.com/logs/query;query=trace%3D%22projects%2Fp%2Ftraces%2F0af7%22%26x%22%20\
             resource.type%3D%22cloud_run_revision%22%20AND%20x;\
             startTime=2026-01-02T03%3A03%3A05Z;endTime=2026-01-02T03%3A05%3A05Z?project=p"
        );
    }
}
