//! The four renderings of one small iteration, as golden files.

use super::support::{World, broken_off, check, failed, http, note, part, received, that, transcript, upgrade};
use serde_json::{Value, json};
use stagewatch::catalog::{Check, Severity};
use stagewatch::failure::{Failure, Kind};
use stagewatch::judge::{Evidence, TranscriptView};
use stagewatch::report::{Colour, Format, Iteration, LatencyResult, ModuleResult, render};
use std::sync::Arc;

fn named(mut check: Check, id: &str, title: &str) -> Check {
    id.clone_into(&mut check.id);
    title.clone_into(&mut check.title);
    check
}

fn world() -> World {
    let failure = Failure::new(Kind::WsUpgradeRefused, "HTTP 500 from the application").with_status(500);
    let refused = failed(upgrade("upgrade", 500), &failure);
    let hostile = json!({"status": "<script>alert(1)</script> | `x` ``y`` \u{1b}[31m\r\n# Heading ![i](http://evil)"});
    let mut world = World::seen(vec![
        broken_off(transcript("socket", vec![refused]), "upgrade", failure),
        transcript(
            "api",
            vec![
                http("health", 200, &hostile),
                received("echo", &[0], true),
                received("echo", &[1], true),
            ],
        ),
    ]);
    let off = Evidence::Off {
        note: "costs model calls; enable it with `enable: [llm]`".to_owned(),
    };
    world.evidence.insert("m/llm".to_owned(), off);
    world
}

fn iteration() -> Iteration {
    let world = world();
    let judge = |check: Check| world.judge(&check);
    let mut shown = part(&["api"], vec![that("health.status == 200")]);
    shown.notes = vec![note("status ${health.json.status}")];
    let socket = vec![
        judge(named(
            check(vec![part(
                &["socket"],
                vec![that("upgrade.status == 101"), that("upgrade.subprotocol == 'x'")],
            )]),
            "websocket_connection",
            "A real token is welcomed",
        )),
        judge(named(
            check(vec![part(&["socket"], vec![that("welcome.matched")])]),
            "websocket_event_flow_real",
            "Events arrive in order",
        )),
        judge(named(check(vec![shown]), "health_check", "Health says healthy")),
    ];
    let api = vec![judge(named(
        check(vec![part(
            &["api"],
            vec![that("health.status == 200 && size(echo) == 2")],
        )]),
        "basic_functionality",
        "Health over HTTP/1.1",
    ))];
    let hostile = vec![judge(named(
        check(vec![part(&["api"], vec![that("health.json.status == 'healthy'")])]),
        "hostile",
        "A title with *stars* & <tags>",
    ))];
    let late = vec![
        judge(named(
            check(vec![part(&["later"], vec![that("x.status == 200")])]),
            "later",
            "Runs later",
        )),
        judge(named(
            check(vec![part(&["llm"], vec![that("run.matched")])]),
            "costly",
            "An agent computes",
        )),
    ];
    let off = vec![judge(named(
        check(vec![part(&["llm"], vec![that("run.matched")])]),
        "costly_too",
        "An agent computes",
    ))];
    Iteration {
        target: "Rehearsal".to_owned(),
        environment: "rehearsal".to_owned(),
        started_at: "2026-01-02T03:04:05.000Z".to_owned(),
        duration_s: 12.345,
        modules: vec![
            ModuleResult::new(1, ("websocket_events", "WebSocket events"), Severity::Critical, socket),
            ModuleResult::new(
                4,
                ("agent_orchestration", "Agent orchestration"),
                Severity::Warning,
                api,
            ),
            ModuleResult::new(6, ("failure_recovery", "Failure recovery"), Severity::Warning, hostile),
            ModuleResult::new(8, ("lifecycle_events", "Lifecycle events"), Severity::Warning, late),
            ModuleResult::new(9, ("coordination", "Coordination"), Severity::Info, off),
        ],
        diagnosis: stagewatch::diagnose::Diagnosis::default(),
        sensitive: std::collections::BTreeSet::new(),
        since: None,
        latency_targets: vec![
            latency(
                "api_response",
                "API response time",
                (100.0, Some(85.04)),
                (24, Some(12.25)),
            ),
            latency(
                "websocket_latency",
                "WebSocket latency",
                (50.0, Some(72.5)),
                (100, None),
            ),
            latency("agent_startup", "Agent startup", (500.0, None), (2, None)),
        ],
    }
}

fn latency(
    name: &str,
    title: &str,
    (target, measured): (f64, Option<f64>),
    (samples, floor): (u64, Option<f64>),
) -> LatencyResult {
    LatencyResult {
        name: name.to_owned(),
        title: title.to_owned(),
        target_ms: target,
        measured_ms: measured,
        samples,
        floor_ms: floor,
    }
}

#[test]
fn text_for_people() {
    insta::assert_snapshot!(render(&iteration(), Format::Text, Colour::Plain));
}

#[test]
fn colour_only_when_asked() {
    let plain = render(&iteration(), Format::Text, Colour::Plain);
    let coloured = render(&iteration(), Format::Text, Colour::Ansi);
    assert!(!plain.contains('\u{1b}'));
    let code = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    assert_eq!(
        code.replace_all(&coloured, ""),
        plain,
        "colour adds codes and nothing else"
    );
    assert!(coloured.contains("\u{1b}[1;31mFAIL"));
}

#[test]
fn json_for_programs() {
    let written = render(&iteration(), Format::Json, Colour::Plain);
    let read: Value = serde_json::from_str(&written).unwrap();
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&read),
        [
            "target",
            "started_at",
            "duration_s",
            "summary",
            "modules",
            "latency_targets",
            "diagnosis"
        ]
    );
    assert_eq!(
        keys(&read["summary"]["modules"]),
        ["pass", "fail", "unknown", "off", "total"]
    );
    assert_eq!(
        keys(&read["modules"][0]),
        ["number", "id", "title", "verdict", "checks"]
    );
    let check = &read["modules"][0]["checks"][0];
    assert_eq!(
        keys(check),
        [
            "id",
            "title",
            "verdict",
            "reason",
            "blames",
            "failure",
            "expectations",
            "transcripts"
        ]
    );
    assert_eq!(keys(&check["failure"]), ["class", "kind", "phase", "status"]);
    assert_eq!(keys(&check["expectations"][0]), ["that", "held", "message"]);
    insta::assert_snapshot!(written);
}

#[test]
fn junit_for_ci() {
    let written = render(&iteration(), Format::Junit, Colour::Plain);
    assert!(!written.contains('\u{1b}') && !written.contains("<script>"));
    insta::assert_snapshot!(written);
}

#[test]
fn the_iteration_report() {
    let written = render(&iteration(), Format::Markdown, Colour::Plain);
    for (place, _) in written.match_indices("<script>") {
        let line_start = written[..place].rfind('\n').map_or(0, |at| at + 1);
        let fences = written[line_start..place].matches("```").count();
        assert_eq!(fences % 2, 1, "hostile text stands in a code span only");
    }
    assert!(!written.contains("\n# Heading"));
    insta::assert_snapshot!(written);
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let all = iteration();
    assert_eq!(all.exit_code(), 1);
    let only = |place: usize| Iteration {
        modules: vec![all.modules[place].clone()],
        ..all.clone()
    };
    assert_eq!(
        (only(1).exit_code(), only(3).exit_code(), only(4).exit_code()),
        (0, 3, 0)
    );
}

#[test]
fn views_are_made_once_and_shared() {
    let view = Arc::new(TranscriptView::new(Arc::new(transcript(
        "s",
        vec![upgrade("upgrade", 101)],
    ))));
    let root = stagewatch::expression::Scope::new();
    let scope = view.scope(&root);
    let measure = super::support::cel("upgrade.duration_ms + run.duration_ms");
    assert_eq!(measure.evaluate(&scope).unwrap(), json!(1502.5));
}
