//! Where configuration comes from: environment variables, files, the time of the load. A trait, so that tests and the
//! embedded configuration need neither a disk nor a process environment.

use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a load may ask of the world.
pub trait Environment {
    /// An environment variable, if it is set and valid UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// Whatever the file system says; [`io::ErrorKind::FileTooLarge`] above the limit.
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead>;

    /// The files in a directory, sorted by name.
    ///
    /// # Errors
    /// Whatever the file system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Wall time of the load, from which cron patterns are tried.
    fn now(&self) -> DateTime<Utc>;
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct FileRead {
    /// The content.
    pub bytes: Vec<u8>,
    /// Permission bits (`0o640`).
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user we run as, or root.
    Trusted,
    /// Anybody else.
    Foreign,
}

/// The process environment and the file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead> {
        use std::io::Read;
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut bytes = Vec::new();
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let ours = std::fs::metadata("/proc/self").map(|own| own.uid()).ok();
        let owner = match metadata.uid() {
            0 => Owner::Trusted,
            uid if ours.is_none_or(|own| own == uid) => Owner::Trusted,
            _ => Owner::Foreign,
        };
        Ok(FileRead {
            bytes,
            mode: metadata.mode() & 0o7777,
            owner,
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = std::fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        found.sort();
        Ok(found)
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Files and variables in memory: for tests and for the configuration inside the binary.
#[derive(Clone, Debug)]
pub struct MemoryEnvironment {
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// Files by path.
    pub files: BTreeMap<PathBuf, FileRead>,
    /// The time.
    pub now: DateTime<Utc>,
}

impl MemoryEnvironment {
    /// An empty one at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
            now,
        }
    }

    /// Adds a file with mode 0600.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        let file = FileRead {
            bytes: content.into(),
            mode: 0o600,
            owner: Owner::Trusted,
        };
        self.files.insert(path.into(), file);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Environment for MemoryEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead> {
        let file = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if file.bytes.len() > bytes_max {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(file.clone())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let found: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| path.parent() == Some(directory))
            .cloned()
            .collect();
        if found.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(found)
    }

    fn now(&self) -> DateTime<Utc> {
        self.now
    }
}
