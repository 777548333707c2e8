//! What a transcript tells the watches: upgrade attempts and openings of sessions, each with the moment at which it was
//! known. Pure. Must not: decide what they mean.

use super::Credential;
use crate::catalog::step::Open;
use crate::catalog::{Action, Catalog, Step};
use crate::failure::{Blame, UpgradeOutcome};
use crate::transcript::sessions::{SessionOutcome, Sessions};
use crate::transcript::{Observation, Transcript};
use std::collections::{BTreeMap, BTreeSet};

/// An upgrade attempt that was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Configured name of the endpoint.
    pub socket: String,
    /// What was shown.
    pub credential: Credential,
    /// When its answer was known, seconds since 1970.
    pub at: f64,
    /// Judged against what is right for the credential.
    pub outcome: UpgradeOutcome,
}

/// What the first wait on a new session with a valid token met.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Configured name of the endpoint.
    pub socket: String,
    /// When it was known, seconds since 1970.
    pub at: f64,
    /// `ok` is the welcome.
    pub outcome: SessionOutcome,
}

/// Everything that a transcript tells the watches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Upgrades.
    pub attempts: Vec<Attempt>,
    /// Sessions.
    pub openings: Vec<Opening>,
}

/// Which scenarios feed the watches.
#[derive(Debug)]
pub struct Feeds {
    /// Handles of the upgrade steps, by scenario and step.
    handles: BTreeMap<String, BTreeMap<String, String>>,
    /// The modules whose scenarios feed the watches of a socket.
    modules: BTreeMap<String, BTreeSet<String>>,
}

impl Feeds {
    /// The scenarios of `catalog` that say so; upgrades on another path than the endpoint's are left out.
    pub fn of(catalog: &Catalog) -> Self {
        let mut handles = BTreeMap::new();
        let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for scenario in catalog.scenarios().filter(|scenario| scenario.feeds_watch) {
            let mut opens = Vec::new();
            collect(&scenario.steps, &mut opens);
            for (_, open) in &opens {
                let fed_by = modules.entry(open.endpoint.clone()).or_default();
                fed_by.insert(scenario.module.clone());
            }
            let opens = opens.into_iter().map(|(step, open)| (step, open.on.clone()));
            handles.insert(scenario.id.clone(), opens.collect());
        }
        Self { handles, modules }
    }

    /// The modules whose scenarios feed the watches of `socket`.
    pub fn modules(&self, socket: &str) -> Option<&BTreeSet<String>> {
        self.modules.get(socket)
    }

    /// What `transcript` tells. An attempt that was never sent, or that failed by our own fault, tells nothing.
    pub fn read(&self, transcript: &Transcript) -> Seen {
        let mut seen = Seen::default();
        let Some(handles) = self.handles.get(&transcript.scenario) else {
            return seen;
        };
        let moment = |offset_ms: f64| transcript.started_unix + offset_ms / 1e3;
        let mut sessions = Sessions::default();
        for entry in &transcript.entries {
            match &entry.seen {
                Observation::Upgrade(upgrade) => {
                    let ours = entry
                        .failure
                        .as_ref()
                        .is_some_and(|failure| failure.blame == Blame::Monitor);
                    let Some(on) = handles.get(&entry.id).filter(|_| !ours && !upgrade.http.url.is_empty()) else {
                        continue;
                    };
                    if let Ok(credential) = upgrade.token.parse() {
                        seen.attempts.push(Attempt {
                            socket: upgrade.endpoint.clone(),
                            credential,
                            at: moment(entry.offset_ms + entry.duration_ms),
                            outcome: upgrade.outcome,
                        });
                    }
                    if upgrade.accepted {
                        sessions.opened(on, entry, upgrade);
                    }
                }
                Observation::Received(received) => {
                    sessions.received(&received.on, entry);
                }
                _ => {}
            }
        }
        seen.openings = sessions
            .ended()
            .filter_map(|ended| {
                let (outcome, known_ms) = ended.opening?;
                Some(Opening {
                    socket: ended.endpoint,
                    at: moment(known_ms),
                    outcome,
                })
            })
            .collect();
        seen
    }
}

fn collect<'a>(steps: &'a [Step], found: &mut Vec<(String, &'a Open)>) {
    for step in steps {
        match &step.action {
            Action::Open(open) if open.path.is_none() => found.push((step.id.clone(), open)),
            _ => step.inner().for_each(|steps| collect(steps, found)),
        }
    }
}
