//! Steps, in order: what each may read depends on the steps before it.

use super::Context;
use super::auth::{AuthScope, credential_root};
use super::forbidden::forbidden;
use super::names::step_id;
use super::scalar::{Scale, identifier, number, pause, real_or};
use crate::catalog::step::{Action, Capture, CaptureKind, OnFailure, Step};
use crate::catalog::{CredentialUse, Forbidden};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw::{self, TextOr};
use crate::limits::{DURATION_MAX, REPETITIONS_MAX, STEP_WITHIN};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a list of steps stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the run itself.
    Run,
    /// In the clean-up, where any earlier step may not have run.
    Cleanup,
}

/// What is known of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// A session.
    Session,
    /// A socket that we dialled ourselves.
    Raw,
}

/// Compiles the steps of one scenario.
pub struct Steps<'load, 'scenario> {
    pub(super) context: &'scenario Context<'load>,
    pub(super) module: &'scenario str,
    pub(super) credentials: &'scenario [CredentialUse],
    pub(super) forbidden: Forbidden,
    /// What expressions may read here.
    pub(super) lexicon: Lexicon,
    /// Secret captures made so far.
    pub(super) secrets: BTreeSet<String>,
    /// Handles opened so far.
    pub(super) handles: BTreeMap<String, Handle>,
    /// How often the enclosing `times` runs.
    times: Option<u32>,
    /// Product of the enclosing repetitions.
    repetitions: usize,
    unnamed: usize,
    count: usize,
}

impl<'load, 'scenario> Steps<'load, 'scenario> {
    /// With what is there before the first step.
    pub fn new(
        context: &'scenario Context<'load>,
        module: &'scenario str,
        credentials: &'scenario [CredentialUse],
        lexicon: Lexicon,
    ) -> Self {
        Self {
            context,
            module,
            credentials,
            forbidden: forbidden(&context.main.target),
            lexicon,
            secrets: BTreeSet::new(),
            handles: BTreeMap::new(),
            times: None,
            repetitions: 1,
            unnamed: 0,
            count: 0,
        }
    }

    /// Steps of one run so far, repetitions counted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A list of steps.
    pub fn list(&mut self, shapes: &'load [raw::Step], place: Place, at: At<'load>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, shape) in shapes.iter().enumerate() {
            steps.extend(self.step(shape, place, at.item(number)));
        }
        steps
    }

    fn step(&mut self, shape: &'load raw::Step, place: Place, at: At<'load>) -> Option<Step> {
        self.count = self.count.saturating_add(self.repetitions);
        only_with_repetition(shape, at);
        let when = self.lexicon.optional(shape.when.as_ref(), at.key("when"));
        let named = step_id(shape);
        let id = named.map_or_else(|| self.made_up_id(), str::to_owned);
        let (action, within) = self.action(shape, place, at)?;
        if named.is_some() {
            self.lexicon.add(&id, Root::Evidence);
        }
        Some(Step {
            id,
            named: named.is_some(),
            when,
            within,
            on_failure: shape.on_failure.unwrap_or(match place {
                Place::Run => OnFailure::BreakOff,
                Place::Cleanup => OnFailure::GoOn,
            }),
            captures: self.captures(shape, at.key("capture")),
            action,
        })
    }

    fn made_up_id(&mut self) -> String {
        self.unnamed += 1;
        format!("step{}", self.unnamed)
    }

    fn action(&mut self, shape: &'load raw::Step, place: Place, at: At<'load>) -> Option<(Action, Duration)> {
        let given = actions_given(shape);
        let [only] = given.as_slice() else {
            let help = "write one of: http, sse, ws.open, ws.send, ws.receive, ws.ping, ws.hold, ws.close, ws.abort, ws.offer, ws.borrow, wait, repeat, times, parallel, group";
            if given.is_empty() {
                at.wrong("the step does nothing", help);
            } else {
                at.wrong(
                    format!("the step does several things: {}", given.join(", ")),
                    "write one action for each step",
                );
            }
            return None;
        };
        if shape.repeat.is_some() || shape.times.is_some() {
            return self.repetition(shape, place, at).map(|action| (action, DURATION_MAX));
        }
        let at = at.key(only);
        match shape {
            raw::Step {
                http: Some(request), ..
            } => Some(self.http_step(request, at)),
            raw::Step { sse: Some(request), .. } => Some(self.sse_step(request, at)),
            raw::Step { wait: Some(wait), .. } => {
                let wait = match wait {
                    TextOr::Text(text) => pause(self.context, &raw::Lasting(text.clone()), Scale::Real, at),
                    TextOr::Detailed(text) => pause(self.context, &text.scaled, Scale::Scaled, at.key("scaled")),
                };
                Some((Action::Wait(wait), wait))
            }
            raw::Step { group: Some(steps), .. } => Some((Action::Group(self.filled(steps, place, at)), DURATION_MAX)),
            raw::Step {
                parallel: Some(branches),
                ..
            } => Some((self.parallel(branches, place, at), DURATION_MAX)),
            _ => self.socket_action(shape, at),
        }
    }

    /// Steps of a group, of which there must be some.
    fn filled(&mut self, steps: &'load [raw::Step], place: Place, at: At<'load>) -> Vec<Step> {
        if steps.is_empty() {
            at.wrong(
                "there are no steps here",
                "write at least one, or take the whole step out",
            );
        }
        self.list(steps, place, at)
    }

    fn parallel(&mut self, branches: &'load [Vec<raw::Step>], place: Place, at: At<'load>) -> Action {
        if branches.len() < 2 {
            at.wrong(
                "`parallel` needs at least two branches",
                "write `parallel: [ [ … ], [ … ] ]`",
            );
        }
        let (lexicon, handles, secrets) = (self.lexicon.clone(), self.handles.clone(), self.secrets.clone());
        let (mut all_names, mut all_handles, mut all_secrets) = (lexicon.clone(), handles.clone(), secrets.clone());
        let mut compiled = Vec::new();
        for (number, branch) in branches.iter().enumerate() {
            // A branch sees what was before, not what the others do.
            self.lexicon = lexicon.clone();
            self.handles.clone_from(&handles);
            self.secrets.clone_from(&secrets);
            compiled.push(self.filled(branch, place, at.item(number)));
            all_names.join(&self.lexicon);
            all_handles.extend(self.handles.clone());
            all_secrets.extend(self.secrets.clone());
        }
        (self.lexicon, self.handles, self.secrets) = (all_names, all_handles, all_secrets);
        Action::Parallel(compiled)
    }

    /// `repeat` and `times`.
    fn repetition(&mut self, shape: &'load raw::Step, place: Place, at: At<'load>) -> Option<Action> {
        let (count, key) = match (shape.repeat, shape.times) {
            (Some(count), None) => (count, "repeat"),
            (None, Some(count)) => (count, "times"),
            _ => return None,
        };
        let count = number(count, key, (1, REPETITIONS_MAX), at.key(key));
        let index = shape.index.clone().unwrap_or_else(|| "index".to_owned());
        identifier(&index, "index", at.key("index"));
        if self.lexicon.root(&index).is_some() {
            at.key("index").wrong(
                format!("the index `{index}` has a name that is already taken"),
                "write `index: NAME` with another name",
            );
        }
        let every = shape
            .every
            .as_ref()
            .map(|text| pause(self.context, text, Scale::Real, at.key("every")));
        let Some(inner) = &shape.steps else {
            at.wrong(
                format!("`{key}` has no steps"),
                format!("write `steps: [ … ]` beside `{key}`"),
            );
            return None;
        };
        let (outer_times, outer_repetitions) = (self.times, self.repetitions);
        self.lexicon.add(&index, Root::Context);
        self.repetitions = self.repetitions.saturating_mul(count as usize);
        if key == "times" {
            self.times = Some(count);
        }
        let steps = self.filled(inner, place, at.key("steps"));
        let until = self.lexicon.optional(shape.until.as_ref(), at.key("until"));
        (self.times, self.repetitions) = (outer_times, outer_repetitions);
        self.lexicon.remove(&index);
        Some(match key {
            "repeat" => Action::Repeat {
                times: count,
                index,
                every,
                until,
                steps,
            },
            _ => Action::Times {
                times: count,
                index,
                steps,
            },
        })
    }

    fn captures(&mut self, shape: &'load raw::Step, at: At<'load>) -> Vec<Capture> {
        let mut captures = Vec::new();
        for (name, shape) in shape.capture.iter() {
            let at = at.key(name);
            let (source, at, kind, required) = match shape {
                TextOr::Text(source) => (source, at, CaptureKind::Plain, true),
                TextOr::Detailed(detailed) => {
                    let required = detailed.required.unwrap_or(true);
                    match (&detailed.value, &detailed.secret) {
                        (Some(source), None) => (source, at.key("value"), CaptureKind::Plain, required),
                        (None, Some(source)) => (source, at.key("secret"), CaptureKind::Secret, required),
                        _ => {
                            at.wrong(
                                format!("the capture `{name}` has no expression, or two"),
                                "write `value: …` or `secret: …`, one of them",
                            );
                            continue;
                        }
                    }
                }
            };
            captures.push(Capture {
                name: name.to_owned(),
                value: self.lexicon.expression_or_placeholder(source, at),
                kind,
                required,
            });
            match kind {
                CaptureKind::Plain => self.lexicon.add(name, Root::Evidence),
                CaptureKind::Secret => {
                    self.secrets.insert(name.to_owned());
                    self.lexicon.add(name, Root::fields(["claims", "header", "digest"]));
                }
            }
        }
        captures
    }

    /// What the holes of requests and messages may read: also secrets.
    pub(super) fn holes(&self) -> Lexicon {
        let mut holes = self.lexicon.clone();
        for one in self.credentials {
            holes.add(&one.name, credential_root(self.context, one, true));
        }
        holes.add("secret", Root::fields(self.secrets.iter().map(String::as_str)));
        holes
    }

    /// The scope of `auth` here.
    pub(super) fn auth_scope(&self) -> AuthScope<'_> {
        AuthScope {
            credentials: self.credentials,
            secrets: &self.secrets,
            times: self.times,
        }
    }

    /// The deadline of a step. Composite steps have none of their own: the run's deadline bounds them.
    pub(super) fn within(&self, text: Option<&raw::Lasting>, at: At) -> Duration {
        real_or(self.context, text, STEP_WITHIN, at.key("within"))
    }
}

fn only_with_repetition(shape: &raw::Step, at: At) {
    let repeats = shape.repeat.is_some() || shape.times.is_some();
    let beside = [
        ("steps", shape.steps.is_some()),
        ("index", shape.index.is_some()),
        ("every", shape.every.is_some()),
        ("until", shape.until.is_some()),
    ];
    for (key, given) in beside {
        let only_repeat = key == "every" || key == "until";
        if given && !(repeats && (!only_repeat || shape.repeat.is_some())) {
            let owner = if only_repeat { "`repeat`" } else { "`repeat` or `times`" };
            at.key(key).wrong(
                format!("`{key}` belongs to {owner}"),
                format!("write {owner} beside it, or leave it out"),
            );
        }
    }
}

fn actions_given(shape: &raw::Step) -> Vec<&'static str> {
    [
        ("http", shape.http.is_some()),
        ("sse", shape.sse.is_some()),
        ("ws.open", shape.open.is_some()),
        ("ws.send", shape.send.is_some()),
        ("ws.receive", shape.receive.is_some()),
        ("ws.ping", shape.ping.is_some()),
        ("ws.hold", shape.hold.is_some()),
        ("ws.close", shape.close.is_some()),
        ("ws.abort", shape.abort.is_some()),
        ("ws.offer", shape.offer.is_some()),
        ("ws.borrow", shape.borrow.is_some()),
        ("wait", shape.wait.is_some()),
        ("repeat", shape.repeat.is_some()),
        ("times", shape.times.is_some()),
        ("parallel", shape.parallel.is_some()),
        ("group", shape.group.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect()
}
