//! An incident with what the history has beside it: for the API, the page, reports and bundles alike.

use super::query::Reader;
use super::{HistoryError, StoredAlert};
use crate::incident::Incident;
use crate::notice::Annotation;
use crate::sensitive::{Viewer, shows};

/// An incident with what the history has beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The incident.
    pub incident: Incident,
    /// What people said shortly before it and until its end, oldest first: deploys above all.
    pub marks: Vec<Annotation>,
    /// Alerts that fired while it was open, oldest first.
    pub alerts: Vec<StoredAlert>,
    /// Whether what it was judged from is still there.
    pub evidence_kept: bool,
}

impl Account {
    /// As `viewer` may see it.
    #[must_use]
    pub fn seen_by(mut self, viewer: Viewer) -> Self {
        self.incident = self.incident.seen_by(viewer);
        if !shows(self.incident.sensitive, viewer) {
            for alert in &mut self.alerts {
                alert.annotations.clear();
            }
        }
        self
    }
}

impl Reader {
    /// The account of the incident of this id, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account(&self, id: &str) -> Result<Option<Account>, HistoryError> {
        self.incident(id)?.map(|incident| self.account_of(incident)).transpose()
    }

    /// The account of an incident that was read before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account_of(&self, incident: Incident) -> Result<Account, HistoryError> {
        Ok(Account {
            marks: self.incident_marks(&incident)?,
            alerts: self.incident_alerts(&incident)?,
            evidence_kept: self.incident_evidence(&incident.id)?.is_some(),
            incident,
        })
    }
}
