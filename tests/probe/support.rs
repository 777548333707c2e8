//! What the tests share: faulty servers, clients that may dial loopback, and short ways to ask for a failure's name.

pub mod server;
pub mod sockets;
pub mod tls;

pub use server::{Peer, Server};

use stagewatch::failure::{Failure, Kind, Phase};
use stagewatch::probe::{AddressPolicy, Client, HttpRequest, RunStart, Trace, UpgradeRequest, Wire, WireSettings};
use stagewatch::secret::Redactor;
use std::time::Duration;
use tokio::time::Instant;

/// Settings that allow loopback and own `origins`.
pub fn settings(origins: &[String]) -> WireSettings {
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
    WireSettings {
        addresses: AddressPolicy {
            allow,
            deny: Vec::new(),
        },
        origins: origins.to_vec(),
        ..WireSettings::default()
    }
}

/// A run that starts now and knows no secret.
pub fn run() -> RunStart {
    RunStart {
        at: Instant::now(),
        redactor: Redactor::default(),
        trace: Trace::random(),
    }
}

/// A client for `settings`.
pub fn client_of(settings: &WireSettings) -> Client {
    Wire::new(settings).unwrap().client(run())
}

/// A client whose target is `server`.
pub fn client(server: &Server) -> Client {
    client_of(&settings(&[server.origin()]))
}

/// A GET with a deadline in milliseconds.
pub fn get(url: impl Into<String>, within_ms: u64) -> HttpRequest {
    HttpRequest {
        within: Duration::from_millis(within_ms),
        ..HttpRequest::get(url)
    }
}

/// A handshake with a deadline in milliseconds.
pub fn open(server: &Server, path: &str, within_ms: u64) -> UpgradeRequest {
    let url = format!("ws://{}{path}", server.address);
    UpgradeRequest {
        within: Duration::from_millis(within_ms),
        ..UpgradeRequest::new("socket", url)
    }
}

/// A moment so many milliseconds from now.
pub fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

/// Kind and phase, the way most tests ask.
pub fn what(failure: &Failure) -> (Kind, Phase) {
    (failure.kind, failure.phase)
}
