//! What goes, and when: everything by age, and when the file is too large the oldest texts first, then the oldest rows.

use crate::catalog::Retention;
use rusqlite::{Connection, params};

/// Rows removed in one statement, so that the writer is never away for long.
const REMOVED_AT_ONCE: u32 = 5_000;
/// Texts removed at once to make the file smaller; a packed transcript is some 2 kB.
const SHORTENED_AT_ONCE: u32 = 1_000;
/// Tables whose rows have a moment `at`, most of them first.
const BY_TIME: [&str; 7] = [
    "samples",
    "verdicts",
    "runs",
    "statuses",
    "handshakes",
    "iterations",
    "annotations",
];
/// Tables that hold texts: the columns that stay, and what tells a row that has a text.
const SHORTENED: [(&str, &str, &str); 2] = [
    (
        "runs",
        "id, scenario, at, duration_ms, broke_step, broke_kind, sum",
        "COALESCE(packed, transcript)",
    ),
    (
        "verdicts",
        "\"check\", at, verdict, reason, kind, sum, duration_ms",
        "COALESCE(packed, judgement)",
    ),
];
/// Tables whose oldest rows go when no text is left and the file is still too large; budgets and incidents stay.
const SHED: [&str; 4] = ["samples", "verdicts", "runs", "statuses"];

/// Removes what is older than it is kept for, a bounded number of rows at a time, then shrinks the file.
pub(super) fn remove_old(connection: &Connection, retention: Retention, now: f64) -> rusqlite::Result<()> {
    let before = now - retention.keep.as_secs_f64();
    for table in BY_TIME {
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE at < ?1 LIMIT {REMOVED_AT_ONCE})"
        );
        while connection.execute(&sql, params![before])? > 0 {}
    }
    connection.execute("DELETE FROM incidents WHERE closed_at < ?1", params![before])?;
    connection.execute("DELETE FROM alerts WHERE ended < ?1", params![before])?;
    connection.execute("DELETE FROM maintenance WHERE ends < ?1", params![before])?;
    connection.execute("DELETE FROM rests WHERE until < ?1", params![now])?;
    vacuum(connection)?;
    shrink(connection, retention.bytes_max)
}

/// Gives the pages of removed rows back to the file system.
fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    // It works while it is stepped.
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

/// Removes texts, then rows, oldest first, until the file is below `bytes_max` or nothing is left to remove.
fn shrink(connection: &Connection, bytes_max: u64) -> rusqlite::Result<()> {
    while bytes(connection)? > bytes_max {
        let mut removed = connection.execute(
            "UPDATE incidents SET packed_evidence = NULL WHERE rowid IN (SELECT rowid FROM incidents
               WHERE packed_evidence IS NOT NULL AND closed_at IS NOT NULL ORDER BY opened_at LIMIT 50)",
            [],
        )?;
        for shortened in SHORTENED {
            removed += shorten(connection, shortened)?;
        }
        if removed == 0 {
            for table in SHED {
                let sql = format!(
                    "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY at LIMIT {REMOVED_AT_ONCE})"
                );
                removed += connection.execute(&sql, [])?;
            }
        }
        vacuum(connection)?;
        if removed == 0 {
            return Ok(());
        }
    }
    Ok(())
}

/// Takes the oldest texts out of a table. Their rows are written anew without them and removed where they stood, which gives
/// whole pages back; texts that are only set to null leave pages half empty.
fn shorten(connection: &Connection, (table, plain, text): (&str, &str, &str)) -> rusqlite::Result<usize> {
    let oldest = format!("SELECT rowid FROM {table} WHERE {text} IS NOT NULL ORDER BY at LIMIT {SHORTENED_AT_ONCE}");
    let transaction = connection.unchecked_transaction()?;
    let anew =
        format!("INSERT INTO {table} ({plain}) SELECT {plain} FROM {table} WHERE rowid IN ({oldest}) ORDER BY at");
    transaction.execute(&anew, [])?;
    // The same rows: those written anew have no text.
    let gone = transaction.execute(&format!("DELETE FROM {table} WHERE rowid IN ({oldest})"), [])?;
    transaction.commit()?;
    Ok(gone)
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
    use super::super::rows::Row;
    use super::super::schema;
    use super::super::statements::write;
    use super::*;
    use std::path::Path;

    const DAY: f64 = 24.0 * 3600.0;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        schema::migrate(&mut connection, Path::new(":memory:")).unwrap();
        connection
    }

    fn count(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn old_rows_go() {
        let mut connection = database();
        let now = 100.0 * DAY;
        let incident = |id: &str, closed_at: Option<f64>| Row::Incident {
            id: id.to_owned(),
            opened_at: 1.0,
            closed_at,
            incident: "{}".to_owned(),
            evidence: None,
        };
        let rows = [
            Row::Handshake {
                pool: "p".to_owned(),
                user: "u".to_owned(),
                at: 1.0,
            },
            incident("open", None),
            incident("long ago", Some(2.0)),
            incident("lately", Some(now - DAY)),
        ];
        write(&mut connection, &rows).unwrap();
        remove_old(&connection, Retention::default(), now).unwrap();
        assert_eq!(count(&connection, "SELECT count(*) FROM handshakes"), 0);
        assert_eq!(
            count(&connection, "SELECT count(*) FROM incidents"),
            2,
            "an open one stays"
        );
    }

    #[test]
    fn a_file_that_is_too_large_loses_its_oldest_texts_and_then_its_oldest_rows() {
        let mut connection = database();
        let mut seed = 1_u32;
        let mut noise = || {
            // Text that does not compress.
            let words = (0..400).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                format!("{seed:08x}")
            });
            words.collect::<String>()
        };
        let mut run = |number: u32| Row::Run {
            id: number.to_string(),
            scenario: "m/s".to_owned(),
            at: f64::from(number),
            duration_ms: 1.0,
            broke: None,
            transcript: noise(),
            kept: true,
        };
        let rows: Vec<Row> = (0..3_000).map(&mut run).collect();
        write(&mut connection, &rows).unwrap();
        let most = bytes(&connection).unwrap() / 2;
        shrink(&connection, most).unwrap();
        assert!(bytes(&connection).unwrap() <= most);
        assert_eq!(
            count(
                &connection,
                "SELECT count(*) FROM runs WHERE packed IS NOT NULL AND at < 2000"
            ),
            0
        );
        assert_eq!(
            count(&connection, "SELECT count(*) FROM runs WHERE packed IS NOT NULL"),
            1_000
        );
        assert_eq!(count(&connection, "SELECT count(*) FROM runs"), 3_000);
        shrink(&connection, 1).unwrap();
        assert_eq!(
            count(&connection, "SELECT count(*) FROM runs"),
            0,
            "nothing is sacred below the limit"
        );
    }
}
