//! The ledger: past measurements, runs and verdicts in SQLite, kept across restarts and crashes. A writer thread behind a
//! bounded queue owns every write, so that a slow or full disk holds up nobody; when a file cannot be used the ledger goes
//! on in memory and says so. It judges nothing.

mod account;
mod alerts;
mod browse;
mod extract;
mod incidents;
mod journal;
mod notices;
mod pack;
mod query;
mod retention;
mod rows;
mod sampling;
mod schema;
mod statements;
mod writer;

pub use account::Account;
pub use alerts::StoredAlert;
pub use browse::{Cursor, Page, RunHead, Span, VerdictHead};
pub use incidents::{IncidentFilter, StoredIteration};
pub use query::{Reader, StoredRun, StoredVerdict};
pub use rows::Bases;

use crate::catalog::{Extract, Retention};
use crate::limits::HISTORY_MEMORY_BYTES;
use crate::record::Sink;
use crate::run::Run;
use alerts::Firing;
use arc_swap::ArcSwap;
use journal::Mirror;
use rusqlite::Connection;
use sampling::Sampling;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use writer::{Browsers, Store, Writer};

/// Name of the database file in the data directory.
const FILE: &str = "history.sqlite3";

/// Gives bounded extracts of the past to the judge. SQLite today; anything that answers the same questions tomorrow.
pub trait Ledger: Send + Sync {
    /// The items of `extract`, oldest first, as seen at `now_unix`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn extract(&self, extract: &Extract, now_unix: f64) -> Result<Value, HistoryError>;
}

/// Where a history is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this directory, which is made if it is missing.
    Folder(PathBuf),
    /// In memory, gone with the process.
    Memory,
}

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Another daemon uses the directory.
    #[error("the data directory {0} is in use by another stagewatch; give this one its own with --data-dir")]
    InUse(PathBuf),
    /// The directory cannot be made or locked.
    #[error("the data directory {path} cannot be used: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file comes from a later version.
    #[error("{path} was written by a newer stagewatch (schema {found}, this one knows {known})")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite says no.
    #[error("history: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Totals since the start, for the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryStats {
    /// Writes that failed.
    pub write_errors: u64,
    /// Rows lost because the queue was full.
    pub dropped_rows: u64,
    /// Files found corrupt and put aside.
    pub corrupt_files: u64,
    /// Rows and texts that were read and were not as they had been written.
    pub damaged_rows: u64,
    /// What is wrong now, if anything.
    pub degraded: Option<String>,
}

/// The history store.
pub struct History {
    bases: ArcSwap<Bases>,
    reader: Reader,
    browsers: Browsers,
    writer: Writer,
    mirror: Mirror,
    sampling: Mutex<Sampling>,
    firing: Firing,
    begun: notices::Begun,
    corrupt_files: u64,
    /// Where the file is.
    folder: Option<PathBuf>,
    /// Why the file is not used, if it is not.
    fallback: Option<String>,
    /// Held as long as the history is open.
    _lock: Option<File>,
}

impl History {
    /// Opens the history. A corrupt file is put aside as `….corrupt-<time>`; a directory that cannot be written leaves the
    /// history in memory, degraded.
    ///
    /// # Errors
    /// When another daemon uses the directory, the directory cannot be made, or the file is of a newer version.
    pub fn open(place: &Place, bases: Bases) -> Result<Arc<Self>, HistoryError> {
        Self::open_keeping(place, bases, Retention::default())
    }

    /// As [`History::open`], and keeps what `retention` says.
    ///
    /// # Errors
    /// As [`History::open`].
    pub fn open_keeping(place: &Place, bases: Bases, retention: Retention) -> Result<Arc<Self>, HistoryError> {
        let opened = match place {
            Place::Memory => Opened::memory(None)?,
            Place::Folder(folder) => Opened::folder(folder)?,
        };
        let mirror = Mirror::load(&opened.reader)?;
        let memory = opened.path.is_none();
        let bytes_max = if memory { HISTORY_MEMORY_BYTES } else { u64::MAX };
        let browsers = Browsers::default();
        let store = Store {
            write: opened.write,
            read: Arc::clone(&opened.reader),
            browsers: browsers.clone(),
            path: opened.path,
            retention: Retention {
                bytes_max: retention.bytes_max.min(bytes_max),
                ..retention
            },
        };
        let firing = Firing::load(&opened.reader)?;
        let begun = notices::Begun::load(&opened.reader)?;
        Ok(Arc::new(Self {
            bases: ArcSwap::from_pointee(bases),
            browsers,
            writer: Writer::start(store),
            reader: Reader::new(opened.reader),
            mirror,
            sampling: Mutex::default(),
            firing,
            begun,
            corrupt_files: opened.corrupt_files,
            folder: match place {
                Place::Folder(folder) => Some(folder.clone()),
                Place::Memory => None,
            },
            fallback: opened.fallback,
            _lock: opened.lock,
        }))
    }

    /// From now on addresses go by these names.
    pub fn rename(&self, bases: Bases) {
        self.bases.store(Arc::new(bases));
    }

    /// Waits until everything taken so far is stored; false when that takes longer than `within`.
    pub fn flush(&self, within: Duration) -> bool {
        self.writer.flush(within)
    }

    fn put(&self, rows: Vec<rows::Row>) {
        self.writer.put(rows);
    }

    /// Totals and state.
    pub fn stats(&self) -> HistoryStats {
        let written = self.writer.stats();
        HistoryStats {
            write_errors: written.errors,
            dropped_rows: written.dropped,
            corrupt_files: self.corrupt_files + written.corrupt_files,
            damaged_rows: self.reader.damaged(),
            degraded: self.fallback.clone().or(written.failing),
        }
    }

    /// Reads what was stored.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// A reader for people: with a connection of its own, so that whoever browses holds up no judging. A history in memory
    /// has only one. It goes on in the new file when a corrupt one is put aside.
    pub fn browser(&self) -> Reader {
        let own = self.folder.as_deref().filter(|_| self.fallback.is_none());
        let own = own.and_then(|folder| Reader::open(folder).ok());
        own.inspect(|own| self.browsers.add(own.shared()))
            .unwrap_or_else(|| self.reader.clone())
    }
}

impl Ledger for History {
    fn extract(&self, extract: &Extract, now_unix: f64) -> Result<Value, HistoryError> {
        Ok(extract::extract(&self.reader, extract, now_unix)?)
    }
}

impl Sink for History {
    fn take(&self, run: &Arc<Run>) {
        let rows = {
            let mut sampling = self.sampling.lock().unwrap_or_else(PoisonError::into_inner);
            rows::of(run, &self.bases.load(), &mut sampling)
        };
        self.put(rows);
    }
}

struct Opened {
    reader: Arc<Mutex<Connection>>,
    write: Arc<Mutex<Connection>>,
    path: Option<PathBuf>,
    corrupt_files: u64,
    fallback: Option<String>,
    lock: Option<File>,
}

impl Opened {
    /// One connection for both: an in-memory database has no second one.
    fn memory(fallback: Option<String>) -> Result<Self, HistoryError> {
        let mut connection = Connection::open_in_memory()?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        schema::migrate(&mut connection, Path::new(":memory:"))?;
        let shared = Arc::new(Mutex::new(connection));
        Ok(Self {
            reader: Arc::clone(&shared),
            write: shared,
            path: None,
            corrupt_files: 0,
            fallback,
            lock: None,
        })
    }

    fn folder(folder: &Path) -> Result<Self, HistoryError> {
        match Self::locked(folder) {
            Ok(lock) => Self::file(folder, lock),
            Err(HistoryError::Folder { source, .. }) if disk_fails(&source) => {
                tracing::error!(%source, folder = %folder.display(), "history.memory: the disk cannot be written, going on in memory");
                Self::memory(Some(format!("{}: {source}; kept in memory", folder.display())))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the folder and takes its lock.
    fn locked(folder: &Path) -> Result<File, HistoryError> {
        let refused = |source| HistoryError::Folder {
            path: folder.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(refused)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(std::fs::TryLockError::WouldBlock) => Err(HistoryError::InUse(folder.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => Err(refused(error)),
        }
    }

    fn file(folder: &Path, lock: File) -> Result<Self, HistoryError> {
        let path = folder.join(FILE);
        let mut corrupt_files = 0;
        let opened = match schema::open(&path) {
            Err(error) if schema::is_corrupt(&error) => {
                let aside = schema::put_aside(&path);
                tracing::error!(%error, ?aside, "history.corrupt: put aside, a new file is made");
                corrupt_files = 1;
                schema::open(&path)
            }
            other => other,
        };
        let opened = match opened.and_then(|write| Ok((write, schema::open_reader(&path)?))) {
            Ok((write, reader)) => Self {
                reader: Arc::new(Mutex::new(reader)),
                write: Arc::new(Mutex::new(write)),
                path: Some(path),
                corrupt_files,
                fallback: None,
                lock: Some(lock),
            },
            Err(error @ HistoryError::Newer { .. }) => return Err(error),
            Err(error) => {
                tracing::error!(%error, "history.memory: the file cannot be used, going on in memory");
                Self {
                    corrupt_files,
                    lock: Some(lock),
                    ..Self::memory(Some(format!("{error}; kept in memory")))?
                }
            }
        };
        Ok(opened)
    }
}

/// Whether the disk itself is the matter, rather than how it is configured: then checks go on without it.
fn disk_fails(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}
