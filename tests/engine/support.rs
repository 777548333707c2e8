//! A rehearsal on free ports and a small configuration for it: enough for every kind of scenario and check, and
//! independent of the shipped modules.

use stagewatch::catalog::Catalog;
use stagewatch::config::{self, MemoryEnvironment, Overrides};
use stagewatch::rehearsal::{self, Options, Rehearsal};
use stagewatch::run::Judgement;
use stagewatch::schedule::{CommandsWaiting, Event, Execute, Observer, Parts, Scheduler};
use stagewatch::secret::Secret;
use stagewatch::verdict::{UnknownReason, Verdict};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Factor on the long durations of the rehearsal and of the configuration.
pub const TIME_SCALE: f64 = 0.02;
/// Token of the API in tests.
pub const API_TOKEN: &str = "api-token-of-the-tests";

const MODULE: &str = include_str!("module.yaml");

/// A healthy rehearsal on free ports.
pub async fn rehearsal() -> Rehearsal {
    stagewatch::crypto::init_crypto();
    let free: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    rehearsal::start(Options {
        backend: free,
        auth: free,
        control: free,
        faults: Vec::new(),
        time_scale: TIME_SCALE,
    })
    .await
    .unwrap()
}

/// The small configuration against a rehearsal.
pub fn catalog(rehearsal: &Rehearsal, data_dir: &Path) -> Arc<Catalog> {
    let main = include_str!("main.yaml")
        .replace("BACKEND", &rehearsal.backend_addr().to_string())
        .replace("AUTH", &rehearsal.auth_addr().to_string());
    load(&main, MODULE, data_dir)
}

/// A configuration of one module.
pub fn load(main: &str, module: &str, data_dir: &Path) -> Arc<Catalog> {
    let environment = MemoryEnvironment::new(stagewatch::clock::now())
        .with_file("main.yaml", main)
        .with_file("modules/m.yaml", module);
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(data_dir.to_owned()),
        time_scale: None,
        api_token: Some(Secret::new(API_TOKEN)),
        alertmanager: None,
        ..Overrides::default()
    };
    let loaded = config::load_with(Path::new("main.yaml"), &environment, &overrides);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")))
}

/// A judgement that says no more than its verdict.
pub fn judgement((module, id): (&str, &str), verdict: Verdict, reason: Option<UnknownReason>) -> Judgement {
    Judgement {
        module: module.into(),
        id: id.into(),
        title: String::new(),
        at: String::new(),
        verdict,
        reason,
        blocked_by: None,
        blames: None,
        failure: None,
        expectations: Vec::new(),
        notes: Vec::new(),
        transcripts: Vec::new(),
        extracts: Vec::new(),
        duration_ms: 1.0,
    }
}

/// A schedule with a stand-in for the runner.
pub async fn scheduler<S, O>(
    catalog: Catalog,
    (execute, observer): (&Arc<S>, &Arc<O>),
    (events, commands): (mpsc::Sender<Event>, CommandsWaiting),
) -> Scheduler
where
    S: Execute + 'static,
    O: Observer + 'static,
{
    Scheduler::start(Parts {
        catalog: Arc::new(catalog),
        execute: Arc::clone(execute) as _,
        observer: Arc::clone(observer) as _,
        events,
        commands,
    })
    .await
    .unwrap()
}

/// Waits until `done` gives something, or panics after `within`.
pub async fn eventually<T>(within: Duration, what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} did not happen in {within:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
