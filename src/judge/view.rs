//! A transcript as expressions read it: converted once, judged by many checks.

use crate::expression::{Scope, Shared};
use crate::failure::Failure;
use crate::transcript::{Entry, Observation, Transcript, entry_view};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transcript with its entries converted for expressions.
#[derive(Clone, Debug)]
pub struct TranscriptView {
    transcript: Arc<Transcript>,
    /// By step id; a step with a place is a list, ordered by place.
    entries: BTreeMap<String, Shared>,
    /// `nonce`, `started`, `vars` and captures, credentials.
    ambient: BTreeMap<String, Shared>,
    /// `run`.
    run: Shared,
    /// The scenario as a map of all of this.
    whole: Shared,
}

/// Names of a scenario map's members that are neither steps nor captures.
pub(super) const MEMBERS: &[&str] = &["run", "nonce", "started"];

impl TranscriptView {
    /// Converts `transcript`.
    pub fn new(transcript: Arc<Transcript>) -> Self {
        let entries = entries_of(&transcript);
        let ambient = ambient_of(&transcript);
        let run = Shared::of(&json!({
            "id": transcript.run,
            "scenario": transcript.scenario,
            "started_at": transcript.started_at,
            "started": transcript.started_unix,
            "duration_ms": transcript.duration_ms,
            "late_ms": transcript.late_ms,
            "trace_id": transcript.trace_id,
            "period_s": transcript.period_s,
            "broke_off": transcript.broke_off.as_ref().map(|broke| json!({
                "step": broke.step,
                "failure": broke.failure,
            })),
        }));
        let members = ambient.clone().into_iter().chain(entries.clone());
        let whole = Shared::map(members.chain([("run".to_owned(), run.clone())]));
        Self {
            transcript,
            entries,
            ambient,
            run,
            whole,
        }
    }

    /// The transcript itself.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// A scope inside `parent` in which this transcript alone is read, as a check with this one need reads it: for the
    /// scenario's measures.
    pub fn scope<'parent>(&self, parent: &'parent Scope) -> Scope<'parent> {
        let mut scope = parent.child();
        self.bind(&mut scope);
        scope.set_shared("run", &self.run);
        scope
    }

    /// Sets the steps, captures and credentials, and the scenario under its own name; not `run`.
    pub(super) fn bind(&self, scope: &mut Scope) {
        scope.set_shared(self.name(), &self.whole);
        for (name, value) in self.ambient.iter().chain(&self.entries) {
            scope.set_shared(name, value);
        }
    }

    /// The scenario's name in its module.
    pub(super) fn name(&self) -> &str {
        local(&self.transcript.scenario)
    }

    /// `run`.
    pub(super) fn run(&self) -> &Shared {
        &self.run
    }

    /// Whether a step ran.
    pub(super) fn has(&self, step: &str) -> bool {
        self.entries.contains_key(step)
    }

    /// Whether the scenario map has a member of that name that is no step.
    pub(super) fn has_member(&self, name: &str) -> bool {
        self.ambient.contains_key(name) || MEMBERS.contains(&name)
    }

    /// Whether no step ran at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries of a step in order.
    pub(super) fn entries<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.transcript.entries.iter().filter(move |entry| entry.id == step)
    }

    /// The first failure of a step, with its place in the transcript.
    pub(super) fn failure(&self, step: &str) -> Option<(usize, &Failure)> {
        let entries = self.transcript.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.id == step)
            .find_map(|(place, entry)| Some((place, entry.failure.as_ref()?)))
    }

    /// Step ids in the order in which the steps first ended.
    pub(super) fn steps(&self) -> Vec<&str> {
        let mut steps: Vec<&str> = Vec::new();
        for entry in &self.transcript.entries {
            if !steps.contains(&entry.id.as_str()) {
                steps.push(&entry.id);
            }
        }
        steps
    }
}

/// The part of a full id behind its module.
pub(super) fn local(full: &str) -> &str {
    full.rsplit_once('/').map_or(full, |(_, name)| name)
}

/// The HTTP status of an exchange, and whether it was an upgrade.
pub(super) fn status_of(entry: &Entry) -> Option<(u16, bool)> {
    match &entry.seen {
        Observation::Http(exchange) => Some((exchange.status?, false)),
        Observation::Sse(read) => Some((read.http.status?, false)),
        Observation::Upgrade(upgrade) => Some((upgrade.http.status?, true)),
        _ => None,
    }
}

fn entries_of(transcript: &Transcript) -> BTreeMap<String, Shared> {
    let mut by_step: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in &transcript.entries {
        by_step.entry(&entry.id).or_default().push(entry);
    }
    let convert = |entry: &Entry| Shared::of(&entry_view(entry));
    let view = |mut entries: Vec<&Entry>| {
        entries.sort_by(|left, right| left.place.cmp(&right.place));
        match entries.as_slice() {
            [only] if only.place.is_empty() => convert(only),
            several => Shared::list(several.iter().map(|entry| convert(entry))),
        }
    };
    by_step
        .into_iter()
        .map(|(step, entries)| (step.to_owned(), view(entries)))
        .collect()
}

fn ambient_of(transcript: &Transcript) -> BTreeMap<String, Shared> {
    let mut ambient: Map<String, Value> = transcript.vars.clone();
    ambient.insert("nonce".to_owned(), Value::from(transcript.nonce.as_str()));
    ambient.insert("started".to_owned(), Value::from(transcript.started_unix));
    let mut crowds: BTreeMap<&str, BTreeMap<u32, Value>> = BTreeMap::new();
    for (name, facts) in &transcript.credentials {
        let facts = serde_json::to_value(facts).unwrap_or_default();
        match numbered(name) {
            Some((crowd, place)) => {
                crowds.entry(crowd).or_default().insert(place, facts);
            }
            None => {
                ambient.insert(name.clone(), facts);
            }
        }
    }
    for (name, members) in crowds {
        ambient.insert(name.to_owned(), members.into_values().collect());
    }
    ambient
        .iter()
        .map(|(name, value)| (name.clone(), Shared::of(value)))
        .collect()
}

/// `many[2]` is the third of the credentials `many`.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (crowd, place) = name.strip_suffix(']')?.split_once('[')?;
    Some((crowd, place.parse().ok()?))
}
