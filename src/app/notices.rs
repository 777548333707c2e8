//! What people tell the daemon reaches the history, which keeps it, and the alerts, which heed it.

use crate::alert::Muted;
use crate::alert::desk::Desk;
use crate::catalog::Catalog;
use crate::clock;
use crate::history::History;
use crate::notice::{Annotation, Maintenance, muted, open_windows};
use crate::serve;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::sync::Arc;
use std::time::Duration;

/// Maintenance and annotations.
pub(super) struct Notices {
    /// The one in force.
    catalog: Arc<ArcSwap<Catalog>>,
    history: Arc<History>,
    /// Is told of deploys. Set as soon as it is there; the listener is open before.
    desk: ArcSwapOption<Desk>,
}

impl Notices {
    pub(super) fn new(catalog: &Arc<ArcSwap<Catalog>>, history: &Arc<History>) -> Arc<Self> {
        Arc::new(Self {
            catalog: Arc::clone(catalog),
            history: Arc::clone(history),
            desk: ArcSwapOption::empty(),
        })
    }

    /// Deploys are told to this desk from now on.
    pub(super) fn heard_by(&self, desk: &Arc<Desk>) {
        self.desk.store(Some(Arc::clone(desk)));
    }

    /// What maintenance mutes now.
    pub(super) fn muted(&self) -> Muted {
        let now = clock::now();
        let begun = self.history.maintenance(clock::unix_seconds(now));
        muted(&self.catalog.load().alerting.maintenance, &begun, now)
    }
}

impl serve::Notices for Notices {
    fn maintain(&self, reason: String, modules: Vec<String>, lasts: Duration) -> Result<Maintenance, String> {
        let catalog = self.catalog.load();
        let known: Vec<&str> = catalog.modules.iter().map(|module| module.id.as_str()).collect();
        if let Some(unknown) = modules.iter().find(|module| !known.contains(&module.as_str())) {
            return Err(format!(
                "there is no module `{unknown}`; there are {}",
                known.join(", ")
            ));
        }
        let from = clock::unix_seconds(clock::now());
        let maintenance = Maintenance {
            id: format!("{:08x}", rand::random::<u32>()),
            reason,
            modules,
            from,
            until: from + lasts.as_secs_f64(),
        };
        self.history.maintain(maintenance.clone());
        Ok(maintenance)
    }

    fn end_maintenance(&self, id: Option<&str>) -> Vec<String> {
        let now = clock::unix_seconds(clock::now());
        let going_on = self.history.maintenance(now).into_iter();
        let ending: Vec<Maintenance> = going_on.filter(|one| id.is_none_or(|id| one.id == id)).collect();
        for one in &ending {
            self.history.maintain(Maintenance {
                until: now,
                ..one.clone()
            });
        }
        ending.into_iter().map(|one| one.id).collect()
    }

    fn maintenance(&self) -> Vec<Maintenance> {
        let now = clock::now();
        let mut all = open_windows(&self.catalog.load().alerting.maintenance, now);
        all.extend(self.history.maintenance(clock::unix_seconds(now)));
        all
    }

    fn annotate(&self, annotation: Annotation) {
        self.history.annotate(&annotation);
        let age = clock::unix_seconds(clock::now()) - annotation.at;
        let recent = age < self.catalog.load().alerting.deploy_grace.as_secs_f64();
        if let Some(desk) = self.desk.load_full().filter(|_| recent && annotation.version.is_some()) {
            desk.mark_deploy();
        }
    }
}
