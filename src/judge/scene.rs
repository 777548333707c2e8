//! What a part can see, and where each thing it reads comes from.

use super::cause::Cause;
use super::view::{MEMBERS, TranscriptView, local};
use super::{Evidence, Inputs, VerdictSeen};
use crate::catalog::check::{ExtractOf, Part};
use crate::expression::{ReadPath, Scope, Shared};
use crate::run::TranscriptRef;
use crate::verdict::UnknownReason;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A part with its scope.
pub(super) struct Scene<'a> {
    part: &'a Part,
    place: usize,
    inputs: &'a Inputs<'a>,
    scope: Scope<'a>,
}

/// Where something that is read comes from.
pub(super) enum Source<'a> {
    /// A step that ran.
    Entry {
        /// Its transcript.
        view: &'a TranscriptView,
        /// Its id.
        step: String,
    },
    /// A scenario as a whole, or its `run`.
    Scenario {
        /// Its transcript.
        view: &'a TranscriptView,
        /// Whether every step is read.
        whole: bool,
    },
    /// An extract of the ledger, by variable; empty ones are no evidence unless they are meant to be empty.
    Extract {
        /// The variable.
        name: String,
        /// Whether it holds nothing although it should.
        hollow: bool,
    },
    /// The verdict of another check.
    Verdict,
    /// Something that is no evidence: `target`, `nonce`, `vars`, …
    Ambient,
    /// Nothing, and why.
    Missing(Cause),
}

impl Source<'_> {
    fn is_evidence(&self) -> bool {
        !matches!(self, Self::Ambient)
    }
}

/// Why the first of the sources that is missing is missing.
pub(super) fn missing(sources: &[Source]) -> Option<Cause> {
    sources.iter().find_map(|source| match source {
        Source::Missing(cause) => Some(cause.clone()),
        _ => None,
    })
}

/// Why the sources, though all there, give nothing to judge: an extract that holds nothing yet, or no evidence at all.
pub(super) fn hollow(sources: &[Source]) -> Option<Cause> {
    let empty = sources.iter().find_map(|source| match source {
        Source::Extract { name, hollow: true } => Some(Cause::plain(
            UnknownReason::WindowTooShort,
            format!("`{name}` holds nothing yet"),
        )),
        _ => None,
    });
    empty.or_else(|| {
        let nothing = !sources.iter().any(Source::is_evidence);
        nothing.then(|| Cause::plain(UnknownReason::NoActivity, "reads no evidence"))
    })
}

impl<'a> Scene<'a> {
    /// The scene of the `place`-th part, inside `root`.
    pub(super) fn of(part: &'a Part, place: usize, inputs: &'a Inputs<'a>, root: &'a Scope) -> Self {
        let mut scene = Self {
            part,
            place,
            inputs,
            scope: root.child(),
        };
        let views: Vec<_> = scene.views().collect();
        // Of things that every run has, such as `nonce`, the first need's are meant: it is set last.
        for view in views.iter().rev() {
            view.bind(&mut scene.scope);
        }
        if let ([view], [_]) = (views.as_slice(), part.needs.as_slice()) {
            scene.scope.set_shared("run", view.run());
        }
        for extract in inputs.extracts.iter().filter(|extract| extract.part == place) {
            scene.scope.set(&extract.name, &extract.value);
        }
        for (name, check) in &part.verdicts {
            if let Some(seen) = inputs.verdicts.get(check) {
                scene.scope.set_shared(name, &verdict_view(seen));
            }
        }
        scene
    }

    /// The scope.
    pub(super) fn scope(&self) -> &Scope<'a> {
        &self.scope
    }

    /// The inputs.
    pub(super) fn inputs(&self) -> &'a Inputs<'a> {
        self.inputs
    }

    fn views(&self) -> impl Iterator<Item = &'a TranscriptView> + use<'a> {
        let inputs = self.inputs;
        self.part
            .needs
            .iter()
            .filter_map(move |need| match inputs.evidence.get(need) {
                Some(Evidence::Seen(view)) => Some(view.as_ref()),
                _ => None,
            })
    }

    /// Where each of `reads` comes from.
    pub(super) fn sources(&self, reads: &BTreeSet<ReadPath>) -> Vec<Source<'a>> {
        reads.iter().map(|path| self.source(path)).collect()
    }

    fn source(&self, path: &ReadPath) -> Source<'a> {
        let root = path.root.as_str();
        if let Some(view) = self.views().find(|view| view.has(root)) {
            return Source::Entry {
                view,
                step: root.to_owned(),
            };
        }
        if let Some(need) = self.part.needs.iter().find(|need| local(need) == root) {
            return self.of_scenario(need, path.fields.first().map(String::as_str));
        }
        if let Some(extract) = self.part.extracts.iter().find(|extract| extract.name == root) {
            return self.of_extract(root, &extract.of);
        }
        if let Some((_, check)) = self.part.verdicts.iter().find(|(name, _)| name == root) {
            return match self.inputs.verdicts.get(check) {
                Some(_) => Source::Verdict,
                None => Source::Missing(super::roll_up::not_judged_yet(check)),
            };
        }
        if let ("run", [_], Some(view)) = (root, self.part.needs.as_slice(), self.views().next()) {
            return scenario(view, false);
        }
        if self.scope.has(root) {
            return Source::Ambient;
        }
        Source::Missing(self.never_ran(root))
    }

    fn of_scenario(&self, need: &str, member: Option<&str>) -> Source<'a> {
        match (self.inputs.evidence.get(need), member) {
            (Some(Evidence::Seen(view)), Some(step)) if view.has(step) => Source::Entry {
                view,
                step: step.to_owned(),
            },
            (Some(Evidence::Seen(view)), Some(member)) if MEMBERS.contains(&member) => scenario(view, false),
            (Some(Evidence::Seen(view)), Some(member)) if view.has_member(member) => Source::Ambient,
            (Some(Evidence::Seen(view)), Some(step)) => {
                Source::Missing(broke_off(view).unwrap_or_else(|| skipped(step)))
            }
            (Some(Evidence::Seen(view)), None) => scenario(view, true),
            (evidence, _) => Source::Missing(absent(need, evidence)),
        }
    }

    fn of_extract(&self, name: &str, of: &ExtractOf) -> Source<'a> {
        let given = self
            .inputs
            .extracts
            .iter()
            .find(|extract| extract.part == self.place && extract.name == name);
        match given {
            Some(extract) => Source::Extract {
                name: name.to_owned(),
                // A window without bad answers is what one hopes for; one without samples is not.
                hollow: !matches!(of, ExtractOf::Statuses(_)) && extract.value.as_array().is_none_or(Vec::is_empty),
            },
            None => Source::Missing(Cause::plain(
                UnknownReason::Monitor,
                format!("the extract `{name}` was not made"),
            )),
        }
    }

    /// Why there is nothing called `name`: the evidence is absent, its run broke off before, or the step was skipped.
    fn never_ran(&self, name: &str) -> Cause {
        let absent = self
            .part
            .needs
            .iter()
            .find_map(|need| match self.inputs.evidence.get(need) {
                Some(Evidence::Seen(_)) => None,
                evidence => Some(absent(need, evidence)),
            });
        absent
            .or_else(|| self.views().find_map(broke_off))
            .unwrap_or_else(|| skipped(name))
    }

    /// The notes that apply; none while nothing was seen.
    pub(super) fn notes(&self) -> Vec<String> {
        if !self.part.needs.is_empty() && self.views().next().is_none() {
            return Vec::new();
        }
        let applies = |when: &crate::expression::Expression| when.holds(&self.scope) == Ok(true);
        self.part
            .notes
            .iter()
            .filter(|note| note.when.as_ref().is_none_or(applies))
            .map(|note| note.say.say(&self.scope))
            .collect()
    }
}

/// A transcript as a whole; an empty one is no evidence.
fn scenario(view: &TranscriptView, whole: bool) -> Source<'_> {
    if view.is_empty() {
        let nothing = || {
            Cause::plain(
                UnknownReason::NoActivity,
                format!("{} saw nothing", view.transcript().scenario),
            )
        };
        return Source::Missing(broke_off(view).unwrap_or_else(nothing));
    }
    Source::Scenario { view, whole }
}

/// What the end of a run that broke off means for a step that it never reached.
pub(super) fn broke_off(view: &TranscriptView) -> Option<Cause> {
    let transcript = view.transcript();
    let broke = transcript.broke_off.as_ref()?;
    let place = format!("{}.{}", transcript.scenario, broke.step);
    Some(Cause::of_failure(&place, &broke.failure))
}

fn skipped(step: &str) -> Cause {
    Cause::plain(UnknownReason::NoActivity, format!("the step `{step}` did not run"))
}

fn absent(need: &str, evidence: Option<&Evidence>) -> Cause {
    match evidence {
        Some(Evidence::Absent { reason, note, blame }) => {
            let cause = Cause::plain(*reason, format!("{need}: {note}"));
            Cause {
                blame: blame.or(cause.blame),
                blocked_by: (*reason == UnknownReason::BlockedBy).then(|| cause.note.clone()),
                ..cause
            }
        }
        Some(Evidence::Off { note }) => Cause::plain(UnknownReason::NoActivity, format!("{need} is off: {note}")),
        Some(Evidence::Seen(_)) | None => Cause::plain(UnknownReason::Missed, format!("{need} has not run yet")),
    }
}

fn verdict_view(seen: &VerdictSeen) -> Shared {
    Shared::of(&json!({
        "verdict": seen.verdict,
        "reason": seen.reason,
        "age_s": seen.age_s,
        "title": seen.title,
        "message": seen.message,
        "kind": seen.failure.as_ref().map_or(Value::Null, |failure| Value::from(failure.kind.as_str())),
    }))
}

/// The entries that a judgement read, by scenario.
#[derive(Default)]
pub(super) struct Touched(BTreeMap<String, BTreeSet<String>>);

impl Touched {
    /// Adds what was read.
    pub(super) fn add(&mut self, sources: &[Source]) {
        for source in sources {
            match source {
                Source::Entry { view, step } => {
                    self.of(view).insert(step.clone());
                }
                Source::Scenario { view, whole } => {
                    let steps = if *whole { view.steps() } else { Vec::new() };
                    self.of(view).extend(steps.into_iter().map(str::to_owned));
                }
                Source::Extract { .. } | Source::Verdict | Source::Ambient | Source::Missing(_) => {}
            }
        }
    }

    fn of(&mut self, view: &TranscriptView) -> &mut BTreeSet<String> {
        self.0.entry(view.transcript().scenario.clone()).or_default()
    }

    /// As references, in the order of `views` and of their steps.
    pub(super) fn into_refs(self, views: &[&TranscriptView]) -> Vec<TranscriptRef> {
        views
            .iter()
            .filter_map(|view| {
                let read = self.0.get(&view.transcript().scenario)?;
                let steps = view.steps().into_iter().filter(|step| read.contains(*step));
                Some(TranscriptRef {
                    scenario: view.transcript().scenario.clone(),
                    run: view.transcript().run.clone(),
                    entries: steps.map(str::to_owned).collect(),
                })
            })
            .collect()
    }
}
