//! The demonstration: a rehearsal staging and the daemon that watches it, in one process, from the embedded configuration.

use super::AppError;
use super::daemon::{self, Running};
use super::shipped::{Embedded, REHEARSAL};
use crate::config::{self, ConfigErrors, Overrides};
use crate::rehearsal::{self, Rehearsal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the shipped configuration expects the rehearsal: backend, auth, control.
const PORTS: [u16; 3] = [18080, 18081, 18082];
/// Where the daemon listens unless told otherwise.
const LISTEN: u16 = 9464;

/// How the demonstration starts.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Where the daemon listens; its usual port, or a free one if that is taken.
    pub listen: Option<SocketAddr>,
    /// Faults that are on from the start.
    pub faults: Vec<String>,
    /// Factor on schedules and windows, if other than the shipped one.
    pub time_scale: Option<f64>,
    /// Ports of the system's choice, even if the usual ones are free: for tests that run at once.
    pub any_ports: bool,
}

/// Why the demonstration did not start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The rehearsal does not start.
    #[error(transparent)]
    Rehearsal(#[from] rehearsal::StartError),
    /// The embedded configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The daemon does not start.
    #[error(transparent)]
    App(#[from] AppError),
}

/// A demonstration at work.
pub struct Demo {
    /// The watched system.
    pub rehearsal: Rehearsal,
    /// The daemon.
    pub running: Running,
    data: PathBuf,
}

/// Starts rehearsal and daemon.
///
/// # Errors
/// When one of them does not start.
pub async fn start(options: DemoOptions) -> Result<Demo, DemoError> {
    let scale = shipped_scale(&options)?;
    let rehearsal = start_rehearsal(&options, scale).await?;
    let embedded = Embedded::with_replaced(&replacements(&rehearsal));
    let data = std::env::temp_dir().join(format!("stagewatch-demo-{}", std::process::id()));
    // A crashed demonstration of the same process number may have left one.
    let _ = std::fs::remove_dir_all(&data);
    let overrides = Overrides {
        listen: Some(listen(&options)),
        data_dir: Some(data.clone()),
        time_scale: options.time_scale,
        ..Overrides::default()
    };
    let mut catalog = config::load_from(Path::new(REHEARSAL), &embedded)?;
    overrides.apply(&mut catalog);
    let running = daemon::start(Arc::new(catalog)).await?;
    Ok(Demo {
        rehearsal,
        running,
        data,
    })
}

impl Demo {
    /// Stops both and removes what was stored.
    pub async fn shutdown(self) {
        self.running.shutdown().await;
        self.rehearsal.shutdown().await;
        if let Err(error) = std::fs::remove_dir_all(&self.data) {
            tracing::warn!(%error, "demo.data_left: the data directory was not removed");
        }
    }
}
