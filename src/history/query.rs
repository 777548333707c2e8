//! Reading back what was stored, for people and for judging again. Bounded, prepared, read-only.

use super::{FILE, HistoryError, schema};
use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads a history; several may read while one daemon writes.
#[derive(Clone)]
pub struct Reader(pub(super) Arc<Mutex<Connection>>);

/// A run as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// Run id.
    pub id: String,
    /// `module/scenario`.
    pub scenario: String,
    /// Start, seconds since 1970.
    pub at: f64,
    /// The transcript's JSON, as long as it is kept.
    pub transcript: Option<String>,
}

/// A verdict as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredVerdict {
    /// `module/check`.
    pub check: String,
    /// When it was judged, seconds since 1970.
    pub at: f64,
    /// Verdict.
    pub verdict: String,
    /// Reason of an unknown.
    pub reason: Option<String>,
    /// The judgement's JSON, as long as it is kept.
    pub judgement: Option<String>,
    /// What it was made from, as long as it is kept.
    pub inputs: Option<String>,
}

impl Reader {
    /// Opens the history in `folder` for reading only.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, HistoryError> {
        let connection = schema::open_reader(&folder.join(FILE))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A connection has no state of ours that a panic could leave half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest `limit` runs, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, limit: u32) -> Result<Vec<StoredRun>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader
            .prepare_cached("SELECT id, scenario, at, transcript FROM runs ORDER BY at DESC, rowid DESC LIMIT ?1")?;
        let mut runs = statement
            .query_map(params![limit], stored_run)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        runs.reverse();
        Ok(runs)
    }

    /// One run by its id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn run(&self, id: &str) -> Result<Option<StoredRun>, HistoryError> {
        let reader = self.connection();
        let mut statement =
            reader.prepare_cached("SELECT id, scenario, at, transcript FROM runs WHERE id = ?1 LIMIT 1")?;
        let mut found = statement.query_map(params![id], stored_run)?;
        Ok(found.next().transpose()?)
    }

    /// The newest `limit` verdicts, oldest first; of one check if `check` (`module/check`) is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdicts(&self, check: Option<&str>, limit: u32) -> Result<Vec<StoredVerdict>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT \"check\", at, verdict, reason, judgement, inputs FROM verdicts
             WHERE ?1 IS NULL OR \"check\" = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2",
        )?;
        let mut verdicts = statement
            .query_map(params![check, limit], |row| {
                Ok(StoredVerdict {
                    check: row.get(0)?,
                    at: row.get(1)?,
                    verdict: row.get(2)?,
                    reason: row.get(3)?,
                    judgement: row.get(4)?,
                    inputs: row.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        verdicts.reverse();
        Ok(verdicts)
    }
}

fn stored_run(row: &Row) -> rusqlite::Result<StoredRun> {
    Ok(StoredRun {
        id: row.get(0)?,
        scenario: row.get(1)?,
        at: row.get(2)?,
        transcript: row.get(3)?,
    })
}
