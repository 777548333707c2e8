//! The diagnosis of an iteration that was just made or is stored: hands the catalog's rules their evidence.

use crate::catalog::Catalog;
use crate::diagnose::{Diagnosis, Evidence, diagnose};
use crate::run::Judgement;
use crate::transcript::Transcript;
use std::sync::Arc;

/// What the catalog's rules say of `transcripts` and `judgements`.
pub fn explain(catalog: &Catalog, transcripts: &[Arc<Transcript>], judgements: &[&Judgement]) -> Diagnosis {
    diagnose(
        &catalog.diagnosis,
        &Evidence {
            transcripts,
            judgements,
            facts: &catalog.target.facts,
            functions: &catalog.target.functions,
            time_scale: catalog.time_scale,
        },
    )
}
