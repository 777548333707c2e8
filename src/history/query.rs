//! Reading back what was stored, for people and for judging again. Bounded, prepared, read-only.

use super::pack::unpack;
use super::statements::{run_sum, verdict_sum};
use super::{FILE, HistoryError, schema};
use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads a history; several may read while one daemon writes. A row that is not as it was written is left out and counted.
#[derive(Clone)]
pub struct Reader {
    connection: Arc<Mutex<Connection>>,
    damaged: Arc<AtomicU64>,
}

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
        Ok(Self::new(Arc::new(Mutex::new(connection))))
    }

    pub(super) fn new(connection: Arc<Mutex<Connection>>) -> Self {
        Self {
            connection,
            damaged: Arc::new(AtomicU64::new(0)),
        }
    }

    pub(super) const fn shared(&self) -> &Arc<Mutex<Connection>> {
        &self.connection
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A connection has no state of ours that a panic could leave half changed.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows and texts found damaged so far.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Whether a row is as it was written; one that is not is counted.
    pub(super) fn intact(&self, fits: bool) -> bool {
        if !fits {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            tracing::error!("history.row_damaged: a row is not as it was written, and is left out");
        }
        fits
    }

    /// A text: packed, or plain as it was written before texts were packed.
    pub(super) fn text(&self, packed: Option<Vec<u8>>, plain: Option<String>) -> Option<String> {
        let Some(packed) = packed else { return plain };
        let text = unpack(&packed);
        self.intact(text.is_some());
        text
    }

    /// The newest `limit` runs, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self, limit: u32) -> Result<Vec<StoredRun>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(&format!("{RUN} ORDER BY at DESC, rowid DESC LIMIT ?1"))?;
        let runs = statement
            .query_map(params![limit], |row| self.stored_run(row))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(runs.into_iter().rev().flatten().collect())
    }

    /// One run by its id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn run(&self, id: &str) -> Result<Option<StoredRun>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(&format!("{RUN} WHERE id = ?1 LIMIT 1"))?;
        let mut found = statement.query_map(params![id], |row| self.stored_run(row))?;
        Ok(found.next().transpose()?.flatten())
    }

    /// The newest `limit` verdicts, oldest first; of one check if `check` (`module/check`) is given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdicts(&self, check: Option<&str>, limit: u32) -> Result<Vec<StoredVerdict>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT \"check\", at, verdict, reason, kind, sum,
             COALESCE(packed, (SELECT packed FROM latest_verdicts l WHERE l.\"check\" = verdicts.\"check\" AND l.at = verdicts.at)),
             judgement, COALESCE(packed_inputs,
                 (SELECT packed_inputs FROM latest_verdicts l WHERE l.\"check\" = verdicts.\"check\" AND l.at = verdicts.at)),
             inputs FROM verdicts
             WHERE ?1 IS NULL OR \"check\" = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2",
        )?;
        let verdicts = statement
            .query_map(params![check, limit], |row| self.stored_verdict(row))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(verdicts.into_iter().rev().flatten().collect())
    }

    fn stored_run(&self, row: &Row) -> rusqlite::Result<Option<StoredRun>> {
        let (id, scenario): (String, String) = (row.get(0)?, row.get(1)?);
        let (at, duration_ms) = (row.get(2)?, row.get(3)?);
        let (step, kind): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
        let sum = run_sum((&id, &scenario), (at, duration_ms), (step.as_deref(), kind.as_deref()));
        let stored: Option<i64> = row.get(6)?;
        if !self.intact(stored.is_none_or(|stored| stored == sum)) {
            return Ok(None);
        }
        let transcript = self.text(row.get(7)?, row.get(8)?);
        Ok(Some(StoredRun {
            id,
            scenario,
            at,
            transcript,
        }))
    }

    fn stored_verdict(&self, row: &Row) -> rusqlite::Result<Option<StoredVerdict>> {
        let (check, at): (String, f64) = (row.get(0)?, row.get(1)?);
        let (verdict, reason, kind): (String, Option<String>, Option<String>) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let sum = verdict_sum((&check, at), (&verdict, reason.as_deref(), kind.as_deref()));
        let stored: Option<i64> = row.get(5)?;
        if !self.intact(stored.is_none_or(|stored| stored == sum)) {
            return Ok(None);
        }
        Ok(Some(StoredVerdict {
            check,
            at,
            verdict,
            reason,
            judgement: self.text(row.get(6)?, row.get(7)?),
            inputs: self.text(row.get(8)?, row.get(9)?),
        }))
    }
}

/// The columns of a run.
const RUN: &str = "SELECT id, scenario, at, duration_ms, broke_step, broke_kind, sum,
    COALESCE(packed, (SELECT packed FROM latest_runs WHERE scenario = runs.scenario AND latest_runs.id = runs.id)), transcript
    FROM runs";
