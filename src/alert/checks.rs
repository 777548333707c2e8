//! Checks that fail, or that cannot be judged. Pure. A failure while a socket is in doubt is excused: it creates no alert, now
//! or when the socket is well again, unless the check goes on failing then. Only a pass ends what fires.

use super::firing::{About, Firing, id};
use super::{Alert, AlertName};
use crate::catalog::alerting::CheckRule;
use crate::catalog::check::ExtractOf;
use crate::catalog::{Catalog, Check, Schedule, Severity};
use crate::failure::Blame;
use crate::run::Judgement;
use crate::verdict::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// Share of its periods after which a check counts as unjudged for so many of them: timers are not exact.
const NEARLY: f64 = 0.9;

/// Judgements of one sort in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// All of them.
    pub(super) all: u32,
    /// Those that nothing excuses.
    counted: u32,
    /// Moment of the first.
    pub(super) since: f64,
}

impl Row {
    fn add(&mut self, at: f64, excused: bool) {
        if self.all == 0 {
            self.since = at;
        }
        self.all = self.all.saturating_add(1);
        self.counted = self.counted.saturating_add(u32::from(!excused));
    }

    fn adopted(since: f64, all: u32) -> Self {
        Self {
            all,
            counted: all,
            since,
        }
    }
}

/// What is known of one check.
#[derive(Clone, Debug)]
pub(super) struct CheckState {
    severity: Severity,
    owner: String,
    /// It, or a check that it reads, needs a socket.
    pub(super) needs_socket: bool,
    /// Checks whose verdicts it reads.
    reads: Vec<Key>,
    /// For so many seconds it goes on to see a refused upgrade: it reads the answers of all our traffic.
    remembers: f64,
    /// Seconds.
    period: f64,
    /// Latest verdict.
    pub(super) verdict: Option<Verdict>,
    pub(super) failures: Row,
    pub(super) unjudged: Row,
    passes: u32,
    blame: Option<Blame>,
    /// The latest judgement was excused by a socket in doubt.
    excused: bool,
    /// Its failure alert fires.
    pub(super) failing: bool,
    /// Its blindness alert fires, with this blame.
    dark: Option<Blame>,
}

/// Module and check.
pub(super) type Key = (String, String);

/// All checks.
#[derive(Debug)]
pub(super) struct Checks {
    rule: CheckRule,
    states: BTreeMap<Key, CheckState>,
    /// When a socket was last in doubt, seconds since 1970.
    doubted_at: f64,
    /// Scenarios whose latest run proves nothing, for a socket was in doubt when it began or since.
    doubtful: BTreeSet<String>,
}

impl Checks {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let needing = needing_sockets(catalog);
        let states = catalog.checks().map(|(module, check)| {
            let state = CheckState {
                severity: check.severity,
                owner: module.owner.clone(),
                needs_socket: needing.contains(&check.full_id()),
                reads: reads(check).filter_map(key).collect(),
                remembers: remembers(check),
                period: period(catalog, check),
                verdict: None,
                failures: Row::default(),
                unjudged: Row::default(),
                passes: 0,
                blame: None,
                excused: false,
                failing: false,
                dark: None,
            };
            ((module.id.clone(), check.id.clone()), state)
        });
        Self {
            rule: catalog.alerting.checks.clone(),
            states: states.collect(),
            doubted_at: f64::NEG_INFINITY,
            doubtful: BTreeSet::new(),
        }
    }

    /// A socket is in doubt at this moment.
    pub(super) fn doubted(&mut self, now: f64) {
        self.doubted_at = self.doubted_at.max(now);
    }

    /// A scenario ran, beginning at `began`, and `doubt` says how it is now. What rests on a run of a time of doubt is excused
    /// however late it is judged.
    pub(super) fn ran(&mut self, scenario: &str, began: f64, doubt: bool) {
        if doubt || began <= self.doubted_at {
            self.doubtful.insert(scenario.to_owned());
        } else {
            self.doubtful.remove(scenario);
        }
    }

    /// Takes one judgement made at `at`; `doubt` says that a socket is in doubt, or was deployed just now.
    pub(super) fn take(&mut self, judgement: &Judgement, at: f64, doubt: bool) {
        let key = (judgement.module.clone(), judgement.id.clone());
        let Some(state) = self.states.get(&key) else { return };
        let red = matches!(judgement.verdict, Verdict::Fail | Verdict::Unknown);
        let remembered = at - self.doubted_at < state.remembers;
        let mut read = judgement.transcripts.iter();
        let spoilt = read.any(|read| self.doubtful.contains(&read.scenario));
        let excused = red && self.excused(state, doubt || remembered || spoilt);
        if let Some(state) = self.states.get_mut(&key) {
            state.excused = excused;
            state.take(judgement, at, &self.rule);
        }
    }

    /// Creates the alert that a judgement just taken asks for, unless it is excused.
    pub(super) fn create(&mut self, judgement: &Judgement, at: f64) {
        let key = (judgement.module.clone(), judgement.id.clone());
        if let Some(state) = self.states.get_mut(&key).filter(|state| !state.excused) {
            state.create(&self.rule, at);
        }
    }

    /// Whether a socket in doubt, now or when what it reads was judged, excuses a check.
    fn excused(&self, state: &CheckState, doubt: bool) -> bool {
        let read = state.reads.iter().filter_map(|key| self.states.get(key));
        state.needs_socket && (doubt || read.into_iter().any(|read| read.excused))
    }

    /// Checks about which no alert would be created because of a socket.
    pub(super) fn dependent(&self, doubt: bool) -> impl Iterator<Item = &Key> {
        self.states
            .iter()
            .filter(move |(_, state)| !state.fires() && (self.excused(state, doubt) || state.was_excused()))
            .map(|(key, _)| key)
    }

    /// Whether an alert about a check of `module` fires.
    pub(super) fn any_fires(&self, module: &str) -> bool {
        self.of(module).any(|(_, state)| state.fires())
    }

    /// The checks of a module.
    pub(super) fn of<'a>(&'a self, module: &'a str) -> impl Iterator<Item = (&'a Key, &'a CheckState)> {
        self.states.iter().filter(move |((of, _), _)| of == module)
    }

    /// Whether a check has failed often enough, excuses left out.
    pub(super) fn fails(&self, state: &CheckState) -> bool {
        state.verdict == Some(Verdict::Fail) && state.failures.counted >= self.rule.failures
    }

    /// Checks that our own fault keeps from being judged, with the moment of the first such judgement.
    pub(super) fn ours(&self) -> Vec<(String, f64)> {
        let blind =
            |state: &CheckState| state.unjudged.all >= self.rule.unjudged && state.blame == Some(Blame::Monitor);
        self.states
            .iter()
            .filter(|(_, state)| blind(state))
            .map(|((module, check), state)| (format!("{module}/{check}"), state.unjudged.since))
            .collect()
    }

    /// What fires.
    pub(super) fn firing(&self) -> Vec<Firing> {
        let states = self.states.iter();
        states
            .flat_map(|(key, state)| [state.failure(key), state.darkness(key)].into_iter().flatten())
            .collect()
    }

    /// Goes on with an alert of a former process; gives whether there is such a check, and it runs.
    pub(super) fn adopt(&mut self, alert: &Alert) -> bool {
        let label = |name: &str| alert.id.labels.get(name).cloned().unwrap_or_default();
        let Some(state) = self.states.get_mut(&(label("module"), label("check"))) else {
            return false;
        };
        let since = alert.starts_at;
        if alert.id.name == AlertName::CheckFailing {
            if !state.failing {
                state.failing = true;
                state.failures = Row::adopted(since, self.rule.failures);
            }
            state.failures.since = state.failures.since.min(since);
            return true;
        }
        let Ok(blame) = label("blame").parse() else {
            return false;
        };
        if state.dark.is_none() {
            state.dark = Some(blame);
            state.unjudged = Row::adopted(since, self.rule.unjudged);
        }
        state.unjudged.since = state.unjudged.since.min(since);
        true
    }
}

impl CheckState {
    fn take(&mut self, judgement: &Judgement, at: f64, rule: &CheckRule) {
        self.verdict = Some(judgement.verdict);
        match judgement.verdict {
            Verdict::Pass => {
                self.passes = self.passes.saturating_add(1);
                // What fires keeps its beginning until enough passes have ended it.
                if !self.fires() || self.passes >= rule.passes {
                    self.failures = Row::default();
                    self.unjudged = Row::default();
                    self.blame = None;
                    self.failing = false;
                    self.dark = None;
                }
            }
            Verdict::Fail => {
                self.passes = 0;
                self.failures.add(at, self.excused);
                // The alert about its failures takes over as soon as there is one.
                if self.dark.is_none() || self.failures.all >= rule.failures {
                    self.dark = None;
                    self.unjudged = Row::default();
                    self.blame = None;
                }
            }
            Verdict::Unknown => {
                self.unjudged.add(at, self.excused);
                self.blame = judgement.blames;
            }
            Verdict::Off => {}
        }
    }

    fn create(&mut self, rule: &CheckRule, at: f64) {
        match self.verdict {
            Some(Verdict::Fail) => self.failing |= self.failures.counted >= rule.failures,
            Some(Verdict::Unknown) if self.severity == Severity::Critical && !self.failing => {
                let periods = f64::from(rule.unjudged.saturating_sub(1)) * self.period * NEARLY;
                let long = self.unjudged.counted >= rule.unjudged && at - self.unjudged.since >= periods;
                let blame = self.blame.filter(|blame| long && *blame != Blame::Monitor);
                // A path turns out to be the target; the other way round nobody need be told.
                if blame == Some(Blame::Target) || self.dark.is_none() {
                    self.dark = blame.or(self.dark);
                }
            }
            _ => {}
        }
    }

    /// Whether some of what is wrong with it was excused: its alert waits for as much that is not.
    fn was_excused(&self) -> bool {
        [self.failures, self.unjudged].iter().any(|row| row.counted < row.all)
    }

    /// Whether an alert about it fires.
    pub(super) fn fires(&self) -> bool {
        self.failing || self.dark.is_some()
    }

    fn labels<'a>(&self, (module, check): &'a Key) -> [(&'static str, &'a str); 3] {
        let needs = if self.needs_socket { "true" } else { "false" };
        [("module", module), ("check", check), ("needs_socket", needs)]
    }

    fn failure(&self, key: &Key) -> Option<Firing> {
        self.failing.then(|| Firing {
            id: id(AlertName::CheckFailing, &self.labels(key)),
            severity: Some(self.severity),
            owner: self.owner.clone(),
            starts_at: self.failures.since,
            about: About::Check {
                module: key.0.clone(),
                check: key.1.clone(),
                failures: self.failures.all,
            },
        })
    }

    fn darkness(&self, key: &Key) -> Option<Firing> {
        let blame = self.dark?;
        let [module, check, needs] = self.labels(key);
        let severity = match blame {
            Blame::Target => Severity::Critical,
            Blame::Path | Blame::Monitor => Severity::Warning,
        };
        Some(Firing {
            id: id(
                AlertName::CheckUnjudged,
                &[module, check, needs, ("blame", blame.as_str())],
            ),
            severity: Some(severity),
            owner: self.owner.clone(),
            starts_at: self.unjudged.since,
            about: About::Unjudged {
                module: key.0.clone(),
                check: key.1.clone(),
                blame,
                times: self.unjudged.all,
            },
        })
    }
}

/// Full ids of the checks that need a socket, themselves or by a check whose verdict they read.
pub fn needing_sockets(catalog: &Catalog) -> BTreeSet<String> {
    let mut needing: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = needing.len();
        for (_, check) in catalog.checks() {
            if check.needs_socket || reads(check).any(|read| needing.contains(read)) {
                needing.insert(check.full_id());
            }
        }
        if needing.len() == before {
            return needing;
        }
    }
}

/// Full ids of the checks whose verdicts `check` reads.
fn reads(check: &Check) -> impl Iterator<Item = &str> {
    check.parts.iter().flat_map(|part| {
        let verdicts = part.verdicts.iter().map(|(_, id)| id.as_str());
        verdicts.chain(part.rolls_up.iter().map(String::as_str))
    })
}

/// How far back a check reads the answers of all our traffic, seconds; 0 when it does not.
fn remembers(check: &Check) -> f64 {
    let extracts = check.parts.iter().flat_map(|part| &part.extracts);
    let statuses = extracts.filter(|extract| matches!(extract.of, ExtractOf::Statuses(_)));
    statuses.map(|extract| extract.over.as_secs_f64()).fold(0.0, f64::max)
}

fn key(full_id: &str) -> Option<Key> {
    let (module, check) = full_id.split_once('/')?;
    Some((module.to_owned(), check.to_owned()))
}

/// Period of the slowest scenario that a check reads, seconds; 0 where the calendar decides.
fn period(catalog: &Catalog, check: &Check) -> f64 {
    let needs = check.scenarios();
    let read = catalog
        .scenarios()
        .filter(|scenario| needs.contains(&scenario.id.as_str()));
    read.map(|scenario| match &scenario.schedule {
        Schedule::Every(period) => period.as_secs_f64(),
        Schedule::Resident => scenario.deadline.as_secs_f64(),
        Schedule::Cron { .. } | Schedule::OnConfirm { .. } => 0.0,
    })
    .fold(0.0, f64::max)
}
