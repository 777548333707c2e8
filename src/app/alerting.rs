//! Assembles alerting: the desk with what carries out, delivers and keeps; and takes back at start what still fires.

use super::explain::explain;
use super::notices::Notices;
use crate::alert::Obey;
use crate::alert::board::Board;
use crate::alert::desk::{Desk, Explain, Parts};
use crate::alert::fold::Signals;
use crate::alert::push::{Push, PushError};
use crate::catalog::check::ExtractOf;
use crate::catalog::{Catalog, Extract, watch};
use crate::clock;
use crate::history::{History, Ledger};
use crate::limits::{CONTROLS_AGAIN, CONTROLS_EVERY, INSTANCES_KNOWN_MAX};
use crate::record::Sink;
use crate::run::{Judgement, Run};
use crate::scenario::Runner;
use arc_swap::ArcSwap;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How far back instances of the target are remembered over a restart of ours.
const INSTANCES_OVER: Duration = Duration::from_secs(24 * 3600);

/// What alerting is assembled from.
#[derive(Clone, Copy)]
pub(super) struct Rooms<'a> {
    pub(super) catalog: &'a Arc<Catalog>,
    pub(super) history: &'a Arc<History>,
    pub(super) board: &'a Arc<Board>,
    pub(super) runner: &'a Arc<Runner>,
    pub(super) notices: &'a Arc<Notices>,
    pub(super) obey: &'a Arc<dyn Obey>,
}

/// How long stopping waits for pushes that are under way.
const PUSHED_WITHIN: Duration = Duration::from_secs(1);

/// Alerting at work.
pub(super) struct Alerting {
    /// The desk in force: a reload puts another one in its place.
    pub(super) desk: Arc<ArcSwap<Desk>>,
    push: Arc<Push>,
}

impl Alerting {
    /// Ends desk and push. What fires goes on to fire until its lease is over: nothing is resolved.
    pub(super) async fn stop(&self) {
        self.desk.load_full().stop().await;
        self.push.stop(PUSHED_WITHIN).await;
    }
}

/// Starts push and desk. The desk goes on with what the history kept, and with what Alertmanagers still have of ours, so
/// that neither a restart nor a lost volume pages again or forgets; they are waited for two seconds at most.
///
/// # Errors
/// When a client for an Alertmanager cannot be made.
pub(super) async fn start(rooms: &Rooms<'_>) -> Result<Alerting, PushError> {
    let (desk, push) = begin(rooms)?;
    let adopted = push.adopt().await;
    if !adopted.is_empty() {
        desk.adopt(adopted);
    }
    let desk = Arc::new(ArcSwap::new(desk));
    Ok(Alerting { desk, push })
}

/// A desk that goes on with what the history kept, and what delivers for it.
fn begin(rooms: &Rooms<'_>) -> Result<(Arc<Desk>, Arc<Push>), PushError> {
    let push = Arc::new(Push::start(rooms.catalog, Arc::clone(rooms.board) as _)?);
    let desk = Arc::new(Desk::start(parts(rooms, &push)));
    Ok((desk, push))
}

/// Another catalog: what fires goes on to fire with the same `startsAt`, from a new desk to the Alertmanagers named now.
pub(super) struct Successor {
    desk: Arc<Desk>,
    push: Arc<Push>,
}

impl Successor {
    /// Ready to take over.
    ///
    /// # Errors
    /// When a client for an Alertmanager cannot be made; then the old ones stay.
    pub(super) fn ready(rooms: &Rooms<'_>) -> Result<Self, PushError> {
        let (desk, push) = begin(rooms)?;
        Ok(Self { desk, push })
    }

    /// Takes over.
    pub(super) async fn take_over(self, alerting: &mut Alerting, notices: &Notices) {
        notices.heard_by(&self.desk);
        let before = alerting.desk.swap(self.desk);
        let pushed = std::mem::replace(&mut alerting.push, self.push);
        before.stop().await;
        pushed.stop(PUSHED_WITHIN).await;
    }
}

/// Looks at the control addresses of `catalog` from now on, as long as there is the runner.
pub(super) fn watch_controls(catalog: &Catalog, runner: &Arc<Runner>) {
    if !catalog.target.controls.is_empty() {
        tokio::spawn(look_at_controls(Arc::downgrade(runner)));
    }
}

fn parts(rooms: &Rooms, push: &Arc<Push>) -> Parts {
    let (runner, notices) = (Arc::clone(rooms.runner), Arc::clone(rooms.notices));
    Parts {
        catalog: Arc::clone(rooms.catalog),
        obey: Arc::clone(rooms.obey),
        deliver: Arc::clone(push) as _,
        keep: Arc::clone(rooms.history) as _,
        explain: explainer(rooms.catalog),
        signals: Box::new(move |_now| Signals {
            muted: notices.muted(),
            controls: runner.controls_reachable(),
            instance_started: runner.instance_started(),
        }),
        told: Arc::clone(rooms.board) as _,
        siblings: siblings(rooms.catalog),
        instances: instances(rooms.catalog, rooms.history),
    }
}

/// Looks at the control addresses again and again, as long as there is a runner: whether our own network is suspect must not
/// rest on the last occasion that somebody had to ask.
async fn look_at_controls(runner: Weak<Runner>) {
    while let Some(runner) = runner.upgrade() {
        let all = runner.look_at_controls().await.is_none_or(|ratio| ratio >= 1.0);
        drop(runner);
        tokio::time::sleep(if all { CONTROLS_EVERY } else { CONTROLS_AGAIN }).await;
    }
}

/// The scenarios that are run beside a burst, by socket.
fn siblings(catalog: &Catalog) -> BTreeMap<String, Vec<String>> {
    let ids = |socket: &str| {
        watch::siblings(catalog, socket)
            .map(|scenario| scenario.id.clone())
            .collect()
    };
    let sockets = catalog.target.sockets.keys();
    sockets.map(|socket| (socket.clone(), ids(socket))).collect()
}

fn explainer(catalog: &Arc<Catalog>) -> Explain {
    let catalog = Arc::clone(catalog);
    Arc::new(move |transcripts, judgements| {
        let judgements: Vec<&Judgement> = judgements.iter().map(AsRef::as_ref).collect();
        explain(&catalog, transcripts, &judgements)
    })
}

/// The instances of the target that the ledger remembers.
fn instances(catalog: &Catalog, history: &History) -> Vec<Value> {
    let Some(series) = catalog.alerting.instance_series.clone() else {
        return Vec::new();
    };
    let extract = Extract {
        name: String::new(),
        of: ExtractOf::Series(series),
        over: INSTANCES_OVER,
        limit: INSTANCES_KNOWN_MAX,
    };
    let found = history.extract(&extract, clock::unix_seconds(clock::now()));
    let items = match found {
        Ok(Value::Array(items)) => items,
        Ok(_) => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "alert.instances_unknown: the next instance seen counts as the first");
            Vec::new()
        }
    };
    items
        .into_iter()
        .filter_map(|mut item| item.get_mut("value").map(Value::take))
        .collect()
}

/// The desk as the judging sees it.
pub(super) struct DeskSink(pub(super) Arc<ArcSwap<Desk>>);

impl Sink for DeskSink {
    fn take(&self, run: &Arc<Run>) {
        self.0.load().take(run);
    }
}
