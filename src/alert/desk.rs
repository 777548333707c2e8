//! The task that owns the fold. Runs come in through a bounded channel that never holds up the judging; out go commands to
//! the schedule, what fires to the push, what is to survive a restart to the history, and a snapshot for everybody who
//! looks. The first delivery of an alert waits a little for the runs that explain it. Must not: decide what fires.

use super::draft::Drafts;
use super::firing::Firing;
use super::fold::{Fold, Signals};
use super::machine::WatchState;
use super::{Alert, Command, Deliver, Keep, KeptAlert, Obey, Stage, Suppressed};
use crate::catalog::Catalog;
use crate::clock;
use crate::diagnose::Diagnosis;
use crate::limits::{DESK_RUNS_WAITING_MAX, KEPT_FOR};
use crate::run::{Judgement, Run};
use crate::transcript::Transcript;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the end of the task is waited for; it waits for nothing itself but the rules.
const DESK_ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How often time alone may change something.
const TICK: Duration = Duration::from_secs(1);

/// Asks the diagnosis rules about transcripts and judgements.
pub type Explain = Arc<dyn Fn(&[Arc<Transcript>], &[Arc<Judgement>]) -> Diagnosis + Send + Sync>;

/// Is told what the desk knows and how far pages have come; implemented by the metrics.
pub trait Told: Send + Sync {
    /// Everything as it is now.
    fn alerts(&self, now: &Arc<Snapshot>);
    /// A page has come this far, so many seconds after the first wrong answer.
    fn page(&self, stage: Stage, seconds: f64);
}

/// What a desk works with.
pub struct Parts {
    /// Configuration.
    pub catalog: Arc<Catalog>,
    /// Carries out commands.
    pub obey: Arc<dyn Obey>,
    /// Delivers what fires.
    pub deliver: Arc<dyn Deliver>,
    /// Keeps what fires across restarts.
    pub keep: Arc<dyn Keep>,
    /// Asks the diagnosis rules.
    pub explain: Explain,
    /// What maintenance mutes and what the controls say, at a moment (seconds since 1970).
    pub signals: Box<dyn Fn(f64) -> Signals + Send + Sync>,
    /// Is told.
    pub told: Arc<dyn Told>,
    /// The scenarios whose runs explain a socket's alert (full ids), by socket: the first delivery waits for them.
    pub siblings: BTreeMap<String, Vec<String>>,
    /// Instances of the target that answered before this process started.
    pub instances: Vec<Value>,
}

/// Everything about alerts, as it is now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// What fires, as it is delivered.
    pub firing: Vec<Alert>,
    /// Alerts that fire and whose text is still being made.
    pub drafts: usize,
    /// Sockets about which a page is being made, or was handed to the push just now.
    #[serde(skip)]
    pub held: BTreeSet<String>,
    /// What is not alerted about, and why.
    pub suppressed: Vec<Suppressed>,
    /// Every watch.
    pub watches: Vec<WatchState>,
    /// Runs that were lost because the desk was too slow.
    pub dropped: u64,
}

/// What the desk is told.
enum Message {
    Run(Arc<Run>),
    Deploy,
    Adopt(Vec<Alert>),
}

/// A handle of the running desk.
pub struct Desk {
    messages: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    task: JoinHandle<()>,
}

impl Desk {
    /// Starts the task: it goes on with the alerts that were kept.
    pub fn start(parts: Parts) -> Self {
        let (messages, waiting) = mpsc::channel(DESK_RUNS_WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let work = Work::new(parts, Arc::clone(&snapshot), Arc::clone(&dropped));
        Self {
            messages,
            dropped,
            snapshot,
            task: tokio::spawn(work.go(waiting)),
        }
    }

    /// Takes what was judged. Never waits: what finds no room is dropped and counted.
    pub fn take(&self, run: &Arc<Run>) {
        self.tell(Message::Run(Arc::clone(run)));
    }

    /// The target was deployed just now.
    pub fn mark_deploy(&self) {
        self.tell(Message::Deploy);
    }

    /// Goes on with alerts of ours that an Alertmanager still has.
    pub fn adopt(&self, alerts: Vec<Alert>) {
        self.tell(Message::Adopt(alerts));
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether the task has died.
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends the task, and waits until it has let go of all it holds. What fires goes on to fire: nothing is resolved.
    pub async fn stop(&self) {
        self.task.abort();
        let deadline = Instant::now() + DESK_ENDS_WITHIN;
        while !self.task.is_finished() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn tell(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!("alert.desk_full: the alert desk is too slow or has died; a run was not looked at");
        }
    }
}

/// The task's own state.
struct Work {
    parts: Parts,
    fold: Fold,
    drafts: Drafts,
    issued: BTreeMap<super::AlertId, Alert>,
    /// Something was adopted and not yet delivered: its lease runs.
    adopted: bool,
    kept_at: Instant,
    snapshot: Arc<ArcSwap<Snapshot>>,
    dropped: Arc<AtomicU64>,
}

impl Work {
    fn new(parts: Parts, snapshot: Arc<ArcSwap<Snapshot>>, dropped: Arc<AtomicU64>) -> Self {
        let mut fold = Fold::new(&parts.catalog, unix());
        fold.know_instances(&parts.instances);
        let drafts = Drafts::new(&parts.catalog, parts.siblings.clone());
        let mut work = Self {
            fold,
            drafts,
            issued: BTreeMap::new(),
            adopted: false,
            kept_at: Instant::now(),
            snapshot,
            dropped,
            parts,
        };
        let (now, kept) = (unix(), work.parts.keep.firing());
        let (fresh, old): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.holds(now));
        for KeptAlert { alert, .. } in old {
            tracing::info!(alert = %alert.id.name, labels = ?alert.id.labels, "alert.too_old: kept for longer than an hour after its lease");
        }
        work.adopt(fresh.into_iter().map(|kept| kept.alert).collect());
        work
    }

    async fn go(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let draft_due = self.drafts.next_due();
            let commands = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.hear(message),
                    None => return,
                },
                _ = ticks.tick() => {
                    let now = unix();
                    self.fold.tick(now, (self.parts.signals)(now))
                }
                () = tokio::time::sleep_until(draft_due.unwrap_or_else(|| Instant::now() + TICK)), if draft_due.is_some() => Vec::new(),
            };
            for command in &commands {
                log(command);
                self.parts.obey.obey(command);
            }
            self.settle().await;
        }
    }

    fn hear(&mut self, message: Message) -> Vec<Command> {
        match message {
            Message::Run(run) => {
                let now = unix();
                self.drafts.see(&run);
                // Before what the run says: a wrong answer of an instance that has just started is to be excused.
                self.fold.hear(now, (self.parts.signals)(now));
                self.fold.take(&run, now)
            }
            Message::Deploy => {
                self.fold.mark_deploy(unix());
                Vec::new()
            }
            Message::Adopt(alerts) => {
                self.adopt(alerts);
                Vec::new()
            }
        }
    }

    /// Goes on with alerts as they were last told, their texts included.
    fn adopt(&mut self, alerts: Vec<Alert>) {
        for alert in self.fold.adopt(&alerts) {
            tracing::info!(alert = %alert.id.name, labels = ?alert.id.labels, starts_at = alert.starts_at, "alert.adopted");
            self.issued.entry(alert.id.clone()).or_insert(alert);
            self.adopted = true;
        }
    }

    /// Brings what was delivered in line with what fires.
    async fn settle(&mut self) {
        let firing = self.fold.firing();
        let before = self.issued.len();
        self.issued.retain(|id, _| {
            let fires = firing.iter().any(|firing| firing.id == *id);
            if !fires {
                tracing::info!(alert = %id.name, labels = ?id.labels, "alert.ended");
            }
            fires
        });
        let mut changed = self.issued.len() != before || std::mem::take(&mut self.adopted);
        changed |= self.refresh(&firing);
        let begun = self.drafts.begin(&firing, &self.issued);
        for confirmed in begun.pages {
            self.parts.told.page(Stage::Confirmed, unix() - confirmed.starts_at);
        }
        if !begun.missing.is_empty() {
            let command = Command::Ask {
                scenarios: begun.missing.into_iter().collect(),
            };
            log(&command);
            self.parts.obey.obey(&command);
        }
        let due = self.drafts.due(Instant::now(), |socket| self.fold.undecided(socket));
        // Together, for each asks the rules.
        let written = join_all(due.iter().map(|firing| self.drafts.write(firing, &self.parts))).await;
        for ((firing, _), alert) in due.iter().zip(written) {
            tracing::warn!(alert = %alert.id.name, labels = ?alert.id.labels, "alert.fires");
            if firing.about.pages() {
                self.parts.told.page(Stage::Diagnosed, unix() - firing.starts_at);
            }
            self.drafts.handed_over(firing);
            self.issued.insert(alert.id.clone(), alert);
            changed = true;
        }
        self.publish(changed);
    }

    /// What may change of an alert while it fires: how bad it is, and that it began earlier than we knew.
    fn refresh(&mut self, firing: &[Firing]) -> bool {
        let mut changed = false;
        for firing in firing {
            if let Some(alert) = self.issued.get_mut(&firing.id) {
                let starts_at = alert.starts_at.min(firing.starts_at);
                changed |= (alert.severity, alert.starts_at) != (firing.severity, starts_at);
                alert.severity = firing.severity;
                alert.starts_at = starts_at;
            }
        }
        changed
    }

    fn publish(&mut self, changed: bool) {
        let firing: Vec<Alert> = self.issued.values().cloned().collect();
        if changed {
            self.parts.deliver.deliver(&firing);
        }
        if changed || self.kept_at.elapsed() >= self.parts.catalog.alerting.resend {
            self.kept_at = Instant::now();
            let lease_until = unix() + self.parts.catalog.alerting.lease.as_secs_f64();
            let kept = firing.iter().map(|alert| KeptAlert {
                alert: alert.clone(),
                lease_until,
            });
            self.parts.keep.keep(&kept.collect::<Vec<_>>());
        }
        let snapshot = Arc::new(Snapshot {
            firing,
            drafts: self.drafts.len(),
            held: self.drafts.held(Instant::now()),
            suppressed: self.fold.suppressed().into_iter().collect(),
            watches: self.fold.watches(),
            dropped: self.dropped.load(Ordering::Relaxed),
        });
        self.parts.told.alerts(&snapshot);
        self.snapshot.store(snapshot);
    }
}

impl KeptAlert {
    /// Whether it is young enough to go on with.
    fn holds(&self, now: f64) -> bool {
        now - self.lease_until < KEPT_FOR.as_secs_f64()
    }
}

fn log(command: &Command) {
    match command {
        Command::Confirm {
            socket,
            credential,
            attempts,
        } => tracing::warn!(%socket, %credential, attempts, "alert.suspected: a wrong answer; asking for a burst"),
        Command::Probe { socket, credential } => tracing::debug!(%socket, %credential, "alert.probe"),
        Command::Ask { scenarios } => tracing::info!(?scenarios, "alert.asks: what explains a failing check"),
    }
}

fn unix() -> f64 {
    clock::unix_seconds(clock::now())
}
