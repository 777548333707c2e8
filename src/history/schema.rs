//! The database file: how it is opened, what tables it has, how they came about. Migrations only ever add.

use super::HistoryError;
use crate::clock;
use crate::limits::HISTORY_CHECKED_BYTES_MAX;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Steps from one schema to the next; `user_version` counts those that were applied.
const MIGRATIONS: [&str; 4] = ["
    CREATE TABLE samples (series TEXT NOT NULL, at REAL NOT NULL, value TEXT NOT NULL);
    CREATE INDEX samples_by_series ON samples (series, at);
    CREATE INDEX samples_by_time ON samples (at);
    CREATE TABLE runs (
        id TEXT NOT NULL, scenario TEXT NOT NULL, at REAL NOT NULL, duration_ms REAL NOT NULL,
        broke_step TEXT, broke_kind TEXT, transcript TEXT);
    CREATE INDEX runs_by_scenario ON runs (scenario, at);
    CREATE INDEX runs_by_time ON runs (at);
    CREATE TABLE verdicts (
        \"check\" TEXT NOT NULL, at REAL NOT NULL, verdict TEXT NOT NULL, reason TEXT, kind TEXT,
        judgement TEXT, inputs TEXT);
    CREATE INDEX verdicts_by_check ON verdicts (\"check\", at);
    CREATE INDEX verdicts_by_time ON verdicts (at);
    CREATE TABLE statuses (
        at REAL NOT NULL, base TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL, retry_after TEXT);
    CREATE INDEX statuses_by_time ON statuses (at);
    CREATE TABLE handshakes (pool TEXT NOT NULL, user TEXT NOT NULL, at REAL NOT NULL);
    CREATE INDEX handshakes_by_time ON handshakes (at);
    CREATE TABLE rests (pool TEXT NOT NULL, user TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (pool, user));
    CREATE TABLE run_counts (scenario TEXT NOT NULL, day TEXT NOT NULL, runs INTEGER NOT NULL, PRIMARY KEY (scenario, day));
", "
    CREATE TABLE alerts_firing (id TEXT PRIMARY KEY, kept TEXT NOT NULL);
    CREATE TABLE alerts (
        id TEXT NOT NULL, started REAL NOT NULL, ended REAL, severity TEXT NOT NULL, owner TEXT NOT NULL,
        annotations TEXT NOT NULL, PRIMARY KEY (id, started));
    CREATE INDEX alerts_by_start ON alerts (started);
", "
    CREATE TABLE annotations (at REAL NOT NULL, text TEXT NOT NULL, version TEXT);
    CREATE INDEX annotations_by_time ON annotations (at);
    CREATE TABLE maintenance (
        id TEXT NOT NULL PRIMARY KEY, reason TEXT NOT NULL, modules TEXT NOT NULL, begins REAL NOT NULL, ends REAL NOT NULL);
", "
    -- Texts are packed from here on; a sum is the checksum of a row's plain columns. The latest text of each scenario and
    -- check that is not kept on purpose stands in a table of its own, so that replacing it leaves no holes.
    ALTER TABLE samples ADD COLUMN sum INTEGER;
    ALTER TABLE statuses ADD COLUMN sum INTEGER;
    ALTER TABLE runs ADD COLUMN packed BLOB;
    ALTER TABLE runs ADD COLUMN sum INTEGER;
    ALTER TABLE verdicts ADD COLUMN packed BLOB;
    ALTER TABLE verdicts ADD COLUMN packed_inputs BLOB;
    ALTER TABLE verdicts ADD COLUMN sum INTEGER;
    ALTER TABLE verdicts ADD COLUMN duration_ms REAL;
    CREATE INDEX runs_by_id ON runs (id);
    CREATE TABLE latest_runs (scenario TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL, packed BLOB);
    CREATE TABLE latest_verdicts (\"check\" TEXT NOT NULL PRIMARY KEY, at REAL NOT NULL, packed BLOB, packed_inputs BLOB);
    CREATE TABLE incidents (
        id TEXT NOT NULL PRIMARY KEY, opened_at REAL NOT NULL, closed_at REAL, packed BLOB NOT NULL, packed_evidence BLOB);
    CREATE INDEX incidents_by_time ON incidents (opened_at);
    CREATE TABLE iterations (
        number INTEGER NOT NULL PRIMARY KEY, at REAL NOT NULL, packed BLOB NOT NULL);
"];

/// Opens the file for writing, making it if it is missing, and brings its tables up to date.
pub(super) fn open(path: &Path) -> Result<Connection, HistoryError> {
    make_private(path).map_err(|source| HistoryError::Folder {
        path: path.to_owned(),
        source,
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(real(path), flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL loses no acknowledged row when the power goes; NORMAL lost up to 663 in the same test (faults.md section 0.5).
    connection.pragma_update(None, "synchronous", "FULL")?;
    check(&connection, path)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a second connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(real(path), flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The path with its folder resolved: `NOFOLLOW` refuses links anywhere in a path, and only the file itself matters here.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Makes the file with nobody else's rights, before SQLite would make it with the umask's.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Looks for corruption; a large file is only opened, so that the start stays short.
fn check(connection: &Connection, path: &Path) -> Result<(), HistoryError> {
    let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
    if bytes > HISTORY_CHECKED_BYTES_MAX {
        return Ok(());
    }
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(said)).into())
}

/// Whether an error says that the file itself is broken.
pub(super) fn is_corrupt(error: &HistoryError) -> bool {
    matches!(error, HistoryError::Sqlite(error) if is_corruption(error))
}

/// As [`is_corrupt`], of SQLite's own errors.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the file and what belongs to it.
pub(super) fn put_aside(path: &Path) -> std::io::Result<PathBuf> {
    let stamp = clock::now().format("%Y%m%dT%H%M%SZ").to_string();
    let named = |suffix: &str, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.push(end);
        PathBuf::from(name)
    };
    let end = format!(".corrupt-{stamp}");
    for suffix in ["-wal", "-shm"] {
        // They exist only while the file was in use.
        let _ = std::fs::rename(named(suffix, ""), named(suffix, &end));
    }
    let aside = named("", &end);
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Applies the migrations that are missing, each with its version in one transaction.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), HistoryError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(HistoryError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
