//! Asks the operator's Alertmanager whether the page of a drill is there.

use crate::alert::AlertName;
use crate::clock;
use crate::limits::{ADOPTED_BYTES_MAX, DRILL_ASK_WITHIN};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// How the alerts of one drill are asked for.
pub(super) struct Asked {
    client: reqwest::Client,
    url: Url,
}

/// The page, as Alertmanager shows it.
pub(super) struct Seen {
    /// Its name.
    pub(super) alert: AlertName,
    /// Socket, credential and outcome, for people.
    pub(super) labels: String,
    /// Seconds since 1970 of the first wrong answer.
    pub(super) starts_at: f64,
}

/// What we read of an alert in Alertmanager's list (API v2).
#[derive(Deserialize)]
struct Listed {
    labels: BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: DateTime<Utc>,
}

impl Asked {
    pub(super) fn new(alertmanager: &Url, id: &str) -> Result<Self, reqwest::Error> {
        let mut url = alertmanager.clone();
        let path = format!("{}/api/v2/alerts", alertmanager.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut()
            .append_pair("filter", &format!("drill_id=\"{id}\""));
        let client = reqwest::Client::builder()
            .timeout(DRILL_ASK_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, url })
    }

    /// The page of this name, if Alertmanager shows it.
    ///
    /// # Errors
    /// What kept it from an answer, for people.
    pub(super) async fn look(&self, expected: AlertName) -> Result<Option<Seen>, String> {
        let listed = self.list().await.map_err(|error| error.to_string())?;
        let listed: Vec<Listed> =
            serde_json::from_slice(&listed).map_err(|_| "the answer is no list of alerts".to_owned())?;
        let page = listed
            .into_iter()
            .filter(|alert| {
                alert
                    .labels
                    .get("alertname")
                    .is_some_and(|name| name == expected.as_str())
            })
            .min_by_key(|alert| alert.starts_at);
        Ok(page.map(|page| Seen {
            alert: expected,
            starts_at: clock::unix_seconds(page.starts_at),
            labels: ["socket", "credential", "outcome"]
                .iter()
                .filter_map(|label| Some(format!("{label} {}", page.labels.get(*label)?)))
                .collect::<Vec<_>>()
                .join(", "),
        }))
    }

    /// The body, as far as it may be long.
    async fn list(&self) -> Result<Vec<u8>, reqwest::Error> {
        let mut answer = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            let room = ADOPTED_BYTES_MAX.saturating_sub(body.len());
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if room == 0 {
                break;
            }
        }
        Ok(body)
    }
}
