//! Several parts, several scenarios, other checks' verdicts.

use super::support::{World, broken_off, check, failed, http, part, received, that, transcript, upgrade};
use serde_json::json;
use stagewatch::catalog::Check;
use stagewatch::failure::{Blame, Failure, Kind};
use stagewatch::judge::{Evidence, VerdictSeen};
use stagewatch::transcript::Transcript;
use stagewatch::verdict::{UnknownReason, Verdict};

fn refused_500() -> Failure {
    Failure::new(Kind::WsUpgradeRefused, "HTTP 500").with_status(500)
}

fn one() -> Transcript {
    transcript("one", vec![upgrade("upgrade", 101), received("welcome", &[], true)])
}

fn one_refused() -> Transcript {
    let entry = failed(upgrade("upgrade", 500), &refused_500());
    broken_off(transcript("one", vec![entry]), "upgrade", refused_500())
}

fn two() -> Transcript {
    let mut two = transcript("two", vec![http("list", 200, &json!({"n": 1}))]);
    two.nonce = "ba9876543210".to_owned();
    two.started_at = "2026-01-02T03:00:00.000Z".to_owned();
    two
}

fn off() -> Evidence {
    Evidence::Off {
        note: "outside active hours".to_owned(),
    }
}

#[test]
fn two_scenarios_are_read_together() {
    let both = check(vec![part(
        &["one", "two"],
        vec![
            that("welcome.matched && list.json.n == 1"),
            that("one.nonce == nonce && two.nonce == 'ba9876543210' && one.run.duration_ms > 0 && has(two.list)"),
        ],
    )]);
    let judgement = World::seen(vec![one(), two()]).judge(&both);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.expectations);
    let read: Vec<_> = judgement
        .transcripts
        .iter()
        .map(|read| (read.scenario.as_str(), read.entries.join(",")))
        .collect();
    assert_eq!(
        read,
        [("m/one", "welcome".to_owned()), ("m/two", "list".to_owned())],
        "`has(two.list)` reads the whole scenario"
    );
    assert_eq!(judgement.at, "2026-01-02T03:04:06.500Z", "the newest of both");
    assert!((judgement.duration_ms - 3001.0).abs() < 1e-9);
}

#[test]
fn what_can_be_judged_is_judged_when_the_other_scenario_is_absent() {
    let both = check(vec![part(
        &["one", "two"],
        vec![that("list.json.n == 1"), that("upgrade.status == 101")],
    )]);
    let judgement = World::seen(vec![one()]).judge(&both);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.reason, Some(UnknownReason::Missed));
    assert_eq!(judgement.expectations[1].held, Some(true));
    let judgement = World::seen(vec![one_refused()]).judge(&both);
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[test]
fn with_two_scenarios_nobody_is_meant_by_run() {
    let both = check(vec![part(&["one", "two"], vec![that("run.duration_ms > 0")])]);
    assert_eq!(World::seen(vec![one(), two()]).judge(&both).verdict, Verdict::Unknown);
}

#[test]
fn the_scenario_that_broke_off_blocks() {
    let both = check(vec![part(
        &["two", "one"],
        vec![that("list.json.n == 1"), that("welcome.matched")],
    )]);
    let judgement = World::seen(vec![one_refused(), two()]).judge(&both);
    assert_eq!(judgement.reason, Some(UnknownReason::BlockedBy));
    assert!(judgement.blocked_by.unwrap().starts_with("m/one.upgrade: "));
    let both = check(vec![part(&["two", "one"], vec![that("two.more.status == 200")])]);
    let judgement = World::seen(vec![one_refused(), two()]).judge(&both);
    assert_eq!(
        judgement.reason,
        Some(UnknownReason::NoActivity),
        "two did not break off"
    );
}

#[test]
fn the_worst_part_wins_and_off_gives_way() {
    let parts = || {
        check(vec![
            part(&["two"], vec![that("list.json.n == 1")]),
            part(&["one"], vec![that("welcome.matched")]),
        ])
    };
    let judgement = World::seen(vec![one_refused(), two()]).judge(&parts());
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.expectations[1].part, "one");
    let mut world = World::seen(vec![two()]);
    world.evidence.insert("m/one".to_owned(), off());
    let judgement = world.judge(&parts());
    assert_eq!(
        (judgement.verdict, judgement.reason),
        (Verdict::Pass, None),
        "some parts are off"
    );
    assert_eq!(judgement.expectations[1].held, None);
    world.evidence.insert("m/two".to_owned(), off());
    assert_eq!(world.judge(&parts()).verdict, Verdict::Off, "all parts are off");
}

#[test]
fn a_whole_path_fails_with_the_first_broken_step() {
    let mut path = check(vec![
        part(&["two"], vec![that("list.json.n == 1")]),
        part(&["one"], vec![that("welcome.matched"), that("later.matched")]),
    ]);
    path.whole_path = true;
    let judgement = World::seen(vec![one_refused(), two()]).judge(&path);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Fail, None));
    assert_eq!(judgement.failure, Some(refused_500()));
    assert_eq!(
        judgement.blocked_by.as_deref(),
        Some("m/one.upgrade: ws_upgrade_refused in upgrade: HTTP 500")
    );
    assert!(judgement.expectations[1].message.contains("m/one.upgrade"));

    let ours = Failure::new(Kind::CredentialMissing, "no user");
    let world = World::seen(vec![broken_off(transcript("one", Vec::new()), "upgrade", ours), two()]);
    let judgement = world.judge(&path);
    assert_eq!(
        judgement.reason,
        Some(UnknownReason::CredentialMissing),
        "our own fault stays unknown"
    );
}

fn verdict(verdict: Verdict, reason: Option<UnknownReason>, failure: Option<Failure>) -> VerdictSeen {
    VerdictSeen {
        verdict,
        reason,
        age_s: 12.5,
        title: "other".to_owned(),
        message: if verdict == Verdict::Pass {
            String::new()
        } else {
            "it says why".to_owned()
        },
        failure,
    }
}

fn roll_up(ids: &[&str]) -> Check {
    let mut part = part(&[], Vec::new());
    part.rolls_up = ids.iter().map(|id| (*id).to_owned()).collect();
    check(vec![part])
}

#[test]
fn the_worst_of_the_checks_rolled_up_wins() {
    let pass = || verdict(Verdict::Pass, None, None);
    let fail = || verdict(Verdict::Fail, None, Some(refused_500()));
    let unknown = || verdict(Verdict::Unknown, Some(UnknownReason::WindowTooShort), None);
    let blocked = || verdict(Verdict::Unknown, Some(UnknownReason::BlockedBy), Some(refused_500()));
    let off = || verdict(Verdict::Off, None, None);
    let rows = [
        (vec![pass(), pass()], false, Verdict::Pass, None),
        (vec![pass(), fail()], false, Verdict::Fail, None),
        (vec![unknown(), fail()], false, Verdict::Fail, None),
        (
            vec![unknown(), pass()],
            false,
            Verdict::Unknown,
            Some("m/c0 is unknown (window_too_short): it says why"),
        ),
        (
            vec![unknown(), pass()],
            true,
            Verdict::Unknown,
            Some("m/c0 is unknown (window_too_short): it says why"),
        ),
        (
            vec![pass(), blocked()],
            false,
            Verdict::Unknown,
            Some("m/c1 is unknown (blocked_by): it says why"),
        ),
        (
            vec![pass(), blocked()],
            true,
            Verdict::Fail,
            Some("m/c1 is unknown (blocked_by): it says why"),
        ),
        (vec![pass(), off()], false, Verdict::Pass, None),
        (vec![off(), off()], false, Verdict::Off, None),
        (vec![pass()], false, Verdict::Unknown, Some("m/c1")),
    ];
    for (verdicts, whole_path, expected, blocked_by) in rows {
        let mut rolled = roll_up(&["m/c0", "m/c1"]);
        rolled.whole_path = whole_path;
        let mut world = World::empty();
        world.verdicts = verdicts
            .into_iter()
            .enumerate()
            .map(|(place, seen)| (format!("m/c{place}"), seen))
            .collect();
        let judgement = world.judge(&rolled);
        assert_eq!(judgement.verdict, expected, "{:#?}", judgement.expectations);
        assert_eq!(judgement.blocked_by.as_deref(), blocked_by);
        if expected == Verdict::Unknown {
            assert_eq!(judgement.reason, Some(UnknownReason::BlockedBy));
        }
        if expected == Verdict::Fail {
            assert_eq!(judgement.failure.as_ref().unwrap().status, Some(500));
            assert_eq!(judgement.blames, Some(Blame::Target));
        }
    }
}

#[test]
fn a_verdict_variable_is_evidence() {
    let mut part = part(&[], vec![that("chat.verdict == 'pass' && chat.age_s < 3600")]);
    part.verdicts = vec![("chat".to_owned(), "m/chat".to_owned())];
    let check = check(vec![part]);
    let mut world = World::empty();
    let judgement = world.judge(&check);
    assert_eq!(judgement.reason, Some(UnknownReason::BlockedBy));
    world
        .verdicts
        .insert("m/chat".to_owned(), verdict(Verdict::Pass, None, None));
    assert_eq!(world.judge(&check).verdict, Verdict::Pass);
    world
        .verdicts
        .insert("m/chat".to_owned(), verdict(Verdict::Fail, None, None));
    let judgement = world.judge(&check);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judgement.expectations[0].message,
        "`chat.verdict == 'pass' && chat.age_s < 3600` is false: chat.verdict = \"fail\""
    );
    let again = VerdictSeen::of(&judgement, 3.0);
    assert_eq!(again.message, judgement.expectations[0].message);
}
