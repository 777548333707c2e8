//! What the target's own log says when an incident opens: asked once for each, a little later because entries take a while to
//! arrive, with a deadline; the answer comes back to the explaining thread as an order like any other.

use super::Order;
use crate::catalog::{Catalog, Logs as Link};
use crate::incident::{Incident, TargetLog};
use crate::logs::{LogQuestion, Logs};
use crate::secret::Redactor;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::runtime::Handle;

/// Hexadecimal digits of a W3C trace id.
const TRACE_ID_CHARS: usize = 32;

/// Asks the log, if the configuration says how.
pub(super) struct Asking {
    runtime: Handle,
    orders: SyncSender<Order>,
    log: Option<(Arc<Logs>, Link, Duration)>,
}

impl Asking {
    /// Answers go to `orders`. A log that cannot be asked is said, and nothing else waits for it.
    pub(super) fn new(runtime: Handle, orders: SyncSender<Order>, (catalog, redactor): (&Catalog, Redactor)) -> Self {
        let link = catalog.target.logs.as_ref();
        let log = link.and_then(|link| {
            let fetch = link.fetch.as_ref()?;
            match Logs::new(fetch.settings.clone(), redactor) {
                Ok(logs) => Some((Arc::new(logs), link.clone(), fetch.after)),
                Err(error) => {
                    tracing::error!(%error, "explaining.no_log: incidents will hold nothing of the target's log");
                    None
                }
            }
        });
        Self { runtime, orders, log }
    }

    /// The same for another catalog.
    pub(super) fn again(&self, catalog: &Catalog, redactor: Redactor) -> Self {
        Self::new(self.runtime.clone(), self.orders.clone(), (catalog, redactor))
    }

    /// Asks for the errors around the opening of `incident`: of its first bad run, or all of that time if there are none.
    pub(super) fn ask(&self, incident: &Incident) {
        let Some((logs, link, after)) = self.log.clone() else {
            return;
        };
        let (from, to) = link.window_of(incident.opened_at);
        let question = LogQuestion {
            traces: traces(incident),
            from,
            to,
        };
        let (id, orders) = (incident.id.clone(), self.orders.clone());
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            let log = read(&logs, question).await;
            // An explaining thread that has ended, or has too much to do, does without.
            let _ = orders.try_send(Order::Log(id, Box::new(log)));
        });
    }
}

async fn read(logs: &Logs, question: LogQuestion) -> TargetLog {
    let of_run = logs.errors(&question).await;
    let found = match of_run {
        Ok(entries) if entries.is_empty() && !question.traces.is_empty() => {
            let any = LogQuestion {
                traces: Vec::new(),
                ..question
            };
            logs.errors(&any).await
        }
        found => found,
    };
    match found {
        Ok(entries) => TargetLog { entries, unread: None },
        Err(error) => {
            tracing::warn!(%error, "explaining.log_unread");
            TargetLog {
                entries: Vec::new(),
                unread: Some(error.to_string()),
            }
        }
    }
}

/// The trace ids by which the target's log may know the first bad run: ours, and those that it answered with.
fn traces(incident: &Incident) -> Vec<String> {
    let Some(bad) = &incident.first_bad else {
        return Vec::new();
    };
    let answered = bad.target_ids.values().flat_map(|id| id.split(['-', '/', ';']));
    let mut traces: Vec<String> = Vec::new();
    for id in std::iter::once(bad.trace_id.as_str()).chain(answered) {
        let is_trace = id.len() == TRACE_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_trace && !traces.iter().any(|known| known == id) {
            traces.push(id.to_owned());
        }
    }
    traces
}
