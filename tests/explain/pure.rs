//! What the rules say of evidence that is written out here; what a hostile target says stays text; mistakes in rules have a place.

use crate::support::catalog;
use serde_json::{Value, json};
use stagewatch::app::explain::explain;
use stagewatch::catalog::Severity;
use stagewatch::config::{self, MemoryEnvironment, Overrides};
use stagewatch::diagnose::{Cause, Diagnosis, Quote, StopsAt, Why};
use stagewatch::report::{Iteration, diagnosis_markdown, diagnosis_text, html, markdown};
use stagewatch::sensitive::Viewer;
use stagewatch::transcript::Transcript;
use std::path::Path;
use std::sync::Arc;

fn transcript(scenario: &str, entries: Value) -> Arc<Transcript> {
    let transcript = json!({
        "scenario": scenario, "run": "00000000000000aa", "started_at": "2026-01-02T03:04:05.000Z",
        "started_unix": 1_767_323_045.0, "duration_ms": 900.0, "nonce": "0123456789ab",
        "trace_id": "0af7651916cd43dd8448eb211c80319c", "entries": entries, "time_scale": 1.0, "period_s": 60.0,
    });
    Arc::new(serde_json::from_value(transcript).unwrap())
}

fn welcome_refused_with(frame: &str, code: u16) -> Value {
    json!([
        {
            "id": "upgrade", "offset_ms": 0.0, "duration_ms": 20.0, "credential": "credential", "kind": "upgrade",
            "endpoint": "main", "token": "valid", "transport": "header", "method": "GET",
            "url": "ws://127.0.0.1:1/ws", "status": 101, "accepted": true, "outcome": "ok", "total_ms": 20.0,
        },
        {
            "id": "welcome", "offset_ms": 20.0, "duration_ms": 20.0, "kind": "received", "on": "main", "matched": false,
            "frames": [{ "offset_ms": 30.0, "opcode": "text", "text": frame, "bytes": frame.len() }],
            "close": { "code": code, "reason": "", "offset_ms": 31.0 }, "waited_ms": 11.0,
            "failure": {
                "class": "session", "kind": "ws_error_frame", "phase": "welcome", "close_code": code, "blame": "target",
                "detail": "an error frame came instead of the welcome",
            },
        },
    ])
}

fn leads(transcripts: &[Arc<Transcript>]) -> Option<String> {
    let diagnosis = explain(&catalog("127.0.0.1:1", "127.0.0.1:2"), transcripts, &[]);
    diagnosis.lead().map(|cause| cause.rule.clone())
}

#[test]
fn signatures_that_our_own_budgets_keep_us_from_seeing_are_known() {
    stagewatch::crypto::init_crypto();
    let rows = [
        (
            "AUTH_REQUIRED: reached the maximum number of WebSocket managers (5)",
            1008,
            "manager_limit",
        ),
        ("websocket_protocol: [MISSING]", 1008, "protocol_missing"),
        (
            "user_context must be a UserExecutionContext instance",
            1008,
            "auth_required_class",
        ),
    ];
    for (frame, code, rule) in rows {
        let seen = transcript(
            "websocket_events/upgrade_authenticated",
            welcome_refused_with(frame, code),
        );
        assert_eq!(leads(&[seen]).as_deref(), Some(rule), "{frame}");
    }
    let restart = json!([{
        "id": "held", "offset_ms": 20.0, "duration_ms": 20.0, "kind": "received", "on": "main", "matched": false,
        "frames": [], "close": { "code": 1012, "reason": "service restart", "offset_ms": 31.0 }, "waited_ms": 11.0,
    }]);
    assert_eq!(
        leads(&[transcript("websocket_events/resident", restart)]).as_deref(),
        Some("deploy_in_progress")
    );
    assert_eq!(leads(&[]), None, "no evidence names nothing");
}

#[test]
fn an_address_of_several_that_cannot_be_reached_is_named() {
    stagewatch::crypto::init_crypto();
    let refused = json!({
        "class": "connect", "kind": "tcp_refused", "phase": "connect", "blame": "target", "detail": "connection refused",
    });
    let seen = |second: Value| {
        let entries = json!([
            {
                "id": "api", "offset_ms": 0.0, "duration_ms": 1.0, "kind": "http", "method": "GET",
                "url": "http://two.probe.test/api/threads", "total_ms": 1.0, "failure": refused,
            },
            {
                "id": "plain_get", "offset_ms": 0.0, "duration_ms": 1.0, "kind": "http", "method": "GET",
                "url": "http://two.probe.test/ws", "status": 404, "total_ms": 1.0,
                "each_address": [{ "address": "127.0.0.1:80", "connect_ms": 0.4 }, second],
            },
        ]);
        transcript("websocket_events/siblings", entries)
    };
    let dead = json!({ "address": "127.0.0.2:80", "failure": refused });
    let diagnosis = explain(&catalog("127.0.0.1:1", "127.0.0.1:2"), &[seen(dead)], &[]);
    let lead = diagnosis.lead().unwrap();
    assert_eq!(lead.rule, "some_addresses_unreachable");
    assert!(
        lead.title.contains("127.0.0.2:80") && !lead.title.contains("127.0.0.1:80"),
        "{}",
        lead.title
    );
    let alive = json!({ "address": "127.0.0.2:80", "connect_ms": 0.5 });
    assert_ne!(leads(&[seen(alive)]).as_deref(), Some("some_addresses_unreachable"));
}

#[test]
fn the_name_of_a_scenario_means_its_newest_run_and_lists_hold_all() {
    stagewatch::crypto::init_crypto();
    let at = |seen: &Arc<Transcript>, minute: u32| {
        let mut later = Transcript::clone(seen);
        later.started_at = format!("2026-01-02T03:{minute:02}:05.000Z");
        Arc::new(later)
    };
    let readiness = |status: u16| {
        let ready = json!([{
            "id": "ready", "offset_ms": 0.0, "duration_ms": 9.0, "kind": "http", "method": "GET",
            "url": "http://127.0.0.1:1/health/ready", "status": status, "total_ms": 9.0,
        }]);
        transcript("websocket_events/health", ready)
    };
    let (refused, well) = (readiness(422), readiness(200));
    let named = Some("readiness_as_422".to_owned());
    assert_eq!(leads(&[at(&well, 4), at(&refused, 5)]), named);
    assert_eq!(leads(&[at(&refused, 5), at(&well, 4)]), named, "whatever the order");
    assert_eq!(leads(&[at(&refused, 4), at(&well, 5)]), None);
    // One attempt of several is seen in the lists, whichever it was.
    let watch = |entries| transcript("websocket_events/upgrade_authenticated", entries);
    let bad = watch(welcome_refused_with("FACTORY_INIT_FAILED", 1011));
    let named = Some("factory_init_failed".to_owned());
    assert_eq!(leads(&[at(&bad, 4), at(&watch(json!([])), 5)]), named);
}

const HOSTILE: &str =
    "<script>alert(1)</script>\u{1b}[31m ${target} {{7*7}} [x](javascript:alert(1)) `a` <img src=x onerror=alert(1)>";

fn hostile(sensitive: bool) -> Diagnosis {
    let text = || HOSTILE.to_owned();
    Diagnosis {
        causes: vec![Cause {
            rule: "hostile".to_owned(),
            title: text(),
            severity: Severity::Critical,
            sensitive,
            impact: Some(text()),
            indicators: vec![text()],
            quotes: vec![Quote {
                of: text(),
                run: text(),
                trace_id: text(),
                says: text(),
                log: Some(text()),
            }],
            whys: vec![Why {
                why: text(),
                answer: text(),
                evidence: text(),
            }],
            stops_at: StopsAt {
                why: text(),
                look: text(),
            },
            actions: Vec::new(),
        }],
    }
}

fn iteration(diagnosis: Diagnosis) -> Iteration {
    Iteration {
        target: HOSTILE.to_owned(),
        environment: HOSTILE.to_owned(),
        started_at: "2026-01-02T03:04:05.000Z".to_owned(),
        duration_s: 1.0,
        modules: Vec::new(),
        latency_targets: Vec::new(),
        diagnosis,
        sensitive: std::collections::BTreeSet::new(),
        since: None,
    }
}

#[test]
fn what_a_hostile_target_says_is_inert_everywhere() {
    let page = html(&iteration(hostile(false)));
    assert!(
        !page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for loads in ["src=\"", "href=", "url(", "@import"] {
        assert!(!page.contains(loads), "the page loads something: {loads}");
    }
    for text in [
        markdown(&iteration(hostile(false))),
        diagnosis_markdown(&hostile(false)),
    ] {
        assert!(!text.contains('\u{1b}'));
        // Outside of code spans every angle bracket and square bracket is escaped.
        for line in text.lines().filter(|line| !line.contains('`') || line.contains("\\`")) {
            assert!(!line.contains(" <script") && !line.contains("[x]("), "{line}");
        }
    }
    assert!(!diagnosis_text(&hostile(false)).contains('\u{1b}'));
}

#[test]
fn a_sensitive_finding_is_counted_and_not_shown() {
    let shown = hostile(true).seen_by(Viewer::Anyone);
    let text = serde_json::to_string(&shown).unwrap();
    assert!(!text.contains("alert(1)") && !text.contains("hostile"), "{text}");
    assert_eq!(shown.causes.len(), 1);
    assert_eq!(shown.causes[0].severity, Severity::Critical);
}

/// What the load says of these rules.
fn mistakes(rules: &str) -> String {
    let main = "target: { name: t, environment: staging, bases: { api: 'http://127.0.0.1:1' }, http: { user_agent: t, allow_addresses: [loopback] } }\n";
    let module = concat!(
        "module: m\nnumber: 1\ntitle: M\nseverity: info\nowner: o\nscenarios:\n  s:\n    schedule: { every: 60s }\n    steps:\n",
        "      - http: { id: root, base: api, path: /health }\nchecks:\n",
        "  - { id: c, title: C, parts: [ { needs: [s], expect: [ { that: 'root.status == 200' } ] } ] }\n",
    );
    let environment = MemoryEnvironment::new(stagewatch::clock::now())
        .with_file("main.yaml", main)
        .with_file("modules/m.yaml", module)
        .with_file("diagnosis/d.yaml", format!("diagnosis: of a test\nrules:\n{rules}"));
    match config::load_with(Path::new("main.yaml"), &environment, &Overrides::default()) {
        Ok(catalog) => format!("{} rules", catalog.diagnosis.rules.len()),
        Err(errors) => errors.to_string(),
    }
}

fn rule(id: &str, when: &str) -> String {
    format!(
        "  - id: {id}\n    title: T\n    when: \"{when}\"\n    whys: [ {{ why: W, answer: A, evidence: E }} ]\n    \
         stops_at: {{ why: W, look: L }}\n    actions: [ {{ priority: P0, text: T }} ]\n"
    )
}

#[test]
fn mistakes_in_rules_are_found_at_load_with_their_place() {
    assert_eq!(
        mistakes(&rule("good", "m.s.root.status == 500 && checks.m.c.verdict == 'fail'")),
        "1 rules"
    );
    for (when, said) in [
        ("m.s.roof.status == 500", "there is no `roof` in the scenario `m.s`"),
        ("n.s.root.status == 500", "unknown variable `n`"),
        ("checks.m.d.verdict == 'fail'", "there is no `d`"),
        ("size(named) == 0", "reads nothing that was observed"),
        ("m.s.root.status ==", "ends too early"),
        ("frist(rows, ['a']) == 1", "unknown function `frist`"),
    ] {
        let errors = mistakes(&rule("bad", when));
        assert!(
            errors.contains(said) && errors.contains("--> diagnosis/d.yaml:5:"),
            "{when}: {errors}"
        );
    }
    let twice = mistakes(&format!(
        "{}{}",
        rule("one", "m.s.root.status == 1"),
        rule("one", "m.s.root.status == 2")
    ));
    assert!(twice.contains("there are two rules `one`"), "{twice}");
}
