//! Brings evidence and checks together: after each run it judges every check that can be judged anew, with the freshest
//! transcripts of the other scenarios it needs, and hands what came out to the sinks. It says when evidence is too old, and
//! leaves the judging to the judge. No IO but reading the ledger; the moment is always given.

mod reload;

use super::depends::Depends;
use super::grounds::Grounds;
use super::rejudge::{StoredEvidence, StoredInputs};
use super::select;
pub use super::standing::{Freshness, Moment};
use super::standing::{Standing, Standings};
use crate::catalog::{Catalog, Check, Scenario};
use crate::expression::Scope;
use crate::failure::Kind;
use crate::history::Ledger;
use crate::judge::{Evidence, Inputs, Ruling, TranscriptView, VerdictSeen, rule};
use crate::run::{ExtractRef, Judgement, Measured, Missed, Run};
use crate::scenario::Outcome;
use crate::schedule::{Event, plan};
use crate::verdict::{UnknownReason, Verdict};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of a check.
struct Judged {
    check: Arc<Check>,
    id: String,
    /// It reads no scenario: it is judged at its own period.
    passive: bool,
    last: Option<Arc<Judgement>>,
    judged_at: f64,
    /// What its last judgement that counted was decided on.
    grounds: Grounds,
    /// How many of its judgements counted.
    counted: u64,
}

/// Keeps the latest evidence and the latest judgements.
pub struct Assembler {
    catalog: Arc<Catalog>,
    ledger: Arc<dyn Ledger>,
    facts: Map<String, Value>,
    depends: Depends,
    standings: Standings,
    judged: Vec<Judged>,
}

/// Judgements made together, with what they were made from.
#[derive(Default)]
struct Made {
    judgements: Vec<Arc<Judgement>>,
    inputs: Vec<Arc<Value>>,
    repeated: Vec<Arc<Judgement>>,
}

impl Assembler {
    /// Nothing is known yet.
    pub fn new(catalog: Arc<Catalog>, ledger: Arc<dyn Ledger>, (freshness, now): (Freshness, &Moment)) -> Self {
        let depends = Depends::of(&catalog);
        let judged = depends.order.iter().map(|check| Judged {
            id: check.full_id(),
            passive: check.scenarios().is_empty(),
            check: Arc::clone(check),
            last: None,
            judged_at: 0.0,
            grounds: Grounds::default(),
            counted: 0,
        });
        Self {
            facts: catalog.target.facts.clone().into_iter().collect(),
            standings: Standings::new(&catalog, freshness, now),
            judged: judged.collect(),
            depends,
            catalog,
            ledger,
        }
    }

    /// Takes what the schedule says and gives what sinks are to know.
    pub fn take(&mut self, event: Event, now: &Moment) -> Run {
        match event {
            Event::Finished { scenario, outcome } => self.finished(&scenario, outcome, now),
            Event::Missed { scenario, slots } => self.missed(&scenario, slots, now),
            Event::Inactive { scenario } => {
                let note = format!("outside the active hours of {}", scenario.module);
                self.standings.set(&scenario.id, Standing::Off { note });
                self.judge_reading(&scenario.id, now)
            }
        }
    }

    /// Judges what is due by time alone: passive checks and roll-ups, and checks whose evidence has become too old.
    pub fn tick(&mut self, now: &Moment) -> Option<Run> {
        let passive_period = plan::passive_period(self.catalog.time_scale);
        let due = (0..self.judged.len()).filter(|place| {
            let state = &self.judged[*place];
            if state.passive {
                return now.unix - state.judged_at >= passive_period.as_secs_f64();
            }
            // Never judged although nothing is waited for: everything it needs is off.
            self.gone_stale(state, now) || (state.last.is_none() && !self.waits(*place, now))
        });
        let due: BTreeSet<usize> = due.collect();
        let made = self.judge_places(due, Waiting::ForFirstRuns, now);
        let nothing = made.judgements.is_empty() && made.repeated.is_empty();
        (!nothing).then(|| run(made, now))
    }

    /// Judges the checks named (full ids) with whatever there is: the end of an iteration.
    pub fn judge_all(&mut self, checks: &BTreeSet<String>, now: &Moment) -> Run {
        let places = (0..self.judged.len()).filter(|place| checks.contains(&self.judged[*place].id));
        let places = places.collect();
        run(self.judge_places(places, Waiting::ForNothing, now), now)
    }

    /// The latest judgement of a check (full id).
    pub fn latest(&self, check: &str) -> Option<&Arc<Judgement>> {
        self.judged.iter().find(|state| state.id == check)?.last.as_ref()
    }

    fn finished(&mut self, scenario: &Arc<Scenario>, outcome: Outcome, now: &Moment) -> Run {
        let transcript = match outcome {
            Outcome::Refused { reason, note } => {
                self.standings.set(&scenario.id, Standing::Refused { reason, note });
                return self.judge_reading(&scenario.id, now);
            }
            Outcome::Ran(transcript) => Arc::new(*transcript),
        };
        let cancelled = transcript
            .broke_off
            .as_ref()
            .is_some_and(|broke| broke.failure.kind == Kind::Cancelled);
        let view = Arc::new(TranscriptView::new(Arc::clone(&transcript)));
        let measures = self.measure(scenario, &view);
        let mut run = if cancelled {
            // We stopped it ourselves: it is kept, but nothing is concluded from it.
            run(Made::default(), now)
        } else {
            self.standings
                .set(&scenario.id, Standing::Seen { view, ended: now.unix });
            self.judge_reading(&scenario.id, now)
        };
        run.transcript = Some(transcript);
        run.measures = measures;
        run
    }

    fn missed(&self, scenario: &Arc<Scenario>, slots: u64, now: &Moment) -> Run {
        let checks = self.depends.on_scenario(&scenario.id).iter().map(|place| {
            let check = &self.judged[*place].check;
            (check.module.clone(), check.id.clone())
        });
        let missed = Missed {
            scenario: scenario.id.clone(),
            slots,
            checks: checks.collect(),
        };
        Run {
            missed: Some(missed),
            ..run(Made::default(), now)
        }
    }

    fn judge_reading(&mut self, scenario: &str, now: &Moment) -> Run {
        let places = self.depends.on_scenario(scenario).iter().copied().collect();
        run(self.judge_places(places, Waiting::ForFirstRuns, now), now)
    }

    /// Judges these checks and every check that reads a verdict that changed, in judging order.
    fn judge_places(&mut self, mut places: BTreeSet<usize>, waiting: Waiting, now: &Moment) -> Made {
        let mut made = Made::default();
        while let Some(place) = places.pop_first() {
            if waiting == Waiting::ForFirstRuns && self.waits(place, now) {
                continue;
            }
            let (ruling, inputs) = self.judge_one(place, now);
            let grounds = self.grounds(place, &ruling);
            let judgement = Arc::new(ruling.judgement);
            let state = &mut self.judged[place];
            let changed = state
                .last
                .as_ref()
                .is_none_or(|last| (last.verdict, last.reason) != (judgement.verdict, judgement.reason));
            let counts = changed || waiting == Waiting::ForNothing || state.counts(&judgement, &grounds);
            state.last = Some(Arc::clone(&judgement));
            state.judged_at = now.unix;
            if !counts {
                made.repeated.push(judgement);
                continue;
            }
            state.grounds = grounds;
            state.counted += 1;
            if changed && waiting == Waiting::ForFirstRuns {
                // Places of readers are always later ones, so that each is judged once.
                places.extend(self.depends.on_check(&state.id));
            }
            made.judgements.push(judgement);
            made.inputs.push(Arc::new(inputs));
        }
        made
    }

    /// What a judgement was decided on.
    fn grounds(&self, place: usize, ruling: &Ruling) -> Grounds {
        let heard = |scenario: &str| self.standings.heard(scenario);
        let counted = |check: &str| {
            let state = self.judged.iter().find(|state| state.id == check)?;
            let passes = state.last.as_ref()?.verdict == Verdict::Pass;
            (!passes).then_some(state.counted)
        };
        Grounds::of(&self.judged[place].check, ruling, (heard, counted))
    }

    /// Whether something that the check reads has not run, or was not judged, since the start, and may still come in time.
    fn waits(&self, place: usize, now: &Moment) -> bool {
        let check = &self.judged[place].check;
        let scenarios = check.scenarios().into_iter().any(|id| self.standings.awaited(id, now));
        scenarios || select::reads(check).any(|id| self.latest(id).is_none())
    }

    /// Whether evidence that the last judgement rests on is too old now.
    fn gone_stale(&self, state: &Judged, now: &Moment) -> bool {
        let scenarios = state.check.scenarios().into_iter();
        let longest = scenarios.filter_map(|id| self.standings.gone_stale(id, now)).max();
        // Said once when it happens, and again as often as it should have been judged.
        let already = state
            .last
            .as_ref()
            .is_some_and(|last| matches!(last.reason, Some(UnknownReason::Stale | UnknownReason::Missed)));
        longest.is_some_and(|fresh_for| !already || now.unix - state.judged_at > fresh_for.as_secs_f64())
    }

    fn judge_one(&self, place: usize, now: &Moment) -> (Ruling, Value) {
        let state = &self.judged[place];
        let check = &state.check;
        if let Some(note) = self.passive_off(state) {
            return (bare(check, (Verdict::Off, None), note, now), Value::Null);
        }
        let extracts = match self.extracts(check, now) {
            Ok(extracts) => extracts,
            Err(error) => {
                let note = format!("the ledger cannot be read: {error}");
                let unknown = (Verdict::Unknown, Some(UnknownReason::Monitor));
                return (bare(check, unknown, note, now), Value::Null);
            }
        };
        let evidence: BTreeMap<String, Evidence> = check
            .scenarios()
            .into_iter()
            .map(|id| (id.to_owned(), self.standings.evidence(id, now)))
            .collect();
        let verdicts = self.verdicts(check, now);
        let ruling = rule(
            check,
            &Inputs {
                evidence: &evidence,
                extracts: &extracts,
                verdicts: &verdicts,
                facts: &self.facts,
                functions: &self.catalog.target.functions,
                time_scale: self.catalog.time_scale,
                now_rfc3339: &now.rfc3339,
            },
        );
        let inputs = StoredInputs {
            now: now.rfc3339.clone(),
            time_scale: self.catalog.time_scale,
            evidence: evidence
                .iter()
                .map(|(id, evidence)| (id.clone(), StoredEvidence::of(evidence)))
                .collect(),
            verdicts,
        };
        // Plain data with string keys always serialises.
        let inputs = serde_json::to_value(inputs).unwrap_or_default();
        (ruling, inputs)
    }

    /// A passive check of a module outside its active hours is off with the module's scenarios.
    fn passive_off(&self, state: &Judged) -> Option<String> {
        if !state.passive {
            return None;
        }
        let module = &state.check.module;
        let found = self.catalog.modules.iter().find(|found| found.id == *module)?;
        found.active_hours.as_ref()?;
        let off = self.standings.all_off(module);
        off.then(|| format!("outside the active hours of {module}"))
    }

    fn extracts(&self, check: &Check, now: &Moment) -> Result<Vec<ExtractRef>, crate::history::HistoryError> {
        let mut found = Vec::new();
        for (part, extract) in check
            .parts
            .iter()
            .enumerate()
            .flat_map(|(place, part)| part.extracts.iter().map(move |extract| (place, extract)))
        {
            found.push(ExtractRef {
                part,
                name: extract.name.clone(),
                value: self.ledger.extract(extract, now.unix)?,
            });
        }
        Ok(found)
    }

    fn verdicts(&self, check: &Check, now: &Moment) -> BTreeMap<String, VerdictSeen> {
        let read: BTreeSet<&str> = select::reads(check).collect();
        self.judged
            .iter()
            .filter(|state| read.contains(state.id.as_str()))
            .filter_map(|state| {
                Some((
                    state.id.clone(),
                    VerdictSeen::of(state.last.as_ref()?, (now.unix - state.judged_at).max(0.0)),
                ))
            })
            .collect()
    }

    /// What the scenario's measures give; one that cannot be evaluated (its step did not run, say) gives nothing.
    fn measure(&self, scenario: &Scenario, view: &TranscriptView) -> Vec<Measured> {
        let mut root = Scope::with_functions(&self.catalog.target.functions);
        root.set("target", &Value::Object(self.facts.clone()));
        root.set("time_scale", &Value::from(self.catalog.time_scale));
        let scope = view.scope(&root);
        let taken = scenario.measures.iter().filter_map(|measure| {
            let applies = measure.when.as_ref().is_none_or(|when| when.holds(&scope) == Ok(true));
            let value = measure
                .value
                .evaluate(&scope)
                .ok()
                .filter(|value| applies && !value.is_null())?;
            Some(Measured {
                series: measure.series.clone(),
                value,
                latency_target: measure.latency_target.clone(),
                floor: measure.floor.clone(),
            })
        });
        taken.collect()
    }
}

/// Whether a judgement waits for scenarios that have not run yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ForFirstRuns,
    ForNothing,
}

impl Judged {
    /// Whether a judgement with the same verdict as the last is one more: it passes, or what decided it is new, or it says that
    /// evidence is missing, which is said as often as it should have come.
    fn counts(&self, judgement: &Judgement, grounds: &Grounds) -> bool {
        let missing = matches!(judgement.reason, Some(UnknownReason::Stale | UnknownReason::Missed));
        judgement.verdict == Verdict::Pass || missing || grounds.add_to(&self.grounds)
    }
}

fn run(made: Made, now: &Moment) -> Run {
    Run {
        transcript: None,
        measures: Vec::new(),
        judgements: made.judgements,
        inputs: made.inputs,
        repeated: made.repeated,
        missed: None,
        at: now.unix,
    }
}

/// A judgement that was not made by the judge, because there was nothing to show it.
fn bare(check: &Check, (verdict, reason): (Verdict, Option<UnknownReason>), note: String, now: &Moment) -> Ruling {
    let judgement = Judgement {
        module: check.module.clone(),
        id: check.id.clone(),
        title: check.title.clone(),
        at: now.rfc3339.clone(),
        verdict,
        reason,
        blocked_by: None,
        blames: (reason == Some(UnknownReason::Monitor)).then_some(crate::failure::Blame::Monitor),
        failure: None,
        expectations: Vec::new(),
        notes: vec![note],
        transcripts: Vec::new(),
        extracts: Vec::new(),
        duration_ms: 0.0,
    };
    Ruling {
        judgement,
        deciding: Vec::new(),
    }
}
