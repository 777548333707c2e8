//! The scenario runner: carries out steps against the target and gives a transcript. It decides nothing about the target:
//! it sees no metric and no verdict.

mod bindings;
mod controls;
mod credentials;
pub mod journal;
mod traffic;

pub use journal::{HandshakeUse, Journal, MemoryJournal, UserRest};

use crate::transcript::Transcript;
use crate::verdict::UnknownReason;

/// What became of one run.
#[derive(Debug)]
pub enum Outcome {
    /// It ran, perhaps not to its end.
    Ran(Box<Transcript>),
    /// Nothing was sent.
    Refused {
        /// Why the checks that needed it are unknown.
        reason: UnknownReason,
        /// One fragment for people.
        note: String,
    },
}

/// How much is left of a budget of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetLevel {
    /// Name of the rate limit or of the pool.
    pub name: String,
    /// What is left of it, 0 to 1.
    pub remaining_ratio: f64,
}
