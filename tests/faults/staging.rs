//! A rehearsal on free ports and the shipped configuration for it.

use stagewatch::app::once::{Iterated, OnceOptions, once};
use stagewatch::app::shipped;
use stagewatch::catalog::Catalog;
use stagewatch::config::{self, Overrides};
use stagewatch::history::Place;
use stagewatch::rehearsal::{self, Options, Rehearsal};
use stagewatch::serve::Wanted;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Factor on the long durations of the shipped rehearsal configuration.
pub const TIME_SCALE: f64 = 0.02;
/// Longest iteration: every body of an answer dripping, every stream silent.
const ITERATION_WITHIN: Duration = Duration::from_secs(420);

/// A rehearsal and the shipped configuration that watches it.
pub struct Staging {
    pub rehearsal: Rehearsal,
    pub catalog: Arc<Catalog>,
    /// Where it keeps its history; removed at the end.
    _folder: tempfile::TempDir,
}

impl Staging {
    /// A rehearsal with `faults` on, and the shipped configuration at `time_scale`.
    pub async fn with(faults: &[&str], time_scale: f64) -> Self {
        stagewatch::crypto::init_crypto();
        let free: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let options = Options {
            backend: free,
            auth: free,
            control: free,
            faults: faults.iter().map(|name| (*name).to_owned()).collect(),
            time_scale,
        };
        let rehearsal = rehearsal::start(options).await.unwrap();
        let addresses = [
            ("127.0.0.1:18080".to_owned(), rehearsal.backend_addr().to_string()),
            ("127.0.0.1:18081".to_owned(), rehearsal.auth_addr().to_string()),
        ];
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides {
            listen: Some(free),
            data_dir: Some(folder.path().to_owned()),
            time_scale: Some(time_scale),
            ..Overrides::default()
        };
        let environment = shipped::environment(&addresses);
        let loaded = config::load_with(Path::new(shipped::REHEARSAL), &environment, &overrides);
        let catalog = Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")));
        Self {
            rehearsal,
            catalog,
            _folder: folder,
        }
    }

    /// As [`Self::with`], at the usual time scale.
    pub async fn start(faults: &[&str]) -> Self {
        Self::with(faults, TIME_SCALE).await
    }

    /// One iteration of everything, remembering nothing.
    pub async fn iterate(&self) -> Iterated {
        self.iterate_on(Vec::new(), Place::Memory).await
    }

    /// One iteration of `wanted` (everything if empty) over the history at `place`.
    pub async fn iterate_on(&self, wanted: Vec<Wanted>, place: Place) -> Iterated {
        let options = OnceOptions {
            wanted,
            place,
            ..OnceOptions::default()
        };
        let iterating = once(Arc::clone(&self.catalog), options);
        tokio::time::timeout(ITERATION_WITHIN, iterating)
            .await
            .unwrap()
            .unwrap()
    }

    /// Ends the rehearsal.
    pub async fn end(self) {
        self.rehearsal.shutdown().await;
    }
}
