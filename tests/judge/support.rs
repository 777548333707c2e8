//! Small builders for checks and evidence.

use serde_json::{Map, Value, json};
use stagewatch::catalog::check::{Expectation, Extract, ExtractOf, Note, Part, Severity, UnknownWhen};
use stagewatch::catalog::{Check, ConfiguredFunction};
use stagewatch::expression::{Expression, Functions, Template};
use stagewatch::failure::{Class, Failure};
use stagewatch::judge::{Evidence, Inputs, TranscriptView, VerdictSeen, judge};
use stagewatch::run::{ExtractRef, Judgement};
use stagewatch::transcript::Transcript;
use stagewatch::verdict::UnknownReason;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An expression.
pub fn cel(source: &str) -> Expression {
    Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error} at {}", error.offset))
}

/// An expectation.
pub fn that(source: &str) -> Expectation {
    Expectation {
        that: cel(source),
        message: None,
        witness: None,
        class: None,
        when: None,
    }
}

/// More of an expectation.
pub trait With {
    /// `else`
    fn or_else(self, message: &str) -> Self;
    /// `witness`
    fn witness(self, source: &str) -> Self;
    /// `when`
    fn when(self, source: &str) -> Self;
    /// `class`
    fn class(self, class: Class) -> Self;
}

impl With for Expectation {
    fn or_else(mut self, message: &str) -> Self {
        self.message = Some(Template::compile(message).unwrap());
        self
    }
    fn witness(mut self, source: &str) -> Self {
        self.witness = Some(cel(source));
        self
    }
    fn when(mut self, source: &str) -> Self {
        self.when = Some(cel(source));
        self
    }
    fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }
}

/// A part over `needs` (in module `m`).
pub fn part(needs: &[&str], expect: Vec<Expectation>) -> Part {
    Part {
        title: needs.join("+"),
        needs: needs.iter().map(|need| format!("m/{need}")).collect(),
        extracts: Vec::new(),
        verdicts: Vec::new(),
        rolls_up: Vec::new(),
        unknown_when: Vec::new(),
        expect,
        notes: Vec::new(),
    }
}

/// An `unknown_when`.
pub fn unknown_when(source: &str, reason: UnknownReason) -> UnknownWhen {
    UnknownWhen {
        when: cel(source),
        reason,
        note: Some(Template::compile("because ${upgrade.status}").unwrap()),
    }
}

/// A note.
pub fn note(text: &str) -> Note {
    Note {
        say: Template::compile(text).unwrap(),
        when: None,
    }
}

/// An extract of a series, or of statuses.
pub fn extract(name: &str, of: ExtractOf) -> Extract {
    Extract {
        name: name.to_owned(),
        of,
        over: Duration::from_secs(900),
        limit: 1000,
    }
}

/// A check of these parts.
pub fn check(parts: Vec<Part>) -> Check {
    Check {
        id: "c".to_owned(),
        module: "m".to_owned(),
        title: "a check".to_owned(),
        description: String::new(),
        severity: Severity::Critical,
        runbook: None,
        sensitive: false,
        whole_path: false,
        needs_socket: true,
        parts,
    }
}

/// A transcript of scenario `m/NAME` with these entries.
pub fn transcript(name: &str, entries: Vec<Value>) -> Transcript {
    let transcript = json!({
        "scenario": format!("m/{name}"),
        "run": "00000000000000a1",
        "started_at": "2026-01-02T03:04:05.000Z",
        "started_unix": 1_767_323_045.0,
        "duration_ms": 1500.5,
        "nonce": "0123456789ab",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "vars": {"a": 3, "connection_id": "conn-1"},
        "credentials": {"credential": {"user": "pool#0", "sub": "user-1"}, "many[1]": {"user": "crowd#1", "sub": "b"},
            "many[0]": {"user": "crowd#0", "sub": "a"}, "many[10]": {"user": "crowd#10", "sub": "k"}},
        "entries": entries,
        "time_scale": 1.0,
        "period_s": 60.0,
    });
    serde_json::from_value(transcript).unwrap()
}

/// The same transcript, broken off.
pub fn broken_off(mut transcript: Transcript, step: &str, failure: Failure) -> Transcript {
    transcript.broke_off = Some(stagewatch::transcript::BreakOff {
        step: step.to_owned(),
        failure,
    });
    transcript
}

/// An upgrade answered with `status`.
pub fn upgrade(id: &str, status: u16) -> Value {
    json!({
        "id": id, "offset_ms": 1.0, "duration_ms": 2.0, "kind": "upgrade", "endpoint": "main", "token": "valid",
        "transport": "header", "method": "GET", "url": "ws://127.0.0.1/ws", "status": status,
        "accepted": status == 101, "outcome": if status == 101 { "ok" } else { "http_500" }, "subprotocol": "jwt-auth",
    })
}

/// An HTTP exchange.
pub fn http(id: &str, status: u16, json: &Value) -> Value {
    json!({
        "id": id, "offset_ms": 1.0, "duration_ms": 2.0, "kind": "http", "method": "GET", "url": "http://127.0.0.1/",
        "status": status, "json": json, "headers": {"content-type": "application/json"},
    })
}

/// The `place`-th receive of a repeated step.
pub fn received(id: &str, place: &[u32], matched: bool) -> Value {
    json!({
        "id": id, "place": place, "offset_ms": 1.0, "duration_ms": 2.0, "kind": "received", "on": "main",
        "matched": matched, "json": {"n": place.first()}, "frames": [], "waited_ms": 1.0, "latency_ms": 12.5,
    })
}

/// The entry with a failure.
pub fn failed(mut entry: Value, failure: &Failure) -> Value {
    entry["failure"] = serde_json::to_value(failure).unwrap();
    entry
}

/// Everything a judgement is made of, owned.
pub struct World {
    pub evidence: BTreeMap<String, Evidence>,
    pub extracts: Vec<ExtractRef>,
    pub verdicts: BTreeMap<String, VerdictSeen>,
    pub facts: Map<String, Value>,
    pub functions: Arc<Functions>,
}

impl World {
    /// A world in which nothing was seen.
    pub fn empty() -> Self {
        let refused = ConfiguredFunction {
            of: "open".to_owned(),
            is: cel("open.status in [401, 403]"),
        };
        let facts = json!({"service": "svc"});
        Self {
            evidence: BTreeMap::new(),
            extracts: Vec::new(),
            verdicts: BTreeMap::new(),
            facts: facts.as_object().unwrap().clone(),
            functions: Arc::new(BTreeMap::from([("refused".to_owned(), refused)])),
        }
    }

    /// A world with these transcripts.
    pub fn seen(transcripts: Vec<Transcript>) -> Self {
        let mut world = Self::empty();
        for transcript in transcripts {
            let scenario = transcript.scenario.clone();
            let view = Arc::new(TranscriptView::new(Arc::new(transcript)));
            world.evidence.insert(scenario, Evidence::Seen(view));
        }
        world
    }

    /// An extract of part 0.
    pub fn with_extract(mut self, name: &str, value: Value) -> Self {
        self.extracts.push(ExtractRef {
            part: 0,
            name: name.to_owned(),
            value,
        });
        self
    }

    /// Judges.
    pub fn judge(&self, check: &Check) -> Judgement {
        judge(
            check,
            &Inputs {
                evidence: &self.evidence,
                extracts: &self.extracts,
                verdicts: &self.verdicts,
                facts: &self.facts,
                functions: &self.functions,
                time_scale: 1.0,
                now_rfc3339: "2026-01-02T04:00:00.000Z",
            },
        )
    }
}
