//! One iteration now: every scenario that the wanted checks read runs once, then everything is judged.

use super::assemble::{Assembler, Moment};
use super::iteration::{Taken, iteration};
use super::rejudge::Exported;
use super::{AppError, select};
use crate::catalog::{Catalog, Scenario, Schedule};
use crate::clock;
use crate::history::{Bases, History, Place};
use crate::record::Sink;
use crate::report::Iteration;
use crate::run::{Judgement, Run};
use crate::scenario::{Outcome, Runner};
use crate::schedule::{Event, plan};
use crate::serve::Wanted;
use crate::transcript::Transcript;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Scenarios in flight at once, so that an iteration does not disturb its own latencies.
const AT_ONCE: usize = 8;
/// How long the history may take to store the iteration before windows are judged.
const STORED_WITHIN: Duration = Duration::from_secs(10);

/// What an iteration should do.
pub struct OnceOptions {
    /// Which checks; none means all.
    pub wanted: Vec<Wanted>,
    /// Where the history is kept: in memory unless windows over the past are to be judged.
    pub place: Place,
    /// Is told how it goes on.
    pub progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    /// Cancelled: what runs ends, and what was seen is judged.
    pub stop: CancellationToken,
}

impl Default for OnceOptions {
    /// Everything, in memory, without progress.
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            place: Place::Memory,
            progress: None,
            stop: CancellationToken::new(),
        }
    }
}

/// How an iteration goes on.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The scenario that ended.
    pub scenario: String,
    /// How many have ended.
    pub done: usize,
    /// How many there are.
    pub all: usize,
}

/// An iteration with its evidence.
pub struct Iterated {
    /// All verdicts.
    pub iteration: Iteration,
    /// What the scenarios saw.
    pub transcripts: Vec<Arc<Transcript>>,
    /// Every judgement, prerequisites included, with what it was made from.
    pub judgements: Vec<Exported>,
}

/// Runs one iteration.
///
/// # Errors
/// When a wanted check does not exist, or a room cannot be made.
pub async fn once(catalog: Arc<Catalog>, options: OnceOptions) -> Result<Iterated, AppError> {
    let checks = wanted_checks(&catalog, &options.wanted)?;
    let judged = select::with_prerequisites(&catalog, &checks);
    let history = History::open(&options.place, Bases::of(&catalog.target))?;
    let runner = Runner::new(Arc::clone(&catalog), Arc::clone(&history) as _)?;
    let started = clock::now();
    let begun = tokio::time::Instant::now();
    let mut gathering = Gathering {
        assembler: Assembler::new(Arc::clone(&catalog), Arc::clone(&history) as _, &Moment::now()),
        history: Arc::clone(&history),
        transcripts: Vec::new(),
    };
    run_scenarios(&catalog, &runner, &judged, (&options, &mut gathering)).await;
    let flushed = Arc::clone(&history);
    // Windows are judged on what is stored; a store that is slow leaves the newest samples out, which is no error.
    let _ = tokio::task::spawn_blocking(move || flushed.flush(STORED_WITHIN)).await;
    let last = gathering.assembler.judge_all(&judged, &Moment::now());
    let judgements = last
        .judgements
        .iter()
        .zip(&last.inputs)
        .map(|(judgement, inputs)| exported(judgement, inputs))
        .collect();
    gathering.keep(last);
    let taken = Taken {
        started_at: clock::rfc3339(started),
        duration_s: begun.elapsed().as_secs_f64(),
        ended_unix: clock::unix_seconds(clock::now()),
    };
    let shown: BTreeSet<String> = checks.into_iter().collect();
    let latest = |id: &str| gathering.assembler.latest(id).cloned();
    Ok(Iterated {
        iteration: iteration(&catalog, &shown, latest, (taken, history.as_ref())),
        judgements,
        transcripts: gathering.transcripts,
    })
}

fn exported(judgement: &Judgement, inputs: &Value) -> Exported {
    Exported {
        judgement: judgement.clone(),
        // Null, and so nothing, when the judge was not asked.
        inputs: serde_json::from_value(inputs.clone()).ok(),
    }
}

fn wanted_checks(catalog: &Catalog, wanted: &[Wanted]) -> Result<Vec<String>, AppError> {
    let all = [Wanted::All];
    let wanted = if wanted.is_empty() { &all } else { wanted };
    let mut checks = Vec::new();
    for one in wanted {
        checks.extend(select::named(catalog, one).map_err(AppError::Unknown)?);
    }
    Ok(checks)
}

/// Collects what scenarios saw.
struct Gathering {
    assembler: Assembler,
    history: Arc<History>,
    transcripts: Vec<Arc<Transcript>>,
}

impl Gathering {
    fn take(&mut self, scenario: Arc<Scenario>, outcome: Outcome) {
        let run = self
            .assembler
            .take(Event::Finished { scenario, outcome }, &Moment::now());
        self.keep(run);
    }

    fn keep(&mut self, run: Run) {
        self.transcripts.extend(run.transcript.clone());
        self.history.take(&Arc::new(run));
    }
}

/// Runs what the checks read, residents for as long as the others last.
async fn run_scenarios(
    catalog: &Arc<Catalog>,
    runner: &Arc<Runner>,
    judged: &BTreeSet<String>,
    (options, gathering): (&OnceOptions, &mut Gathering),
) {
    let needed: BTreeSet<&str> = select::scenarios(catalog, judged)
        .iter()
        .map(|scenario| scenario.id.as_str())
        .collect();
    let runs: Vec<_> = plan::first_runs(catalog)
        .into_iter()
        .filter(|(scenario, _)| needed.contains(scenario.id.as_str()))
        .collect();
    let all = runs.len();
    let (ended, mut endings) = mpsc::channel(all.max(1));
    let places = Arc::new(Semaphore::new(AT_ONCE.min(catalog.service.concurrency.max(1))));
    let mut tasks = JoinSet::new();
    let mut others = 0;
    for (scenario, _) in runs {
        let resident = scenario.schedule == Schedule::Resident;
        others += usize::from(!resident);
        let (runner, ended, places) = (Arc::clone(runner), ended.clone(), Arc::clone(&places));
        let stop = options.stop.clone();
        tasks.spawn(async move {
            // Residents last as long as the others, so they take no place. The semaphore is never closed.
            let _place = if resident { None } else { places.acquire().await.ok() };
            let outcome = runner.run(&scenario, stop).await;
            // The receiver outlives every run.
            let _ = ended.send((scenario, outcome)).await;
        });
    }
    drop(ended);
    if others == 0 {
        runner.end_offers();
    }
    let mut done = 0;
    while let Some((scenario, outcome)) = endings.recv().await {
        done += 1;
        others -= usize::from(scenario.schedule != Schedule::Resident);
        if others == 0 {
            runner.end_offers();
        }
        if let Some(progress) = &options.progress {
            let scenario = scenario.id.clone();
            progress(Progress { scenario, done, all });
        }
        gathering.take(scenario, outcome);
    }
}
