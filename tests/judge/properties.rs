//! Properties that hold for any evidence.

use super::support::{With, World, broken_off, check, http, part, received, that, transcript, upgrade};
use proptest::prelude::*;
use serde_json::{Value, json};
use stagewatch::catalog::{Check, Expectation};
use stagewatch::failure::{Failure, Kind};
use stagewatch::verdict::Verdict;

/// Makes an expectation; they cannot be cloned.
type Made = fn() -> Expectation;

/// Expectations that hold on [`entries`], each with what it reads for a pass: every one of these steps.
fn expectations() -> Vec<(Made, &'static [&'static str])> {
    vec![
        (|| that("upgrade.status == 101"), &["upgrade"]),
        (
            || that("s.upgrade.status == 101 && health.status == 200"),
            &["upgrade", "health"],
        ),
        (
            || that("upgrade.status == 101 || health.status == 200"),
            &["upgrade", "health"],
        ),
        (|| that("echo.exists(e, e.matched)"), &["echo"]),
        (|| that("size(echo) == 3 && echo.all(e, e.matched)"), &["echo"]),
        (
            || that("echo.all(e, e.matched)").witness("welcome.matched"),
            &["echo", "welcome"],
        ),
        (
            || that("!health.json.items.exists(i, i.bad)").witness("health.status == 200"),
            &["health"],
        ),
        (
            || that("health.json.items == []").witness("upgrade.status == 101"),
            &["health", "upgrade"],
        ),
        (|| that("!refused(upgrade)"), &["upgrade"]),
        (
            || that("health.json.status == 'healthy'").when("welcome.matched"),
            &["health"],
        ),
        (
            || that("nonce != '' && percentile(echo.map(e, e.latency_ms), 95) < 50"),
            &["echo"],
        ),
    ]
}

fn entries() -> Vec<Value> {
    vec![
        upgrade("upgrade", 101),
        received("welcome", &[], true),
        received("echo", &[0], true),
        received("echo", &[1], true),
        received("echo", &[2], true),
        http("health", 200, &json!({"status": "healthy", "items": []})),
    ]
}

fn of(expectation: Expectation) -> Check {
    check(vec![part(&["s"], vec![expectation])])
}

#[test]
fn all_of_them_hold_on_the_whole_transcript() {
    let world = World::seen(vec![transcript("s", entries())]);
    for (expectation, _) in expectations() {
        let judgement = world.judge(&of(expectation()));
        assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.expectations);
    }
}

/// JSON of any shape, small.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}|status|json|items|matched", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dropping_a_step_that_is_read_never_passes(
        which in 0..11_usize,
        place in any::<prop::sample::Index>(),
        break_off in any::<bool>(),
        others in prop::collection::vec(any::<bool>(), 6),
    ) {
        let (expectation, reads) = &expectations()[which];
        let dropped = *place.get(reads);
        let kept = entries().into_iter().zip(others).filter(|(entry, keep)| {
            let id = entry["id"].as_str().unwrap();
            id != dropped && (reads.contains(&id) || *keep)
        });
        let mut evidence = transcript("s", kept.map(|(entry, _)| entry).collect());
        if break_off {
            evidence = broken_off(evidence, dropped, Failure::new(Kind::TcpReset, "reset"));
        }
        let judgement = World::seen(vec![evidence]).judge(&of(expectation()));
        prop_assert_ne!(judgement.verdict, Verdict::Pass, "{} without {}", judgement.expectations[0].that, dropped);
    }

    #[test]
    fn an_absence_without_a_witness_never_passes(items in prop::collection::vec(any_json(), 0..4), which in 0..9_usize) {
        let sources = [
            "!health.json.items.exists(i, i.status == 1)", "health.json.items.all(i, i.matched)",
            "size(health.json.items) == 0", "health.json.items == []", "!('x' in health.json.items)",
            "size(health.json.items) < 9", "non_decreasing(health.json.items)", "!(size(health.json.items) > 0)",
            "health.status == 200 && !health.json.items.exists(i, i == 1)",
        ];
        let evidence = transcript("s", vec![http("health", 200, &json!({ "items": items }))]);
        let judgement = World::seen(vec![evidence]).judge(&of(that(sources[which])));
        prop_assert_ne!(judgement.verdict, Verdict::Pass, "{}", sources[which]);
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes(json in any_json(), status in 100..600_u16) {
        let entries = || vec![upgrade("upgrade", status), http("health", 200, &json)];
        let mut part = part(&["s"], expectations().into_iter().map(|(expectation, _)| expectation()).collect());
        part.expect.push(that("health.json.all(k, k == 'x')"));
        part.expect.push(that("health.json == {'a': 1} || health.json.items.map(i, i.status) == [1]"));
        part.expect.push(that("keys(health.json) == distinct(health.json.map(k, k)) && text(health.json) == ''"));
        part.notes = vec![super::support::note("${health.json} ${health.json.map(k, k)} ${health.json.items[0]}")];
        let check = check(vec![part]);
        let bytes = || {
            let world = World::seen(vec![transcript("s", entries())]);
            serde_json::to_string(&world.judge(&check)).unwrap()
        };
        let first = bytes();
        prop_assert_eq!(&first, &bytes());
        let stored: stagewatch::run::Judgement = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(first, serde_json::to_string(&stored).unwrap(), "what was stored reads back the same");
    }

    #[test]
    fn a_stored_transcript_is_judged_the_same(milliseconds in prop::collection::vec(0.0..1e5_f64, 50), json in any_json()) {
        let mut evidence = transcript("s", vec![http("health", 200, &json!({ "values": milliseconds, "json": json }))]);
        evidence.duration_ms = milliseconds[0];
        let check = check(vec![part(&["s"], vec![
            that("sum(health.json.values) == 0.0"), that("avg(health.json.values) < 0"), that("health.json.json == 7"),
        ])]);
        let stored = serde_json::from_str(&serde_json::to_string(&evidence).unwrap()).unwrap();
        let judge = |transcript| serde_json::to_string(&World::seen(vec![transcript]).judge(&check)).unwrap();
        prop_assert_eq!(judge(evidence), judge(stored));
    }

    #[test]
    fn no_evidence_makes_the_judge_panic(json in any_json(), source in "[a-z0-9_.\\[\\]()'!<>=&|+*/ -]{0,40}") {
        let world = World::seen(vec![transcript("s", vec![http("health", 200, &json)])]);
        if let Ok(expression) = stagewatch::expression::Expression::compile(&source) {
            let expectation = Expectation { that: expression, message: None, witness: None, class: None, when: None };
            let judgement = world.judge(&of(expectation));
            prop_assert!(judgement.expectations.len() == 1);
        }
    }
}
