//! The shipped configuration inside the binary, so that `demo` needs no file: what stands in `config/` at build time.

use crate::config::{Environment, FileRead, Owner, ProcessEnvironment};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Every file by its path under `config/`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The main file of the rehearsal, inside the embedded folder.
pub const REHEARSAL: &str = "config/rehearsal.yaml";

/// The embedded files as the world of a load; variables come from the process.
pub struct Embedded {
    files: BTreeMap<PathBuf, String>,
}

impl Embedded {
    /// The shipped files with some texts replaced: addresses that turned out to be taken.
    pub fn with_replaced(replacements: &[(String, String)]) -> Self {
        let files = FILES.iter().map(|(name, text)| {
            let text = replacements
                .iter()
                .fold((*text).to_owned(), |text, (from, to)| text.replace(from, to));
            (Path::new("config").join(name), text)
        });
        Self {
            files: files.collect(),
        }
    }
}

impl Environment for Embedded {
    fn variable(&self, name: &str) -> Option<String> {
        ProcessEnvironment.variable(name)
    }

    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<FileRead> {
        let text = self.files.get(&plain(path)).ok_or(io::ErrorKind::NotFound)?;
        if text.len() > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(FileRead {
            bytes: text.clone().into_bytes(),
            mode: 0o600,
            owner: Owner::Trusted,
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let directory = plain(directory);
        let found: Vec<_> = self
            .files
            .keys()
            .filter(|path| path.parent() == Some(&directory))
            .cloned()
            .collect();
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(found)
    }

    fn now(&self) -> DateTime<Utc> {
        ProcessEnvironment.now()
    }
}

/// The path without `.` components.
fn plain(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| !matches!(component, std::path::Component::CurDir))
        .collect()
}
