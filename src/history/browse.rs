//! Reading back for people, a page at a time: by index, within a time range, newest first.

use super::{HistoryError, Reader};
use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// Rows of one series that a trend reads.
const TREND_SAMPLES_MAX: u32 = 20_000;

/// Where the next page begins; opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cursor {
    pub(super) at: f64,
    pub(super) row: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.at.to_bits(), self.row)
    }
}

impl FromStr for Cursor {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, row) = text.split_once('-').ok_or(())?;
        let at = f64::from_bits(u64::from_str_radix(at, 16).map_err(|_| ())?);
        let row = i64::from_str_radix(row, 16).map_err(|_| ())?;
        if at.is_finite() { Ok(Self { at, row }) } else { Err(()) }
    }
}

/// A piece of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// First moment, seconds since 1970.
    pub from: f64,
    /// Last moment, seconds since 1970.
    pub until: f64,
    /// Only what comes after the page that gave this.
    pub after: Option<Cursor>,
    /// Most rows.
    pub limit: u32,
}

impl Span {
    /// Rows from here on backwards.
    pub(super) fn start(&self) -> Cursor {
        self.after.unwrap_or(Cursor {
            at: f64::MAX,
            row: i64::MAX,
        })
    }
}

/// Some rows, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A run without its transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHead {
    /// Run id.
    pub id: String,
    /// `module/scenario`.
    pub scenario: String,
    /// Start, seconds since 1970.
    pub at: f64,
    /// Duration in milliseconds.
    pub duration_ms: f64,
    /// The step at which it broke off and the kind of failure.
    pub broke: Option<(String, String)>,
    /// Whether the transcript is still kept.
    pub kept: bool,
}

/// A verdict without its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictHead {
    /// Number of the judgement in this history.
    pub row: i64,
    /// When it was judged, seconds since 1970.
    pub at: f64,
    /// Verdict.
    pub verdict: String,
    /// Reason of an unknown.
    pub reason: Option<String>,
    /// Kind of the failure.
    pub kind: Option<String>,
    /// What the failure says, as long as the judgement is kept.
    pub detail: Option<String>,
    /// Wire time in milliseconds, as long as the judgement is kept.
    pub duration_ms: Option<f64>,
    /// Whether the judgement is still kept.
    pub kept: bool,
}

impl Reader {
    /// Runs, of one scenario (`module/scenario`) or of all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn browse_runs(&self, scenario: Option<&str>, span: &Span) -> Result<Page<RunHead>, HistoryError> {
        let of = if scenario.is_some() {
            "scenario = ?1"
        } else {
            "?1 IS NULL"
        };
        let sql = format!(
            "SELECT rowid, at, id, scenario, duration_ms, broke_step, broke_kind,
             COALESCE(packed, transcript) IS NOT NULL OR EXISTS (SELECT 1 FROM latest_runs l WHERE l.id = runs.id AND l.packed IS NOT NULL)
             FROM runs
             WHERE {of} AND at >= ?2 AND at <= ?3 AND (at, rowid) < (?4, ?5) ORDER BY at DESC, rowid DESC LIMIT ?6"
        );
        self.page((&sql, scenario), span, |row| {
            let step: Option<String> = row.get(5)?;
            let kind: Option<String> = row.get(6)?;
            Ok(RunHead {
                at: row.get(1)?,
                id: row.get(2)?,
                scenario: row.get(3)?,
                duration_ms: row.get(4)?,
                broke: step.zip(kind),
                kept: row.get(7)?,
            })
        })
    }

    /// Judgements of one check (`module/check`).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn browse_verdicts(&self, check: &str, span: &Span) -> Result<Page<VerdictHead>, HistoryError> {
        let sql = format!(
            "SELECT rowid, at, verdict, reason, kind, duration_ms, {PACKED}, judgement FROM verdicts
             WHERE \"check\" = ?1 AND at >= ?2 AND at <= ?3 AND (at, rowid) < (?4, ?5) ORDER BY at DESC, rowid DESC LIMIT ?6"
        );
        self.page((&sql, Some(check)), span, |row| {
            let text = self.text(row.get(6)?, row.get(7)?);
            let judgement: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
            let detail = judgement.as_ref().and_then(|seen| seen["failure"]["detail"].as_str());
            let duration: Option<f64> = row.get(5)?;
            Ok(VerdictHead {
                row: row.get(0)?,
                at: row.get(1)?,
                verdict: row.get(2)?,
                reason: row.get(3)?,
                kind: row.get(4)?,
                detail: detail.map(str::to_owned),
                // Rows from before there was a column have it in their text.
                duration_ms: duration.or_else(|| judgement.as_ref()?["duration_ms"].as_f64()),
                kept: judgement.is_some(),
            })
        })
    }

    /// The JSON of one judgement of a check by its number, as long as it is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn judgement(&self, check: &str, row: i64) -> Result<Option<String>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(&format!(
            "SELECT {PACKED}, judgement FROM verdicts WHERE rowid = ?1 AND \"check\" = ?2"
        ))?;
        let found = statement.query_row(params![row, check], |row| Ok(self.text(row.get(0)?, row.get(1)?)));
        Ok(found.optional()?.flatten())
    }

    /// Check, cell (`at` divided by `cell_s`, rounded down) and verdict, each combination since `since` once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verdicts_by_cell(&self, since: f64, cell_s: f64) -> Result<Vec<(String, i64, String)>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare(
            "SELECT DISTINCT \"check\", CAST(at / ?2 AS INTEGER) AS cell, verdict FROM verdicts WHERE at >= ?1 ORDER BY cell",
        )?;
        let rows = statement.query_map(params![since, cell_s], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Numbers of a series since `since`, oldest first: the newest, if there are very many.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn samples_since(&self, series: &str, since: f64) -> Result<Vec<(f64, f64)>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader
            .prepare_cached("SELECT at, value FROM samples WHERE series = ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3")?;
        let rows = statement.query_map(params![series, since, TREND_SAMPLES_MAX], |row| {
            Ok((row.get::<_, f64>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut found: Vec<(f64, f64)> = Vec::new();
        for row in rows {
            let (at, value) = row?;
            // Facts are stored as samples too; only numbers make a trend.
            found.extend(value.parse::<f64>().ok().map(|value| (at, value)));
        }
        found.reverse();
        Ok(found)
    }

    /// One page; the first two columns are the row's number and its time.
    pub(super) fn page<T>(
        &self,
        (sql, of): (&str, Option<&str>),
        span: &Span,
        item: impl Fn(&Row) -> rusqlite::Result<T>,
    ) -> Result<Page<T>, HistoryError> {
        let start = span.start();
        let reader = self.connection();
        let mut statement = reader.prepare_cached(sql)?;
        let values = params![
            of,
            span.from,
            span.until,
            start.at,
            start.row,
            span.limit.saturating_add(1)
        ];
        let rows = statement.query_map(values, |row| {
            let cursor = Cursor {
                row: row.get(0)?,
                at: row.get(1)?,
            };
            Ok((cursor, item(row)?))
        })?;
        let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let most = usize::try_from(span.limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().map(|(cursor, _)| *cursor).filter(|_| more);
        Ok(Page {
            items: rows.into_iter().map(|(_, item)| item).collect(),
            next,
        })
    }
}

/// The packed judgement of a row of `verdicts`: its own, or that of the latest.
const PACKED: &str = "COALESCE(packed, (SELECT l.packed FROM latest_verdicts l
    WHERE l.\"check\" = verdicts.\"check\" AND l.at = verdicts.at))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_does_not() {
        let cursor = Cursor {
            at: 1_795_000_000.123_456,
            row: 77,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for nonsense in ["", "-", "x-1", "1", "7ff0000000000000-1", "' OR 1=1"] {
            assert_eq!(nonsense.parse::<Cursor>(), Err(()), "{nonsense}");
        }
    }
}
