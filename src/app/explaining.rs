//! The thread that explains: folds runs into incidents, asks the diagnosis rules about those that opened or grew, stores
//! them with their evidence, and stores an iteration each hour. It holds up neither the judging nor the checks.

mod target_log;

use super::explain::{explain, log_link};
use super::iteration::{Taken, iteration};
use super::rejudge::{Exported, StoredInputs};
use super::{AppError, iterations, judging};
use crate::catalog::Catalog;
use crate::clock;
use crate::diagnose::{Diagnosis, Recent};
use crate::history::{History, IncidentFilter, Ledger};
use crate::incident::{Fold, Incident, Known, Moved, TargetLog};
use crate::limits::{INCIDENT_RUNS_WAITING_MAX, ITERATION_EVERY, REFINED_WITHIN};
use crate::record::Sink;
use crate::run::{Judgement, Run};
use crate::secret::Redactor;
use crate::transcript::Transcript;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use target_log::Asking;
use tokio::runtime::Handle;

/// How long it waits for a run before it looks at the time.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two diagnoses of one incident that only refine it.
const REFINED_EVERY_S: f64 = 1.0;

enum Order {
    Run(Arc<Run>),
    Iteration,
    Catalog(Arc<Catalog>, Box<Redactor>),
    /// What the target's log says of an incident.
    Log(String, Box<TargetLog>),
    End,
}

/// The running thread, as the sink that it is.
pub struct Explaining {
    orders: SyncSender<Order>,
    dropped: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Explaining {
    /// Starts the thread, within a runtime: that is who asks the target's log. `redactor` knows every secret.
    pub(super) fn start(
        catalog: &Arc<Catalog>,
        history: &Arc<History>,
        redactor: Redactor,
    ) -> Result<Arc<Self>, AppError> {
        let open = IncidentFilter {
            open: Some(true),
            ..IncidentFilter::default()
        };
        let open = history.reader().incidents(&open)?;
        let newest = history.reader().iteration(None)?;
        let (orders, waiting) = sync_channel(INCIDENT_RUNS_WAITING_MAX);
        let asking = Asking::new(Handle::current(), orders.clone(), (catalog, redactor));
        let worker = Worker {
            asking,
            fold: Fold::new(Known::of(catalog), open),
            recent: Recent::default(),
            catalog: Arc::clone(catalog),
            history: Arc::clone(history),
            judgements: BTreeMap::new(),
            judged: 0,
            due: BTreeSet::new(),
            explained: BTreeMap::new(),
            iterated: newest.map_or_else(|| clock::unix_seconds(clock::now()), |newest| newest.at),
        };
        let thread = std::thread::Builder::new()
            .name("explaining".to_owned())
            .spawn(move || worker.work(&waiting))
            .map_err(judging::no_thread("no thread for explaining"))?;
        Ok(Arc::new(Self {
            orders,
            dropped: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Asks for an iteration to be stored now.
    pub fn store_iteration(&self) {
        self.order(Order::Iteration);
    }

    /// Goes on with another catalog; incidents that are open stay open.
    pub(super) fn reload(&self, next: &Arc<Catalog>, redactor: Redactor) {
        // The thread only ends when it was told to; a full queue is emptied soon.
        let _ = self.orders.send(Order::Catalog(Arc::clone(next), Box::new(redactor)));
    }

    /// Runs that were not folded because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn order(&self, order: Order) {
        match self.orders.try_send(order) {
            // The thread only ends when it was told to.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::error!("explaining.dropped: too many runs wait to be explained");
            }
        }
    }

    /// Lets it fold what waits, and waits for its end; blocks.
    pub(super) fn finish(&self) {
        // A full queue is emptied soon; without this the thread would outlive us.
        let told = self.orders.send(Order::End).is_ok();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|_| told)
            && thread.join().is_err()
        {
            tracing::error!("explaining.lost: the explaining thread did not end well");
        }
    }
}

impl Sink for Explaining {
    fn take(&self, run: &Arc<Run>) {
        self.order(Order::Run(Arc::clone(run)));
    }
}

/// What the rules were asked about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grounds {
    /// Runs, by id, each with how much of it.
    runs: Vec<(String, usize)>,
    /// How often a verdict had changed.
    judged: u64,
}

struct Worker {
    asking: Asking,
    catalog: Arc<Catalog>,
    history: Arc<History>,
    fold: Fold,
    /// What the rules are asked about.
    recent: Recent,
    /// The latest judgement of each check, with what it was made from.
    judgements: BTreeMap<String, (Arc<Judgement>, Arc<Value>)>,
    /// How often a verdict, or what it says, has changed.
    judged: u64,
    /// Incidents that the rules are to be asked about.
    due: BTreeSet<String>,
    /// When they were last asked, and about what.
    explained: BTreeMap<String, (f64, Grounds)>,
    /// When the last iteration was stored.
    iterated: f64,
}

/// What an incident was judged from, as `judge` and `diagnose` read it.
#[derive(Serialize)]
struct Export<'a> {
    stagewatch: &'static str,
    config_digest: &'a str,
    /// Checks whose texts are only for callers who may see them.
    sensitive: Vec<String>,
    /// Scenarios that only those checks read.
    sensitive_scenarios: BTreeSet<&'a str>,
    judgements: Vec<Exported>,
    /// From when on (seconds since 1970) the evidence explains it; what is older says what was before.
    since: f64,
    evidence: Vec<&'a Transcript>,
}

/// Whether the rules would read the same of both, but for the moment.
fn says_the_same(one: &Judgement, other: &Judgement) -> bool {
    let said = |judgement: &Judgement| (judgement.verdict, judgement.reason, judgement.blames);
    let broken = |judgement: &Judgement| {
        let broken = judgement
            .expectations
            .iter()
            .filter(|judged| judged.held == Some(false));
        broken.map(|judged| judged.message.clone()).collect::<Vec<_>>()
    };
    said(one) == said(other) && one.failure == other.failure && broken(one) == broken(other)
}

impl Worker {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let mut next = match orders.recv_timeout(LOOKS_EVERY) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What arrived together is explained together.
            while let Some(order) = next {
                match order {
                    Order::Run(run) => self.take(&run),
                    Order::Iteration => self.iterate(clock::unix_seconds(clock::now())),
                    Order::Log(id, log) => self.keep_log(&id, *log),
                    Order::Catalog(next, redactor) => {
                        self.asking = self.asking.again(&next, *redactor);
                        self.explained.clear();
                        self.fold = Fold::new(Known::of(&next), self.fold.open().to_vec());
                        self.catalog = next;
                    }
                    Order::End => {
                        self.explain_due();
                        return;
                    }
                }
                next = orders.try_recv().ok();
            }
            self.explain_due();
            let now = clock::unix_seconds(clock::now());
            if now - self.iterated >= ITERATION_EVERY.as_secs_f64() * self.catalog.time_scale {
                self.iterate(now);
            }
        }
    }

    fn take(&mut self, run: &Run) {
        if let Some(transcript) = &run.transcript {
            self.recent.see(transcript);
        }
        for (judgement, inputs) in run.judgements.iter().zip(&run.inputs) {
            let id = format!("{}/{}", judgement.module, judgement.id);
            let before = self.judgements.insert(id, (Arc::clone(judgement), Arc::clone(inputs)));
            if !before.is_some_and(|(before, _)| says_the_same(&before, judgement)) {
                self.judged += 1;
            }
        }
        for (moved, incident) in self.fold.take(run) {
            match moved {
                Moved::Opened => {
                    tracing::warn!(incident = incident.id, "incident.opened");
                    self.asking.ask(&incident);
                }
                Moved::Closed => tracing::info!(incident = incident.id, "incident.closed"),
                Moved::Changed => {}
            }
            self.history.keep_incident(&incident, None);
            if moved == Moved::Closed {
                self.due.remove(&incident.id);
                self.explained.remove(&incident.id);
            } else {
                self.due.insert(incident.id);
            }
        }
        // What a young incident makes others look at (sibling probes, further attempts) refines its diagnosis.
        let young = |incident: &&Incident| run.at - incident.opened_at <= REFINED_WITHIN.as_secs_f64();
        let rested = |id: &String| {
            self.explained
                .get(id)
                .is_none_or(|(at, _)| run.at - at >= REFINED_EVERY_S)
        };
        if run.transcript.is_some() {
            let young = self
                .fold
                .open()
                .iter()
                .filter(young)
                .map(|incident| incident.id.clone());
            self.due.extend(young.filter(rested));
        }
    }

    /// Asks the rules about every incident that is due, with all that is known now.
    fn explain_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let judgements: Vec<&Judgement> = self.judgements.values().map(|(judgement, _)| &**judgement).collect();
        let now = clock::unix_seconds(clock::now());
        let mut made: BTreeMap<Grounds, Diagnosis> = BTreeMap::new();
        for id in std::mem::take(&mut self.due) {
            let Some(began) = self.fold.open().iter().find(|open| open.id == id).map(Incident::began) else {
                continue;
            };
            let transcripts = self.recent.since(began);
            let grounds = Grounds {
                runs: transcripts
                    .iter()
                    .map(|seen| (seen.run.clone(), seen.entries.len()))
                    .collect(),
                judged: self.judged,
            };
            // Nothing new gives nothing new, and incidents that began together share what is made of the same.
            if self.explained.get(&id).is_some_and(|(_, before)| *before == grounds) {
                continue;
            }
            let diagnosis = made
                .entry(grounds.clone())
                .or_insert_with(|| explain(&self.catalog, &transcripts, &judgements))
                .clone();
            let log = |seen: &Transcript| log_link(&self.catalog, seen);
            let Some(incident) = self.fold.explain(&id, diagnosis, log).cloned() else {
                continue;
            };
            let evidence = self.evidence(&incident);
            self.history.keep_incident(&incident, Some(evidence));
            self.explained.insert(id, (now, grounds));
        }
    }

    /// Keeps what the target's log says with its incident, which may be over by now.
    fn keep_log(&mut self, id: &str, log: TargetLog) {
        let open = self.fold.log(id, log.clone()).cloned();
        let incident = open.or_else(|| {
            let stored = self.history.reader().incident(id).ok()?;
            stored.map(|incident| Incident {
                target_log: Some(log),
                ..incident
            })
        });
        if let Some(incident) = incident {
            self.history.keep_incident(&incident, None);
        }
    }

    /// Everything an incident's diagnosis rests on, and its verdicts, with the last good run beside it.
    fn evidence(&self, incident: &Incident) -> String {
        let since = incident.began();
        let good = incident.last_good.as_ref();
        let good = good.and_then(|seen| self.fold.last_good(&seen.scenario).filter(|good| good.run == seen.run));
        let latest = self.fold.latest().chain(good);
        let known: BTreeMap<&str, &Transcript> = self
            .recent
            .kept(since)
            .chain(latest)
            .map(|seen| (seen.run.as_str(), &**seen))
            .collect();
        let judgements = self.judgements.values().map(|(judgement, inputs)| Exported {
            judgement: Judgement::clone(judgement),
            inputs: serde_json::from_value(Value::clone(inputs)).ok(),
        });
        // A verdict that rests on a run before the latest cannot be judged again from these.
        let whole = |stored: &Exported| {
            stored
                .inputs
                .iter()
                .flat_map(StoredInputs::runs)
                .all(|run| known.contains_key(run))
        };
        let sensitive = self.catalog.checks().filter(|(_, check)| check.sensitive);
        let export = Export {
            stagewatch: env!("CARGO_PKG_VERSION"),
            config_digest: &self.catalog.digest,
            sensitive: sensitive.map(|(_, check)| check.full_id()).collect(),
            sensitive_scenarios: self.catalog.sensitive_scenarios(),
            judgements: judgements.filter(whole).collect(),
            since,
            evidence: known.values().copied().collect(),
        };
        serde_json::to_string(&export).unwrap_or_default()
    }

    fn iterate(&mut self, now: f64) {
        self.iterated = now;
        let at = clock::rfc3339(clock::now());
        let taken = Taken {
            started_at: at,
            duration_s: 0.0,
            ended_unix: now,
        };
        let shown: BTreeSet<String> = self.judgements.keys().cloned().collect();
        let latest = |id: &str| self.judgements.get(id).map(|(judgement, _)| Arc::clone(judgement));
        let ledger: &dyn Ledger = self.history.as_ref();
        let mut made = iteration(&self.catalog, &shown, latest, (taken, ledger));
        let transcripts: Vec<Arc<Transcript>> = self.fold.latest().cloned().collect();
        let judgements: Vec<&Judgement> = self.judgements.values().map(|(judgement, _)| &**judgement).collect();
        made.diagnosis = explain(&self.catalog, &transcripts, &judgements);
        iterations::keep(&self.history, &made, now);
    }
}
