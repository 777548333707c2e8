//! A rehearsal with faults, and the shipped configuration against it.

use stagewatch::app::once::{Iterated, OnceOptions, once};
use stagewatch::app::shipped;
use stagewatch::catalog::Catalog;
use stagewatch::config::{self, MemoryEnvironment, Overrides};
use stagewatch::rehearsal::{self, Options, Rehearsal};
use stagewatch::serve::Wanted;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The factor of the shipped rehearsal configuration.
const TIME_SCALE: f64 = 0.02;
/// Checks whose evidence most rules read.
const ALWAYS: [&str; 5] = [
    "websocket_events/health_check",
    "websocket_events/websocket_connection",
    "message_flow/message_endpoints",
    "startup_resilience/startup_failure_handling",
    "startup_resilience/health_check_endpoints",
];

/// The shipped rehearsal configuration, for these addresses.
pub fn catalog(backend: &str, auth: &str) -> Arc<Catalog> {
    load((backend, auth), &Overrides::default())
}

/// The same for a daemon that keeps its history in `folder` and listens anywhere.
pub fn daemon_catalog(rehearsal: &Rehearsal, folder: &Path) -> Arc<Catalog> {
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(folder.to_owned()),
        ..Overrides::default()
    };
    let addresses = (rehearsal.backend_addr().to_string(), rehearsal.auth_addr().to_string());
    load((&addresses.0, &addresses.1), &overrides)
}

/// A configuration that is written out in a test: `main.yaml`, its module `m.yaml`, its rules `d.yaml`.
pub fn catalog_of([main, module, rules]: [&str; 3], overrides: &Overrides) -> Arc<Catalog> {
    let environment = MemoryEnvironment::new(stagewatch::clock::now())
        .with_file("main.yaml", main)
        .with_file("m.yaml", module)
        .with_file("d.yaml", rules);
    let loaded = config::load_with(Path::new("main.yaml"), &environment, overrides);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")))
}

fn load((backend, auth): (&str, &str), overrides: &Overrides) -> Arc<Catalog> {
    let replacements = [
        ("127.0.0.1:18080".to_owned(), backend.to_owned()),
        ("127.0.0.1:18081".to_owned(), auth.to_owned()),
    ];
    let environment = shipped::environment(&replacements);
    let loaded = config::load_with(Path::new(shipped::REHEARSAL), &environment, overrides);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")))
}

/// A rehearsal with `faults` on free ports.
pub async fn rehearsal(faults: &[&str]) -> Rehearsal {
    stagewatch::crypto::init_crypto();
    let free: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    rehearsal::start(Options {
        backend: free,
        auth: free,
        control: free,
        faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        time_scale: TIME_SCALE,
    })
    .await
    .unwrap()
}

/// One iteration of the usual checks and of `more` against a rehearsal with `faults`.
pub async fn iterate(faults: &[&str], more: &[&str]) -> (Arc<Catalog>, Iterated) {
    let rehearsal = rehearsal(faults).await;
    let catalog = catalog(
        &rehearsal.backend_addr().to_string(),
        &rehearsal.auth_addr().to_string(),
    );
    let checks = ALWAYS.iter().chain(more);
    let options = OnceOptions {
        wanted: checks.map(|&check| Wanted::Check(check.to_owned())).collect(),
        ..OnceOptions::default()
    };
    let iterated = once(Arc::clone(&catalog), options).await.unwrap();
    rehearsal.shutdown().await;
    (catalog, iterated)
}

/// What `found` finds, asked again and again for a minute.
pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
