//! Bounded extracts of the ledger, in the shapes that catalog/check.rs promises. Prepared statements only.

use crate::catalog::Extract;
use crate::catalog::check::ExtractOf;
use crate::limits::EXTRACT_ITEMS_MAX;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params_from_iter};
use serde_json::{Value, json};

/// The items of `extract`, oldest first.
pub(super) fn extract(connection: &Connection, extract: &Extract, now: f64) -> rusqlite::Result<Value> {
    let since = now - extract.over.as_secs_f64();
    let limit = i64::try_from(extract.limit.min(EXTRACT_ITEMS_MAX)).unwrap_or(i64::MAX);
    let frame = Frame {
        connection,
        since,
        until: now,
        limit,
    };
    let mut items = match &extract.of {
        ExtractOf::Series(series) => frame.read(
            "SELECT at, value FROM samples WHERE series = ?1 AND at > ?2 AND at <= ?3 ORDER BY at DESC, rowid DESC LIMIT ?4",
            vec![Sql::Text(series.clone())],
            sample,
        )?,
        ExtractOf::Verdicts(checks) => frame.read(
            &one_of("verdicts", "\"check\"", "at, \"check\", verdict, reason, kind", checks.len()),
            texts(checks),
            verdict,
        )?,
        ExtractOf::Runs(scenarios) => frame.read(
            &one_of("runs", "scenario", "at, scenario, broke_step, broke_kind", scenarios.len()),
            texts(scenarios),
            run,
        )?,
        ExtractOf::Statuses(statuses) => frame.statuses(statuses)?,
    };
    items.reverse();
    Ok(Value::Array(items))
}

struct Frame<'a> {
    connection: &'a Connection,
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
        item: impl Fn(&Row) -> rusqlite::Result<Value>,
    ) -> rusqlite::Result<Vec<Value>> {
        values.extend([Sql::Real(self.since), Sql::Real(self.until), Sql::Integer(self.limit)]);
        let mut statement = self.connection.prepare_cached(sql)?;
        statement
            .query_map(params_from_iter(values), |row| item(row))?
            .collect()
    }

    fn statuses(&self, wanted: &[u16]) -> rusqlite::Result<Vec<Value>> {
        let select = "SELECT at, base, path, status, retry_after FROM statuses WHERE";
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

fn sample(row: &Row) -> rusqlite::Result<Value> {
    let text: String = row.get(1)?;
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(json!({ "at": row.get::<_, f64>(0)?, "value": value }))
}

fn verdict(row: &Row) -> rusqlite::Result<Value> {
    Ok(json!({
        "at": row.get::<_, f64>(0)?,
        "check": row.get::<_, String>(1)?,
        "verdict": row.get::<_, String>(2)?,
        "reason": row.get::<_, Option<String>>(3)?,
        "kind": row.get::<_, Option<String>>(4)?,
    }))
}

fn run(row: &Row) -> rusqlite::Result<Value> {
    Ok(json!({
        "at": row.get::<_, f64>(0)?,
        "scenario": row.get::<_, String>(1)?,
        "broke_off": row.get::<_, Option<String>>(2)?,
        "kind": row.get::<_, Option<String>>(3)?,
    }))
}

fn status(row: &Row) -> rusqlite::Result<Value> {
    Ok(json!({
        "at": row.get::<_, f64>(0)?,
        "base": row.get::<_, String>(1)?,
        "path": row.get::<_, String>(2)?,
        "status": row.get::<_, i64>(3)?,
        "retry_after": row.get::<_, Option<String>>(4)?,
    }))
}
