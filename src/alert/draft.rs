//! Alerts whose text is still to be written: which runs they wait for, until when, and the evidence they are written from.

use super::desk::Parts;
use super::firing::{About, Firing};
use super::text::{self, Told};
use super::{Alert, AlertId};
use crate::catalog::Catalog;
use crate::diagnose::{Diagnosis, may_explain};
use crate::limits::EXPLAINED_WITHIN;
use crate::run::{Judgement, Run};
use crate::transcript::Transcript;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Drafts, with the evidence of the present.
pub(super) struct Drafts {
    siblings: BTreeMap<String, Vec<String>>,
    wait: Duration,
    transcripts: BTreeMap<String, Arc<Transcript>>,
    judgements: BTreeMap<(String, String), Arc<Judgement>>,
    waiting: BTreeMap<AlertId, Draft>,
}

struct Draft {
    firing: Firing,
    until: Instant,
}

impl Drafts {
    pub(super) fn new(catalog: &Catalog, siblings: BTreeMap<String, Vec<String>>) -> Self {
        Self {
            siblings,
            wait: catalog.alerting.sockets.confirm_within,
            transcripts: BTreeMap::new(),
            judgements: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Remembers what was seen and judged; by scenario and check, so that it is bounded by the configuration.
    pub(super) fn see(&mut self, run: &Run) {
        if let Some(transcript) = &run.transcript {
            self.transcripts
                .insert(transcript.scenario.clone(), Arc::clone(transcript));
        }
        for judgement in &run.judgements {
            let key = (judgement.module.clone(), judgement.id.clone());
            self.judgements.insert(key, Arc::clone(judgement));
        }
    }

    /// Begins a draft for what fires and has none yet, and drops those that fire no more. Gives the pages begun.
    pub(super) fn begin(&mut self, firing: &[Firing], issued: &BTreeMap<AlertId, Alert>) -> Vec<Firing> {
        self.waiting
            .retain(|id, _| firing.iter().any(|firing| firing.id == *id));
        let mut pages = Vec::new();
        for firing in firing {
            if issued.contains_key(&firing.id) {
                continue;
            }
            if let Some(draft) = self.waiting.get_mut(&firing.id) {
                draft.firing = firing.clone();
                continue;
            }
            let waits = firing.about.socket().is_some();
            let until = Instant::now() + if waits { self.wait } else { Duration::ZERO };
            let draft = Draft {
                firing: firing.clone(),
                until,
            };
            self.waiting.insert(firing.id.clone(), draft);
            if firing.about.pages() {
                pages.push(firing.clone());
            }
        }
        pages
    }

    /// When the next draft must be written, whatever is missing.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|draft| draft.until).min()
    }

    /// The drafts that wait no more: their time is over, or all that they wait for is there. Those of one socket go together,
    /// and wait for one that may come any moment, as `undecided` says of a socket.
    pub(super) fn due(&mut self, now: Instant, undecided: impl Fn(&str) -> bool) -> Vec<Firing> {
        let sockets = self.waiting.values().filter_map(|draft| draft.firing.about.socket());
        let held: BTreeSet<String> = sockets
            .filter(|socket| self.held(socket, now, &undecided))
            .map(str::to_owned)
            .collect();
        let due: Vec<AlertId> = self
            .waiting
            .iter()
            .filter(|(_, draft)| draft.firing.about.socket().is_none_or(|socket| !held.contains(socket)))
            .map(|(id, _)| id.clone())
            .collect();
        due.iter()
            .filter_map(|id| self.waiting.remove(id))
            .map(|draft| draft.firing)
            .collect()
    }

    /// Whether the drafts about this socket wait on.
    fn held(&self, socket: &str, now: Instant, undecided: &impl Fn(&str) -> bool) -> bool {
        let drafts = || {
            let drafts = self.waiting.values();
            drafts.filter(|draft| draft.firing.about.socket() == Some(socket))
        };
        let late = drafts().any(|draft| draft.until <= now);
        !late && (undecided(socket) || !drafts().all(|draft| self.explained(&draft.firing)))
    }

    /// Drafts that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every sibling has run since the first wrong answer.
    fn explained(&self, firing: &Firing) -> bool {
        let siblings = firing.about.socket().and_then(|socket| self.siblings.get(socket));
        siblings.into_iter().flatten().all(|id| {
            let seen = self.transcripts.get(id);
            seen.is_some_and(|seen| may_explain(seen, firing.starts_at))
        })
    }

    /// Writes an alert from what was seen since its beginning.
    pub(super) async fn write(&self, firing: &Firing, parts: &Parts) -> Alert {
        let fresh = self.transcripts.values();
        let fresh = fresh.filter(|transcript| may_explain(transcript, firing.starts_at));
        let transcripts: Vec<_> = fresh.cloned().collect();
        let judgements: Vec<_> = self.judgements.values().cloned().collect();
        let diagnosis = if firing.id.name.explained() {
            ask(parts, &transcripts, &judgements).await
        } else {
            None
        };
        let told = Told {
            transcripts: &transcripts,
            judgements: &judgements,
            diagnosis: diagnosis.as_ref(),
        };
        text::alert(firing, &parts.catalog, &told)
    }
}

/// Asks the rules, on a thread of their own and not for long: a page without a diagnosis is better than none.
async fn ask(parts: &Parts, transcripts: &[Arc<Transcript>], judgements: &[Arc<Judgement>]) -> Option<Diagnosis> {
    let (explain, transcripts, judgements) = (Arc::clone(&parts.explain), transcripts.to_vec(), judgements.to_vec());
    let asked = tokio::task::spawn_blocking(move || explain(&transcripts, &judgements));
    match tokio::time::timeout(EXPLAINED_WITHIN, asked).await {
        Ok(Ok(diagnosis)) => Some(diagnosis),
        Ok(Err(error)) => {
            tracing::error!(%error, "alert.diagnosis_failed");
            None
        }
        Err(_) => {
            tracing::error!("alert.diagnosis_late: the page goes without a diagnosis");
            None
        }
    }
}

impl About {
    /// The socket that it is about.
    pub(super) fn socket(&self) -> Option<&str> {
        match self {
            Self::Upgrade { socket, .. } | Self::Session { socket, .. } => Some(socket),
            _ => None,
        }
    }

    /// Whether the time to page is measured for it.
    pub(super) fn pages(&self) -> bool {
        self.socket().is_some()
    }
}
