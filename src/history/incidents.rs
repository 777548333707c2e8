//! Incidents and iterations as stored: written through the writer like everything else, read page by page.

use super::browse::{Cursor, Page, Span};
use super::pack::unpack;
use super::query::Reader;
use super::rows::Row;
use super::{History, HistoryError, StoredAlert};
use crate::incident::Incident;
use crate::limits::HISTORY_PAGE_MAX;
use rusqlite::params;

/// Which incidents to read: newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentFilter {
    /// Only open ones, or only closed ones.
    pub open: Option<bool>,
    /// Only those with this check (`module/check`) or socket (`endpoint/credential`).
    pub member: Option<String>,
    /// Only those that opened before this moment, seconds since 1970: the last one of the page before.
    pub before: Option<f64>,
    /// At most this many; 0 is as many as may be read at once.
    pub limit: u32,
}

/// An iteration as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredIteration {
    /// Its number, counted from 1.
    pub number: i64,
    /// When it was made, seconds since 1970.
    pub at: f64,
    /// Its JSON.
    pub snapshot: String,
}

impl History {
    /// Stores an incident as it is now, in place of what it was. `evidence` is what it was judged from, as `judge` reads it;
    /// without it, what was stored before stays.
    pub fn keep_incident(&self, incident: &Incident, evidence: Option<String>) {
        self.put(vec![Row::Incident {
            id: incident.id.clone(),
            opened_at: incident.opened_at,
            closed_at: incident.closed_at,
            // Plain data with text keys always serialises.
            incident: serde_json::to_string(incident).unwrap_or_default(),
            evidence,
        }]);
    }

    /// Stores an iteration under the next number.
    pub fn keep_iteration(&self, at: f64, snapshot: String) {
        self.put(vec![Row::Iteration { at, snapshot }]);
    }
}

impl Reader {
    /// A page of incidents, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, HistoryError> {
        let limit = match filter.limit {
            0 => HISTORY_PAGE_MAX,
            limit => limit.min(HISTORY_PAGE_MAX),
        };
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT packed FROM incidents
             WHERE (?1 IS NULL OR (closed_at IS NULL) = ?1) AND (?2 IS NULL OR opened_at < ?2)
             ORDER BY opened_at DESC, id DESC",
        )?;
        let mut rows = statement.query(params![filter.open, filter.before])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(incident) = self.incident_of(&row.get::<_, Vec<u8>>(0)?) else {
                continue;
            };
            if filter.member.as_ref().is_none_or(|name| incident.has(name)) {
                page.push(incident);
            }
            if page.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(page)
    }

    /// Incidents that went on within a span, newest first, a page at a time; `before` of the filter and its limit do not count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn browse_incidents(&self, filter: &IncidentFilter, span: &Span) -> Result<Page<Incident>, HistoryError> {
        let start = span.start();
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT rowid, opened_at, packed FROM incidents
             WHERE (?1 IS NULL OR (closed_at IS NULL) = ?1) AND opened_at <= ?2 AND (closed_at IS NULL OR closed_at >= ?3)
             AND (opened_at, rowid) < (?4, ?5) ORDER BY opened_at DESC, rowid DESC",
        )?;
        let mut rows = statement.query(params![filter.open, span.until, span.from, start.at, start.row])?;
        let most = usize::try_from(span.limit).unwrap_or(usize::MAX);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut last = None;
        while let Some(row) = rows.next()? {
            let Some(incident) = self.incident_of(&row.get::<_, Vec<u8>>(2)?) else {
                continue;
            };
            if filter.member.as_ref().is_some_and(|name| !incident.has(name)) {
                continue;
            }
            if page.items.len() >= most {
                page.next = last;
                break;
            }
            last = Some(Cursor {
                row: row.get(0)?,
                at: row.get(1)?,
            });
            page.items.push(incident);
        }
        Ok(page)
    }

    /// One incident by its id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incident(&self, id: &str) -> Result<Option<Incident>, HistoryError> {
        let packed = self.packed("SELECT packed FROM incidents WHERE id = ?1", id)?;
        Ok(packed.and_then(|packed| self.incident_of(&packed)))
    }

    /// What an incident was judged from, as JSON that `judge` and `diagnose` read: `judgements` and `evidence`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incident_evidence(&self, id: &str) -> Result<Option<String>, HistoryError> {
        let packed = self.packed("SELECT packed_evidence FROM incidents WHERE id = ?1", id)?;
        Ok(packed.and_then(|packed| self.text(Some(packed), None)))
    }

    /// The alerts that fired while an incident was open, oldest first; not those without severity, which are about nothing:
    /// the heartbeat, say.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incident_alerts(&self, incident: &Incident) -> Result<Vec<StoredAlert>, HistoryError> {
        let mut alerts = self.alerts(HISTORY_PAGE_MAX)?;
        alerts.retain(|alert| {
            let begins = incident.closed_at.is_none_or(|closed| alert.started <= closed);
            alert.severity != "none" && begins && alert.ended.is_none_or(|ended| ended >= incident.opened_at)
        });
        Ok(alerts)
    }

    /// One iteration by its number, or the newest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn iteration(&self, number: Option<i64>) -> Result<Option<StoredIteration>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(
            "SELECT number, at, packed FROM iterations WHERE ?1 IS NULL OR number = ?1 ORDER BY number DESC LIMIT 1",
        )?;
        let mut rows = statement.query(params![number])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let snapshot = self.text(row.get(2)?, None);
        Ok(match snapshot {
            Some(snapshot) => Some(StoredIteration {
                number: row.get(0)?,
                at: row.get(1)?,
                snapshot,
            }),
            None => None,
        })
    }

    /// Numbers and moments of the newest iterations, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn iterations(&self, limit: u32) -> Result<Vec<(i64, f64)>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached("SELECT number, at FROM iterations ORDER BY number DESC LIMIT ?1")?;
        let rows = statement.query_map(params![limit.min(HISTORY_PAGE_MAX)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Numbers and moments of iterations within a span, newest first, a page at a time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn browse_iterations(&self, span: &Span) -> Result<Page<(i64, f64)>, HistoryError> {
        let sql = "SELECT number, at FROM iterations
             WHERE ?1 IS NULL AND at >= ?2 AND at <= ?3 AND (at, number) < (?4, ?5) ORDER BY at DESC, number DESC LIMIT ?6";
        self.page((sql, None), span, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn packed(&self, sql: &str, id: &str) -> Result<Option<Vec<u8>>, HistoryError> {
        let reader = self.connection();
        let mut statement = reader.prepare_cached(sql)?;
        let mut rows = statement.query(params![id])?;
        Ok(match rows.next()? {
            Some(row) => row.get(0)?,
            None => None,
        })
    }

    fn incident_of(&self, packed: &[u8]) -> Option<Incident> {
        let text = unpack(packed);
        let incident = text.and_then(|text| serde_json::from_str(&text).ok());
        self.intact(incident.is_some());
        incident
    }
}
