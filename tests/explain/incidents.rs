//! Incidents: what opens them, what joins, what ends them, what is said of them, and that they survive a restart.

use serde_json::{Value, json};
use stagewatch::catalog::Severity;
use stagewatch::history::{Bases, History, IncidentFilter, Place};
use stagewatch::incident::{Fold, Incident, Known, KnownCheck, Moved};
use stagewatch::notice::Annotation;
use stagewatch::report::incident_markdown;
use stagewatch::run::{Judgement, Run};
use stagewatch::sensitive::{Viewer, WITHHELD};
use stagewatch::transcript::Transcript;
use std::sync::Arc;
use std::time::Duration;

fn failure(class: &str, kind: &str, status: Option<u16>) -> Value {
    json!({ "class": class, "kind": kind, "phase": "upgrade", "status": status, "blame": "target", "detail": "it said no" })
}

fn refused() -> Value {
    failure("upgrade_status", "ws_upgrade_refused", Some(500))
}

/// A run of `m/s` whose upgrade was answered with `status`.
fn transcript(run: &str, status: u16) -> Arc<Transcript> {
    let accepted = status == 101;
    let outcome = if accepted { "ok" } else { "http_500" };
    let server = if accepted { "v1" } else { "v2" };
    let mut seen = json!({
        "scenario": "m/s", "run": run, "started_at": "2026-01-02T03:04:05.000Z", "started_unix": 1_767_323_045.0,
        "duration_ms": 9.0, "nonce": "0123456789ab", "trace_id": "0af7651916cd43dd8448eb211c80319c", "time_scale": 1.0,
        "period_s": 60.0,
        "entries": [{
            "id": "open", "offset_ms": 0.0, "duration_ms": 9.0, "kind": "upgrade", "endpoint": "main", "token": "valid",
            "transport": "header", "method": "GET", "url": "ws://127.0.0.1/ws", "status": status, "accepted": accepted,
            "outcome": outcome, "headers": { "server": server, "date": run }, "layer": "app",
            "phases": { "first_byte_ms": if accepted { 10.0 } else { 900.0 } },
        }],
    });
    if !accepted {
        seen["broke_off"] = json!({ "step": "open", "failure": refused() });
    }
    Arc::new(serde_json::from_value(seen).unwrap())
}

fn judgement(id: &str, verdict: &str, failure: Value, scenarios: &[&str]) -> Arc<Judgement> {
    let read = scenarios
        .iter()
        .map(|scenario| json!({ "scenario": scenario, "run": "r", "entries": ["open"] }));
    let judgement = json!({
        "module": "m", "id": id, "title": id, "at": "", "verdict": verdict, "failure": failure,
        "expectations": [{ "that": "x", "held": verdict == "pass", "message": format!("{id} says why") }],
        "transcripts": read.collect::<Value>(), "duration_ms": 1.0,
    });
    Arc::new(serde_json::from_value(judgement).unwrap())
}

fn fails(id: &str) -> Arc<Judgement> {
    judgement(id, "fail", refused(), &["m/s"])
}

fn passes(id: &str) -> Arc<Judgement> {
    judgement(id, "pass", Value::Null, &["m/s"])
}

fn run(at: f64, seen: Option<Arc<Transcript>>, judgements: Vec<Arc<Judgement>>) -> Run {
    Run {
        transcript: seen,
        measures: Vec::new(),
        inputs: judgements.iter().map(|_| Arc::new(json!({}))).collect(),
        judgements,
        missed: None,
        repeated: Vec::new(),
        at,
    }
}

fn moves(moved: &[(Moved, Incident)]) -> Vec<Moved> {
    moved.iter().map(|(moved, _)| *moved).collect()
}

#[test]
fn one_cause_is_one_incident_from_the_first_failure_to_the_last_recovery() {
    let mut fold = Fold::default();
    assert!(
        fold.take(&run(
            10.0,
            Some(transcript("a", 101)),
            vec![passes("one"), passes("two")]
        ))
        .is_empty()
    );
    let moved = fold.take(&run(20.0, Some(transcript("b", 500)), vec![fails("one")]));
    assert_eq!(moves(&moved), [Moved::Opened]);
    assert_eq!(
        moves(&fold.take(&run(21.0, None, vec![fails("two")]))),
        [Moved::Changed]
    );
    assert!(
        fold.take(&run(22.0, None, vec![fails("two")])).is_empty(),
        "nothing new"
    );
    let unknown = judgement("three", "unknown", refused(), &["m/s"]);
    assert_eq!(moves(&fold.take(&run(23.0, None, vec![unknown]))), [Moved::Changed]);
    let incident = &fold.open()[0];
    assert_eq!(fold.open().len(), 1);
    assert_eq!(incident.title, "WebSocket upgrade answered with HTTP 500");
    let names: Vec<&str> = incident.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["main/valid", "m/one", "m/two"]);
    assert_eq!(incident.blocked, ["m/three"]);
    assert_eq!(incident.last_good.as_ref().unwrap().run, "a");
    assert_eq!(incident.first_bad.as_ref().unwrap().run, "b");
    let changed: Vec<(&str, &str, &str)> = incident
        .changes
        .iter()
        .map(|change| (change.what.as_str(), change.from.as_str(), change.to.as_str()))
        .collect();
    assert_eq!(
        changed,
        [
            ("status", "101", "500"),
            ("header server", "v1", "v2"),
            ("phase first_byte", "10.0 ms (median of 1)", "900.0 ms"),
        ]
    );

    // Unknown and off end nothing; only a pass does, and only of everything that failed.
    let off = judgement("one", "off", Value::Null, &[]);
    let unknown = judgement("two", "unknown", Value::Null, &[]);
    assert!(fold.take(&run(30.0, None, vec![off, unknown])).is_empty());
    let moved = fold.take(&run(40.0, Some(transcript("c", 101)), vec![passes("one")]));
    assert_eq!(moves(&moved), [Moved::Changed]);
    let moved = fold.take(&run(50.0, None, vec![passes("two")]));
    assert_eq!(moves(&moved), [Moved::Closed]);
    assert!((moved[0].1.duration_s(99.0) - 30.0).abs() < 1e-9);
    assert!(fold.open().is_empty());
}

#[test]
fn failures_that_have_nothing_in_common_are_incidents_of_their_own() {
    let mut fold = Fold::default();
    fold.take(&run(1.0, None, vec![fails("one")]));
    fold.take(&run(
        2.0,
        None,
        vec![judgement(
            "http",
            "fail",
            failure("http_status", "http_status", Some(404)),
            &["m/t"],
        )],
    ));
    assert_eq!(fold.open().len(), 2);
    let judged =
        |id: &str, scenario: &str| judgement(id, "fail", failure("expectation", "expectation", None), &[scenario]);
    fold.take(&run(3.0, None, vec![judged("far", "m/far"), judged("beside", "m/s")]));
    assert_eq!(
        fold.open().len(),
        3,
        "one more: what is judged over a scenario that failed belongs to it"
    );
    assert!(fold.open()[0].has("m/beside") && fold.open()[2].has("m/far"));
}

#[test]
fn what_needs_a_socket_belongs_to_the_outage_of_a_socket() {
    let check = |needs_socket| KnownCheck {
        severity: Severity::Warning,
        sensitive: false,
        needs_socket,
    };
    let known = [("m/latency", true), ("m/traffic", true), ("m/http", false)];
    let known = known.map(|(id, needs)| (id.to_owned(), check(needs)));
    let mut fold = Fold::new(Known::these(known), Vec::new());
    fold.take(&run(1.0, Some(transcript("a", 500)), Vec::new()));
    let fails = |id: &str, class: &str| judgement(id, "fail", failure(class, "expectation", None), &["m/far"]);
    fold.take(&run(
        2.0,
        None,
        vec![
            fails("latency", "latency"),
            fails("traffic", "http_status"),
            fails("http", "http_status"),
        ],
    ));
    assert_eq!(fold.open().len(), 2);
    assert!(fold.open()[0].has("m/latency") && fold.open()[0].has("m/traffic"));
    assert!(fold.open()[1].has("m/http"));
    // The socket is well again: what fails now has another cause.
    fold.take(&run(3.0, Some(transcript("b", 101)), vec![passes("traffic")]));
    fold.take(&run(4.0, None, vec![fails("traffic", "session")]));
    assert!(fold.open()[0].has("m/traffic"), "it failed in this one before");
}

#[test]
fn a_verdict_over_verdicts_joins_and_one_over_the_past_does_not_hold_open() {
    let mut fold = Fold::default();
    fold.take(&run(1.0, None, vec![fails("one")]));
    let expectation = || failure("expectation", "expectation", None);
    let mut reader = run(
        2.0,
        None,
        vec![judgement("roll_up", "fail", expectation(), &["m/other"])],
    );
    reader.inputs = vec![Arc::new(json!({ "verdicts": { "m/one": { "verdict": "fail" } } }))];
    fold.take(&reader);
    fold.take(&run(
        3.0,
        None,
        vec![judgement("availability", "fail", expectation(), &[])],
    ));
    assert_eq!(fold.open().len(), 1);
    fold.take(&run(4.0, None, vec![passes("one"), passes("roll_up")]));
    assert!(fold.open().is_empty(), "the past is judged later");
    fold.take(&run(
        5.0,
        None,
        vec![judgement("availability", "fail", expectation(), &[])],
    ));
    assert!(
        fold.open().is_empty(),
        "and opens nothing by itself until it has passed"
    );
    fold.take(&run(6.0, None, vec![passes("availability")]));
    fold.take(&run(
        7.0,
        None,
        vec![judgement("availability", "fail", expectation(), &[])],
    ));
    assert_eq!(fold.open().len(), 1);
}

#[test]
fn our_own_fault_opens_nothing() {
    let mut fold = Fold::default();
    let mut ours = Judgement::clone(&fails("one"));
    ours.blames = Some(stagewatch::failure::Blame::Monitor);
    fold.take(&run(1.0, None, vec![Arc::new(ours)]));
    assert!(fold.open().is_empty());
}

#[test]
fn incidents_are_read_page_by_page_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let mut fold = Fold::default();
    {
        let history = History::open(&place, Bases::default()).unwrap();
        for number in 0..5_u32 {
            let at = f64::from(number) * 10.0;
            for (_, incident) in fold.take(&run(at, Some(transcript("a", 500)), vec![fails("one")])) {
                history.keep_incident(&incident, Some(format!("{{\"number\":{number}}}")));
            }
            if number < 4 {
                for (_, incident) in fold.take(&run(at + 5.0, Some(transcript("b", 101)), vec![passes("one")])) {
                    history.keep_incident(&incident, None);
                }
            }
        }
        assert!(history.flush(Duration::from_secs(10)));
    }
    let history = History::open(&place, Bases::default()).unwrap();
    let reader = history.reader();
    let page = |before, limit| {
        let filter = IncidentFilter {
            before,
            limit,
            ..IncidentFilter::default()
        };
        let page = reader.incidents(&filter).unwrap();
        page.iter().map(|incident| incident.opened_at).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [40.0, 30.0]);
    assert_eq!(page(Some(30.0), 2), [20.0, 10.0]);
    let of = |open, member: &str| {
        let filter = IncidentFilter {
            open: Some(open),
            member: Some(member.to_owned()),
            ..IncidentFilter::default()
        };
        reader.incidents(&filter).unwrap()
    };
    assert_eq!((of(false, "m/one").len(), of(false, "m/two").len()), (4, 0));
    let open = of(true, "main/valid");
    assert_eq!(open.len(), 1);
    assert_eq!(reader.incident(&open[0].id).unwrap().as_ref(), Some(&open[0]));
    assert_eq!(
        reader.incident_evidence(&open[0].id).unwrap().as_deref(),
        Some("{\"number\":4}")
    );
    assert_eq!(reader.incident("none").unwrap(), None);

    let mut again = Fold::new(Known::default(), open);
    assert_eq!(again.open().len(), 1);
    let moved = again.take(&run(60.0, Some(transcript("c", 101)), Vec::new()));
    assert_eq!(
        moves(&moved),
        [Moved::Closed],
        "the check is no more, the socket recovers"
    );
}

#[test]
fn a_sensitive_incident_says_only_that_there_is_one() {
    let mut fold = Fold::default();
    fold.take(&run(1.0, Some(transcript("a", 500)), vec![fails("one")]));
    let mut incident = fold.open()[0].clone();
    assert!(
        serde_json::to_string(&incident.seen_by(Viewer::Anyone))
            .unwrap()
            .contains("one says why")
    );
    // A sensitive check that fails with others hides what it says itself, and nothing else.
    let last = incident.members.len() - 1;
    incident.members[last].sensitive = true;
    let shown = incident.seen_by(Viewer::Anyone);
    assert_eq!(
        (shown.members[last].says.as_str(), &shown.title),
        (WITHHELD, &incident.title)
    );
    assert_eq!(shown.members[0], incident.members[0]);
    incident.sensitive = true;
    let shown = incident.seen_by(Viewer::Anyone);
    let text = serde_json::to_string(&shown).unwrap();
    assert!(!text.contains("says why") && !text.contains("it said no"), "{text}");
    assert_eq!((shown.title.as_str(), shown.severity), (WITHHELD, Severity::Critical));
    assert_eq!(incident.seen_by(Viewer::Operator), incident);
}

/// Started at 03:04:05 as every transcript here; the incident is open from a minute to an hour later.
const GOOD: f64 = 1_767_323_045.0;

#[test]
fn marks_from_an_hour_before_until_the_end_are_shown_inside() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(&Place::Folder(folder.path().to_owned()), Bases::default()).unwrap();
    let mark = |at: f64, text: &str, version: Option<&str>| {
        history.annotate(&Annotation {
            at,
            text: text.to_owned(),
            version: version.map(str::to_owned),
        });
    };
    mark(GOOD - 4000.0, "long before", None);
    mark(GOOD + 10.0, "deploy <b>of</b> the chat", Some("1.2.3"));
    mark(GOOD + 600.0, "rolled back", None);
    mark(GOOD + 7200.0, "long after", None);
    let mut fold = Fold::default();
    fold.take(&run(GOOD + 1.0, Some(transcript("a", 101)), vec![passes("one")]));
    fold.take(&run(GOOD + 60.0, Some(transcript("b", 500)), vec![fails("one")]));
    let open = fold.open()[0].clone();
    let closed = fold.take(&run(GOOD + 3600.0, Some(transcript("c", 101)), vec![passes("one")]));
    let closed = closed.into_iter().next_back().unwrap().1;
    assert!(closed.closed_at.is_some());
    history.keep_incident(&closed, Some("{\"judgements\":[],\"evidence\":[]}".to_owned()));
    assert!(history.flush(Duration::from_secs(10)));
    let texts = |incident: &Incident| {
        let marks = history.reader().account_of(incident.clone()).unwrap().marks;
        marks.into_iter().map(|mark| mark.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&closed), ["deploy <b>of</b> the chat", "rolled back"]);
    assert_eq!(
        texts(&open),
        ["deploy <b>of</b> the chat", "rolled back", "long after"],
        "it goes on"
    );
    let markdown = incident_markdown(&history.reader().account_of(closed.clone()).unwrap(), 0.0);
    assert!(
        markdown.contains("`deploy <b>of</b> the chat` (version `1.2.3`)"),
        "{markdown}"
    );
    let command = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stagewatch"));
        let output = command
            .args(words)
            .arg("--data-dir")
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    for told in [command(&["bundle", &closed.id]), command(&["history", "incidents"])] {
        assert_eq!(told["marks"][0]["version"], "1.2.3", "{told}");
        assert_eq!(told["marks"].as_array().unwrap().len(), 2);
    }
}
