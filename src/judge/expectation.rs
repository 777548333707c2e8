//! One expectation: held, broken, open or left out, with what to say about it.

use super::cause::Cause;
use super::scene::{self, Scene, Source, Touched, broke_off};
use super::view::{TranscriptView, status_of};
use crate::catalog::Expectation;
use crate::expression::{Compared, EvaluationError, Explanation, Expression, ReadPath};
use crate::failure::{Blame, Class, Failure, Kind};
use crate::limits::DETAIL_BYTES_MAX;
use crate::run::Judged;
use crate::verdict::UnknownReason;

/// What became of an expectation.
#[derive(Debug)]
pub(super) enum Finding {
    /// Evaluated on evidence, and true.
    Held,
    /// Contradicted by evidence.
    Broken {
        /// How.
        failure: Failure,
        /// The step (`module/scenario.step: how`) or check that broke, if one did.
        step: Option<String>,
    },
    /// Not judged, and why.
    Open(Cause),
    /// Its condition is false.
    LeftOut,
    /// A rolled-up check that is off.
    Off,
}

/// An expectation that cannot be judged.
pub(super) fn open(expectation: &Expectation, cause: Cause) -> (Judged, Finding) {
    let judged = judged(expectation, None, bounded(cause.note.clone()));
    (judged, Finding::Open(cause))
}

fn judged(expectation: &Expectation, held: Option<bool>, message: String) -> Judged {
    Judged {
        part: String::new(),
        that: expectation.that.source().to_owned(),
        held,
        message,
        values: Vec::new(),
    }
}

/// Judges one expectation.
pub(super) fn judge(expectation: &Expectation, scene: &Scene, touched: &mut Touched) -> (Judged, Finding) {
    if let Some(when) = &expectation.when {
        match condition(when, scene) {
            Ok(true) => touched.add(&scene.sources(when.reads())),
            Ok(false) => {
                let judged = judged(expectation, None, format!("left out: not {}", when.source()));
                return (judged, Finding::LeftOut);
            }
            Err(cause) => return open(expectation, cause),
        }
    }
    let sources = scene.sources(expectation.that.reads());
    touched.add(&sources);
    if let Some(cause) = scene::missing(&sources).or_else(|| scene::hollow(&sources)) {
        return open(expectation, cause);
    }
    let outcome = expectation.that.holds(scene.scope());
    if outcome == Ok(true) {
        return match unwitnessed(expectation, scene, (&sources, touched)) {
            Some(cause) => open(expectation, cause),
            None => (judged(expectation, Some(true), String::new()), Finding::Held),
        };
    }
    broken(expectation, scene, outcome.err())
}

/// Whether the expectation is to be judged. A condition over a step that was skipped, or over a field that is missing, is
/// false; one over a step that its run never reached cannot be decided.
fn condition(when: &Expression, scene: &Scene) -> Result<bool, Cause> {
    let sources = scene.sources(when.reads());
    match scene::missing(&sources) {
        Some(cause) if cause.reason == UnknownReason::NoActivity => return Ok(false),
        Some(cause) => return Err(cause),
        None => {}
    }
    when.holds(scene.scope()).or_else(|_| match first_failure(&sources) {
        Some((place, failure)) if failure.blame == Blame::Monitor => Err(Cause::of_failure(&place, failure)),
        _ => Ok(false),
    })
}

/// Why an expectation that holds proves nothing: it is an absence, and nobody can be shown to have been listening.
fn unwitnessed(
    expectation: &Expectation,
    scene: &Scene,
    (sources, touched): (&[Source], &mut Touched),
) -> Option<Cause> {
    let Some(witness) = &expectation.witness else {
        let absence = expectation.that.is_absence(scene.inputs().functions);
        let note = "an absence, and no witness that somebody was listening";
        return absence.then(|| Cause::plain(UnknownReason::NoActivity, note));
    };
    let seen = scene.sources(witness.reads());
    touched.add(&seen);
    if let Some(cause) = scene::missing(&seen).or_else(|| scene::hollow(&seen)) {
        return Some(cause);
    }
    if witness.holds(scene.scope()) == Ok(true) {
        return None;
    }
    let failed = first_failure(&seen).or_else(|| first_failure(sources));
    let failed = failed.map(|(place, failure)| Cause::of_failure(&place, failure));
    let ended = || views(&seen).chain(views(sources)).find_map(broke_off);
    let plain = || {
        let reason = match seen.iter().any(|source| matches!(source, Source::Extract { .. })) {
            true => UnknownReason::WindowTooShort,
            false => UnknownReason::NoActivity,
        };
        let values = witness.compared(scene.scope());
        Cause::plain(
            reason,
            format!("its witness does not hold: {}", say(witness, None, &values)),
        )
    };
    Some(failed.or_else(ended).unwrap_or_else(plain))
}

fn views<'a>(sources: &'a [Source<'a>]) -> impl Iterator<Item = &'a TranscriptView> {
    sources.iter().filter_map(|source| match source {
        Source::Entry { view, .. } | Source::Scenario { view, .. } => Some(*view),
        _ => None,
    })
}

/// The earliest failure among the entries read, with the place of its step.
fn first_failure<'a>(sources: &[Source<'a>]) -> Option<(String, &'a Failure)> {
    let failures = sources.iter().enumerate().filter_map(|(at, source)| match source {
        Source::Entry { view, step } => {
            let (place, failure) = view.failure(step)?;
            let scenario = &view.transcript().scenario;
            Some(((place, at), (format!("{scenario}.{step}"), failure)))
        }
        _ => None,
    });
    failures.min_by_key(|(order, _)| *order).map(|(_, found)| found)
}

fn broken(expectation: &Expectation, scene: &Scene, error: Option<EvaluationError>) -> (Judged, Finding) {
    let explanation = expectation.that.explain(scene.scope());
    let culprits = scene.sources(&explanation.reads);
    let all = scene.sources(expectation.that.reads());
    let evident = culprits.iter().any(|source| !matches!(source, Source::Ambient));
    let failed = first_failure(if evident { &culprits } else { &all });
    if let Some((place, failure)) = &failed
        && failure.blame == Blame::Monitor
    {
        return open(expectation, Cause::of_failure(place, failure));
    }
    let mut message = match &expectation.message {
        Some(template) => template.say(scene.scope()),
        None => say(&expectation.that, error, &explanation.values),
    };
    let step = failed.as_ref().map(|(place, failure)| format!("{place}: {failure}"));
    if let (None, Some(step)) = (&expectation.message, &step) {
        message = format!("{message}; {step}");
    }
    let message = bounded(message);
    let failure = match failed {
        Some((_, failure)) => failure.clone(),
        None => derived(expectation, (&culprits, &explanation), &message),
    };
    let mut judged = judged(expectation, Some(false), message);
    judged.values = explanation.values;
    (judged, Finding::Broken { failure, step })
}

/// The failure of an expectation that no failed step explains: the status that was answered, if it read one, else the
/// class that the configuration names, else just that it is false.
fn derived(expectation: &Expectation, (culprits, explanation): (&[Source], &Explanation), message: &str) -> Failure {
    let about_status = |source: &Source| match source {
        Source::Entry { view, step } => {
            let of_step = |path: &ReadPath| match path.fields.split_first() {
                _ if path.root == *step => Some(path.fields.clone()),
                Some((first, rest)) if first == step => Some(rest.to_vec()),
                _ => None,
            };
            // In a statement about a list the status is read from its items, which are no paths of their own.
            let mut selections = explanation.reads.iter().filter_map(of_step);
            let reads_status = selections.any(|fields| match fields.as_slice() {
                [] => expectation.that.source().contains(".status"),
                [field] => field == "status",
                _ => false,
            });
            let statuses = || view.entries(step).filter_map(status_of);
            let worst = || {
                statuses()
                    .find(|(status, _)| *status >= 400)
                    .or_else(|| statuses().next())
            };
            if reads_status { worst() } else { None }
        }
        _ => None,
    };
    let status = culprits.iter().find_map(about_status);
    let kind = match (expectation.class, status) {
        (None, Some((_, true))) => Kind::WsUpgradeRefused,
        (None, Some((_, false))) => Kind::HttpStatus,
        (Some(Class::Auth), Some((status, _))) if status < 400 => Kind::AuthAccepted,
        (Some(Class::Auth), _) => Kind::AuthRefused,
        (Some(Class::Latency), _) => Kind::LatencyTarget,
        (Some(Class::Fabricated), _) => Kind::Fabricated,
        _ => Kind::Expectation,
    };
    let mut failure = Failure::new(kind, message);
    failure.class = expectation.class.unwrap_or(failure.class);
    failure.status = status.map(|(status, _)| status);
    // An expectation about a target is never our own fault; failed steps of ours were dealt with before.
    failure.blamed_on(Blame::Target)
}

/// "`a == 1` is false: a = 2", or why it cannot be evaluated.
fn say(expression: &Expression, error: Option<EvaluationError>, values: &[Compared]) -> String {
    let outcome = error.map_or_else(
        || "is false".to_owned(),
        |error| format!("cannot be evaluated, {error}"),
    );
    let values: Vec<String> = values.iter().map(Compared::say).collect();
    let separator = if values.is_empty() { "" } else { ": " };
    format!("`{}` {outcome}{separator}{}", expression.source(), values.join(", "))
}

/// Cuts a message to its limit at a character.
fn bounded(mut message: String) -> String {
    if message.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX - '…'.len_utf8())
            .rev()
            .find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or_default());
        message.push('…');
    }
    message
}
