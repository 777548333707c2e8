//! The diagnosis of an iteration that was just made or is stored: hands the catalog's rules their evidence.

use crate::catalog::Catalog;
use crate::diagnose::{Diagnosis, Evidence, diagnose};
use crate::run::Judgement;
use crate::transcript::Transcript;
use std::sync::Arc;

/// What the catalog's rules say of `transcripts` and `judgements`.
pub fn explain(catalog: &Catalog, transcripts: &[Arc<Transcript>], judgements: &[&Judgement]) -> Diagnosis {
    let mut diagnosis = diagnose(
        &catalog.diagnosis,
        &Evidence {
            transcripts,
            judgements,
            facts: &catalog.target.facts,
            functions: &catalog.target.functions,
            time_scale: catalog.time_scale,
        },
    );
    let quotes = diagnosis.causes.iter_mut().flat_map(|cause| &mut cause.quotes);
    for quote in quotes {
        let of_run = transcripts.iter().find(|transcript| transcript.run == quote.run);
        quote.log = of_run.and_then(|transcript| log_link(catalog, transcript));
    }
    diagnosis
}

/// Where the target's log of a run is read: for reports, incidents and alerts. None when no log is configured.
pub fn log_link(catalog: &Catalog, transcript: &Transcript) -> Option<String> {
    let logs = catalog.target.logs.as_ref()?;
    Some(logs.of(&transcript.trace_id, transcript.started_unix))
}
