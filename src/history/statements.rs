//! The statements that write and remove rows.

use super::rows::Row;
use crate::limits::{HISTORY_BYTES_MAX, HISTORY_KEEP, HISTORY_KEEP_PASSES, HISTORY_KEEP_TRANSCRIPTS};
use rusqlite::{Connection, params};
use std::time::Duration;

/// Rows removed in one statement, so that the writer is never away for long.
const REMOVED_AT_ONCE: u32 = 5_000;
/// Texts removed at once to make the file smaller; a transcript is some 10 kB.
const SHORTENED_AT_ONCE: u32 = 1_000;

/// Writes a batch in one transaction.
pub(super) fn write(connection: &mut Connection, batch: &[Row]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for row in batch {
        insert(&transaction, row)?;
    }
    transaction.commit()
}

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> rusqlite::Result<()> {
        connection.prepare_cached(sql)?.execute(values).map(|_| ())
    };
    match row {
        Row::AlertFires { .. } | Row::AlertEnded { .. } => alert(connection, row),
        Row::Sample { series, at, value } => run("INSERT INTO samples VALUES (?1, ?2, ?3)", params![series, at, value]),
        Row::Run {
            id,
            scenario,
            at,
            duration_ms,
            broke,
            transcript,
        } => {
            let (step, kind) = broke.as_ref().map(|(step, kind)| (step.as_str(), *kind)).unzip();
            run(
                "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![id, scenario, at, duration_ms, step, kind, transcript],
            )
        }
        Row::Verdict {
            check,
            at,
            verdict,
            reason,
            kind,
            judgement,
            inputs,
        } => run(
            "INSERT INTO verdicts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![check, at, verdict, reason, kind, judgement, inputs],
        ),
        Row::Status {
            at,
            base,
            path,
            status,
            retry_after,
        } => run(
            "INSERT INTO statuses VALUES (?1, ?2, ?3, ?4, ?5)",
            params![at, base, path, status, retry_after],
        ),
        Row::Handshake { pool, user, at } => run("INSERT INTO handshakes VALUES (?1, ?2, ?3)", params![pool, user, at]),
        Row::Rest { pool, user, until } => run(
            "INSERT INTO rests VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET until = excluded.until",
            params![pool, user, until],
        ),
        Row::RunCount { scenario, day } => run(
            "INSERT INTO run_counts VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET runs = runs + 1",
            params![scenario, day],
        ),
        Row::Annotation { at, text, version } => run(
            "INSERT INTO annotations VALUES (?1, ?2, ?3)",
            params![at, text, version],
        ),
        Row::Maintenance {
            id,
            reason,
            modules,
            begins,
            ends,
        } => run(
            "INSERT INTO maintenance VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET ends = excluded.ends",
            params![id, reason, modules, begins, ends],
        ),
    }
}

/// What fires, and the log of it. A start that turns out to have been earlier moves the entry that is open.
fn alert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(values);
    match row {
        Row::AlertFires {
            id,
            started,
            severity,
            owner,
            annotations,
            kept,
        } => {
            run(
                "INSERT INTO alerts_firing VALUES (?1, ?2) ON CONFLICT DO UPDATE SET kept = excluded.kept",
                params![id, kept],
            )?;
            run(
                "DELETE FROM alerts WHERE id = ?1 AND ended IS NULL AND started <> ?2",
                params![id, started],
            )?;
            run(
                "INSERT INTO alerts VALUES (?1, ?2, NULL, ?3, ?4, ?5) ON CONFLICT DO UPDATE
                 SET ended = NULL, severity = excluded.severity, owner = excluded.owner, annotations = excluded.annotations",
                params![id, started, severity, owner, annotations],
            )?;
        }
        Row::AlertEnded { id, ended } => {
            run("DELETE FROM alerts_firing WHERE id = ?1", params![id])?;
            run(
                "UPDATE alerts SET ended = ?2 WHERE id = ?1 AND ended IS NULL",
                params![id, ended],
            )?;
        }
        _ => {}
    }
    Ok(())
}

/// Removes what is older than it is kept for, a bounded number of rows at a time.
pub(super) fn remove_old(connection: &Connection, now: f64) -> rusqlite::Result<()> {
    let before = |keep: Duration| now - keep.as_secs_f64();
    for table in ["samples", "runs", "verdicts", "statuses", "handshakes", "annotations"] {
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE at < ?1 LIMIT {REMOVED_AT_ONCE})"
        );
        while connection.execute(&sql, params![before(HISTORY_KEEP)])? > 0 {}
    }
    let shorten = [
        (
            "UPDATE runs SET transcript = NULL WHERE rowid IN
               (SELECT rowid FROM runs WHERE at < ?1 AND transcript IS NOT NULL LIMIT ?2)",
            HISTORY_KEEP_TRANSCRIPTS,
        ),
        (
            "UPDATE verdicts SET judgement = NULL, inputs = NULL WHERE rowid IN
               (SELECT rowid FROM verdicts WHERE at < ?1 AND verdict IN ('pass', 'off') AND judgement IS NOT NULL LIMIT ?2)",
            HISTORY_KEEP_PASSES,
        ),
    ];
    for (sql, keep) in shorten {
        while connection.execute(sql, params![before(keep), REMOVED_AT_ONCE])? > 0 {}
    }
    connection.execute("DELETE FROM rests WHERE until < ?1", params![now])?;
    connection.execute("DELETE FROM alerts WHERE ended < ?1", params![before(HISTORY_KEEP)])?;
    connection.execute("DELETE FROM maintenance WHERE ends < ?1", params![before(HISTORY_KEEP)])?;
    vacuum(connection)?;
    shrink(connection, HISTORY_BYTES_MAX)
}

/// Gives the pages of removed rows back to the file system.
fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    // It works while it is stepped.
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Removes the longest texts, oldest first, until the file is below `bytes_max` or none is left.
fn shrink(connection: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    let texts = [
        "UPDATE runs SET transcript = NULL WHERE rowid IN
           (SELECT rowid FROM runs WHERE transcript IS NOT NULL ORDER BY at LIMIT ?1)",
        "UPDATE verdicts SET judgement = NULL, inputs = NULL WHERE rowid IN
           (SELECT rowid FROM verdicts WHERE judgement IS NOT NULL ORDER BY at LIMIT ?1)",
    ];
    while bytes(connection)? > bytes_max {
        let mut shortened = 0;
        for sql in texts {
            shortened += connection.execute(sql, params![SHORTENED_AT_ONCE])?;
        }
        vacuum(connection)?;
        if shortened == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// Size of the database.
fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let bytes = pragma("page_count")?.saturating_mul(pragma("page_size")?);
    Ok(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::super::schema;
    use super::*;
    use std::path::Path;

    #[test]
    fn old_rows_go_and_long_texts_go_earlier() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Path::new(":memory:")).unwrap();
        let now = 100.0 * 24.0 * 3600.0;
        let verdict = |at: f64, verdict: &'static str| Row::Verdict {
            check: "m/c".to_owned(),
            at,
            verdict,
            reason: None,
            kind: None,
            judgement: "{}".to_owned(),
            inputs: "{}".to_owned(),
        };
        let day = 24.0 * 3600.0;
        let mut rows = vec![Row::Handshake {
            pool: "p".to_owned(),
            user: "u".to_owned(),
            at: 1.0,
        }];
        rows.extend([
            verdict(now - day, "pass"),
            verdict(now - day, "fail"),
            verdict(now, "pass"),
        ]);
        write(&mut connection, &rows).unwrap();
        remove_old(&connection, now).unwrap();
        let handshakes: i64 = connection
            .query_row("SELECT count(*) FROM handshakes", [], |row| row.get(0))
            .unwrap();
        assert_eq!(handshakes, 0);
        let kept = |verdict: &str| -> i64 {
            let sql = "SELECT count(*) FROM verdicts WHERE verdict = ?1 AND judgement IS NOT NULL";
            connection.query_row(sql, [verdict], |row| row.get(0)).unwrap()
        };
        assert_eq!((kept("pass"), kept("fail")), (1, 1));
    }

    #[test]
    fn a_file_that_is_too_large_loses_its_oldest_texts_first() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        schema::migrate(&mut connection, Path::new(":memory:")).unwrap();
        let run = |number: u32| Row::Run {
            id: number.to_string(),
            scenario: "m/s".to_owned(),
            at: f64::from(number),
            duration_ms: 1.0,
            broke: None,
            transcript: "x".repeat(10_000),
        };
        let rows: Vec<Row> = (0..3_000).map(run).collect();
        write(&mut connection, &rows).unwrap();
        let most = bytes(&connection).unwrap() / 2;
        shrink(&connection, most).unwrap();
        assert!(bytes(&connection).unwrap() <= most);
        let kept: Vec<u32> = connection
            .prepare("SELECT CAST(id AS INTEGER) FROM runs WHERE transcript IS NOT NULL ORDER BY rowid")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(kept, (2_000..3_000).collect::<Vec<_>>());
    }
}
