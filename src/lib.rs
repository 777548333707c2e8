//! stagewatch: continuous synthetic monitoring of a staging environment.

pub mod crypto;
pub mod rehearsal;
