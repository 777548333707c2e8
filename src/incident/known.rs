//! What the fold must know of the checks.

use crate::alert::needing_sockets;
use crate::catalog::{Catalog, Severity};
use std::collections::BTreeMap;

/// What the fold must know of the checks, by full id.
#[derive(Clone, Debug, Default)]
pub struct Known(pub(super) BTreeMap<String, KnownCheck>);

/// What the fold must know of one check.
#[derive(Clone, Copy, Debug)]
pub struct KnownCheck {
    /// Severity of its alerts.
    pub severity: Severity,
    /// Its texts are only for callers who may see them.
    pub sensitive: bool,
    /// It, or a check that it reads, needs a socket.
    pub needs_socket: bool,
}

impl Known {
    /// The checks of `catalog`.
    pub fn of(catalog: &Catalog) -> Self {
        let needing = needing_sockets(catalog);
        let known = catalog.checks().map(|(_, check)| {
            let id = check.full_id();
            let known = KnownCheck {
                severity: check.severity,
                sensitive: check.sensitive,
                needs_socket: needing.contains(&id),
            };
            (id, known)
        });
        Self(known.collect())
    }

    /// These checks, by full id.
    pub fn these(checks: impl IntoIterator<Item = (String, KnownCheck)>) -> Self {
        Self(checks.into_iter().collect())
    }

    pub(super) fn severity(&self, name: &str) -> Severity {
        self.0.get(name).map_or(Severity::Critical, |known| known.severity)
    }

    pub(super) fn sensitive(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|known| known.sensitive)
    }

    pub(super) fn needs_socket(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|known| known.needs_socket)
    }
}
