//! One iteration now: every scenario that the wanted checks read runs once, then those on confirm of a socket that was
//! answered wrongly, then everything is judged.

use super::assemble::{Assembler, Freshness, Moment};
use super::confirm::confirm;
use super::explain::explain;
use super::iteration::{Taken, iteration};
use super::rejudge::Exported;
use super::{AppError, select};
use crate::catalog::{Catalog, Extract, Scenario, Schedule};
use crate::clock;
use crate::history::{Bases, History, HistoryError, Ledger, Place};
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
/// How often residents are told that the iteration is over.
const ENDED_AGAIN_EVERY: Duration = Duration::from_millis(200);
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
    let ledger: Arc<dyn Ledger> = Arc::new(SinceStart {
        history: Arc::clone(&history),
        started: clock::unix_seconds(started),
    });
    let now = Moment::now();
    let mut gathering = Gathering {
        assembler: Assembler::new(Arc::clone(&catalog), Arc::clone(&ledger), (Freshness::Iteration, &now)),
        history: Arc::clone(&history),
        transcripts: Vec::new(),
    };
    run_scenarios(&catalog, &runner, &judged, (&options, &mut gathering)).await;
    confirm(&catalog, &runner, (&options, &mut gathering)).await;
    let flushed = Arc::clone(&history);
    // Windows are judged on what is stored; a store that is slow leaves the newest samples out, which is no error.
    let _ = tokio::task::spawn_blocking(move || flushed.flush(STORED_WITHIN)).await;
    let last = gathering.assembler.judge_all(&judged, &Moment::now());
    let judgements: Vec<Exported> = last
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
    let mut iteration = iteration(&catalog, &shown, latest, (taken, ledger.as_ref()));
    let judged: Vec<&Judgement> = judgements.iter().map(|stored| &stored.judgement).collect();
    iteration.diagnosis = explain(&catalog, &gathering.transcripts, &judged).without_sensitive();
    Ok(Iterated {
        iteration,
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

/// The ledger with windows that reach back at least to the start of the iteration, so that scaled-down windows do not
/// forget what the iteration itself has measured.
struct SinceStart {
    history: Arc<History>,
    started: f64,
}

impl Ledger for SinceStart {
    fn extract(&self, extract: &Extract, now_unix: f64) -> Result<Value, HistoryError> {
        let own = Duration::from_secs_f64((now_unix - self.started).max(0.0));
        let reaching = Extract {
            over: extract.over.max(own),
            ..extract.clone()
        };
        self.history.extract(&reaching, now_unix)
    }
}

/// Collects what scenarios saw.
pub(super) struct Gathering {
    assembler: Assembler,
    history: Arc<History>,
    pub(super) transcripts: Vec<Arc<Transcript>>,
}

impl Gathering {
    pub(super) fn take(&mut self, scenario: Arc<Scenario>, outcome: Outcome) {
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

/// The runs of an iteration.
struct Plan {
    /// Held as long as the others run.
    residents: Vec<Arc<Scenario>>,
    /// Several at once.
    crowd: Vec<Arc<Scenario>>,
    /// One after the other at the end, undisturbed: they measure latencies that are promised.
    alone: Vec<Arc<Scenario>>,
}

impl Plan {
    fn of(catalog: &Catalog, judged: &BTreeSet<String>) -> Self {
        let needed = select::scenarios(catalog, judged);
        let mut plan = Self {
            residents: Vec::new(),
            crowd: Vec::new(),
            alone: Vec::new(),
        };
        for (scenario, _) in plan::first_runs(catalog) {
            if !needed.iter().any(|wanted| wanted.id == scenario.id) {
                continue;
            }
            let promised = scenario.measures.iter().any(|measure| measure.latency_target.is_some());
            match (&scenario.schedule, promised) {
                (Schedule::Resident, _) => plan.residents.push(scenario),
                (_, true) => plan.alone.push(scenario),
                (_, false) => plan.crowd.push(scenario),
            }
        }
        plan
    }

    fn len(&self) -> usize {
        self.residents.len() + self.crowd.len() + self.alone.len()
    }
}

/// Runs what the checks read, residents for as long as the others last.
async fn run_scenarios(
    catalog: &Arc<Catalog>,
    runner: &Arc<Runner>,
    judged: &BTreeSet<String>,
    (options, gathering): (&OnceOptions, &mut Gathering),
) {
    let plan = Plan::of(catalog, judged);
    let all = plan.len();
    let (ended, mut endings) = mpsc::channel(all.max(1));
    let launch = Launch {
        runner: Arc::clone(runner),
        ended,
        stop: options.stop.clone(),
    };
    let conducting = tokio::spawn(launch.conduct(plan, catalog.service.concurrency));
    let mut ended = BTreeSet::new();
    while let Some((scenario, outcome)) = endings.recv().await {
        // A resident may run several times; it is counted once.
        let first = ended.insert(scenario.id.clone());
        if let Some(progress) = options.progress.as_ref().filter(|_| first) {
            let (scenario, done) = (scenario.id.clone(), ended.len());
            progress(Progress { scenario, done, all });
        }
        gathering.take(scenario, outcome);
    }
    if conducting.await.is_err() {
        tracing::error!("once.conductor_lost: not every scenario ran");
    }
}

struct Launch {
    runner: Arc<Runner>,
    ended: mpsc::Sender<(Arc<Scenario>, Outcome)>,
    stop: CancellationToken,
}

impl Launch {
    async fn conduct(self, plan: Plan, concurrency: usize) {
        let over = CancellationToken::new();
        let mut residents = JoinSet::new();
        for scenario in plan.residents {
            residents.spawn(self.reside(scenario, over.clone()));
        }
        let places = Arc::new(Semaphore::new(AT_ONCE.min(concurrency.max(1))));
        let mut crowd = JoinSet::new();
        for scenario in plan.crowd {
            let (places, run) = (Arc::clone(&places), self.run(scenario));
            crowd.spawn(async move {
                // The semaphore is never closed.
                let _place = places.acquire().await.ok();
                run.await;
            });
        }
        // The runner catches panics, so that every task ends well.
        while crowd.join_next().await.is_some() {}
        for scenario in plan.alone {
            self.run(scenario).await;
        }
        over.cancel();
        // Said again until they have ended: one may have been about to offer its socket anew.
        while !residents.is_empty() {
            self.runner.end_offers();
            let _ = tokio::time::timeout(ENDED_AGAIN_EVERY, residents.join_next()).await;
        }
    }

    /// Runs a resident again and again until the others are done; one that fails is not tried again.
    fn reside(&self, scenario: Arc<Scenario>, over: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let (runner, ended, stop) = (Arc::clone(&self.runner), self.ended.clone(), self.stop.clone());
        async move {
            loop {
                let outcome = runner.run(&scenario, stop.clone()).await;
                let well = matches!(&outcome, Outcome::Ran(seen) if seen.broke_off.is_none());
                // The receiver outlives every run.
                let _ = ended.send((Arc::clone(&scenario), outcome)).await;
                if !well || over.is_cancelled() || stop.is_cancelled() {
                    return;
                }
            }
        }
    }

    fn run(&self, scenario: Arc<Scenario>) -> impl Future<Output = ()> + Send + 'static {
        let (runner, ended, stop) = (Arc::clone(&self.runner), self.ended.clone(), self.stop.clone());
        async move {
            let outcome = runner.run(&scenario, stop).await;
            // As above.
            let _ = ended.send((scenario, outcome)).await;
        }
    }
}
