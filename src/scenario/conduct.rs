//! The life of one run: what it starts with, its steps, clean-up, sockets, blame, and the transcript at its end.
//! Must not: know a kind of step.

use super::bindings::{Bindings, Layer, target_scope};
use super::controls::before_any_answer;
use super::execution::{Branch, Broken, Execution};
use super::period::period;
use super::purse::Purse;
use super::{Ready, Runner};
use crate::catalog::Scenario;
use crate::clock;
use crate::failure::{Blame, Failure, Kind};
use crate::limits::CLEANUP_WITHIN;
use crate::probe::{RunStart, Trace};
use crate::transcript::{BreakOff, Transcript};
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use serde_json::Value;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Runs `scenario` with the users of its lease to its end, whatever happens.
pub(super) async fn conduct(
    runner: &Arc<Runner>,
    scenario: &Arc<Scenario>,
    Ready { lease, presented }: Ready,
    stop: CancellationToken,
) -> Transcript {
    let wall = clock::now();
    let run = RunStart {
        at: Instant::now(),
        redactor: runner.redactor.for_run(),
        trace: Trace::random(),
    };
    let nonce = format!("{:012x}", rand::random::<u64>() >> 16);
    let execution = Execution {
        runner: Arc::clone(runner),
        scenario: Arc::clone(scenario),
        client: runner.wire.client(run).presenting(presented),
        bindings: Arc::new(Bindings::new(target_scope(&runner.catalog, rand::random()))),
        purse: Purse::new(scenario, lease),
        sockets: Default::default(),
        record: Default::default(),
    };
    execution.bindings.set("nonce", &Value::from(nonce.as_str()));
    execution
        .bindings
        .set("started", &Value::from(clock::unix_seconds(wall)));
    let broken = execution.carry_out(stop).await;
    let broken = execution.clean_up(broken).await;
    execution.transcript(wall, nonce, broken)
}

impl Execution {
    /// Variables and steps. A panic ends this run only, and loses nothing of what was seen.
    async fn carry_out(&self, stop: CancellationToken) -> Option<Broken> {
        let deadline = self.run().at + self.scenario.deadline;
        let branch = Branch {
            layer: Layer::outermost(),
            deadline,
            stop,
        };
        let main = async {
            self.purse.show(&self.bindings, &branch.layer);
            self.compute_vars(&branch.layer)?;
            self.steps(&self.scenario.steps, &branch).await
        };
        // Every step minds the deadline itself; this is for those that have a bug.
        let main = timeout_at(deadline + CLEANUP_WITHIN, AssertUnwindSafe(main).catch_unwind());
        let ended = tokio::select! {
            biased;
            () = self.record.watch_lateness() => return None,
            ended = main => ended,
        };
        match ended {
            Ok(Ok(ended)) => ended.err(),
            Ok(Err(panic)) => Some(self.panicked(panic.as_ref())),
            Err(_) => {
                let failure =
                    Failure::new(Kind::ScenarioDeadline, "a step did not mind its deadline").blamed_on(Blame::Monitor);
                Some(Broken {
                    step: self.last_step(),
                    failure,
                })
            }
        }
    }

    fn compute_vars(&self, layer: &Layer) -> Result<(), Broken> {
        for (name, expression) in &self.scenario.vars {
            let mut value = self.bindings.evaluate(layer, expression, &[]).map_err(|error| {
                let detail = format!("variable `{name}` has no value: {error}");
                let failure = self.told(Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor));
                Broken {
                    step: self.last_step(),
                    failure,
                }
            })?;
            self.run().redactor.json(&mut value);
            self.bindings.set(name, &value);
            self.record.keep_var(name, value);
        }
        Ok(())
    }

    fn panicked(&self, panic: &(dyn Any + Send)) -> Broken {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let failure = self.told(Failure::new(Kind::Panic, format!("the run panicked: {text}")));
        Broken {
            step: self.last_step(),
            failure,
        }
    }

    /// The step that was the last to give an entry, or the first one of all.
    fn last_step(&self) -> String {
        let first = || self.scenario.steps.first().map(|step| step.id.clone());
        self.record.last_step().or_else(first).unwrap_or_default()
    }

    /// Clean-up steps, each whatever became of the others; then the sockets, and meanwhile the controls if they matter.
    async fn clean_up(&self, mut broken: Option<Broken>) -> Option<Broken> {
        let branch = Branch {
            layer: Layer::outermost(),
            deadline: Instant::now() + CLEANUP_WITHIN,
            stop: CancellationToken::new(),
        };
        let steps = async {
            for step in &self.scenario.cleanup {
                // A clean-up that fails is in its entry; it breaks nothing off.
                let _ = self.steps(std::slice::from_ref(step), &branch).await;
            }
        };
        let tidy = async {
            if let Err(panic) = AssertUnwindSafe(steps).catch_unwind().await {
                broken.get_or_insert_with(|| self.panicked(panic.as_ref()));
            }
            self.sockets.close_all().await;
        };
        let nothing_came = !self.record.answered() && self.record.any_failure(before_any_answer);
        let look = async {
            let controls = &self.runner.controls;
            match nothing_came && controls.are_configured() {
                // A page may come of it within the second: only a look of now tells the target's fault from ours.
                true if self.scenario.feeds_watch => Some(controls.look_afresh().await),
                true => Some(controls.look().await),
                false => None,
            }
        };
        let ((), reachable) = tokio::join!(tidy, look);
        // Clean-up may have met an answer after all, which outranks the controls.
        if let Some(reachable) = reachable.filter(|_| !self.record.answered()) {
            let settle = |failure: &mut Failure| {
                if before_any_answer(failure) {
                    failure.blame = reachable.blame(failure);
                }
            };
            self.record.for_each_failure(settle);
            broken.iter_mut().for_each(|broken| settle(&mut broken.failure));
        }
        broken
    }

    fn transcript(&self, wall: DateTime<Utc>, nonce: String, broken: Option<Broken>) -> Transcript {
        let (entries, vars) = self.record.take();
        Transcript {
            scenario: self.scenario.id.clone(),
            run: format!("{:016x}", rand::random::<u64>()),
            started_at: clock::rfc3339(wall),
            started_unix: clock::unix_seconds(wall),
            duration_ms: self.run().at.elapsed().as_secs_f64() * 1e3,
            late_ms: self.record.lateness().as_secs_f64() * 1e3,
            nonce,
            trace_id: self.run().trace.id().to_owned(),
            vars,
            credentials: self.purse.take_facts(),
            entries,
            broke_off: broken.map(|Broken { step, failure }| BreakOff { step, failure }),
            time_scale: self.runner.catalog.time_scale,
            period_s: period(self.scenario.as_ref(), wall).as_secs_f64(),
        }
    }
}
