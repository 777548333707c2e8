//! The one thread that writes. Rows wait in a bounded queue; a batch is one transaction; what cannot be written is tried
//! again, oldest first, until the queue is full.

use super::retention::remove_old;
use super::rows::Row;
use super::statements::write;
use super::{HistoryError, schema};
use crate::catalog::Retention;
use crate::clock;
use crate::limits::{HISTORY_BATCH_ROWS_MAX, HISTORY_ROWS_WAITING_MAX};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause after a write that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often old rows are removed.
const MAINTAIN_EVERY: Duration = Duration::from_secs(120);

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
    pub(super) corrupt_files: u64,
}

/// Connections of readers that have one of their own.
#[derive(Clone, Default)]
pub(super) struct Browsers(Arc<Mutex<Vec<Weak<Mutex<Connection>>>>>);

impl Browsers {
    /// Adds one.
    pub(super) fn add(&self, browser: &Arc<Mutex<Connection>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| one.strong_count() > 0);
        known.push(Arc::downgrade(browser));
    }

    fn open(&self) -> Vec<Arc<Mutex<Connection>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).collect()
    }
}

/// What the writer writes to.
pub(super) struct Store {
    /// The readers' connection, which is opened anew with the file when that turns out to be corrupt. It closes first: only a
    /// connection that writes can leave a file that needs no recovery.
    pub(super) read: Arc<Mutex<Connection>>,
    /// Connections of those who browse, as long as they do; opened anew with the file too.
    pub(super) browsers: Browsers,
    /// Its own connection.
    pub(super) write: Arc<Mutex<Connection>>,
    /// The file; none in memory.
    pub(super) path: Option<PathBuf>,
    /// What is kept.
    pub(super) retention: Retention,
}

impl Store {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.write.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a corrupt file aside and goes on with a new one.
    fn replace(&self) -> Result<(), HistoryError> {
        let Some(path) = &self.path else { return Ok(()) };
        let aside = schema::put_aside(path);
        tracing::error!(?aside, "history.corrupt: put aside, a new file is made");
        let (write, read) = (schema::open(path)?, schema::open_reader(path)?);
        *self.connection() = write;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        for browser in self.browsers.open() {
            *browser.lock().unwrap_or_else(PoisonError::into_inner) = schema::open_reader(path)?;
        }
        Ok(())
    }
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
    pub(super) fn start(store: Store) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            shared: Arc::clone(&shared),
            store,
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
    store: Store,
    maintained: Option<Instant>,
}

impl Worker {
    fn work(mut self) {
        loop {
            let (batch, stopping) = self.next_batch();
            if stopping && batch.is_empty() {
                return;
            }
            self.maintain();
            if batch.is_empty() {
                continue;
            }
            let result = write(&mut self.store.connection(), &batch);
            if result.as_ref().is_err_and(schema::is_corruption) {
                self.replace_file();
            }
            if !self.written(batch, result) {
                if stopping {
                    return;
                }
                self.pause();
            }
        }
    }

    fn replace_file(&self) {
        match self.store.replace() {
            Ok(()) => self.shared.state().stats.corrupt_files += 1,
            Err(error) => tracing::error!(%error, "history.not_replaced: rows wait in memory"),
        }
    }

    /// Waits for rows, but not for long.
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
        if let Err(error) = remove_old(&self.store.connection(), self.store.retention, now) {
            tracing::warn!(%error, "history.maintain_failed");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use std::path::Path;

    const SOON: Duration = Duration::from_secs(10);

    fn connection() -> Arc<Mutex<Connection>> {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Path::new(":memory:")).unwrap();
        Arc::new(Mutex::new(connection))
    }

    fn start(connection: &Arc<Mutex<Connection>>) -> Writer {
        Writer::start(Store {
            write: Arc::clone(connection),
            read: Arc::clone(connection),
            browsers: Browsers::default(),
            path: None,
            retention: Retention::default(),
        })
    }

    fn set_read_only(connection: &Mutex<Connection>, on: bool) {
        let connection = connection.lock().unwrap();
        connection.pragma_update(None, "query_only", on).unwrap();
    }

    fn samples(from: u32, count: u32) -> Vec<Row> {
        let sample = |number: u32| Row::Sample {
            series: "s".to_owned(),
            at: f64::from(number),
            value: number.to_string(),
        };
        (from..from + count).map(sample).collect()
    }

    fn stored(connection: &Mutex<Connection>) -> Vec<f64> {
        let connection = connection.lock().unwrap();
        let mut statement = connection.prepare("SELECT at FROM samples ORDER BY rowid").unwrap();
        let times = statement.query_map([], |row| row.get(0)).unwrap();
        times.map(Result::unwrap).collect()
    }

    #[test]
    fn rows_that_cannot_be_written_wait_and_keep_their_order() {
        let connection = connection();
        let writer = start(&connection);
        set_read_only(&connection, true);
        writer.put(samples(0, 700));
        assert!(!writer.flush(Duration::from_millis(300)));
        let stats = writer.stats();
        assert!(stats.errors >= 1 && stats.failing.is_some(), "{stats:?}");
        writer.put(samples(700, 10));
        set_read_only(&connection, false);
        assert!(writer.flush(SOON));
        let expected: Vec<f64> = (0..710).map(f64::from).collect();
        assert_eq!(stored(&connection), expected);
        assert_eq!(writer.stats().failing, None, "well again");
    }

    #[test]
    fn above_the_cap_the_oldest_are_dropped_and_counted() {
        let connection = connection();
        let writer = start(&connection);
        set_read_only(&connection, true);
        let most = u32::try_from(HISTORY_ROWS_WAITING_MAX).unwrap();
        writer.put(samples(0, most + 100));
        assert_eq!(writer.stats().dropped, 100);
        set_read_only(&connection, false);
        assert!(writer.flush(SOON));
        assert_eq!(stored(&connection).first(), Some(&100.0));
    }

    #[test]
    fn dropping_the_writer_stores_what_waits() {
        let connection = connection();
        let writer = start(&connection);
        writer.put(samples(0, 2000));
        drop(writer);
        assert_eq!(stored(&connection).len(), 2000);
    }
}
