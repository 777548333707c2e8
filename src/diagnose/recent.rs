//! Which of what was seen may explain something that began to be wrong: what was known from then on, and nothing that was
//! answered before. Pure.

use crate::limits::{EVIDENCE_FOR, EVIDENCE_RUNS_MAX};
use crate::run::Judgement;
use crate::transcript::{Entry, Observation, Transcript};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How far two readings of one moment may lie apart, seconds.
const ROUNDING_S: f64 = 1e-3;

/// The newest runs of every scenario: the newest one, and those shortly before it, so that a burst of attempts is evidence as
/// a whole.
#[derive(Debug, Default)]
pub struct Recent(BTreeMap<String, VecDeque<Arc<Transcript>>>);

impl Recent {
    /// Remembers what a run saw.
    pub fn see(&mut self, seen: &Arc<Transcript>) {
        let runs = self.0.entry(seen.scenario.clone()).or_default();
        let place = runs.partition_point(|run| run.started_unix <= seen.started_unix);
        runs.insert(place, Arc::clone(seen));
        let newest = runs.back().map_or(seen.started_unix, |run| run.started_unix);
        let old = |run: &Arc<Transcript>| newest - run.started_unix > EVIDENCE_FOR.as_secs_f64();
        while runs.len() > EVIDENCE_RUNS_MAX || (runs.len() > 1 && runs.front().is_some_and(old)) {
            runs.pop_front();
        }
    }

    /// The newest run of a scenario.
    pub fn newest(&self, scenario: &str) -> Option<&Arc<Transcript>> {
        self.0.get(scenario)?.back()
    }

    /// The runs that ended at `began` (seconds since 1970) or later, whole.
    pub fn kept(&self, began: f64) -> impl Iterator<Item = &Arc<Transcript>> {
        let ended = move |run: &&Arc<Transcript>| run.started_unix + run.duration_ms / 1e3 >= began - ROUNDING_S;
        self.0.values().flatten().filter(ended)
    }

    /// What was seen since `began`, seconds since 1970.
    pub fn since(&self, began: f64) -> Vec<Arc<Transcript>> {
        since(self.0.values().flatten(), began)
    }
}

/// What of `transcripts` was known at `began` (seconds since 1970) or later: of a run that was under way then, the steps that
/// ended since. A socket held since before was opened rightly, and says nothing.
pub fn since<'a>(transcripts: impl IntoIterator<Item = &'a Arc<Transcript>>, began: f64) -> Vec<Arc<Transcript>> {
    let began = began - ROUNDING_S;
    let known = |seen: &'a Arc<Transcript>| {
        if seen.started_unix >= began {
            return Some(Arc::clone(seen));
        }
        let ended = |offset_ms: f64| seen.started_unix + offset_ms / 1e3;
        if ended(seen.duration_ms) < began {
            return None;
        }
        let mut rest = Transcript::clone(seen);
        rest.entries.retain(|entry| ended(known_ms(entry)) >= began);
        (!rest.entries.is_empty()).then(|| Arc::new(rest))
    };
    transcripts.into_iter().filter_map(known).collect()
}

/// When a step's answer was known, milliseconds after the start of its run: at its end; of an upgrade that was looked at for a
/// while, when it began to speak.
pub fn known_ms(entry: &Entry) -> f64 {
    let spoke = match &entry.seen {
        Observation::Upgrade(upgrade) => upgrade.frames.first(),
        _ => None,
    };
    spoke.map_or(entry.offset_ms + entry.duration_ms, |frame| frame.offset_ms)
}

/// Since when (seconds since 1970) what a run saw was wrong, as far as `judgement` says: the start of the step at which it broke
/// off, or of the first step that a broken expectation names; else of the run.
pub fn wrong_since(seen: &Transcript, judgement: Option<&Judgement>) -> f64 {
    let moment = |offset_ms: f64| seen.started_unix + offset_ms / 1e3;
    let broke = seen.broke_off.as_ref();
    if let Some(entry) = broke.and_then(|broke| seen.entries.iter().rfind(|entry| entry.id == broke.step)) {
        return moment(entry.offset_ms);
    }
    let expectations = judgement.into_iter().flat_map(|judgement| &judgement.expectations);
    let named: BTreeSet<&str> = expectations
        .filter(|judged| judged.held == Some(false))
        .flat_map(|judged| judged.that.split(|part: char| !part.is_alphanumeric() && part != '_'))
        .collect();
    let read = seen.entries.iter().filter(|entry| named.contains(entry.id.as_str()));
    let first = read.map(|entry| entry.offset_ms).min_by(f64::total_cmp);
    moment(first.unwrap_or(0.0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn nothing(id: &str, offset_ms: f64) -> Value {
        json!({ "id": id, "offset_ms": offset_ms, "duration_ms": 10.0, "kind": "nothing" })
    }

    fn seen(run: &str, started: f64, steps: &[(&str, f64)]) -> Arc<Transcript> {
        let entries: Vec<Value> = steps.iter().map(|(id, at)| nothing(id, *at)).collect();
        let whole = json!({
            "scenario": "m/s", "run": run, "started_at": format!("{started}"), "started_unix": started, "duration_ms": 900.0,
            "nonce": "", "trace_id": "", "entries": entries, "time_scale": 1.0, "period_s": 60.0,
        });
        Arc::new(serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn what_was_answered_before_is_no_evidence() {
        let mut recent = Recent::default();
        recent.see(&seen("over", 100.0, &[("a", 0.0), ("b", 800.0)]));
        recent.see(&seen("under way", 101.0, &[("a", 0.0), ("b", 800.0)]));
        recent.see(&seen("after", 102.0, &[("a", 0.0)]));
        let known = recent.since(101.5);
        let steps: Vec<(&str, Vec<&str>)> = known
            .iter()
            .map(|seen| {
                (
                    seen.run.as_str(),
                    seen.entries.iter().map(|entry| entry.id.as_str()).collect(),
                )
            })
            .collect();
        assert_eq!(steps, [("under way", vec!["b"]), ("after", vec!["a"])]);
        // The wrong answer itself is evidence, whatever its moment was rounded to.
        assert_eq!(recent.since(101.810_000_1).first().unwrap().run, "under way");
        assert_eq!(recent.newest("m/s").unwrap().run, "after");
    }

    #[test]
    fn a_burst_is_kept_whole_and_no_more() {
        let mut recent = Recent::default();
        for number in 0..20 {
            recent.see(&seen("burst", f64::from(number), &[("a", 0.0)]));
        }
        assert_eq!(recent.since(0.0).len(), EVIDENCE_RUNS_MAX);
        recent.see(&seen("later", 1000.0, &[("a", 0.0)]));
        assert_eq!(recent.since(0.0).len(), 1);
        recent.see(&seen("late news", 990.0, &[("a", 0.0)]));
        assert_eq!(recent.newest("m/s").unwrap().run, "later");
    }

    #[test]
    fn it_is_wrong_since_the_step_that_the_broken_expectation_names() {
        let seen = seen("a", 100.0, &[("good", 0.0), ("bad", 500.0)]);
        let judgement: Judgement = serde_json::from_value(json!({
            "module": "m", "id": "c", "title": "", "at": "", "verdict": "fail", "transcripts": [], "duration_ms": 1.0,
            "expectations": [
                { "that": "good.status == 200", "held": true, "message": "" },
                { "that": "bad.status == 200", "held": false, "message": "" },
            ],
        }))
        .unwrap();
        assert!((wrong_since(&seen, Some(&judgement)) - 100.5).abs() < 1e-9);
        assert!((wrong_since(&seen, None) - 100.0).abs() < 1e-9);
    }
}
