//! Alerts whose text is still to be written: which runs they wait for, until when, and the evidence they are written from.

use super::desk::Parts;
use super::firing::{About, Firing};
use super::text::{self, Told};
use super::{Alert, AlertId};
use crate::catalog::Catalog;
use crate::diagnose::{Diagnosis, Recent, wrong_since};
use crate::limits::{EXPLAINED_WITHIN, RULES_AFTER};
use crate::run::{Judgement, Run};
use crate::transcript::Transcript;
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Drafts, with the evidence of the present.
pub(super) struct Drafts {
    siblings: BTreeMap<String, Vec<String>>,
    /// The scenarios whose runs explain an alert about checks (full ids).
    explaining: Vec<String>,
    wait: Duration,
    recent: Recent,
    judgements: BTreeMap<(String, String), Arc<Judgement>>,
    /// Since when what a check sees is wrong, and its verdict then, of those that do not pass.
    wrong: BTreeMap<(String, String), (f64, Verdict)>,
    waiting: BTreeMap<AlertId, Draft>,
    /// Sockets about which an alert was handed over just now, each with the end of that.
    handed: BTreeMap<String, Instant>,
}

/// What begins with new drafts.
#[derive(Default)]
pub(super) struct Begun {
    /// Those whose time to page is measured.
    pub(super) pages: Vec<Firing>,
    /// Scenarios to be asked once more, because they have not run since what they are to explain.
    pub(super) missing: BTreeSet<String>,
}

struct Draft {
    firing: Firing,
    until: Instant,
}

impl Drafts {
    pub(super) fn new(catalog: &Catalog, siblings: BTreeMap<String, Vec<String>>) -> Self {
        let explaining = catalog
            .scenarios()
            .filter(|scenario| scenario.enabled && scenario.explains);
        Self {
            siblings,
            explaining: explaining.map(|scenario| scenario.id.clone()).collect(),
            wait: catalog.alerting.sockets.confirm_within,
            recent: Recent::default(),
            judgements: BTreeMap::new(),
            wrong: BTreeMap::new(),
            waiting: BTreeMap::new(),
            handed: BTreeMap::new(),
        }
    }

    /// Remembers what was seen and judged; by scenario and check, so that it is bounded.
    pub(super) fn see(&mut self, run: &Run) {
        if let Some(transcript) = &run.transcript {
            self.recent.see(transcript);
        }
        for judgement in &run.judgements {
            let key = (judgement.module.clone(), judgement.id.clone());
            self.mark(&key, run, judgement);
            self.judgements.insert(key, Arc::clone(judgement));
        }
    }

    /// Notes since when what a check sees is wrong, or that it is not any more.
    fn mark(&mut self, key: &(String, String), run: &Run, judgement: &Judgement) {
        let verdict = judgement.verdict;
        let known = self.wrong.get(key).map(|(_, verdict)| *verdict);
        match (verdict, known) {
            (Verdict::Pass, _) => {
                self.wrong.remove(key);
            }
            // Failures count from their own beginning, whatever kept it from being judged before.
            (Verdict::Fail | Verdict::Unknown, None) | (Verdict::Fail, Some(Verdict::Unknown)) => {
                self.wrong.insert(key.clone(), (began(run, judgement), verdict));
            }
            _ => {}
        }
    }

    /// Begins a draft for what fires and has none yet, and drops those that fire no more.
    pub(super) fn begin(&mut self, firing: &[Firing], issued: &BTreeMap<AlertId, Alert>) -> Begun {
        self.waiting
            .retain(|id, _| firing.iter().any(|firing| firing.id == *id));
        let mut begun = Begun::default();
        for firing in firing {
            if issued.contains_key(&firing.id) {
                continue;
            }
            if let Some(draft) = self.waiting.get_mut(&firing.id) {
                draft.firing = firing.clone();
                continue;
            }
            tracing::info!(alert = %firing.id.name, labels = ?firing.id.labels, "alert.confirmed");
            let waits = firing.id.name.explained();
            let until = Instant::now() + if waits { self.wait } else { Duration::ZERO };
            if firing.about.socket().is_none() && waits {
                begun.missing.extend(self.missing(firing).cloned());
            }
            let draft = Draft {
                firing: firing.clone(),
                until,
            };
            self.waiting.insert(firing.id.clone(), draft);
            if firing.about.pages() {
                begun.pages.push(firing.clone());
            }
        }
        begun
    }

    /// When the next draft must be written, whatever is missing.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|draft| draft.until).min()
    }

    /// The drafts that wait no more, each with since when (seconds since 1970) what was seen explains it: their time is over, or
    /// all that they wait for is there. Those of one socket go together, and wait for one that may come any moment, as
    /// `undecided` says of a socket.
    pub(super) fn due(&mut self, now: Instant, undecided: impl Fn(&str) -> bool) -> Vec<(Firing, f64)> {
        let sockets = self.waiting.values().filter_map(|draft| draft.firing.about.socket());
        let held: BTreeSet<String> = sockets
            .filter(|socket| self.waits(socket, now, &undecided))
            .map(str::to_owned)
            .collect();
        let ready = |draft: &Draft| match draft.firing.about.socket() {
            Some(socket) => !held.contains(socket),
            None => draft.until <= now || self.missing(&draft.firing).next().is_none(),
        };
        let due = self.waiting.values().filter(|draft| ready(draft));
        let due: Vec<(Firing, f64)> = due
            .map(|draft| (draft.firing.clone(), self.since(&draft.firing)))
            .collect();
        for (firing, _) in &due {
            self.waiting.remove(&firing.id);
        }
        due
    }

    /// An alert is handed to the push now.
    pub(super) fn handed_over(&mut self, firing: &Firing) {
        let socket = firing.about.socket().map(str::to_owned);
        self.handed
            .extend(socket.map(|socket| (socket, Instant::now() + RULES_AFTER)));
    }

    /// Sockets about which a page is being made, or was handed over just now.
    pub(super) fn held(&mut self, now: Instant) -> BTreeSet<String> {
        self.handed.retain(|_, until| *until > now);
        let waiting = self.waiting.values().filter_map(|draft| draft.firing.about.socket());
        waiting
            .chain(self.handed.keys().map(String::as_str))
            .map(str::to_owned)
            .collect()
    }

    /// Whether the drafts about this socket wait on.
    fn waits(&self, socket: &str, now: Instant, undecided: &impl Fn(&str) -> bool) -> bool {
        let drafts = || {
            let drafts = self.waiting.values();
            drafts.filter(|draft| draft.firing.about.socket() == Some(socket))
        };
        let late = drafts().any(|draft| draft.until <= now);
        !late && (undecided(socket) || drafts().any(|draft| self.missing(&draft.firing).next().is_some()))
    }

    /// Drafts that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The scenarios that explain an alert and have not ended a run since what it is about began.
    fn missing<'a>(&'a self, firing: &'a Firing) -> impl Iterator<Item = &'a String> {
        let since = self.since(firing);
        let explaining = match firing.about.socket() {
            Some(socket) => self.siblings.get(socket),
            None => Some(&self.explaining),
        };
        // What is asked beside a burst is under way when another watch of the socket meets its first wrong answer.
        let known = |seen: &Transcript| match firing.about.socket() {
            Some(_) => seen.started_unix + seen.duration_ms / 1e3,
            None => seen.started_unix,
        };
        explaining.into_iter().flatten().filter(move |id| {
            let newest = self.recent.newest(id);
            newest.is_none_or(|seen| known(seen) < since)
        })
    }

    /// Since when (seconds since 1970) what was seen may explain an alert: the first wrong answer of its socket; of checks, since
    /// when what they read is wrong.
    fn since(&self, firing: &Firing) -> f64 {
        let of = |module: &String, check: Option<&String>| {
            let wrong = self.wrong.iter();
            let wrong = wrong.filter(|((of, one), _)| of == module && check.is_none_or(|check| check == one));
            wrong.map(|(_, (since, _))| *since).min_by(f64::total_cmp)
        };
        let told_with_it = |socket: &str| {
            let drafts = self.waiting.values().map(|draft| &draft.firing);
            let drafts = drafts.filter(|firing| firing.about.socket() == Some(socket));
            drafts.map(|firing| firing.starts_at).min_by(f64::total_cmp)
        };
        let wrong = match &firing.about {
            About::Upgrade { socket, .. } | About::Session { socket, .. } => told_with_it(socket),
            About::Check { module, check, .. } | About::Unjudged { module, check, .. } => of(module, Some(check)),
            About::Module { module, .. } => of(module, None),
            _ => None,
        };
        wrong.unwrap_or(firing.starts_at)
    }

    /// Writes an alert from what was seen since then.
    pub(super) async fn write(&self, (firing, since): &(Firing, f64), parts: &Parts) -> Alert {
        let transcripts = self.recent.since(*since);
        let judgements: Vec<_> = self.judgements.values().cloned().collect();
        let diagnosis = if firing.id.name.explained() {
            ask(parts, &transcripts, &judgements).await
        } else {
            None
        };
        // A text quotes what was seen; what only sensitive checks read is not for whoever gets it.
        let secret = parts.catalog.sensitive_scenarios();
        let shown: Vec<_> = transcripts
            .into_iter()
            .filter(|seen| !secret.contains(seen.scenario.as_str()))
            .collect();
        let told = Told {
            transcripts: &shown,
            judgements: &judgements,
            diagnosis: diagnosis.as_ref(),
        };
        text::alert(firing, &parts.catalog, &told)
    }
}

/// Since when what a judgement read was wrong: as the run says with which it was made, if that was read.
fn began(run: &Run, judgement: &Judgement) -> f64 {
    let read = |seen: &&Arc<Transcript>| judgement.transcripts.iter().any(|read| read.run == seen.run);
    let seen = run.transcript.as_ref().filter(read);
    seen.map_or(run.at, |seen| wrong_since(seen, Some(judgement)))
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
