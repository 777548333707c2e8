//! What counts: a failure seen once is counted once, however often its check is looked at again because another of its
//! scenarios, or another check, has something new to say.

use crate::support;
use serde_json::Value;
use stagewatch::app::assemble::{Assembler, Freshness, Moment};
use stagewatch::catalog::{Catalog, Extract, Scenario};
use stagewatch::failure::{Failure, Kind};
use stagewatch::history::{HistoryError, Ledger};
use stagewatch::run::{Judgement, Run};
use stagewatch::scenario::Outcome;
use stagewatch::schedule::Event;
use stagewatch::transcript::{BreakOff, Entry, HttpExchange, Observation, Transcript};
use stagewatch::verdict::{UnknownReason, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

const MODULE: &str = r#"
module: m
number: 1
title: Two parts and a roll-up
severity: critical
owner: engine
scenarios:
  often: { schedule: { every: 60s }, deadline: 1s, steps: [ { http: { id: first, base: api, path: /health } } ] }
  seldom: { schedule: { every: 1h }, deadline: 1s, steps: [ { http: { id: second, base: api, path: /health } } ] }
checks:
  - id: both
    title: Both answer
    parts:
      - { title: often, needs: [often], expect: [ { that: "first.status == 200" } ] }
      - { title: seldom, needs: [seldom], expect: [ { that: "second.status == 200" } ] }
  - id: rolled
    title: Everything
    parts: [ { rolls_up: [ m/both ] } ]
"#;

/// A ledger without anything.
struct Nothing;

impl Ledger for Nothing {
    fn extract(&self, _: &Extract, _: f64) -> Result<Value, HistoryError> {
        Ok(Value::Array(Vec::new()))
    }
}

/// An assembler, and a clock that each event moves on.
struct Room {
    catalog: Arc<Catalog>,
    assembler: Assembler,
    unix: f64,
}

impl Room {
    fn new() -> Self {
        stagewatch::crypto::init_crypto();
        let main = include_str!("main.yaml")
            .replace("BACKEND", "127.0.0.1:1")
            .replace("AUTH", "127.0.0.1:2");
        let folder = tempfile::tempdir().unwrap();
        let catalog = support::load(&main, MODULE, folder.path());
        let unix = 1_000_000.0;
        let start = (Freshness::Periods, &moment(unix));
        let assembler = Assembler::new(Arc::clone(&catalog), Arc::new(Nothing), start);
        Self {
            catalog,
            assembler,
            unix,
        }
    }

    fn scenario(&self, name: &str) -> Arc<Scenario> {
        let found = self.catalog.scenarios().find(|scenario| scenario.name == name);
        Arc::clone(found.unwrap())
    }

    fn take(&mut self, name: &str, outcome: Outcome) -> Run {
        self.unix += 0.1;
        let scenario = self.scenario(name);
        self.assembler
            .take(Event::Finished { scenario, outcome }, &moment(self.unix))
    }

    /// `name` runs, and its step is answered, or refused by nobody listening.
    fn runs(&mut self, name: &str, answered: bool) -> Run {
        let transcript = transcript(&self.scenario(name), (self.unix, answered));
        self.take(name, Outcome::Ran(Box::new(transcript)))
    }

    /// A tick that looks at roll-ups again.
    fn minute(&mut self) -> Run {
        self.unix += 1.3;
        self.assembler.tick(&moment(self.unix)).unwrap()
    }
}

fn moment(unix: f64) -> Moment {
    Moment {
        unix,
        rfc3339: format!("{unix}"),
    }
}

fn transcript(scenario: &Scenario, (unix, answered): (f64, bool)) -> Transcript {
    let step = if scenario.name == "often" { "first" } else { "second" };
    let failure = (!answered).then(|| Failure::new(Kind::TcpRefused, "nobody listens"));
    let exchange = HttpExchange {
        status: answered.then_some(200),
        ..HttpExchange::default()
    };
    Transcript {
        scenario: scenario.id.clone(),
        run: format!("{:016x}", unix.to_bits()),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        started_unix: unix,
        duration_ms: 1.0,
        late_ms: 0.0,
        nonce: "0123456789ab".to_owned(),
        trace_id: String::new(),
        vars: serde_json::Map::new(),
        credentials: BTreeMap::new(),
        entries: vec![Entry {
            id: step.to_owned(),
            place: Vec::new(),
            offset_ms: 0.0,
            duration_ms: 1.0,
            credential: None,
            seen: Observation::Http(exchange),
            failure: failure.clone(),
        }],
        broke_off: failure.map(|failure| BreakOff {
            step: step.to_owned(),
            failure,
        }),
        time_scale: 0.02,
        period_s: 1.0,
    }
}

/// The verdicts of `judgements` by check.
fn verdicts(judgements: &[Arc<Judgement>]) -> Vec<(&str, Verdict)> {
    let seen = judgements.iter().map(|judged| (judged.id.as_str(), judged.verdict));
    seen.collect()
}

#[test]
fn a_failure_seen_once_is_counted_once() {
    let mut room = Room::new();
    assert_eq!(
        verdicts(&room.runs("often", true).judgements),
        [],
        "the other is still awaited"
    );
    let first = room.runs("seldom", false);
    assert_eq!(
        verdicts(&first.judgements),
        [("both", Verdict::Fail), ("rolled", Verdict::Fail)]
    );
    for _ in 0..3 {
        let again = room.runs("often", true);
        assert_eq!(verdicts(&again.judgements), [], "nothing new decides it");
        assert!(again.inputs.is_empty());
        assert_eq!(
            verdicts(&again.repeated),
            [("both", Verdict::Fail)],
            "and still it is shown"
        );
        let minute = room.minute();
        assert_eq!(verdicts(&minute.judgements), []);
        assert_eq!(verdicts(&minute.repeated), [("rolled", Verdict::Fail)]);
    }
    let next = room.runs("seldom", false);
    assert_eq!(
        verdicts(&next.judgements),
        [("both", Verdict::Fail)],
        "seen once more, counted once more"
    );
    assert_eq!(verdicts(&room.minute().judgements), [("rolled", Verdict::Fail)]);
    let other = room.runs("often", false);
    assert_eq!(
        verdicts(&other.judgements),
        [("both", Verdict::Fail)],
        "the other part decides it too"
    );
    room.runs("often", true);
    let well = room.runs("seldom", true);
    assert_eq!(
        verdicts(&well.judgements),
        [("both", Verdict::Pass), ("rolled", Verdict::Pass)]
    );
    let more = room.runs("often", true);
    assert_eq!(
        verdicts(&more.judgements),
        [("both", Verdict::Pass)],
        "each pass is one more"
    );
}

#[test]
fn each_refusal_is_counted_and_silence_as_often_as_it_lasts() {
    let mut room = Room::new();
    room.runs("often", true);
    let refused = || Outcome::Refused {
        reason: UnknownReason::Budget,
        note: "spent".to_owned(),
    };
    for _ in 0..2 {
        let run = room.take("seldom", refused());
        assert_eq!(verdicts(&run.judgements)[0], ("both", Verdict::Unknown));
        let between = room.runs("often", true);
        assert_eq!(verdicts(&between.judgements), []);
        assert_eq!(verdicts(&between.repeated), [("both", Verdict::Unknown)]);
    }
    room.runs("seldom", true);
    // Three periods and more of `often`, which is a scaled minute.
    let mut stale = 0;
    for _ in 0..3 {
        room.unix += 4.0;
        let run = room.minute();
        stale += run
            .judgements
            .iter()
            .filter(|judged| judged.reason == Some(UnknownReason::Stale))
            .count();
    }
    assert_eq!(stale, 3);
}
