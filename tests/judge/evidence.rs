//! What counts as evidence: witnesses, conditions, empty and absent inputs, extracts.

use super::rules::{good, judge, refused, verdict};
use super::support::{
    With, World, broken_off, check, extract, failed, note, part, received, that, transcript, unknown_when, upgrade,
};
use serde_json::json;
use stagewatch::catalog::check::ExtractOf;
use stagewatch::failure::{Blame, Failure, Kind};
use stagewatch::judge::Evidence;
use stagewatch::verdict::{UnknownReason, Verdict};

#[test]
fn an_absence_needs_its_witness() {
    let none = || that("!health.json.items.exists(i, i.bad)");
    let rows = [
        (none().witness("health.status == 200"), Some(true), None),
        (none(), None, Some(UnknownReason::NoActivity)),
        (
            none().witness("size(health.json.items) > 0"),
            None,
            Some(UnknownReason::NoActivity),
        ),
        (none().witness("later.matched"), None, Some(UnknownReason::NoActivity)),
        (
            that("echo.all(e, e.matched)").witness("size(echo) == 3"),
            Some(true),
            None,
        ),
        (
            that("echo.all(e, e.matched)").witness("size(echo) == 4"),
            None,
            Some(UnknownReason::NoActivity),
        ),
        (that("size(echo) == 3 && echo.all(e, e.matched)"), Some(true), None),
        (
            that("!echo.exists(e, e.matched)").witness("later.matched"),
            Some(false),
            None,
        ),
        (that("health.json.items == []"), None, Some(UnknownReason::NoActivity)),
        (
            that("!('x' in health.headers)").witness("health.status == 200"),
            Some(true),
            None,
        ),
    ];
    for (expectation, held, reason) in rows {
        let source = expectation.that.source().to_owned();
        let judgement = judge(good(), vec![expectation]);
        assert_eq!(
            judgement.expectations[0].held, held,
            "{source}: {}",
            judgement.expectations[0].message
        );
        assert_eq!(judgement.reason, reason, "{source}");
    }
}

#[test]
fn a_witness_that_broke_blocks() {
    let silent = Failure::new(Kind::WsNoAnswer, "no answer within 5 s");
    let entries = vec![
        upgrade("upgrade", 101),
        received("echo", &[0], true),
        failed(received("echo", &[1], false), &silent),
    ];
    let judgement = judge(
        broken_off(transcript("s", entries), "echo", silent),
        vec![that("!echo.exists(e, e.json.n == 7)").witness("size(echo) == 3")],
    );
    assert_eq!(judgement.reason, Some(UnknownReason::BlockedBy));
    assert_eq!(judgement.failure.unwrap().kind, Kind::WsNoAnswer);
}

#[test]
fn a_condition_leaves_an_expectation_out() {
    let rows = [
        (
            good(),
            that("health.status == 500").when("upgrade.status == 403"),
            Verdict::Pass,
        ),
        (
            good(),
            that("health.status == 500").when("later.matched"),
            Verdict::Pass,
        ),
        (good(), that("later.matched").when("has(s.later)"), Verdict::Pass),
        (
            good(),
            that("health.status == 500").when("health.json.nothing.here"),
            Verdict::Pass,
        ),
        (
            good(),
            that("health.status == 500").when("upgrade.status == 101"),
            Verdict::Fail,
        ),
        (
            refused(),
            that("welcome.matched").when("welcome.matched"),
            Verdict::Unknown,
        ),
    ];
    for (transcript, expectation, expected) in rows {
        let source = expectation.when.as_ref().unwrap().source().to_owned();
        let judgement = judge(transcript, vec![that("upgrade.endpoint == 'main'"), expectation]);
        assert_eq!(judgement.verdict, expected, "{source}: {:?}", judgement.expectations);
    }
    let judgement = judge(good(), vec![that("health.status == 500").when("upgrade.status == 403")]);
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::NoActivity), None),
        "a part of which nothing was judged"
    );
}

#[test]
fn unknown_when_names_its_reason() {
    let mut part = part(&["s"], vec![that("upgrade.status == 403")]);
    part.unknown_when = vec![
        unknown_when("nobody.matched", UnknownReason::Stale),
        unknown_when("upgrade.nothing == 1", UnknownReason::Stale),
        unknown_when("upgrade.status == 101", UnknownReason::NotInContract),
    ];
    part.notes = vec![note("chose ${upgrade.subprotocol}")];
    let judgement = World::seen(vec![good()]).judge(&check(vec![part]));
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::NotInContract), None)
    );
    assert_eq!(judgement.expectations[0].message, "because 101");
    assert_eq!(judgement.notes, ["chose jwt-auth"]);
    assert_eq!(judgement.transcripts[0].entries, ["upgrade"]);
}

#[test]
fn an_empty_transcript_passes_nothing() {
    for source in [
        "upgrade.status == 101",
        "run.broke_off == null",
        "s.run.duration_ms > 0",
        "has(s.upgrade)",
        "nonce != ''",
    ] {
        let judgement = judge(transcript("s", Vec::new()), vec![that(source)]);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{source}");
    }
}

#[test]
fn evidence_that_is_absent_or_off_says_why() {
    let check = check(vec![part(&["s"], vec![that("upgrade.status == 101")])]);
    let mut world = World::empty();
    assert_eq!(verdict(&world.judge(&check)).1, Some(UnknownReason::Missed));
    let absent = Evidence::Absent {
        reason: UnknownReason::Stale,
        note: "is 10 minutes old".to_owned(),
        blame: None,
    };
    world.evidence.insert("m/s".to_owned(), absent);
    let judgement = world.judge(&check);
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::Stale), None)
    );
    assert_eq!(judgement.expectations[0].message, "m/s: is 10 minutes old");
    assert_eq!(judgement.at, "2026-01-02T04:00:00.000Z");
    let off = Evidence::Off {
        note: "costs model calls".to_owned(),
    };
    world.evidence.insert("m/s".to_owned(), off);
    let judgement = world.judge(&check);
    assert_eq!(verdict(&judgement), (Verdict::Off, None, None));
    assert_eq!(judgement.expectations[0].message, "off: costs model calls");
}

#[test]
fn an_extract_is_evidence_unless_it_is_hollow() {
    let series = |expect| {
        let mut part = part(&[], vec![expect]);
        part.extracts = vec![
            extract("api", ExtractOf::Series("api".to_owned())),
            extract("bad", ExtractOf::Statuses(vec![503])),
        ];
        check(vec![part])
    };
    let world = |api| World::empty().with_extract("api", api).with_extract("bad", json!([]));
    let samples = json!([{"at": 1, "value": 80}, {"at": 2, "value": 90.5}]);
    let p95 = || that("percentile(api.map(s, s.value), 95) <= 100");
    assert_eq!(world(samples.clone()).judge(&series(p95())).verdict, Verdict::Pass);
    let judgement = world(json!([])).judge(&series(p95()));
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::WindowTooShort), None)
    );
    let none_bad = || that("!bad.exists(b, b.status == 503)").witness("size(api) >= 2");
    assert_eq!(world(samples).judge(&series(none_bad())).verdict, Verdict::Pass);
    let judgement = world(json!([{"at": 1, "value": 1}])).judge(&series(none_bad()));
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::WindowTooShort), None)
    );
    let judgement = World::empty().judge(&series(p95()));
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::Monitor), Some(Blame::Monitor))
    );
}
