//! The rehearsal staging: a local system that speaks the intended contract, with faults that can be switched.
//!
//! It owns three listeners: backend (HTTP, WebSocket, SSE), auth service, and control, which no fault touches.
//! What it says on the wire is computed: real tokens, real isolation between users, real limits, real state.
//! It must not import anything of the daemon, so that neither can hide the other's mistakes.
//!
//! From a connection to an answer: `gate` accepts, `front` orders the steps, `edge` and `outermost` are the load
//! balancer and the outermost middleware, `socket` and `backend` answer, `agent` runs agents, `store` is the
//! database, `auth` the auth service. `faults` is the switchboard that each of them asks.

mod agent;
mod auth;
mod backend;
mod breaker;
mod control;
mod edge;
mod faults;
mod front;
mod gate;
mod identity;
mod instance;
mod outermost;
mod reply;
mod socket;
mod stats;
mod store;
mod timing;
mod tokens;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

pub use faults::{FaultInfo, Touches, UnknownFault, catalogue};
use front::{Front, Place};
use timing::Timing;
use world::{Addresses, World};

/// How long shutdown waits for connections and runs to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Scales outside these bounds are mistakes.
const SCALE_RANGE: std::ops::RangeInclusive<f64> = 1e-4..=1e3;

/// How a rehearsal starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the backend listens; port 0 takes a free one.
    pub backend: SocketAddr,
    /// Where the auth service listens.
    pub auth: SocketAddr,
    /// Where the control listens.
    pub control: SocketAddr,
    /// Faults that are on from the start, by name.
    pub faults: Vec<String>,
    /// Multiplies the contract's long durations: heartbeat 25 s, keepalive 20 s + 20 s, rate windows 60 s,
    /// breaker 30 s, token lifetimes 1800 s and 14 d, token cache 300 s, socket cut 300 s. 1.0 is as the
    /// contract says. Each has a floor that keeps it usable, so scales below 0.1 bend their proportions.
    pub time_scale: f64,
}

impl Default for Options {
    /// The ports of the shipped configuration, no fault, the contract's own durations.
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            backend: local(18080),
            auth: local(18081),
            control: local(18082),
            faults: Vec::new(),
            time_scale: 1.0,
        }
    }
}

/// Why a rehearsal did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error(
        "cannot listen on {address} for the rehearsal's {place}: {source}; choose another address or stop what holds it"
    )]
    Listen {
        /// Which listener.
        place: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// A fault that does not exist.
    #[error(transparent)]
    Fault(#[from] UnknownFault),
    /// A scale that is no scale.
    #[error("time scale {0} is out of bounds; use a number from 0.0001 to 1000, 1.0 for the contract's own durations")]
    Scale(f64),
}

/// A rehearsal that is going on.
pub struct Rehearsal {
    world: Arc<World>,
}

/// Starts a rehearsal; it answers as soon as this returns.
pub async fn start(options: Options) -> Result<Rehearsal, StartError> {
    if !SCALE_RANGE.contains(&options.time_scale) {
        return Err(StartError::Scale(options.time_scale));
    }
    let choices: Result<Vec<_>, _> = options.faults.iter().map(|name| faults::choose(name)).collect();
    let choices = choices?;
    let (backend, backend_at) = listen("backend", options.backend).await?;
    let (auth, auth_at) = listen("auth service", options.auth).await?;
    let (control, control_at) = listen("control", options.control).await?;
    let at = Addresses {
        backend: backend_at,
        auth: auth_at,
        control: control_at,
    };
    let world = Arc::new(World::new(at, Timing::new(options.time_scale)));
    for choice in choices {
        world.faults.set(choice, true);
    }
    world.apply_gates();
    let places = [
        (Place::Backend, backend::router(Arc::clone(&world)), backend, at.backend),
        (Place::Auth, auth::http::router(Arc::clone(&world)), auth, at.auth),
        (Place::Control, control::router(Arc::clone(&world)), control, at.control),
    ];
    for (place, router, listener, address) in places {
        let front = Front::new(Arc::clone(&world), place, router);
        world.tasks.spawn(gate::serve(front, listener, address));
    }
    world.backend_gate.settled().await;
    world.auth_gate.settled().await;
    Ok(Rehearsal { world })
}

async fn listen(place: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { place, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Rehearsal {
    /// Where the backend listens.
    pub fn backend_addr(&self) -> SocketAddr {
        self.world.at.backend
    }

    /// Where the auth service listens.
    pub fn auth_addr(&self) -> SocketAddr {
        self.world.at.auth
    }

    /// Where the control listens.
    pub fn control_addr(&self) -> SocketAddr {
        self.world.at.control
    }

    /// Switches a fault. Faults that close a listener take effect a moment later; the control listener's
    /// `POST /rehearsal/faults` waits for that.
    pub fn switch(&self, name: &str, on: bool) -> Result<(), UnknownFault> {
        control::switch_by_name(&self.world, name, on)
    }

    /// Ends it: listeners close, connections are cut, tasks are waited for.
    pub async fn shutdown(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.world.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("the rehearsal was left with tasks that did not end in time");
        }
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}

/// A random UUID, version 4.
fn new_uuid() -> String {
    uuid_of(rand::random())
}

/// Sixteen bytes in the form of a UUID, version 4.
fn uuid_of(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// So many random bytes in hexadecimal.
fn new_hex(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    hex(&random)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
