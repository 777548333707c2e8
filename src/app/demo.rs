//! The demonstration: a rehearsal staging and the daemon that watches it, in one process, from the embedded configuration.

use super::AppError;
use super::daemon::{self, Running};
use super::shipped::{self, REHEARSAL};
use crate::catalog::Catalog;
use crate::config::{self, ConfigErrors, Overrides};
use crate::rehearsal::{self, Rehearsal};
use crate::secret::Secret;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Url;

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
    /// Where alerts are pushed, if anywhere.
    pub alertmanager: Option<Url>,
    /// API token; a random one unless given.
    pub api_token: Option<String>,
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
    /// The API token, to be shown to whoever started it.
    pub api_token: String,
    data: PathBuf,
}

/// Starts rehearsal and daemon.
///
/// # Errors
/// When one of them does not start.
pub async fn start(options: DemoOptions) -> Result<Demo, DemoError> {
    let data = std::env::temp_dir().join(format!("stagewatch-demo-{}", std::process::id()));
    // A crashed demonstration of the same process number may have left one.
    let _ = std::fs::remove_dir_all(&data);
    let random = || format!("{:016x}", rand::random::<u64>());
    let api_token = options.api_token.clone().unwrap_or_else(random);
    let overrides = Overrides {
        listen: Some(listen_address(&options)),
        data_dir: Some(data.clone()),
        time_scale: options.time_scale,
        api_token: Some(Secret::new(api_token.clone())),
        alertmanager: options.alertmanager.clone(),
        ..Overrides::default()
    };
    // Once for the time scale, which the rehearsal needs, and once more for the addresses it got.
    let time_scale = load(&[], &overrides)?.time_scale;
    let rehearsal = start_rehearsal(&options, time_scale).await?;
    let catalog = load(&replacements(&rehearsal), &overrides)?;
    let running = daemon::start(Arc::new(catalog)).await?;
    Ok(Demo {
        rehearsal,
        running,
        api_token,
        data,
    })
}

pub(super) fn load(replacements: &[(String, String)], overrides: &Overrides) -> Result<Catalog, ConfigErrors> {
    config::load_with(Path::new(REHEARSAL), &shipped::environment(replacements), overrides)
}

/// The address asked for; the usual one; a free one when that is taken.
fn listen_address(options: &DemoOptions) -> SocketAddr {
    options
        .listen
        .unwrap_or_else(|| local(if options.any_ports || taken(LISTEN) { 0 } else { LISTEN }))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn taken(port: u16) -> bool {
    std::net::TcpListener::bind(local(port)).is_err()
}

/// On the usual ports, so that what the documentation says can be copied; on free ones if one of those is taken.
async fn start_rehearsal(options: &DemoOptions, time_scale: f64) -> Result<Rehearsal, rehearsal::StartError> {
    let usual = !options.any_ports && !PORTS.into_iter().any(taken);
    let [backend, auth, control] = if usual { PORTS } else { [0; 3] }.map(local);
    rehearsal::start(rehearsal::Options {
        backend,
        auth,
        control,
        faults: options.faults.clone(),
        time_scale,
    })
    .await
}

/// What the shipped configuration says about addresses, and what it has to say.
pub(super) fn replacements(rehearsal: &Rehearsal) -> Vec<(String, String)> {
    let got = [
        rehearsal.backend_addr(),
        rehearsal.auth_addr(),
        rehearsal.control_addr(),
    ];
    let pairs = PORTS.into_iter().zip(got);
    pairs
        .map(|(port, got)| (local(port).to_string(), got.to_string()))
        .collect()
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
