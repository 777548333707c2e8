//! When the process is asked to end: SIGTERM, SIGINT, or its own time limit. A second signal ends it at once.

use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Exit status after a second signal: 128 + SIGINT, as shells have it.
const IMPATIENT: i32 = 130;

/// Ends at the first signal, or when `limit` is over; from then on a second signal exits the process.
pub async fn asked_to_stop(limit: Option<Duration>) {
    tokio::select! {
        () = one_signal() => {}
        () = after(limit) => return,
    }
    tokio::spawn(async {
        one_signal().await;
        std::process::exit(IMPATIENT);
    });
}

async fn one_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals.none: no signal handler could be installed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Runs `work` until it ends or the process is asked to stop.
pub async fn unless_stopped<T>(work: impl Future<Output = T>, limit: Option<Duration>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = asked_to_stop(limit) => None,
    }
}
