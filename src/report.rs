//! One iteration for people and machines: text, JSON, JUnit XML, Markdown. Pure renderers: the same iteration gives the
//! same bytes. What a target said is hostile and is made inert by each renderer.

use crate::catalog::Severity;
use crate::closed_set;
use crate::diagnose::Diagnosis;
use crate::run::Judgement;
use crate::sensitive::{Viewer, shows, withheld};
use crate::verdict::{UnknownReason, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

mod beside;
mod explained;
mod findings;
mod html;
mod incident;
mod inert;
mod json;
mod junit;
mod markdown;
mod repeat;
mod since;
mod text;

pub use explained::{diagnosis_markdown, diagnosis_text};
pub use html::html;
pub use incident::incident_markdown;
pub use inert::json as inert_json;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use repeat::repeat;
pub use since::{Flaky, Since, Slower, since};
pub use text::text;

closed_set! {
    /// How an iteration is written.
    pub enum Format {
        /// A table for people.
        Text => "text",
        /// For programs.
        Json => "json",
        /// For CI systems.
        Junit => "junit",
        /// The iteration report.
        Markdown => "markdown",
        /// The iteration report as one self-contained page.
        Html => "html",
    }
}

/// Whether the text table is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Ansi,
}

/// All verdicts at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// Name of the target.
    pub target: String,
    /// Its environment.
    pub environment: String,
    /// RFC 3339 UTC.
    pub started_at: String,
    /// How long it took.
    pub duration_s: f64,
    /// Modules by number.
    pub modules: Vec<ModuleResult>,
    /// The promises about latency.
    pub latency_targets: Vec<LatencyResult>,
    /// What the diagnosis rules say.
    pub diagnosis: Diagnosis,
    /// Checks (`module/check`) whose texts are only for callers who may see sensitive findings.
    #[serde(default)]
    pub sensitive: BTreeSet<String>,
    /// What is different since the iteration before; none when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// One module of an iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleResult {
    /// Number in the report.
    pub number: u32,
    /// Identifier.
    pub id: String,
    /// Title.
    pub title: String,
    /// Severity of its findings.
    pub severity: Severity,
    /// See [`module_verdict`].
    pub verdict: Verdict,
    /// Judgements in the order of the configuration.
    pub checks: Vec<Judgement>,
}

/// What was measured against a promise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyResult {
    /// Name.
    pub name: String,
    /// What is promised.
    pub title: String,
    /// The promise, milliseconds.
    pub target_ms: f64,
    /// The 95th percentile, milliseconds; absent with fewer samples than are needed.
    pub measured_ms: Option<f64>,
    /// Samples in the window.
    pub samples: u64,
    /// Network floor beside it, milliseconds.
    pub floor_ms: Option<f64>,
}

impl LatencyResult {
    /// Whether the promise was kept; unknown while it was not measured.
    pub fn verdict(&self) -> Verdict {
        match self.measured_ms {
            None => Verdict::Unknown,
            Some(measured) if measured <= self.target_ms => Verdict::Pass,
            Some(_) => Verdict::Fail,
        }
    }
}

/// Verdicts counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `pass`.
    pub pass: usize,
    /// `fail`.
    pub fail: usize,
    /// `unknown`.
    pub unknown: usize,
    /// `off`.
    pub off: usize,
}

impl Counts {
    /// Counts `verdicts`.
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Pass => counts.pass += 1,
                Verdict::Fail => counts.fail += 1,
                Verdict::Unknown => counts.unknown += 1,
                Verdict::Off => counts.off += 1,
            }
        }
        counts
    }

    /// All of them.
    pub const fn total(self) -> usize {
        self.pass + self.fail + self.unknown + self.off
    }
}

/// An iteration in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Checks by verdict.
    pub checks: Counts,
    /// Modules by verdict.
    pub modules: Counts,
}

impl ModuleResult {
    /// A module with its verdict.
    pub fn new(number: u32, names: (&str, &str), severity: Severity, checks: Vec<Judgement>) -> Self {
        let (id, title) = names;
        Self {
            number,
            id: id.to_owned(),
            title: title.to_owned(),
            severity,
            verdict: module_verdict(checks.iter().map(|check| check.verdict)),
            checks,
        }
    }
}

/// The verdict of a module: pass when all its checks that are not off pass, fail if any fails, off if all are off, else
/// unknown. A module without checks is off.
pub fn module_verdict(checks: impl IntoIterator<Item = Verdict>) -> Verdict {
    checks.into_iter().fold(Verdict::Off, Verdict::worse)
}

impl Iteration {
    /// The iteration in numbers.
    pub fn summary(&self) -> Summary {
        Summary {
            checks: Counts::of(self.checks().map(|(_, check)| check.verdict)),
            modules: Counts::of(self.modules.iter().map(|module| module.verdict)),
        }
    }

    /// Every judgement with its module.
    pub fn checks(&self) -> impl Iterator<Item = (&ModuleResult, &Judgement)> {
        self.modules
            .iter()
            .flat_map(|module| module.checks.iter().map(move |check| (module, check)))
    }

    /// The iteration as `viewer` may see it: sensitive checks and findings without their texts.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        let mut shown = self.clone();
        shown.diagnosis = shown.diagnosis.seen_by(viewer);
        for module in &mut shown.modules {
            for check in &mut module.checks {
                if !shows(self.sensitive.contains(&format!("{}/{}", module.id, check.id)), viewer) {
                    *check = withheld(check);
                }
            }
        }
        shown
    }

    /// What the process ends with (design.md, "Command line"): 1 if a check fails, else 3 if one is unknown, else 0.
    pub fn exit_code(&self) -> u8 {
        match self.summary().checks {
            Counts { fail: 1.., .. } => 1,
            Counts { unknown: 1.., .. } => 3,
            _ => 0,
        }
    }
}

/// Writes `iteration`.
pub fn render(iteration: &Iteration, format: Format, colour: Colour) -> String {
    match format {
        Format::Text => text(iteration, colour),
        Format::Json => json(iteration),
        Format::Junit => junit(iteration),
        Format::Markdown => markdown(iteration),
        Format::Html => html(iteration),
    }
}

/// What a judgement says first: the message of its first false expectation, else of its first open one.
fn first_message(check: &Judgement) -> &str {
    let says = |held: Option<bool>| {
        let mut of_kind = check.expectations.iter().filter(move |judged| judged.held == held);
        of_kind.find(|judged| !judged.message.is_empty())
    };
    let said = match check.verdict {
        Verdict::Fail => says(Some(false)),
        Verdict::Unknown | Verdict::Off => says(None),
        Verdict::Pass => None,
    };
    said.map_or("", |judged| judged.message.as_str())
}

/// Why a check is unknown: the reason and what it says; what blocks says so itself.
fn why_unknown(check: &Judgement) -> String {
    match (check.reason, first_message(check)) {
        (Some(UnknownReason::BlockedBy), said) if said.starts_with("blocked by") => said.to_owned(),
        (Some(reason), said) => format!("{reason}: {said}"),
        (None, said) => said.to_owned(),
    }
}

/// Milliseconds for people: one decimal below 100.
fn milliseconds(value: f64) -> String {
    if value < 100.0 {
        format!("{} ms", (value * 10.0).round() / 10.0)
    } else {
        format!("{} ms", value.round())
    }
}

/// `1 check`, `2 checks`.
fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_as_good_as_its_worst_check_that_is_not_off() {
        use Verdict::{Fail, Off, Pass, Unknown};
        let rows = [
            (vec![Pass, Pass], Pass),
            (vec![Pass, Off], Pass),
            (vec![Pass, Unknown], Unknown),
            (vec![Fail, Unknown], Fail),
            (vec![Off, Off], Off),
            (vec![], Off),
        ];
        for (checks, expected) in rows {
            assert_eq!(module_verdict(checks.clone()), expected, "{checks:?}");
        }
    }

    #[test]
    fn milliseconds_are_short() {
        assert_eq!(milliseconds(42.26), "42.3 ms");
        assert_eq!(milliseconds(872.4), "872 ms");
        assert_eq!(milliseconds(50.0), "50 ms");
    }
}
