//! The fold: what each run opens, adds to and ends. Which failures are of one cause is decided here, and stated here: see
//! [`Fold::cause`].

use super::changes::{changes, ids_of, phases_of};
use super::known::Known;
use super::signal::{Signal, full_id, signals};
use super::{Incident, Member, MemberKind, Seen, TargetLog};
use crate::diagnose::{Diagnosis, wrong_since};
use crate::failure::{Class, Failure};
use crate::limits::{INCIDENT_MEMBERS_MAX, INCIDENTS_OPEN_MAX, PHASES_REMEMBERED};
use crate::run::{Judgement, Run};
use crate::transcript::{Phases, Transcript};
use crate::verdict::Verdict;
use chrono::DateTime;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What a run did to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It opened.
    Opened,
    /// Something joined it, or recovered.
    Changed,
    /// It closed.
    Closed,
}

/// The last good run of a scenario, with the phases of those before by step.
struct Good {
    transcript: Arc<Transcript>,
    phases: BTreeMap<String, VecDeque<Phases>>,
}

/// Keeps the open incidents, and what is needed to say what changed.
#[derive(Default)]
pub struct Fold {
    known: Known,
    latest: BTreeMap<String, Arc<Transcript>>,
    good: BTreeMap<String, Good>,
    open: Vec<Incident>,
    /// Scenarios read by what failed, by incident.
    scenarios: BTreeMap<String, BTreeSet<String>>,
    /// Checks that still fail after the incident they judged: they open no other until they have passed.
    aftermath: BTreeSet<String>,
}

impl Fold {
    /// With what is known of the checks, going on with incidents that were open. A check that is no more is no member.
    pub fn new(known: Known, open: Vec<Incident>) -> Self {
        let mut fold = Self {
            known,
            open,
            ..Self::default()
        };
        for incident in &mut fold.open {
            let known = &fold.known;
            incident
                .members
                .retain(|member| member.kind == MemberKind::Socket || known.0.contains_key(&member.name));
        }
        fold
    }

    /// The incidents that are open.
    pub fn open(&self) -> &[Incident] {
        &self.open
    }

    /// The newest transcript of every scenario.
    pub fn latest(&self) -> impl Iterator<Item = &Arc<Transcript>> {
        self.latest.values()
    }

    /// The last good transcript of a scenario.
    pub fn last_good(&self, scenario: &str) -> Option<&Arc<Transcript>> {
        self.good.get(scenario).map(|good| &good.transcript)
    }

    /// Takes a run; gives every incident that it moved, as it is now.
    pub fn take(&mut self, run: &Run) -> Vec<(Moved, Incident)> {
        if let Some(transcript) = &run.transcript {
            self.latest.insert(transcript.scenario.clone(), Arc::clone(transcript));
        }
        let mut moved: BTreeMap<String, Moved> = BTreeMap::new();
        for signal in signals(run) {
            match signal.failure {
                Some(failure) => self.failed(&signal, failure, (run.at, &mut moved)),
                None => self.recovered(&signal, (run.at, &mut moved)),
            }
        }
        for judgement in &run.judgements {
            self.blocked(judgement, &mut moved);
        }
        self.remember(run);
        let closed = |moved: Moved, incident: &Incident| match incident.closed_at {
            Some(_) => Moved::Closed,
            None => moved,
        };
        let told = self.open.iter().filter_map(|incident| {
            let how = moved.get(&incident.id)?;
            Some((closed(*how, incident), incident.clone()))
        });
        let told = told.collect();
        self.open.retain(|incident| incident.closed_at.is_none());
        self.scenarios
            .retain(|id, _| self.open.iter().any(|incident| incident.id == *id));
        told
    }

    /// Adds a diagnosis to an open incident, and where the log of its first bad run is read.
    pub fn explain(
        &mut self,
        id: &str,
        diagnosis: Diagnosis,
        log: impl Fn(&Transcript) -> Option<String>,
    ) -> Option<&Incident> {
        let incident = self.open.iter_mut().find(|incident| incident.id == id)?;
        incident.diagnosis = diagnosis;
        if let Some(bad) = incident.first_bad.as_mut().filter(|bad| bad.log.is_none()) {
            let seen = self.latest.get(&bad.scenario).filter(|seen| seen.run == bad.run);
            bad.log = seen.and_then(|seen| log(seen));
        }
        Some(incident)
    }

    /// Adds what the target's log says to an open incident.
    pub fn log(&mut self, id: &str, log: TargetLog) -> Option<&Incident> {
        let incident = self.open.iter_mut().find(|incident| incident.id == id)?;
        incident.target_log = Some(log);
        Some(incident)
    }

    fn failed(&mut self, signal: &Signal, failure: &Failure, (at, moved): (f64, &mut BTreeMap<String, Moved>)) {
        for incident in &mut self.open {
            if let Some(member) = incident.members.iter_mut().find(|member| member.name == signal.name) {
                if member.until.take().is_some() {
                    moved.entry(incident.id.clone()).or_insert(Moved::Changed);
                }
                return;
            }
        }
        if self.aftermath.contains(&signal.name) {
            return;
        }
        let place = match self.cause(signal, failure) {
            Some(place) => place,
            None => {
                self.begin(signal, failure, at);
                self.open.len() - 1
            }
        };
        let looks_back = |judgement: &Judgement| !judgement.extracts.is_empty();
        let past =
            signal.kind == MemberKind::Check && signal.scenarios.is_empty() || signal.judgement.is_some_and(looks_back);
        let Some(incident) = self.open.get_mut(place) else {
            return;
        };
        let opened = incident.members.is_empty();
        if incident.members.len() < INCIDENT_MEMBERS_MAX {
            incident.members.push(Member {
                kind: signal.kind,
                name: signal.name.clone(),
                says: signal.says.clone(),
                since: at,
                until: None,
                aftermath: past && !opened,
                sensitive: self.known.sensitive(&signal.name),
            });
        }
        incident.severity = incident.severity.min(self.known.severity(&signal.name));
        incident.sensitive |= opened && self.known.sensitive(&signal.name);
        let scenarios = self.scenarios.entry(incident.id.clone()).or_default();
        scenarios.extend(signal.scenarios.iter().map(|scenario| (*scenario).to_owned()));
        let how = if opened { Moved::Opened } else { Moved::Changed };
        moved.entry(incident.id.clone()).or_insert(how);
    }

    /// The open incident that has the same cause as far as the evidence says, oldest first: what failed on the wire in the
    /// same way; what answers with the same 502, 503 or 504 wherever; what is judged wrong over a scenario that failed with
    /// it; what reads the verdict of a member; what needs a socket, while one fails in it; and what judges only the past,
    /// while anything is open.
    fn cause(&self, signal: &Signal, failure: &Failure) -> Option<usize> {
        let place = self.open.iter().position(|incident| {
            let first = &incident.failure;
            let gateway = failure.status.is_some_and(|status| (502..=504).contains(&status));
            let wire = !judged(failure.class)
                && (first.class, first.kind) == (failure.class, failure.kind)
                && (first.status, first.close_code) == (failure.status, failure.close_code);
            let scenarios = self.scenarios.get(&incident.id);
            let shares = scenarios.is_some_and(|known| signal.scenarios.iter().any(|one| known.contains(*one)));
            wire || (gateway && first.status == failure.status)
                || (judged(failure.class) && shares)
                || signal.reads.iter().any(|check| incident.has(check))
                || (self.known.needs_socket(&signal.name) && a_socket_fails(incident))
                || (signal.kind == MemberKind::Check && signal.scenarios.is_empty())
        });
        let full = self.open.len() >= INCIDENTS_OPEN_MAX;
        place.or_else(|| full.then(|| self.open.len() - 1))
    }

    fn begin(&mut self, signal: &Signal, failure: &Failure, at: f64) {
        let scenario = signal.scenarios.first().copied().unwrap_or_default();
        let bad = self.latest.get(scenario);
        let good = self.good.get(scenario);
        let step = signal.step;
        let seen = |transcript: &Arc<Transcript>| Seen {
            scenario: transcript.scenario.clone(),
            run: transcript.run.clone(),
            step: step.to_owned(),
            at: transcript.started_at.clone(),
            trace_id: transcript.trace_id.clone(),
            target_ids: ids_of(transcript, step),
            log: None,
        };
        let title = if judged(failure.class) {
            format!("{}: {}", failure.headline(), signal.name)
        } else {
            failure.headline()
        };
        self.open.push(Incident {
            id: id(at, &signal.name),
            title,
            severity: self.known.severity(&signal.name),
            sensitive: false,
            opened_at: at,
            closed_at: None,
            began_at: self.began(signal),
            failure: failure.clone(),
            members: Vec::new(),
            blocked: Vec::new(),
            first_bad: bad.map(seen),
            last_good: good.map(|good| seen(&good.transcript)),
            changes: bad.zip(good).map_or_else(Vec::new, |(bad, good)| {
                let phases = good.phases.get(step).cloned().unwrap_or_default();
                changes(step, (&good.transcript, bad), &Vec::from(phases))
            }),
            diagnosis: Diagnosis::default(),
            target_log: None,
        });
    }

    /// When what the newest of the runs behind a failure saw began to be wrong.
    fn began(&self, signal: &Signal) -> Option<f64> {
        let runs = signal
            .scenarios
            .iter()
            .filter_map(|scenario| self.latest.get(*scenario));
        runs.map(|bad| wrong_since(bad, signal.judgement))
            .max_by(f64::total_cmp)
    }

    /// A good answer ends what began before it; one that is told late, by a run that was under way when it failed, ends nothing.
    fn recovered(&mut self, signal: &Signal, (at, moved): (f64, &mut BTreeMap<String, Moved>)) {
        let name = &signal.name;
        self.aftermath.remove(name);
        for incident in &mut self.open {
            let began = incident.began();
            if signal.known_at.is_some_and(|known| known < began) {
                continue;
            }
            incident.blocked.retain(|check| check != name);
            let failing = |member: &&mut Member| member.name == *name && member.until.is_none();
            let Some(member) = incident.members.iter_mut().find(failing) else {
                continue;
            };
            member.until = Some(at);
            moved.entry(incident.id.clone()).or_insert(Moved::Changed);
            if incident
                .members
                .iter()
                .all(|member| member.aftermath || member.until.is_some())
            {
                incident.closed_at = Some(at);
                let after = incident.members.iter().filter(|member| member.until.is_none());
                self.aftermath.extend(after.map(|member| member.name.clone()));
            }
        }
    }

    /// Notes a check that an open incident leaves unknown.
    fn blocked(&mut self, judgement: &Judgement, moved: &mut BTreeMap<String, Moved>) {
        let (Verdict::Unknown, Some(failure)) = (judgement.verdict, &judgement.failure) else {
            return;
        };
        let name = full_id(judgement);
        let alike = |incident: &&mut Incident| {
            let first = &incident.failure;
            (first.class, first.kind, first.status) == (failure.class, failure.kind, failure.status)
        };
        if let Some(incident) = self.open.iter_mut().find(alike)
            && !incident.has(&name)
            && !incident.blocked.contains(&name)
            && incident.blocked.len() < INCIDENT_MEMBERS_MAX
        {
            incident.blocked.push(name);
            moved.entry(incident.id.clone()).or_insert(Moved::Changed);
        }
    }

    /// Remembers a run that nothing was wrong with.
    fn remember(&mut self, run: &Run) {
        let Some(transcript) = &run.transcript else { return };
        let reads = |judgement: &&Arc<Judgement>| {
            let read = judgement.transcripts.iter();
            judgement.verdict == Verdict::Fail && read.into_iter().any(|read| read.run == transcript.run)
        };
        if transcript.broke_off.is_some() || run.judgements.iter().any(|judgement| reads(&judgement)) {
            return;
        }
        let good = self.good.entry(transcript.scenario.clone()).or_insert_with(|| Good {
            transcript: Arc::clone(transcript),
            phases: BTreeMap::new(),
        });
        good.transcript = Arc::clone(transcript);
        for entry in &transcript.entries {
            if let Some(phases) = phases_of(transcript, &entry.id) {
                let known = good.phases.entry(entry.id.clone()).or_default();
                known.push_back(phases.clone());
                if known.len() > PHASES_REMEMBERED {
                    known.pop_front();
                }
            }
        }
    }
}

fn a_socket_fails(incident: &Incident) -> bool {
    let mut members = incident.members.iter();
    members.any(|member| member.kind == MemberKind::Socket && member.until.is_none())
}

/// Whether failures of a class are told by judging, so that two of them need not have anything in common.
fn judged(class: Class) -> bool {
    matches!(
        class,
        Class::Expectation | Class::Latency | Class::Fabricated | Class::Auth | Class::Internal
    )
}

/// When it opened, and a few digits of what by: the same run gives the same id.
fn id(at: f64, name: &str) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of this millennium fit an i64"
    )]
    let millis = (at * 1000.0) as i64;
    let time =
        DateTime::from_timestamp_millis(millis).map_or_else(String::new, |at| at.format("%Y%m%dT%H%M%S").to_string());
    let hash = name.bytes().fold(millis as u32 ^ 0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{time}-{hash:08x}")
}
