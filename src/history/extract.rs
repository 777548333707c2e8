//! Bounded extracts of the ledger, in the shapes that catalog/check.rs promises. Prepared statements only.

use super::pack::RowSum;
use super::query::Reader;
use super::statements::{run_sum, status_sum, verdict_sum};
use crate::catalog::Extract;
use crate::catalog::check::ExtractOf;
use crate::limits::EXTRACT_ITEMS_MAX;
use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use serde_json::{Value, json};

/// The items of `extract`, oldest first.
pub(super) fn extract(reader: &Reader, extract: &Extract, now: f64) -> rusqlite::Result<Value> {
    let since = now - extract.over.as_secs_f64();
    let limit = i64::try_from(extract.limit.min(EXTRACT_ITEMS_MAX)).unwrap_or(i64::MAX);
    let frame = Frame {
        reader,
        since,
        until: now,
        limit,
    };
    let mut items = match &extract.of {
        ExtractOf::Series(series) => frame.read(
            "SELECT sum, at, series, value FROM samples WHERE series = ?1 AND at > ?2 AND at <= ?3 ORDER BY at DESC, rowid DESC LIMIT ?4",
            vec![Sql::Text(series.clone())],
            sample,
        )?,
        ExtractOf::Verdicts(checks) => frame.read(
            &one_of("verdicts", "\"check\"", "sum, at, \"check\", verdict, reason, kind", checks.len()),
            texts(checks),
            verdict,
        )?,
        ExtractOf::Runs(scenarios) => frame.read(
            &one_of("runs", "scenario", "sum, at, scenario, broke_step, broke_kind, id, duration_ms", scenarios.len()),
            texts(scenarios),
            run,
        )?,
        ExtractOf::Statuses(statuses) => frame.statuses(statuses)?,
    };
    items.reverse();
    Ok(Value::Array(items))
}

struct Frame<'a> {
    reader: &'a Reader,
    since: f64,
    until: f64,
    limit: i64,
}

impl Frame<'_> {
    /// Runs a statement whose last three parameters are since, until and limit; newest first.
    fn read(
        &self,
        sql: &str,
        mut values: Vec<Sql>,
        item: impl Fn(&Row) -> rusqlite::Result<(i64, Value)>,
    ) -> rusqlite::Result<Vec<Value>> {
        values.extend([Sql::Real(self.since), Sql::Real(self.until), Sql::Integer(self.limit)]);
        let connection = self.reader.connection();
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            let (sum, item) = item(row)?;
            let stored: Option<i64> = row.get(0)?;
            if self.reader.intact(stored.is_none_or(|stored| stored == sum)) {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn statuses(&self, wanted: &[u16]) -> rusqlite::Result<Vec<Value>> {
        let select = "SELECT sum, at, base, path, status, retry_after FROM statuses WHERE";
        let rest = "AND at > ? AND at <= ? ORDER BY at DESC, rowid DESC LIMIT ?";
        let filter = if wanted.is_empty() {
            "(status = 429 OR status >= 500)".to_owned()
        } else {
            format!("status IN ({})", holes(wanted.len()))
        };
        let values = wanted.iter().map(|status| Sql::Integer(i64::from(*status))).collect();
        self.read(&format!("{select} {filter} {rest}"), values, status)
    }
}

fn one_of(table: &str, column: &str, fields: &str, count: usize) -> String {
    let filter = if count == 0 {
        "1 = 1".to_owned()
    } else {
        format!("{column} IN ({})", holes(count))
    };
    format!("SELECT {fields} FROM {table} WHERE {filter} AND at > ? AND at <= ? ORDER BY at DESC, rowid DESC LIMIT ?")
}

fn holes(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn texts(values: &[String]) -> Vec<Sql> {
    values.iter().cloned().map(Sql::Text).collect()
}

fn sample(row: &Row) -> rusqlite::Result<(i64, Value)> {
    let (at, series, text): (f64, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let sum = RowSum::default().text(Some(&series)).number(at).text(Some(&text)).end();
    Ok((sum, json!({ "at": at, "value": value })))
}

fn verdict(row: &Row) -> rusqlite::Result<(i64, Value)> {
    let (at, check, verdict): (f64, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (reason, kind): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
    let sum = verdict_sum((&check, at), (&verdict, reason.as_deref(), kind.as_deref()));
    let item = json!({ "at": at, "check": check, "verdict": verdict, "reason": reason, "kind": kind });
    Ok((sum, item))
}

fn run(row: &Row) -> rusqlite::Result<(i64, Value)> {
    let (at, scenario): (f64, String) = (row.get(1)?, row.get(2)?);
    let (step, kind): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let (id, duration_ms): (String, f64) = (row.get(5)?, row.get(6)?);
    let sum = run_sum((&id, &scenario), (at, duration_ms), (step.as_deref(), kind.as_deref()));
    let item = json!({ "at": at, "scenario": scenario, "broke_off": step, "kind": kind });
    Ok((sum, item))
}

fn status(row: &Row) -> rusqlite::Result<(i64, Value)> {
    let (at, base, path): (f64, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (status, retry_after): (i64, Option<String>) = (row.get(4)?, row.get(5)?);
    let sum = status_sum((at, status), (&base, &path), retry_after.as_deref());
    let item = json!({ "at": at, "base": base, "path": path, "status": status, "retry_after": retry_after });
    Ok((sum, item))
}
