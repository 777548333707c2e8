//! From evidence to verdict. Pure: no IO, no clock, no chance; the same inputs give the same judgement, byte for byte.
//!
//! A check's parts are judged apart and the worst wins. An expectation is *held*, *broken*, *open* (it could not be
//! judged, and a cause says why) or left out. Only evidence makes a pass: an expectation that reads a step which never
//! ran, an extract that is empty, or an absence without a witness stays open.

use crate::catalog::Check;
use crate::catalog::check::Part;
use crate::clock;
use crate::expression::{Functions, Scope};
use crate::failure::{Blame, Failure};
use crate::run::{ExtractRef, Judged, Judgement};
use crate::verdict::{UnknownReason, Verdict};
use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

mod cause;
mod expectation;
mod roll_up;
mod scene;
mod view;

pub use view::TranscriptView;

use cause::Cause;
use expectation::Finding;
use scene::{Scene, Touched};

/// What there is of one scenario.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// A transcript that is recent enough.
    Seen(Arc<TranscriptView>),
    /// None, or none that is recent enough.
    Absent {
        /// Why.
        reason: UnknownReason,
        /// What to say.
        note: String,
        /// Who is to blame, if anybody.
        blame: Option<Blame>,
    },
    /// Configuration or timetable says not to run it.
    Off {
        /// What to say.
        note: String,
    },
}

/// The latest verdict of another check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerdictSeen {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is unknown.
    pub reason: Option<UnknownReason>,
    /// Seconds since it was judged.
    pub age_s: f64,
    /// Title of the check.
    pub title: String,
    /// What it said, empty if it passed.
    pub message: String,
    /// Its failure, or that of the prerequisite which blocked it.
    pub failure: Option<Failure>,
}

impl VerdictSeen {
    /// The verdict of `judgement`, `age_s` seconds after it was made.
    pub fn of(judgement: &Judgement, age_s: f64) -> Self {
        let says = |held: Option<bool>| judgement.expectations.iter().find(|judged| judged.held == held);
        let message = says(Some(false))
            .or_else(|| says(None))
            .map(|judged| judged.message.clone());
        Self {
            verdict: judgement.verdict,
            reason: judgement.reason,
            age_s,
            title: judgement.title.clone(),
            message: message.unwrap_or_default(),
            failure: judgement.failure.clone(),
        }
    }
}

/// Everything a judgement is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Evidence by full scenario id; a scenario that is not there counts as [`UnknownReason::Missed`].
    pub evidence: &'a BTreeMap<String, Evidence>,
    /// Extracts of the ledger, each with the place of its part.
    pub extracts: &'a [ExtractRef],
    /// Verdicts of other checks by full id, for roll-ups and verdict variables.
    pub verdicts: &'a BTreeMap<String, VerdictSeen>,
    /// `target.*`.
    pub facts: &'a Map<String, Value>,
    /// The configured functions.
    pub functions: &'a Arc<Functions>,
    /// `time_scale`.
    pub time_scale: f64,
    /// When a check without transcripts is judged.
    pub now_rfc3339: &'a str,
}

/// What became of one part.
struct PartJudged {
    verdict: Verdict,
    expectations: Vec<Judged>,
    notes: Vec<String>,
    /// Why it is unknown.
    cause: Option<Cause>,
    /// The first broken expectation: its failure, and for whole-path checks the step that broke.
    failure: Option<(Failure, Option<String>)>,
}

/// A judgement, and the places of the parts that made it what it is: those with the worst verdict.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The judgement.
    pub judgement: Judgement,
    /// Places of the deciding parts, in order.
    pub deciding: Vec<usize>,
}

/// Judges `check`.
pub fn judge(check: &Check, inputs: &Inputs) -> Judgement {
    rule(check, inputs).judgement
}

/// Judges `check`, and says which of its parts decided.
pub fn rule(check: &Check, inputs: &Inputs) -> Ruling {
    let mut root = Scope::with_functions(inputs.functions);
    root.set("target", &Value::Object(inputs.facts.clone()));
    root.set("time_scale", &Value::from(inputs.time_scale));
    let mut hearing = Hearing {
        check,
        inputs,
        root: &root,
        touched: Touched::default(),
    };
    let parts = check.parts.iter().enumerate();
    let parts: Vec<PartJudged> = parts.map(|(place, part)| hearing.part(place, part)).collect();
    let verdict = parts
        .iter()
        .map(|part| part.verdict)
        .reduce(Verdict::worse)
        .unwrap_or(Verdict::Unknown);
    let deciding = parts.iter().enumerate().filter(|(_, part)| part.verdict == verdict);
    let deciding = deciding.map(|(place, _)| place).collect();
    let worst = parts.iter().find(|part| part.verdict == verdict);
    let failure = worst
        .and_then(|part| part.failure.clone())
        .filter(|_| verdict == Verdict::Fail);
    let cause = worst
        .and_then(|part| part.cause.clone())
        .filter(|_| verdict == Verdict::Unknown);
    let (failure, step) = failure.map_or((None, None), |(failure, step)| (Some(failure), step));
    let views = seen(check, inputs);
    let judgement = Judgement {
        module: check.module.clone(),
        id: check.id.clone(),
        title: check.title.clone(),
        at: judged_at(&views).unwrap_or_else(|| inputs.now_rfc3339.to_owned()),
        verdict,
        reason: cause.as_ref().map(|cause| cause.reason),
        blocked_by: cause
            .as_ref()
            .and_then(|cause| cause.blocked_by.clone())
            .or(step.filter(|_| check.whole_path)),
        blames: match (&failure, &cause) {
            (Some(failure), _) => Some(failure.blame),
            (None, Some(cause)) => cause.blame,
            (None, None) => None,
        },
        failure: failure.or_else(|| cause.and_then(|cause| cause.failure)),
        notes: parts.iter().flat_map(|part| part.notes.iter().cloned()).collect(),
        expectations: parts.into_iter().flat_map(|part| part.expectations).collect(),
        transcripts: hearing.touched.into_refs(&views),
        extracts: inputs.extracts.to_vec(),
        duration_ms: views.iter().map(|view| view.transcript().duration_ms).sum(),
    };
    Ruling { judgement, deciding }
}

/// The transcripts that `check` could read, in the order of its needs.
fn seen<'a>(check: &Check, inputs: &Inputs<'a>) -> Vec<&'a TranscriptView> {
    let view = |scenario| match inputs.evidence.get(scenario) {
        Some(Evidence::Seen(view)) => Some(view.as_ref()),
        _ => None,
    };
    check.scenarios().into_iter().filter_map(view).collect()
}

/// The end of the newest transcript.
fn judged_at(views: &[&TranscriptView]) -> Option<String> {
    let end = |view: &&TranscriptView| {
        let transcript = view.transcript();
        let start = DateTime::parse_from_rfc3339(&transcript.started_at).ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "a run lasts minutes")]
        let length = TimeDelta::microseconds((transcript.duration_ms * 1e3) as i64);
        start.to_utc().checked_add_signed(length)
    };
    views.iter().filter_map(end).max().map(clock::rfc3339)
}

/// One check while it is judged.
struct Hearing<'a> {
    check: &'a Check,
    inputs: &'a Inputs<'a>,
    /// The scope that all parts share.
    root: &'a Scope<'a>,
    touched: Touched,
}

impl Hearing<'_> {
    fn part(&mut self, place: usize, part: &Part) -> PartJudged {
        let title = if self.check.parts.len() > 1 {
            part.title.as_str()
        } else {
            ""
        };
        let off = part.needs.iter().find_map(|need| match self.inputs.evidence.get(need) {
            Some(Evidence::Off { note }) => Some(note),
            _ => None,
        });
        if let Some(note) = off {
            return part_off(title, part, note);
        }
        let scene = Scene::of(part, place, self.inputs, self.root);
        let why_unknown = unknown_when(part, &scene, &mut self.touched);
        let mut findings: Vec<(Judged, Finding)> = Vec::new();
        for expectation in &part.expect {
            findings.push(match &why_unknown {
                Some(cause) => expectation::open(expectation, cause.clone()),
                None => expectation::judge(expectation, &scene, &mut self.touched),
            });
        }
        findings.extend(part.rolls_up.iter().map(|other| match &why_unknown {
            Some(cause) => roll_up::open(other, cause.clone()),
            None => roll_up::judge(other, self.inputs.verdicts.get(other)),
        }));
        if self.check.whole_path {
            findings.iter_mut().for_each(break_path);
        }
        for (judged, _) in &mut findings {
            title.clone_into(&mut judged.part);
        }
        let mut judged = conclude(findings, why_unknown, part);
        judged.notes = scene.notes();
        judged
    }
}

fn part_off(title: &str, part: &Part, note: &str) -> PartJudged {
    let off = |that: String| Judged {
        part: title.to_owned(),
        that,
        held: None,
        message: format!("off: {note}"),
        values: Vec::new(),
    };
    PartJudged {
        verdict: Verdict::Off,
        expectations: part
            .expect
            .iter()
            .map(|expectation| off(expectation.that.source().to_owned()))
            .collect(),
        notes: Vec::new(),
        cause: None,
        failure: None,
    }
}

/// The first condition under which the part cannot be judged that holds; one that cannot be evaluated does not hold.
fn unknown_when(part: &Part, scene: &Scene, touched: &mut Touched) -> Option<Cause> {
    part.unknown_when.iter().find_map(|condition| {
        let sources = scene.sources(condition.when.reads());
        if scene::missing(&sources).is_some() || condition.when.holds(scene.scope()) != Ok(true) {
            return None;
        }
        touched.add(&sources);
        let note = condition
            .note
            .as_ref()
            .map_or_else(|| condition.when.source().to_owned(), |note| note.say(scene.scope()));
        Some(Cause::plain(condition.reason, note))
    })
}

/// In a whole-path check what a broken prerequisite left open is broken too.
fn break_path((judged, finding): &mut (Judged, Finding)) {
    let Finding::Open(cause) = finding else { return };
    if let (UnknownReason::BlockedBy, Some(failure)) = (cause.reason, cause.failure.clone())
        && failure.blame != Blame::Monitor
    {
        judged.held = Some(false);
        *finding = Finding::Broken {
            failure,
            step: cause.blocked_by.clone(),
        };
    }
}

/// The worst finding decides; a part of which nothing was judged is unknown.
fn conclude(findings: Vec<(Judged, Finding)>, why_unknown: Option<Cause>, part: &Part) -> PartJudged {
    let mut result = PartJudged {
        verdict: Verdict::Off,
        expectations: Vec::new(),
        notes: Vec::new(),
        cause: why_unknown,
        failure: None,
    };
    let mut left_out = 0;
    for (judged, finding) in findings {
        match finding {
            Finding::Held => result.verdict = result.verdict.worse(Verdict::Pass),
            Finding::Broken { failure, step } => {
                result.verdict = result.verdict.worse(Verdict::Fail);
                result.failure.get_or_insert((failure, step));
            }
            Finding::Open(cause) => {
                result.verdict = result.verdict.worse(Verdict::Unknown);
                result.cause.get_or_insert(cause);
            }
            Finding::LeftOut => left_out += 1,
            Finding::Off => {}
        }
        result.expectations.push(judged);
    }
    let all_rolled_up_are_off = left_out == 0 && part.expect.is_empty() && !part.rolls_up.is_empty();
    if result.verdict == Verdict::Off && !all_rolled_up_are_off {
        let cause = Cause::plain(
            UnknownReason::NoActivity,
            "nothing could be judged: every condition was false",
        );
        result.cause.get_or_insert(cause);
        result.verdict = Verdict::Unknown;
    }
    result
}
