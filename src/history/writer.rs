//! The one thread that writes. Rows wait in a bounded queue; a batch is one transaction; what cannot be written is tried
//! again, oldest first, until the queue is full.

use super::rows::Row;
use crate::clock;
use crate::limits::{
    HISTORY_BATCH_ROWS_MAX, HISTORY_KEEP, HISTORY_KEEP_PASSES, HISTORY_KEEP_TRANSCRIPTS, HISTORY_ROWS_WAITING_MAX,
};
use rusqlite::{Connection, params};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause after a write that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often old rows are removed.
const MAINTAIN_EVERY: Duration = Duration::from_secs(3600);
/// Rows removed in one statement, so that the writer is never away for long.
const REMOVED_AT_ONCE: u32 = 5_000;

/// Queue and totals.
#[derive(Default)]
struct State {
    waiting: VecDeque<Row>,
    writing: bool,
    stopping: bool,
    stats: WriterStats,
}

/// Totals of the writer.
#[derive(Clone, Debug, Default)]
pub(super) struct WriterStats {
    pub(super) errors: u64,
    pub(super) dropped: u64,
    pub(super) failing: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, within: Duration) -> MutexGuard<'a, State> {
        self.changed
            .wait_timeout(state, within)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// The handle of the writer thread; dropping it writes what waits and ends the thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Arc<Mutex<Connection>>) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            shared: Arc::clone(&shared),
            connection,
            maintained: None,
        };
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || worker.work());
        // Without a thread nothing is stored; the queue then says so by filling up.
        let thread = thread
            .map_err(|error| tracing::error!(%error, "history.no_thread"))
            .ok();
        Self { shared, thread }
    }

    pub(super) fn put(&self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        state.waiting.extend(rows);
        while state.waiting.len() > HISTORY_ROWS_WAITING_MAX {
            state.waiting.pop_front();
            state.stats.dropped += 1;
        }
        self.shared.changed.notify_all();
    }

    pub(super) fn flush(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.shared.state();
        while !state.waiting.is_empty() || state.writing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.wait(state, left);
        }
        true
    }

    pub(super) fn stats(&self) -> WriterStats {
        self.shared.state().stats.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    connection: Arc<Mutex<Connection>>,
    maintained: Option<Instant>,
}

impl Worker {
    fn work(mut self) {
        loop {
            let (batch, stopping) = self.next_batch();
            if batch.is_empty() {
                if stopping {
                    return;
                }
                self.maintain();
                continue;
            }
            let result = write(&mut self.connection(), &batch);
            if !self.written(batch, result) {
                if stopping {
                    return;
                }
                self.pause();
            }
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for rows; an empty batch means that there is time for other things.
    fn next_batch(&self) -> (Vec<Row>, bool) {
        let mut state = self.shared.state();
        if state.waiting.is_empty() && !state.stopping {
            state = self.shared.wait(state, Duration::from_secs(1));
        }
        let count = state.waiting.len().min(HISTORY_BATCH_ROWS_MAX);
        let batch = state.waiting.drain(..count).collect();
        state.writing = count > 0;
        (batch, state.stopping)
    }

    /// Notes the result of a write; a batch that failed goes back to the front.
    fn written(&self, batch: Vec<Row>, result: rusqlite::Result<()>) -> bool {
        let mut state = self.shared.state();
        state.writing = false;
        let well = result.is_ok();
        match result {
            Ok(()) => state.stats.failing = None,
            Err(error) => {
                if state.stats.failing.is_none() {
                    tracing::error!(%error, "history.write_failed: rows are kept and tried again");
                }
                state.stats.errors += 1;
                state.stats.failing = Some(error.to_string());
                batch.into_iter().rev().for_each(|row| state.waiting.push_front(row));
            }
        }
        drop(state);
        self.shared.changed.notify_all();
        well
    }

    fn pause(&self) {
        let deadline = Instant::now() + RETRY_AFTER;
        let mut state = self.shared.state();
        while !state.stopping {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.wait(state, left);
        }
    }

    fn maintain(&mut self) {
        if self.maintained.is_some_and(|last| last.elapsed() < MAINTAIN_EVERY) {
            return;
        }
        self.maintained = Some(Instant::now());
        let now = clock::unix_seconds(clock::now());
        if let Err(error) = remove_old(&self.connection(), now) {
            tracing::warn!(%error, "history.maintain_failed");
        }
    }
}

fn write(connection: &mut Connection, batch: &[Row]) -> rusqlite::Result<()> {
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
    }
}

/// Removes what is older than it is kept for, a bounded number of rows at a time.
fn remove_old(connection: &Connection, now: f64) -> rusqlite::Result<()> {
    let before = |keep: Duration| now - keep.as_secs_f64();
    for table in ["samples", "runs", "verdicts", "statuses", "handshakes"] {
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
    // Gives the pages of removed rows back to the file system; needs to be stepped to its end.
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}
