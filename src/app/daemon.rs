//! The daemon: every room, running.

use super::alerting::{self, Alerting, DeskSink, Rooms};
use super::assemble::{Assembler, Freshness, Moment};
use super::explaining::Explaining;
use super::judging::Judging;
use super::notices::Notices;
use super::pulse::{Pulse, Told};
use super::supervisor::Supervisor;
use super::{AppError, Runs, iterations, select};
use crate::alert::Obey;
use crate::alert::board::Board;
use crate::alert::desk::Desk;
use crate::catalog::Catalog;
use crate::history::{Bases, History, Place};
use crate::limits::EVENTS_WAITING_MAX;
use crate::record::live::Live;
use crate::record::metrics::Metrics;
use crate::record::trend::Trend;
use crate::record::{Fan, Sink};
use crate::scenario::Runner;
use crate::schedule::{self, Parts, RunNow, Scheduler};
use crate::serve::{self, Commands, Health, ReloadAsked, Served, Server, Wanted};
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the judging may take for what is still waiting when we stop.
const JUDGED_WITHIN: Duration = Duration::from_secs(2);
/// How long the history may take for what is still waiting when we stop.
const STORED_WITHIN: Duration = Duration::from_secs(2);

/// A daemon at work.
pub struct Running {
    pub(super) catalog: Arc<Catalog>,
    pub(super) runner: Arc<ArcSwap<Runner>>,
    pub(super) commands: Arc<Asked>,
    pub(super) server: Server,
    pub(super) scheduler: Scheduler,
    pub(super) judging: Judging,
    pub(super) explaining: Arc<Explaining>,
    pub(super) notices: Arc<Notices>,
    pub(super) obey: Arc<dyn Obey>,
    pub(super) history: Arc<History>,
    pub(super) live: Arc<Live>,
    pub(super) trend: Arc<Trend>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) board: Arc<Board>,
    pub(super) alerting: Alerting,
    /// Whether a reload left it in pieces.
    pub(super) in_pieces: bool,
    pulse: Arc<Pulse>,
}

/// What a daemon lives by, besides its configuration.
pub struct Life {
    /// Its beat.
    pub pulse: Arc<Pulse>,
    /// Where reloads are asked for over HTTP; none when there is no file to load again.
    pub reloads: Option<mpsc::Sender<ReloadAsked>>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            pulse: Pulse::new(Supervisor::nobody()),
            reloads: None,
        }
    }
}

/// Starts the daemon: opens history and listener first, so that what cannot work fails at once, then schedules.
///
/// # Errors
/// When the history, the listener, the runner or the schedule cannot start.
pub async fn start(catalog: Arc<Catalog>) -> Result<Running, AppError> {
    start_with(catalog, Life::default()).await
}

/// As [`start`], under a supervisor, or able to reload.
///
/// # Errors
/// As [`start`].
pub async fn start_with(catalog: Arc<Catalog>, life: Life) -> Result<Running, AppError> {
    let listener = serve::listen(catalog.service.listen).await?;
    let place = Place::Folder(catalog.service.data_dir.clone());
    let history = History::open_keeping(&place, Bases::of(&catalog.target), catalog.service.history)?;
    let runner = Runner::new(Arc::clone(&catalog), Arc::clone(&history) as _)?;
    let runner = Arc::new(ArcSwap::new(runner));
    let metrics = Metrics::new(&catalog)?;
    let live = Live::new(&catalog);
    let trend = Trend::new(&catalog);
    if let Err(error) = trend.load(history.reader()) {
        tracing::warn!(%error, "app.no_trend: the page's strips begin now");
    }
    watch_sources(&metrics, &history, &runner);

    let commands = Arc::new(Asked {
        catalog: Arc::new(ArcSwap::new(Arc::clone(&catalog))),
        runs: OnceLock::new(),
    });
    let notices = Notices::new(&commands.catalog, &history);
    let board = Board::new(&metrics);
    let served = Served {
        live: Arc::clone(&live),
        metrics: Arc::clone(&metrics),
        trend: Arc::clone(&trend),
        alerts: Arc::clone(&board),
        catalog: Arc::clone(&commands.catalog),
        history: history.browser(),
        commands: Arc::clone(&commands) as _,
        notices: Arc::clone(&notices) as _,
        health: health(&history),
        iteration: iterations::stored,
        reloads: life.reloads,
    };
    let server = Server::start(listener, &catalog.service, served)?;

    let (events, waiting) = mpsc::channel(EVENTS_WAITING_MAX);
    let ledger = Arc::clone(&history) as _;
    let assembler = Assembler::new(Arc::clone(&catalog), ledger, (Freshness::Periods, &Moment::now()));
    let (commander, commands_waiting) = schedule::commands(Arc::clone(&metrics) as _);
    let obey: Arc<dyn Obey> = commander;
    let first_runner = runner.load_full();
    alerting::watch_controls(&catalog, &first_runner);
    let alerting = alerting::start(&Rooms {
        catalog: &catalog,
        history: &history,
        board: &board,
        runner: &first_runner,
        notices: &notices,
        obey: &obey,
    })
    .await?;
    notices.heard_by(&alerting.desk.load());
    let explaining = Explaining::start(&catalog, &history, first_runner.redactor())?;
    let sinks: Vec<Arc<dyn Sink>> = vec![
        Arc::clone(&metrics) as _,
        Arc::clone(&trend) as _,
        Arc::clone(&live) as _,
        Arc::new(DeskSink(Arc::clone(&alerting.desk))),
        Arc::clone(&history) as _,
        Arc::clone(&explaining) as _,
    ];
    let judging = Judging::start(assembler, waiting, Fan::new(sinks))?;
    let scheduler = Scheduler::start(Parts {
        catalog: Arc::clone(&catalog),
        execute: Arc::new(Runs(runner.load_full())),
        observer: Arc::new(Told {
            metrics: Arc::clone(&metrics),
            pulse: Arc::clone(&life.pulse),
        }),
        events,
        commands: commands_waiting,
    })
    .await?;
    // Nobody else sets it.
    let _ = commands.runs.set(scheduler.handle());
    server.set_ready();
    life.pulse.supervisor().ready();
    tracing::info!(listen = %server.address(), watched = %catalog.target.name, "app.started");
    Ok(Running {
        catalog,
        runner,
        commands,
        in_pieces: false,
        pulse: life.pulse,
        server,
        scheduler,
        judging,
        explaining,
        notices,
        obey,
        history,
        live,
        trend,
        metrics,
        board,
        alerting,
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The latest verdicts.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The history.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// The alert desk.
    pub fn alerts(&self) -> Arc<Desk> {
        self.alerting.desk.load_full()
    }

    /// Incidents and iterations in the making.
    pub fn explaining(&self) -> &Arc<Explaining> {
        &self.explaining
    }

    /// Whether a part has died that the daemon cannot work without; it should then end, to be started anew.
    pub fn broken(&self) -> bool {
        self.in_pieces || self.judging.ended() || self.alerting.desk.load().ended()
    }

    /// Stops: no new runs, those in flight end or are cancelled, what was seen is judged and stored, the listener closes.
    pub async fn shutdown(self) {
        let Self {
            server,
            scheduler,
            judging,
            explaining,
            history,
            alerting,
            pulse,
            ..
        } = self;
        pulse.end();
        scheduler.stop().await;
        judging.finish(JUDGED_WITHIN).await;
        alerting.stop().await;
        let stored = tokio::task::spawn_blocking(move || {
            explaining.finish();
            history.flush(STORED_WITHIN)
        });
        let (stored, ()) = tokio::join!(stored, server.stop());
        if !stored.unwrap_or(false) {
            tracing::error!("app.history_incomplete: not everything could be stored");
        }
        pulse.ended();
        tracing::info!("app.stopped");
    }
}

/// Brings what other rooms know into the metrics before each rendering.
fn watch_sources(metrics: &Metrics, history: &Arc<History>, runner: &Arc<ArcSwap<Runner>>) {
    let history = Arc::clone(history);
    metrics.add_source(move |own| {
        let stats = history.stats();
        own.set_history(&stats);
    });
    let runner = Arc::clone(runner);
    metrics.add_source(move |own| {
        let runner = runner.load();
        own.set_controls(runner.controls_reachable());
        for budget in runner.budgets() {
            own.set_budget(&budget.name, budget.remaining_ratio);
        }
    });
}

fn health(history: &Arc<History>) -> Box<dyn Fn() -> Health + Send + Sync> {
    let history = Arc::clone(history);
    Box::new(move || match history.stats().degraded {
        None => Health::Well,
        Some(why) => Health::Degraded(format!("history: {why}")),
    })
}

/// Carries out what the API asks for.
pub(super) struct Asked {
    pub(super) catalog: Arc<ArcSwap<Catalog>>,
    /// Set as soon as there is a schedule; the listener is open before.
    runs: OnceLock<RunNow>,
}

impl Commands for Asked {
    fn run_now(&self, wanted: &Wanted) -> Result<Vec<String>, String> {
        let catalog = self.catalog.load();
        let checks = select::named(&catalog, wanted)?;
        let checks = select::with_prerequisites(&catalog, &checks);
        let scenarios: Vec<String> = select::scenarios(&catalog, &checks)
            .into_iter()
            .map(|scenario| scenario.id.clone())
            .collect();
        Ok(self.runs.get().map(|runs| runs.ask(&scenarios)).unwrap_or_default())
    }
}
