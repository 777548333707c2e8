//! Alerts in the history: what fires, so that a restart goes on with it, and a log of what fired when. Reads of the former
//! come from memory, so that nobody waits for a disk.

use super::rows::Row;
use super::{History, HistoryError, Reader};
use crate::alert::{AlertId, Keep, KeptAlert};
use crate::clock;
use rusqlite::{Connection, params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An alert as the log has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredAlert {
    /// Name and own labels.
    pub id: AlertId,
    /// First wrong answer, seconds since 1970.
    pub started: f64,
    /// When it was over; none while it fires.
    pub ended: Option<f64>,
    /// Severity; `none` for what is about nothing.
    pub severity: String,
    /// Owner.
    pub owner: String,
    /// Its texts as they were last told.
    pub annotations: BTreeMap<String, String>,
}

/// What fires, as it was last said.
pub(super) struct Firing(Mutex<BTreeMap<AlertId, KeptAlert>>);

impl Firing {
    /// Reads the table. A row that cannot be read is left out and said: the others count.
    pub(super) fn load(reader: &Arc<Mutex<Connection>>) -> Result<Self, HistoryError> {
        let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection.prepare("SELECT kept FROM alerts_firing")?;
        let mut firing = BTreeMap::new();
        for text in statement.query_map([], |row| row.get::<_, String>(0))? {
            match serde_json::from_str::<KeptAlert>(&text?) {
                Ok(kept) => {
                    firing.insert(kept.alert.id.clone(), kept);
                }
                Err(error) => tracing::error!(%error, "history.alert_unreadable: a firing alert is forgotten"),
            }
        }
        Ok(Self(Mutex::new(firing)))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<AlertId, KeptAlert>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keep for History {
    fn firing(&self) -> Vec<KeptAlert> {
        self.firing.known().values().cloned().collect()
    }

    fn keep(&self, firing: &[KeptAlert]) {
        let now = clock::unix_seconds(clock::now());
        let mut known = self.firing.known();
        let fires = |id: &AlertId| firing.iter().any(|kept| kept.alert.id == *id);
        let over: Vec<AlertId> = known.keys().filter(|id| !fires(id)).cloned().collect();
        let mut rows = Vec::new();
        for id in over {
            known.remove(&id);
            rows.push(Row::AlertEnded {
                id: text(&id),
                ended: now,
            });
        }
        for kept in firing {
            if known.get(&kept.alert.id) == Some(kept) {
                continue;
            }
            known.insert(kept.alert.id.clone(), kept.clone());
            rows.push(Row::AlertFires {
                id: text(&kept.alert.id),
                started: kept.alert.starts_at,
                severity: kept.alert.severity.map_or("none", |severity| severity.as_str()),
                owner: kept.alert.owner.clone(),
                annotations: text(&kept.alert.annotations),
                kept: text(kept),
            });
        }
        drop(known);
        self.writer.put(rows);
    }
}

/// JSON of plain data with text keys, which always serialises.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Reader {
    /// The newest `limit` alerts of the log by their start, oldest first; what still fires among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn alerts(&self, limit: u32) -> Result<Vec<StoredAlert>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT id, started, ended, severity, owner, annotations FROM alerts
             ORDER BY started DESC, rowid DESC LIMIT ?1",
        )?;
        let read = |column: usize, text: &str, error: serde_json::Error| {
            tracing::debug!(text, "history.alert_unreadable");
            rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
        };
        let mut alerts = statement
            .query_map(params![limit], |row| {
                let (id, annotations): (String, String) = (row.get(0)?, row.get(5)?);
                Ok(StoredAlert {
                    id: serde_json::from_str(&id).map_err(|error| read(0, &id, error))?,
                    started: row.get(1)?,
                    ended: row.get(2)?,
                    severity: row.get(3)?,
                    owner: row.get(4)?,
                    annotations: serde_json::from_str(&annotations).map_err(|error| read(5, &annotations, error))?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        alerts.reverse();
        Ok(alerts)
    }
}
