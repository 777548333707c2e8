//! The push: what fires, to every Alertmanager. State and not events: each task holds the latest whole set, sends it when
//! it changes and again every `resend`, with an end that lies one lease ahead. Nothing is ever resolved explicitly: what is
//! no longer renewed ends by itself (observability.md C2). Alertmanagers do not wait for one another.
//!
//! `message` is pure; `door` is one Alertmanager at one address; `courier` keeps one door told; `addresses` finds the doors
//! of a name; `adopt` asks what an Alertmanager still has of ours; `pages` measures how far a page has come.
//! Must not: decide what fires.

mod addresses;
mod adopt;
mod courier;
mod door;
mod message;
mod pages;

use super::{Alert, Deliver};
use crate::catalog::alerting::Alertmanager;
use crate::catalog::{Alerting, Catalog};
use crate::clock;
use crate::limits::ADOPT_WITHIN;
use courier::Courier;
use door::Doors;
use futures_util::future::join_all;
use message::Common;
use pages::Pages;
use std::fmt::{Display, Formatter};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the push cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the Alertmanager `{name}` cannot be pushed to: {why}")]
pub struct PushError {
    /// Configured name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Why one push failed. Never with a text of the other side, or a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection: refused, unreachable, no such name, TLS.
    Connect,
    /// Not done within the deadline.
    Timeout,
    /// An answer that is none of Alertmanager's: another status, a redirect, HTML.
    Answer(u16),
    /// Alertmanager says that the alerts are wrong.
    Rejected,
    /// The connection broke.
    Broken,
    /// There is no token of our own to show.
    NoToken,
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Answer(status) => write!(f, "an unexpected answer with status {status}"),
            Self::Rejected => f.write_str("the alerts were rejected"),
            Self::NoToken => f.write_str("no token of the workload"),
            Self::Broken => f.write_str("the connection broke"),
        }
    }
}

/// Is told how pushes go; implemented by the metrics.
pub trait PushObserver: Send + Sync {
    /// One push ended, well or not.
    fn pushed(&self, alertmanager: &str, fault: Option<Fault>, took: Duration);
    /// One alert was rejected, and is left out until it changes.
    fn rejected(&self, alertmanager: &str);
    /// An Alertmanager has taken a new page, so many seconds after the first wrong answer.
    fn accepted(&self, seconds: f64);
    /// It shows in Alertmanager's list.
    fn visible(&self, seconds: f64);
}

/// What every task works with.
#[derive(Clone)]
struct Shared {
    common: Arc<Common>,
    lease: Duration,
    resend: Duration,
    firing: watch::Receiver<Arc<[Alert]>>,
    pages: Arc<Pages>,
    observer: Arc<dyn PushObserver>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The running push.
pub struct Push {
    firing: watch::Sender<Arc<[Alert]>>,
    shared: Shared,
    doors: Vec<(Alertmanager, Doors)>,
}

impl Push {
    /// Starts a task for each Alertmanager, or for each of its addresses.
    ///
    /// # Errors
    /// When a client cannot be made: the file of authorities cannot be read.
    pub fn start(catalog: &Catalog, observer: Arc<dyn PushObserver>) -> Result<Self, PushError> {
        let alerting: &Alerting = &catalog.alerting;
        let (sender, receiver) = watch::channel(Arc::from([]));
        let shared = Shared {
            common: Arc::new(Common::new(catalog)),
            lease: alerting.lease,
            resend: alerting.resend,
            firing: receiver,
            pages: Arc::new(Pages::new(clock::unix_seconds(clock::now()))),
            observer,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let mut doors = Vec::new();
        for alertmanager in &alerting.alertmanagers {
            let made = Doors::new(alertmanager).map_err(|why| PushError {
                name: alertmanager.name.clone(),
                why,
            })?;
            doors.push((alertmanager.clone(), made));
        }
        let push = Self {
            firing: sender,
            shared,
            doors,
        };
        push.spawn();
        Ok(push)
    }

    fn spawn(&self) {
        for (alertmanager, doors) in &self.doors {
            let shared = self.shared.clone();
            if alertmanager.every_address {
                let task = addresses::keep(doors.clone(), shared);
                self.shared.tasks.spawn(task);
            } else {
                self.shared.tasks.spawn(Courier::new(doors.named(), shared).go());
            }
        }
    }

    /// The alerts of ours that the Alertmanagers still have, the oldest start of each, so that neither a lost volume
    /// pages again nor forgets. Takes two seconds at most; who does not answer has nothing.
    pub async fn adopt(&self) -> Vec<Alert> {
        let asked = self.doors.iter().map(|(_, doors)| async {
            let found = tokio::time::timeout(ADOPT_WITHIN, adopt::ask(doors, &self.shared.common)).await;
            found.unwrap_or_else(|_| {
                tracing::warn!(alertmanager = doors.name(), "push.adopt_late: no answer in time");
                Vec::new()
            })
        });
        adopt::merge(join_all(asked).await.into_iter().flatten())
    }

    /// Ends the tasks. What fires goes on to fire until its lease is over: nothing is resolved.
    pub async fn stop(&self, within: Duration) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        // Tasks that are in the middle of a push end with its deadline.
        let _ = tokio::time::timeout(within, self.shared.tasks.wait()).await;
    }
}

impl Deliver for Push {
    fn deliver(&self, firing: &[Alert]) {
        let mut firing = firing.to_vec();
        // What pages goes first, should there be more than one batch.
        firing.sort_by_key(|alert| alert.severity);
        self.shared.pages.keep(&firing);
        self.firing.send_if_modified(|known| {
            let urgent = firing.iter().any(|alert| is_news(alert, known));
            *known = firing.into();
            urgent
        });
    }
}

/// Whether Alertmanager should know at once: another text can wait for the next round, and so can an end.
fn is_news(alert: &Alert, known: &[Alert]) -> bool {
    let before = known.iter().find(|before| before.id == alert.id);
    before.is_none_or(|before| {
        before.severity != alert.severity || before.owner != alert.owner || before.starts_at != alert.starts_at
    })
}
