//! The four verdicts and the closed set of reasons for `unknown`. Pure data.

use crate::closed_set;

closed_set! {
    /// What a judgement says. Only `pass` is green.
    pub enum Verdict {
        /// Every expectation was evaluated on evidence and held.
        Pass => "pass",
        /// At least one expectation is contradicted by evidence.
        Fail => "fail",
        /// It should have been judged and was not; an [`UnknownReason`] says why.
        Unknown => "unknown",
        /// Configuration or timetable says not to run it.
        Off => "off",
    }
}

impl Verdict {
    /// The worse of two part verdicts: fail, then unknown, then pass; `off` gives way to anything.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |verdict| match verdict {
            Self::Fail => 3,
            Self::Unknown => 2,
            Self::Pass => 1,
            Self::Off => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

closed_set! {
    /// Why a check could not be judged (design.md, "unknown reason").
    pub enum UnknownReason {
        /// A prerequisite was seen broken; the judgement names it.
        BlockedBy => "blocked_by",
        /// Nothing happened that could have been judged.
        NoActivity => "no_activity",
        /// The window holds too few samples or is too short.
        WindowTooShort => "window_too_short",
        /// No restart of the target was observed in the window.
        NoRestartSeen => "no_restart_seen",
        /// The credential that the check needs is not configured or could not be had.
        CredentialMissing => "credential_missing",
        /// Our own budget, or the target's rate limit, did not allow the run.
        Budget => "budget",
        /// The target does not offer what the check would judge.
        NotInContract => "not_in_contract",
        /// The run's slot was missed.
        Missed => "missed",
        /// The evidence is older than allowed.
        Stale => "stale",
        /// Our own fault: network, descriptors, disk, clock, a bug.
        Monitor => "monitor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_wins() {
        assert_eq!(Verdict::Pass.worse(Verdict::Unknown), Verdict::Unknown);
        assert_eq!(Verdict::Fail.worse(Verdict::Unknown), Verdict::Fail);
        assert_eq!(Verdict::Off.worse(Verdict::Pass), Verdict::Pass);
    }

    #[test]
    fn names_parse_back() {
        for reason in UnknownReason::ALL {
            assert_eq!(reason.as_str().parse::<UnknownReason>().as_ref(), Ok(reason));
        }
    }
}
