//! Verdicts of other checks as expectations of this one.

use super::VerdictSeen;
use super::cause::Cause;
use super::expectation::Finding;
use crate::failure::{Failure, Kind};
use crate::run::Judged;
use crate::verdict::{UnknownReason, Verdict};

fn judged(check: &str, held: Option<bool>, message: String) -> Judged {
    Judged {
        part: String::new(),
        that: format!("{check} passes"),
        held,
        message,
        values: Vec::new(),
    }
}

/// A roll-up that cannot be judged.
pub(super) fn open(check: &str, cause: Cause) -> (Judged, Finding) {
    (judged(check, None, cause.note.clone()), Finding::Open(cause))
}

/// What it means that a check was not judged before this one.
pub(super) fn not_judged_yet(check: &str) -> Cause {
    Cause {
        blocked_by: Some(check.to_owned()),
        ..Cause::plain(UnknownReason::BlockedBy, format!("{check} has no verdict yet"))
    }
}

/// Judges that `check` passes.
pub(super) fn judge(check: &str, seen: Option<&VerdictSeen>) -> (Judged, Finding) {
    let Some(seen) = seen else {
        return open(check, not_judged_yet(check));
    };
    let said = |what: &str| match seen.message.as_str() {
        "" => format!("{check} {what}"),
        message => format!("{check} {what}: {message}"),
    };
    match seen.verdict {
        Verdict::Pass => (judged(check, Some(true), String::new()), Finding::Held),
        Verdict::Off => (judged(check, None, said("is off")), Finding::Off),
        Verdict::Fail => {
            let message = said("fails");
            let failure = seen.failure.clone();
            let failure = failure.unwrap_or_else(|| Failure::new(Kind::Expectation, message.clone()));
            let step = Some(check.to_owned());
            (judged(check, Some(false), message), Finding::Broken { failure, step })
        }
        Verdict::Unknown => {
            let reason = seen.reason.unwrap_or(UnknownReason::NoActivity);
            let message = said(&format!("is unknown ({reason})"));
            let cause = Cause {
                blocked_by: Some(message.clone()),
                blame: seen.failure.as_ref().map(|failure| failure.blame),
                failure: seen.failure.clone(),
                ..Cause::plain(UnknownReason::BlockedBy, message)
            };
            open(check, cause)
        }
    }
}
