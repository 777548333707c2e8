//! What an Alertmanager still has of ours: read back into alerts, so that a daemon without memory goes on where it stopped.

use super::addresses::resolve;
use super::door::{Door, Doors};
use super::message::{Common, ORIGIN};
use crate::alert::{Alert, AlertId, AlertName};
use crate::clock;
use chrono::DateTime;
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeMap;

/// Label of drills: theirs are not ours unless this is one.
const DRILL: &str = "drill";
/// Labels that every alert has, and that are therefore no part of its own.
const SHARED_LABELS: [&str; 5] = ["alertname", "severity", "environment", "owner", "origin"];

/// Asks one Alertmanager, at each of its addresses if it has several.
pub(super) async fn ask(doors: &Doors, common: &Common) -> Vec<Alert> {
    let asked: Vec<Door> = match doors.every_address() {
        true => {
            let addresses = resolve(doors).await;
            addresses
                .into_iter()
                .filter_map(|address| doors.at(address).ok())
                .collect()
        }
        false => vec![doors.named()],
    };
    let matchers = [
        format!("origin={ORIGIN:?}"),
        format!("environment={}", quoted(&common.environment)),
    ];
    let found = join_all(asked.iter().map(|door| door.list(&matchers))).await;
    let mut alerts = Vec::new();
    for found in found {
        match found {
            Ok(found) => alerts.extend(found.iter().filter_map(|value| alert(value, common))),
            Err(fault) => tracing::warn!(alertmanager = doors.name(), %fault, "push.adopt_failed"),
        }
    }
    alerts
}

/// A matcher's value.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One of each: the earliest start is the true one.
pub(super) fn merge(found: impl Iterator<Item = Alert>) -> Vec<Alert> {
    let mut alerts: BTreeMap<AlertId, Alert> = BTreeMap::new();
    for alert in found {
        match alerts.get_mut(&alert.id) {
            Some(known) => known.starts_at = known.starts_at.min(alert.starts_at),
            None => {
                alerts.insert(alert.id.clone(), alert);
            }
        }
    }
    alerts.into_values().collect()
}

/// An alert of ours as Alertmanager tells it; none if it is none, or the heartbeat, which has no past.
fn alert(value: &Value, common: &Common) -> Option<Alert> {
    let texts = |key: &str| -> Option<BTreeMap<String, String>> {
        let members = value[key].as_object()?.iter();
        members
            .map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
            .collect()
    };
    let mut labels = texts("labels")?;
    let is_ours = labels.get("origin").is_some_and(|origin| origin == ORIGIN)
        && labels.get("environment") == Some(&common.environment)
        && labels.get(DRILL) == common.labels.get(DRILL);
    let name: AlertName = labels.get("alertname")?.parse().ok()?;
    if !is_ours || name == AlertName::PushHeartbeat {
        return None;
    }
    let severity = labels.get("severity").and_then(|severity| severity.parse().ok());
    let owner = labels.get("owner").cloned().unwrap_or_default();
    let starts_at = DateTime::parse_from_rfc3339(value["startsAt"].as_str()?).ok()?;
    labels.retain(|label, _| !SHARED_LABELS.contains(&label.as_str()) && !common.labels.contains_key(label));
    Some(Alert {
        id: AlertId { name, labels },
        severity,
        owner,
        starts_at: clock::unix_seconds(starts_at.to_utc()),
        annotations: texts("annotations").unwrap_or_default(),
        page: value["generatorURL"].as_str().unwrap_or("/").to_owned(),
    })
}
