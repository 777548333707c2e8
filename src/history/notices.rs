//! Maintenance and annotations on the history: what people said survives restarts. Maintenance is answered from memory, since
//! it is asked for every second.

use super::rows::Row;
use super::{History, HistoryError, Reader};
use crate::clock;
use crate::incident::Incident;
use crate::limits::{ANNOTATIONS_READ_MAX, MARKS_BEFORE_INCIDENT};
use crate::notice::{Annotation, Maintenance};
use chrono::DateTime;
use rusqlite::{Connection, params};
use std::sync::{Arc, Mutex, PoisonError};

/// The maintenance that is not over.
pub(super) struct Begun(Mutex<Vec<Maintenance>>);

impl Begun {
    pub(super) fn load(reader: &Arc<Mutex<Connection>>) -> Result<Self, HistoryError> {
        let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::unix_seconds(clock::now());
        let mut stored =
            connection.prepare("SELECT id, reason, modules, begins, ends FROM maintenance WHERE ends > ?1")?;
        let begun = stored.query_map([now], |row| {
            let modules: String = row.get(2)?;
            Ok(Maintenance {
                id: row.get(0)?,
                reason: row.get(1)?,
                modules: modules
                    .split(',')
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned)
                    .collect(),
                from: row.get(3)?,
                until: row.get(4)?,
            })
        })?;
        Ok(Self(Mutex::new(begun.collect::<Result<_, _>>()?)))
    }
}

impl History {
    /// Begins maintenance, or changes the one of the same id.
    pub fn maintain(&self, maintenance: Maintenance) {
        self.writer.put(vec![Row::Maintenance {
            id: maintenance.id.clone(),
            reason: maintenance.reason.clone(),
            modules: maintenance.modules.join(","),
            begins: maintenance.from,
            ends: maintenance.until,
        }]);
        let mut begun = self.begun.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|known| known.id != maintenance.id && known.until > maintenance.from);
        begun.push(maintenance);
    }

    /// The maintenance that people have begun and that is not over at `now` (seconds since 1970).
    pub fn maintenance(&self, now: f64) -> Vec<Maintenance> {
        let begun = self.begun.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.iter().filter(|one| now < one.until).cloned().collect()
    }

    /// Keeps an annotation.
    pub fn annotate(&self, annotation: &Annotation) {
        self.writer.put(vec![Row::Annotation {
            at: annotation.at,
            text: annotation.text.clone(),
            version: annotation.version.clone(),
        }]);
    }
}

impl Reader {
    /// What people said until the end of an incident, oldest first, deploys above all: from its last good run, and at least
    /// from [`MARKS_BEFORE_INCIDENT`] before it opened, since not every deploy breaks at once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incident_marks(&self, incident: &Incident) -> Result<Vec<Annotation>, HistoryError> {
        let good = incident.last_good.as_ref();
        let good = good.and_then(|seen| DateTime::parse_from_rfc3339(&seen.at).ok());
        let good = good.map_or(f64::MAX, |good| clock::unix_seconds(good.into()));
        let from = good.min(incident.opened_at - MARKS_BEFORE_INCIDENT.as_secs_f64());
        self.annotations(from, incident.closed_at.unwrap_or(f64::MAX))
    }

    /// The newest annotations of `[from, until]` (seconds since 1970), oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn annotations(&self, from: f64, until: f64) -> Result<Vec<Annotation>, HistoryError> {
        let connection = self.connection();
        let mut stored = connection.prepare_cached(
            "SELECT at, text, version FROM annotations WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC LIMIT ?3",
        )?;
        let found = stored.query_map(params![from, until, ANNOTATIONS_READ_MAX], |row| {
            Ok(Annotation {
                at: row.get(0)?,
                text: row.get(1)?,
                version: row.get(2)?,
            })
        })?;
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        found.reverse();
        Ok(found)
    }
}
