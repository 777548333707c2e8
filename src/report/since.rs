//! What is different since the iteration before: newly failing, recovered, no longer judged, slower; and which checks flap.
//! Pure: it compares iterations.

use super::{Iteration, count, milliseconds};
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A promise is slower when it takes this much longer than before, and at least [`SLOWER_MS`].
const SLOWER_RATIO: f64 = 1.25;
/// See [`SLOWER_RATIO`].
const SLOWER_MS: f64 = 5.0;
/// Changes between pass and fail from which a check flaps: once broken and once mended is no flapping.
const FLAPS_FROM: usize = 3;

/// What is different since the iteration before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// When the iteration before was made, RFC 3339.
    pub started_at: String,
    /// Checks (`module/check`) that fail and did not.
    pub newly_failing: Vec<String>,
    /// Checks that pass and failed.
    pub recovered: Vec<String>,
    /// Checks that are unknown and were judged.
    pub newly_unknown: Vec<String>,
    /// Promises that take longer, with what they took and take.
    pub slower: Vec<Slower>,
    /// Checks that changed between pass and fail again and again.
    pub flaky: Vec<Flaky>,
}

/// A promise that takes longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slower {
    /// What is promised.
    pub title: String,
    /// The 95th percentile before, milliseconds.
    pub before_ms: f64,
    /// And now.
    pub now_ms: f64,
}

/// A check that flaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaky {
    /// `module/check`.
    pub check: String,
    /// How often it changed between pass and fail.
    pub changes: usize,
    /// In so many iterations, this one included.
    pub iterations: usize,
}

/// What `now` has that the iterations before it (oldest first) had not; none when there was none.
pub fn since(now: &Iteration, before: &[Iteration]) -> Option<Since> {
    let last = before.last()?;
    let (was, is) = (verdicts(last), verdicts(now));
    let changed = |to: Verdict, from: &[Verdict]| {
        let checks = is
            .iter()
            .filter(|(check, verdict)| **verdict == to && was.get(*check).is_some_and(|before| from.contains(before)));
        checks.map(|(check, _)| check.clone()).collect()
    };
    Some(Since {
        started_at: last.started_at.clone(),
        newly_failing: changed(Verdict::Fail, &[Verdict::Pass, Verdict::Unknown, Verdict::Off]),
        recovered: changed(Verdict::Pass, &[Verdict::Fail]),
        newly_unknown: changed(Verdict::Unknown, &[Verdict::Pass, Verdict::Fail]),
        slower: slower(now, last),
        flaky: flaky(now, before),
    })
}

fn verdicts(iteration: &Iteration) -> BTreeMap<String, Verdict> {
    let checks = iteration.checks();
    checks
        .map(|(module, check)| (format!("{}/{}", module.id, check.id), check.verdict))
        .collect()
}

fn slower(now: &Iteration, last: &Iteration) -> Vec<Slower> {
    let pairs = now.latency_targets.iter().filter_map(|result| {
        let before = last.latency_targets.iter().find(|before| before.name == result.name)?;
        let (before_ms, now_ms) = (before.measured_ms?, result.measured_ms?);
        (now_ms > before_ms * SLOWER_RATIO && now_ms - before_ms >= SLOWER_MS).then(|| Slower {
            title: result.title.clone(),
            before_ms,
            now_ms,
        })
    });
    pairs.collect()
}

fn flaky(now: &Iteration, before: &[Iteration]) -> Vec<Flaky> {
    let mut judged: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    for iteration in before.iter().chain([now]) {
        for (check, verdict) in verdicts(iteration) {
            if matches!(verdict, Verdict::Pass | Verdict::Fail) {
                judged.entry(check).or_default().push(verdict);
            }
        }
    }
    let flaps = judged.into_iter().filter_map(|(check, verdicts)| {
        let changes = verdicts.windows(2).filter(|pair| pair[0] != pair[1]).count();
        (changes >= FLAPS_FROM).then_some(Flaky {
            check,
            changes,
            iterations: before.len() + 1,
        })
    });
    flaps.collect()
}

impl Since {
    /// Each kind of difference with its lines, the empty ones included.
    pub(super) fn sections(&self) -> [(&'static str, Vec<String>); 5] {
        let slower = self.slower.iter().map(|one| {
            let (before, now) = (milliseconds(one.before_ms), milliseconds(one.now_ms));
            format!("{}: {before}, now {now}", one.title)
        });
        let flaky = self.flaky.iter().map(|one| {
            let (changes, of) = (count(one.changes, "change"), count(one.iterations, "iteration"));
            format!("{}: {changes} between pass and fail in {of}", one.check)
        });
        [
            ("Newly failing", self.newly_failing.clone()),
            ("Recovered", self.recovered.clone()),
            ("No longer judged", self.newly_unknown.clone()),
            ("Slower", slower.collect()),
            ("Flaky", flaky.collect()),
        ]
    }
}
