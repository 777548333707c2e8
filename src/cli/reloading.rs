//! When the daemon loads its configuration again: at SIGHUP, when somebody asks over HTTP, and when the file of a secret has
//! changed. What came of it is logged and answered; the daemon goes on either way.

use super::ConfigArgs;
use crate::app::daemon::Running;
use crate::catalog::Catalog;
use crate::config::Overrides;
use crate::limits::SECRETS_LOOKED_AT_EVERY;
use crate::serve::ReloadAsked;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Inode, size and time of change of a file; none while it is not there.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Why the configuration is loaded again.
pub(super) enum Why {
    /// SIGHUP.
    Signal,
    /// A secret has changed.
    Secret,
    /// Somebody asked, and waits.
    Asked(ReloadAsked),
}

/// What may ask for a reload.
pub(super) struct Reloading {
    config: ConfigArgs,
    overrides: Overrides,
    hangups: Option<Signal>,
    asked: mpsc::Receiver<ReloadAsked>,
    looks: Interval,
    secrets: Vec<(PathBuf, Stamp)>,
}

impl Reloading {
    /// For a daemon that runs `catalog`.
    pub(super) fn new(
        (config, overrides): (ConfigArgs, Overrides),
        catalog: &Catalog,
        asked: mpsc::Receiver<ReloadAsked>,
    ) -> Self {
        let mut looks = interval(SECRETS_LOOKED_AT_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            config,
            overrides,
            // Without a handler only the other ways are left.
            hangups: signal(SignalKind::hangup()).ok(),
            asked,
            looks,
            secrets: stamped(catalog.secret_files.clone()),
        }
    }

    /// Waits until there is a reason.
    pub(super) async fn reason(&mut self) -> Why {
        loop {
            tokio::select! {
                () = hangup(&mut self.hangups) => return Why::Signal,
                Some(asked) = self.asked.recv() => return Why::Asked(asked),
                _ = self.looks.tick() => if self.a_secret_changed() {
                    return Why::Secret;
                },
            }
        }
    }

    /// Loads the configuration again and hands it to the daemon.
    pub(super) async fn carry_out(&mut self, why: Why, running: &mut Running) {
        let (config, overrides) = (self.config.clone(), self.overrides.clone());
        let loaded = tokio::task::spawn_blocking(move || config.load(overrides).map_err(|errors| errors.to_string()));
        let loaded = loaded.await.unwrap_or_else(|error| Err(error.to_string()));
        let result = match loaded {
            Ok(catalog) => {
                self.secrets = stamped(catalog.secret_files.clone());
                running
                    .reload(Arc::new(catalog))
                    .await
                    .map(|changed| changed.to_string())
            }
            Err(errors) => {
                running.refuse(&errors);
                Err(errors)
            }
        };
        if let Why::Asked(answer) = why {
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }

    fn a_secret_changed(&mut self) -> bool {
        let now = stamped(self.secrets.iter().map(|(path, _)| path.clone()).collect());
        let changed = now != self.secrets;
        self.secrets = now;
        changed
    }
}

async fn hangup(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn stamped(files: Vec<PathBuf>) -> Vec<(PathBuf, Stamp)> {
    let stamp = |path: PathBuf| {
        let seen = std::fs::metadata(&path).ok();
        let stamp = seen.map(|seen| (seen.ino(), seen.size(), seen.mtime(), seen.mtime_nsec()));
        (path, stamp)
    };
    files.into_iter().map(stamp).collect()
}
