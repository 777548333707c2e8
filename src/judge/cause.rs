//! Why something could not be judged.

use crate::failure::{Blame, Failure, Kind};
use crate::verdict::UnknownReason;

/// Why an expectation, a part or a check is unknown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    /// The reason.
    pub reason: UnknownReason,
    /// For `blocked_by`: what broke, and how.
    pub blocked_by: Option<String>,
    /// Who is to blame.
    pub blame: Option<Blame>,
    /// The failure of what broke.
    pub failure: Option<Failure>,
    /// What to say.
    pub note: String,
}

impl Cause {
    /// A reason without a failure. Our own shortcomings are blamed on the monitor, the rest on nobody.
    pub(super) fn plain(reason: UnknownReason, note: impl Into<String>) -> Self {
        let ours = matches!(
            reason,
            UnknownReason::Monitor | UnknownReason::Missed | UnknownReason::Budget | UnknownReason::CredentialMissing
        );
        Self {
            reason,
            blocked_by: None,
            blame: ours.then_some(Blame::Monitor),
            failure: None,
            note: note.into(),
        }
    }

    /// What the failure of a step at `place` (`module/scenario.step`) means for whatever needs that step: our own
    /// shortcomings have reasons of their own, everything else blocks.
    pub(super) fn of_failure(place: &str, failure: &Failure) -> Self {
        let said = format!("{place}: {failure}");
        let reason = match (failure.blame, failure.kind) {
            (Blame::Monitor, Kind::CredentialMissing) => UnknownReason::CredentialMissing,
            (Blame::Monitor, Kind::BudgetExhausted) => UnknownReason::Budget,
            (Blame::Monitor, _) => UnknownReason::Monitor,
            (Blame::Target | Blame::Path, _) => UnknownReason::BlockedBy,
        };
        let blocks = reason == UnknownReason::BlockedBy;
        Self {
            reason,
            note: if blocks {
                format!("blocked by {said}")
            } else {
                said.clone()
            },
            blocked_by: blocks.then_some(said),
            blame: Some(failure.blame),
            failure: Some(failure.clone()),
        }
    }
}
