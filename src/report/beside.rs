//! Sections of the Markdown report that stand beside the findings: what was not judged and why, what is different since the
//! iteration before, and where the evidence is.

use super::inert::{code, prose};
use super::{Iteration, count, why_unknown};
use crate::verdict::{UnknownReason, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Appends a line; writing into a String cannot fail.
macro_rules! put {
    ($out:expr, $($words:tt)*) => {{ let _ = writeln!($out, $($words)*); }};
}

/// What a reason means for people.
fn meaning(reason: UnknownReason) -> &'static str {
    match reason {
        UnknownReason::BlockedBy => "what they need failed first",
        UnknownReason::NoActivity => "nothing happened that they could judge",
        UnknownReason::WindowTooShort => "they judge a longer time than was watched",
        UnknownReason::NoRestartSeen => "they judge restarts, and none was seen",
        UnknownReason::CredentialMissing => "a credential is not configured",
        UnknownReason::Budget => "the target's limits left no room",
        UnknownReason::NotInContract => "the target does not offer what they need",
        UnknownReason::Missed => "their runs were missed",
        UnknownReason::Stale => "their evidence is too old",
        UnknownReason::Monitor => "a fault of the monitor itself",
    }
}

/// The checks that could not be judged, by reason.
pub(super) fn unknowns(iteration: &Iteration, out: &mut String) {
    let unknown: Vec<_> = iteration
        .checks()
        .filter(|(_, check)| check.verdict == Verdict::Unknown)
        .collect();
    if unknown.is_empty() {
        return;
    }
    put!(out, "\n## Not judged ({})\n", count(unknown.len(), "check"));
    put!(out, "These are not green: nothing is known of what they watch.");
    for reason in UnknownReason::ALL {
        let of_reason: Vec<_> = unknown
            .iter()
            .filter(|(_, check)| check.reason == Some(*reason))
            .collect();
        if of_reason.is_empty() {
            continue;
        }
        put!(out, "\n### {} ({}): {}\n", reason, of_reason.len(), meaning(*reason));
        for (module, check) in of_reason {
            let name = code(&format!("{}/{}", module.id, check.id));
            put!(out, "- {name}: {}", code(&why_unknown(check)));
        }
    }
}

/// What is different since the iteration before.
pub(super) fn since(iteration: &Iteration, out: &mut String) {
    put!(out, "\n## Since the previous iteration\n");
    let Some(since) = &iteration.since else {
        put!(out, "There is no previous iteration to compare with.");
        return;
    };
    put!(out, "Compared with {}.\n", prose(&since.started_at));
    for (heading, lines) in since.sections() {
        if lines.is_empty() {
            put!(out, "- **{heading}:** none");
            continue;
        }
        put!(out, "- **{heading}:**");
        for line in lines {
            put!(out, "  - {}", code(&line));
        }
    }
}

/// The runs that the failed checks rest on, each once.
pub(super) fn evidence(iteration: &Iteration, out: &mut String) {
    let mut runs: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (module, check) in iteration.checks().filter(|(_, check)| check.verdict == Verdict::Fail) {
        for read in &check.transcripts {
            let checks = runs.entry((&read.scenario, &read.run)).or_default();
            checks.push(format!("{}/{}", module.id, check.id));
        }
    }
    if runs.is_empty() {
        return;
    }
    put!(out, "\n## Evidence\n");
    put!(
        out,
        "Whole transcripts are in the history: {}.\n",
        code("stagewatch history runs --data-dir DIR")
    );
    for ((scenario, run), checks) in runs {
        put!(
            out,
            "- run {} of {}: {}",
            code(run),
            code(scenario),
            code(&checks.join(", "))
        );
    }
}
