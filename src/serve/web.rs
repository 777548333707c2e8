//! TLS and users of our own listener, in the format of the web configuration file that Prometheus and its exporters share.
//! What it names is looked at again while we serve: a rotated certificate is taken, a broken one is not, and said.

mod file;
mod users;

use crate::limits::WEB_LOOKED_AT_EVERY;
use arc_swap::ArcSwap;
use file::{Read, Stamp};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use users::Users;

/// Why the web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("web configuration {path}: {what}")]
pub struct WebError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// The web configuration as it is now.
pub(super) struct Web {
    path: PathBuf,
    known: ArcSwap<Known>,
    looked: Mutex<Looked>,
}

struct Known {
    tls: Option<TlsAcceptor>,
    users: Users,
}

struct Looked {
    at: Instant,
    stamps: Vec<Stamp>,
}

impl Web {
    /// Reads the file and everything that it names.
    pub(super) fn load(path: &Path) -> Result<Self, WebError> {
        let read = file::read(path)?;
        Ok(Self {
            path: path.to_owned(),
            looked: Mutex::new(Looked {
                at: Instant::now(),
                stamps: read.stamps.clone(),
            }),
            known: ArcSwap::from_pointee(Known::of(read)),
        })
    }

    /// How a connection becomes TLS; none without TLS.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.look();
        self.known.load().tls.clone()
    }

    /// Whether readers have to say who they are.
    pub(super) fn has_users(&self) -> bool {
        !self.known.load().users.is_empty()
    }

    /// Whether this is a user with this password.
    pub(super) async fn admits(&self, name: &str, password: &str) -> bool {
        let known = self.known.load_full();
        known.users.admits(name, password).await
    }

    /// Takes files that have changed since the last look; keeps what is in force when the new ones are broken.
    fn look(&self) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.at.elapsed() < WEB_LOOKED_AT_EVERY {
            return;
        }
        looked.at = Instant::now();
        let stamps: Vec<_> = looked.stamps.iter().map(|stamp| Stamp::of(&stamp.path)).collect();
        if stamps == looked.stamps {
            return;
        }
        match file::read(&self.path) {
            Ok(read) => {
                tracing::info!(file = %self.path.display(), "serve.web_changed: taken");
                looked.stamps = read.stamps.clone();
                self.known.store(Arc::new(Known::of(read)));
            }
            Err(error) => {
                // Said once for each change, not for each look.
                looked.stamps = stamps;
                tracing::error!(%error, "serve.web_broken: what was in force stays");
            }
        }
    }
}

impl Known {
    fn of(read: Read) -> Self {
        Self {
            tls: read.tls.map(TlsAcceptor::from),
            users: read.users,
        }
    }
}
