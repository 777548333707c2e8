//! An incident with what the history has beside it.

use crate::history::{HistoryError, Reader};
use crate::incident::Incident;
use crate::report::Account;

/// The account of an incident: what people said shortly before it and until its end, and the alerts that fired.
///
/// # Errors
/// When the store cannot be read.
pub fn account(reader: &Reader, incident: Incident) -> Result<Account, HistoryError> {
    Ok(Account {
        marks: reader.incident_marks(&incident)?,
        alerts: reader.incident_alerts(&incident)?,
        incident,
    })
}

/// The account of the incident of this id, if there is one.
///
/// # Errors
/// When the store cannot be read.
pub fn find(reader: &Reader, id: &str) -> Result<Option<Account>, HistoryError> {
    reader
        .incident(id)?
        .map(|incident| account(reader, incident))
        .transpose()
}
