//! One run of a scenario: its steps in order, repetitions, branches, captures, and where it breaks off.
//! Must not: know how a step is carried out; `steps/` does.

use super::Runner;
use super::bindings::{Bindings, Concurrency, Layer};
use super::purse::Purse;
use super::record::Record;
use super::sockets::Sockets;
use crate::catalog::step::{CaptureKind, OnFailure};
use crate::catalog::{Action, Capture, Scenario, Step};
use crate::expression::Expression;
use crate::failure::{Blame, Failure, Kind};
use crate::limits::DETAIL_BYTES_MAX;
use crate::probe::{Client, RunStart};
use crate::transcript::{Entry, Observation, entry_view};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Everything one run works with.
pub(super) struct Execution {
    pub(super) runner: Arc<Runner>,
    pub(super) scenario: Arc<Scenario>,
    pub(super) client: Client,
    pub(super) bindings: Arc<Bindings>,
    pub(super) purse: Purse,
    pub(super) sockets: Sockets,
    pub(super) record: Record,
}

/// Where in the run a step stands, and until when it may go on.
#[derive(Clone)]
pub(super) struct Branch {
    pub(super) layer: Arc<Layer>,
    pub(super) deadline: Instant,
    pub(super) stop: CancellationToken,
}

/// Why and where a run broke off.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) step: String,
    pub(super) failure: Failure,
}

/// What a step gave.
pub(super) struct Done {
    pub(super) seen: Observation,
    pub(super) failure: Option<Failure>,
    /// Local name of the credential it acted with.
    pub(super) credential: Option<String>,
    /// The fields of the entry before redaction, for secret captures.
    pub(super) raw: Option<Value>,
    /// What the failure does, if other than the step says.
    pub(super) on_failure: Option<OnFailure>,
}

impl Done {
    pub(super) fn new(seen: Observation, failure: Option<Failure>) -> Self {
        Self {
            seen,
            failure,
            credential: None,
            raw: None,
            on_failure: None,
        }
    }
}

impl Branch {
    /// The deadline of something that may take `within` here.
    pub(super) fn deadline_in(&self, within: Duration) -> Instant {
        (Instant::now() + within).min(self.deadline)
    }
}

/// How a `repeat` goes round.
struct Turns<'step> {
    times: u32,
    index: &'step str,
    every: Option<Duration>,
    until: Option<&'step Expression>,
}

impl Execution {
    /// The run's start as the probe knows it.
    pub(super) fn run(&self) -> &RunStart {
        self.client.run()
    }

    /// Carries out `steps` in order.
    pub(super) fn steps<'a>(&'a self, steps: &'a [Step], branch: &'a Branch) -> BoxFuture<'a, Result<(), Broken>> {
        async move {
            for step in steps {
                self.step(step, branch).await?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn step(&self, step: &Step, branch: &Branch) -> Result<(), Broken> {
        if step
            .when
            .as_ref()
            .is_some_and(|when| !self.bindings.holds(&branch.layer, when, &[]))
        {
            return Ok(());
        }
        if let Some(ended) = self.block(step, branch).await {
            return match step.on_failure {
                OnFailure::BreakOff => ended,
                OnFailure::GoOn => Ok(()),
            };
        }
        let begun = Instant::now();
        if begun >= branch.deadline {
            return Err(self.out_of_time(step, "before it"));
        }
        let mut done = tokio::select! {
            biased;
            () = cancelled(step, &branch.stop) => Done::new(Observation::Nothing {}, Some(Failure::new(Kind::Cancelled, "the run was stopped"))),
            done = self.act(step, branch) => done,
        };
        done.failure = done
            .failure
            .take()
            .map(|failure| self.told(self.record.own_fault(failure, begun)));
        self.finish(step, branch, begun, done)
    }

    /// Repetitions and branches; none for a step that acts.
    async fn block(&self, step: &Step, branch: &Branch) -> Option<Result<(), Broken>> {
        match &step.action {
            Action::Repeat {
                times,
                index,
                every,
                until,
                steps,
            } => {
                let turns = Turns {
                    times: *times,
                    index,
                    every: *every,
                    until: until.as_ref(),
                };
                Some(self.repeat(turns, steps, branch).await)
            }
            Action::Times { times, index, steps } => Some(self.times((*times, index), steps, branch).await),
            Action::Parallel(branches) => {
                let all = join_all(branches.iter().map(|steps| self.steps(steps, branch))).await;
                Some(all.into_iter().collect())
            }
            Action::Group(steps) => Some(self.steps(steps, branch).await),
            _ => None,
        }
    }

    async fn repeat(&self, turns: Turns<'_>, steps: &[Step], branch: &Branch) -> Result<(), Broken> {
        let begun = Instant::now();
        let mut passes = Vec::new();
        let mut ended = Ok(());
        for turn in 0..turns.times {
            if let Some(every) = turns.every {
                let due = (begun + every * turn).min(branch.deadline);
                tokio::select! {
                    () = branch.stop.cancelled() => {}
                    () = sleep_until(due) => {}
                }
            }
            let pass = self.pass(branch, (turns.index, turn), Concurrency::InTurn);
            passes.push(Arc::clone(&pass.layer));
            ended = self.steps(steps, &pass).await;
            let enough = turns
                .until
                .is_some_and(|until| self.bindings.holds(&pass.layer, until, &[]));
            if ended.is_err() || enough {
                break;
            }
        }
        self.bindings.merge(&branch.layer, &passes);
        ended
    }

    /// All passes run to their end, whatever becomes of the others: each is evidence.
    async fn times(&self, (times, index): (u32, &str), steps: &[Step], branch: &Branch) -> Result<(), Broken> {
        let passes: Vec<Branch> = (0..times)
            .map(|turn| self.pass(branch, (index, turn), Concurrency::AtOnce))
            .collect();
        let ended = join_all(passes.iter().map(|pass| self.steps(steps, pass))).await;
        let layers: Vec<Arc<Layer>> = passes.iter().map(|pass| Arc::clone(&pass.layer)).collect();
        self.bindings.merge(&branch.layer, &layers);
        ended.into_iter().collect()
    }

    fn pass(&self, branch: &Branch, index: (&str, u32), concurrency: Concurrency) -> Branch {
        let layer = branch.layer.pass(index, concurrency);
        self.purse.show(&self.bindings, &layer);
        Branch {
            layer,
            ..branch.clone()
        }
    }

    /// Keeps what the step saw, takes its captures, and says whether the run goes on.
    fn finish(&self, step: &Step, branch: &Branch, begun: Instant, mut done: Done) -> Result<(), Broken> {
        let missing = self.take_secrets(step, branch, &mut done);
        let failed = done.failure.is_some();
        let mut entry = Entry {
            id: step.id.clone(),
            place: branch.layer.place.clone(),
            offset_ms: self.run().offset_ms(begun),
            duration_ms: begun.elapsed().as_secs_f64() * 1e3,
            credential: done.credential,
            seen: done.seen,
            failure: done.failure.or(missing),
        };
        let view = entry_view(&entry);
        if !failed && entry.failure.is_none() {
            entry.failure = self.take_captures(step, branch, &view);
        } else {
            // What can be had of a failed step is kept, the rest is null.
            let _ = self.take_captures(step, branch, &view);
        }
        let view = if entry.failure.is_some() {
            entry_view(&entry)
        } else {
            view
        };
        self.bindings.saw(&branch.layer, &step.id, &view);
        let failure = entry.failure.clone();
        let broken = |failure| Broken {
            step: step.id.clone(),
            failure,
        };
        self.record.keep(entry).map_err(broken)?;
        let Some(failure) = failure else { return Ok(()) };
        if failure.kind == Kind::Cancelled {
            return Err(broken(failure));
        }
        match done.on_failure.unwrap_or(step.on_failure) {
            OnFailure::GoOn => Ok(()),
            // What the target might still have answered in its own time is not known.
            OnFailure::BreakOff if Instant::now() >= branch.deadline && failure.blame != Blame::Monitor => {
                Err(self.out_of_time(step, &failure.detail))
            }
            OnFailure::BreakOff => Err(broken(failure)),
        }
    }

    /// The scenario's deadline has passed: our own fault if our own limits took a good part of it.
    fn out_of_time(&self, step: &Step, how: &str) -> Broken {
        let (deadline, waited) = (self.scenario.deadline, self.record.waited());
        let over = format!(
            "the scenario's {} s were over at step `{}`",
            deadline.as_secs_f64(),
            step.id
        );
        let failure = if waited > deadline / 4 {
            let detail = format!(
                "{over}, {:.1} s of them waiting for our own limits",
                waited.as_secs_f64()
            );
            Failure::new(Kind::BudgetExhausted, detail)
        } else {
            self.told(Failure::new(Kind::ScenarioDeadline, format!("{over}: {how}")))
        };
        let step = step.id.clone();
        Broken { step, failure }
    }

    /// Evaluates captures on the redacted entry; the failure of the first required one that found nothing.
    fn take_captures(&self, step: &Step, branch: &Branch, view: &Value) -> Option<Failure> {
        let mut failure = None;
        for capture in step
            .captures
            .iter()
            .filter(|capture| capture.kind == CaptureKind::Plain)
        {
            let found = self
                .bindings
                .evaluate(&branch.layer, &capture.value, &[(&step.id, view)]);
            let problem = match &found {
                Ok(Value::Null) => Some("it is null".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem.filter(|_| capture.required) {
                failure.get_or_insert_with(|| self.told(nothing_found(capture, &problem)));
            }
            let mut value = found.unwrap_or_default();
            self.run().redactor.json(&mut value);
            self.capture(branch, &capture.name, value);
        }
        failure
    }

    fn capture(&self, branch: &Branch, name: &str, value: Value) {
        self.bindings.captured(&branch.layer, name, &value);
        self.record.keep_var(name, value);
    }

    /// Takes secret captures from the unredacted fields before anything is kept, and hides them in what is.
    fn take_secrets(&self, step: &Step, branch: &Branch, done: &mut Done) -> Option<Failure> {
        let mut failure = None;
        let mut taken = false;
        for capture in step
            .captures
            .iter()
            .filter(|capture| capture.kind == CaptureKind::Secret)
        {
            let raw = done.raw.as_ref().unwrap_or(&Value::Null);
            let found = self
                .bindings
                .evaluate(&branch.layer, &capture.value, &[(&step.id, raw)]);
            let Ok(Value::String(text)) = found else {
                self.capture(branch, &capture.name, Value::Null);
                if capture.required && done.failure.is_none() {
                    failure.get_or_insert_with(|| self.told(nothing_found(capture, "no text was found")));
                }
                continue;
            };
            let facts = self.purse.keep_secret(&self.run().redactor, &capture.name, text);
            self.capture(branch, &capture.name, facts);
            taken = true;
        }
        if taken {
            self.redact_again(&mut done.seen);
        }
        failure
    }

    fn redact_again(&self, seen: &mut Observation) {
        let redactor = &self.run().redactor;
        match seen {
            Observation::Http(exchange) => self.client.redact_again(exchange),
            Observation::Received(received) => {
                let frames = received
                    .frames
                    .iter_mut()
                    .map(|frame| (&mut frame.text, &mut frame.json));
                for (text, json) in frames.chain([(&mut received.text, &mut received.json)]) {
                    *text = redactor.text(text).into_owned();
                    if let Some(json) = json {
                        redactor.json(json);
                    }
                }
            }
            _ => {}
        }
    }

    /// A failure with a detail that may be stored.
    pub(super) fn told(&self, mut failure: Failure) -> Failure {
        failure.detail = self.run().redactor.line(&failure.detail, DETAIL_BYTES_MAX);
        failure
    }
}

fn nothing_found(capture: &Capture, problem: &str) -> Failure {
    let detail = format!(
        "nothing to capture as `{}` by `{}`: {problem}",
        capture.name,
        capture.value.source()
    );
    Failure::new(Kind::StepInvalid, detail)
}

/// Waits until the run is stopped. An offer looks at the stop itself, to end in order.
async fn cancelled(step: &Step, stop: &CancellationToken) {
    match step.action {
        Action::Offer { .. } => std::future::pending().await,
        _ => stop.cancelled().await,
    }
}
