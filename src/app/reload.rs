//! Reload: a whole new catalog takes the place of the old one, or nothing changes. What both have in common goes on: lanes
//! of unchanged modules, counters, the latest verdicts with their evidence, ledger and budgets.

use super::Runs;
use super::alerting::{self, Rooms, Successor};
use super::assemble::Moment;
use super::daemon::Running;
use crate::catalog::Catalog;
use crate::history::Bases;
use crate::scenario::Runner;
use crate::schedule::Execute;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Modules that go on untouched.
    pub same: usize,
    /// Modules that began anew.
    pub begun: Vec<String>,
    /// Modules that are gone.
    pub gone: Vec<String>,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |modules: &[String]| {
            if modules.is_empty() {
                "none".to_owned()
            } else {
                modules.join(", ")
            }
        };
        write!(
            f,
            "reloaded: {} modules unchanged; begun anew: {}; gone: {}",
            self.same,
            list(&self.begun),
            list(&self.gone)
        )
    }
}

/// What two catalogs have in common. Pure.
struct Common {
    changed: Changed,
    /// Scenarios (full ids) that are the same in both.
    scenarios: BTreeSet<String>,
}

impl Common {
    fn of(before: &Catalog, next: &Catalog) -> Self {
        let same_ground = before.ground == next.ground;
        let mut common = Self {
            changed: Changed::default(),
            scenarios: BTreeSet::new(),
        };
        for module in &next.modules {
            let known = before.modules.iter().find(|known| known.id == module.id);
            if same_ground && known.is_some_and(|known| known.digest == module.digest) {
                common.changed.same += 1;
                let scenarios = module.scenarios.iter().map(|scenario| scenario.id.clone());
                common.scenarios.extend(scenarios);
            } else {
                common.changed.begun.push(module.id.clone());
            }
        }
        let ids: BTreeSet<_> = next.modules.iter().map(|module| module.id.as_str()).collect();
        let gone = before.modules.iter().filter(|module| !ids.contains(module.id.as_str()));
        common.changed.gone = gone.map(|module| module.id.clone()).collect();
        common
    }
}

/// What cannot be changed while the daemon runs.
fn fixed(before: &Catalog, next: &Catalog) -> Result<(), String> {
    let same_scale = before.time_scale.to_bits() == next.time_scale.to_bits();
    let (before, next) = (&before.service, &next.service);
    let settings = [
        ("time_scale", same_scale),
        ("service.listen", before.listen == next.listen),
        ("service.data_dir", before.data_dir == next.data_dir),
        ("service.web_config", before.web_config == next.web_config),
    ];
    match settings.iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((name, _)) => Err(format!(
            "{name} has changed, which needs a restart; nothing was taken over"
        )),
    }
}

impl Running {
    /// Takes the place of the old catalog by `next`.
    ///
    /// # Errors
    /// When `next` cannot be used as a whole; then nothing has changed, and the metric and the status say so.
    pub async fn reload(&mut self, next: Arc<Catalog>) -> Result<Changed, String> {
        let common = Common::of(&self.catalog, &next);
        let prepared = fixed(&self.catalog, &next).and_then(|()| {
            let runner = self.runner_for(&next)?;
            Ok((self.successor(&next, &runner)?, runner))
        });
        let (successor, runner) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                self.refuse(&why);
                return Err(why);
            }
        };
        // Nothing of the new catalog can be refused any more.
        self.scheduler.retire(&common.scenarios).await;
        if let Err(error) = self.exchange(&next, &common.scenarios).await {
            self.in_pieces = true;
            return Err(error);
        }
        self.runner.store(Arc::clone(&runner));
        successor.take_over(&mut self.alerting, &self.notices).await;
        self.explaining.reload(&next, runner.redactor());
        self.commands.catalog.store(Arc::clone(&next));
        let execute: Arc<dyn Execute> = Arc::new(Runs(runner));
        if let Err(error) = self.scheduler.take_up(Arc::clone(&next), execute).await {
            self.in_pieces = true;
            return Err(error.to_string());
        }
        self.catalog = next;
        self.metrics.own().set_reloaded(true);
        self.server.reload(&self.catalog.service);
        tracing::info!(digest = %self.catalog.digest, changed = %common.changed, "app.reloaded");
        Ok(common.changed)
    }

    /// A configuration was refused as a whole: said where people and machines look, and nothing else.
    pub fn refuse(&self, why: &str) {
        tracing::error!(why, "app.reload_refused: the old configuration stays");
        self.metrics.own().set_reloaded(false);
        self.live.refused(why);
        self.server.render_anew();
    }

    /// The runner goes on when all that it stands on is the same, with its users, tokens and budgets.
    fn runner_for(&self, next: &Arc<Catalog>) -> Result<Arc<Runner>, String> {
        if self.catalog.ground == next.ground {
            return Ok(self.runner.load_full());
        }
        let runner =
            Runner::new(Arc::clone(next), Arc::clone(&self.history) as _).map_err(|error| error.to_string())?;
        alerting::watch_controls(next, &runner);
        Ok(runner)
    }

    /// Alerting by the new catalog, which goes on with what fires.
    fn successor(&self, next: &Arc<Catalog>, runner: &Arc<Runner>) -> Result<Successor, String> {
        let rooms = Rooms {
            catalog: next,
            history: &self.history,
            board: &self.board,
            runner,
            notices: &self.notices,
            obey: &self.obey,
        };
        Successor::ready(&rooms).map_err(|error| error.to_string())
    }

    /// Exchanges what judges, counts and shows, between two judgements.
    async fn exchange(&self, next: &Arc<Catalog>, same: &BTreeSet<String>) -> Result<(), String> {
        self.history.rename(Bases::of(&next.target));
        self.metrics.own().forget_budgets();
        let (metrics, live) = (Arc::clone(&self.metrics), Arc::clone(&self.live));
        let trend = Arc::clone(&self.trend);
        let (next, same) = (Arc::clone(next), same.clone());
        let done = self.judging.between(move |assembler| {
            assembler.reload(Arc::clone(&next), &same, &Moment::now());
            live.reload(&next);
            trend.reload(&next);
            if let Err(error) = metrics.reload(&next) {
                tracing::error!(%error, "app.metrics_not_reloaded");
            }
        });
        if done.await {
            Ok(())
        } else {
            Err("the judging thread has died; the daemon has to be started anew".to_owned())
        }
    }
}
