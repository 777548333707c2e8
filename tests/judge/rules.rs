//! One rule of the language after the other, on one transcript.

use super::support::{With, World, broken_off, check, failed, http, part, received, that, transcript, upgrade};
use serde_json::json;
use stagewatch::catalog::Expectation;
use stagewatch::failure::{Blame, Class, Failure, Kind, Phase};
use stagewatch::run::Judgement;
use stagewatch::transcript::Transcript;
use stagewatch::verdict::{UnknownReason, Verdict};

fn refused_500() -> Failure {
    Failure::new(Kind::WsUpgradeRefused, "HTTP 500").with_status(500)
}

pub fn good() -> Transcript {
    transcript(
        "s",
        vec![
            upgrade("upgrade", 101),
            received("welcome", &[], true),
            received("echo", &[1], true),
            received("echo", &[0], true),
            received("echo", &[2], true),
            http("health", 200, &json!({"status": "healthy", "items": []})),
        ],
    )
}

/// Upgrade refused with 500: the step failed and the run broke off.
pub fn refused() -> Transcript {
    let entry = failed(upgrade("upgrade", 500), &refused_500());
    broken_off(transcript("s", vec![entry]), "upgrade", refused_500())
}

pub fn judge(transcript: Transcript, expect: Vec<Expectation>) -> Judgement {
    World::seen(vec![transcript]).judge(&check(vec![part(&["s"], expect)]))
}

pub fn verdict(judgement: &Judgement) -> (Verdict, Option<UnknownReason>, Option<Blame>) {
    (judgement.verdict, judgement.reason, judgement.blames)
}

#[test]
fn what_holds_on_evidence_passes() {
    let judgement = judge(
        good(),
        vec![
            that("upgrade.status == 101"),
            that("s.upgrade.subprotocol == 'jwt-auth' && run.duration_ms > 1500 && s.run.broke_off == null"),
            that("echo.map(e, e.json.n) == [0, 1, 2]"),
            that("!refused(upgrade) && connection_id == 'conn-1' && nonce == s.nonce && target.service == 'svc'"),
            that("welcome.matched && credential.sub == 'user-1' && many.map(c, c.sub) == ['a', 'b', 'k'] && a == 3"),
            that("welcome.latency_ms < 50 && !welcome.failed && started > 0 && time_scale == 1"),
        ],
    );
    assert_eq!(
        verdict(&judgement),
        (Verdict::Pass, None, None),
        "{:#?}",
        judgement.expectations
    );
    assert!(judgement.expectations.iter().all(|judged| judged.held == Some(true)));
    let [read] = judgement.transcripts.as_slice() else {
        panic!()
    };
    assert_eq!(read.entries, ["upgrade", "welcome", "echo"], "health was not read");
    assert_eq!(judgement.at, "2026-01-02T03:04:06.500Z");
    assert!((judgement.duration_ms - 1500.5).abs() < 1e-9);
}

#[test]
fn a_false_expectation_shows_what_it_compared() {
    let judgement = judge(
        good(),
        vec![
            that("health.json.status == 'sick'"),
            that("health.json.status == 'sick'").or_else("says ${health.json.status}, version ${health.json.version}"),
            that("health.json.version == '1'"),
            that("upgrade.status == 101"),
        ],
    );
    assert_eq!(verdict(&judgement), (Verdict::Fail, None, Some(Blame::Target)));
    let messages: Vec<_> = judgement
        .expectations
        .iter()
        .map(|judged| judged.message.as_str())
        .collect();
    assert_eq!(
        messages,
        [
            "`health.json.status == 'sick'` is false: health.json.status = \"healthy\"",
            "says healthy, version ? (there is no `version`)",
            "`health.json.version == '1'` cannot be evaluated, there is no `version`: health.json.version has no value",
            "",
        ]
    );
    assert_eq!(judgement.expectations[0].values.len(), 1);
    let failure = judgement.failure.unwrap();
    assert_eq!((failure.class, failure.phase), (Class::Expectation, Phase::Judge));
    assert_eq!(failure.detail, messages[0]);
}

#[test]
fn the_failure_is_that_of_the_step_then_the_status_then_the_class() {
    let rows: Vec<(Transcript, Expectation, Class, Kind, Option<u16>)> = vec![
        (
            refused(),
            that("upgrade.status == 101"),
            Class::UpgradeStatus,
            Kind::WsUpgradeRefused,
            Some(500),
        ),
        (
            refused(),
            that("upgrade.frames[0].json.type == 'x'"),
            Class::UpgradeStatus,
            Kind::WsUpgradeRefused,
            Some(500),
        ),
        (
            good(),
            that("upgrade.status == 101 && health.status == 503"),
            Class::HttpStatus,
            Kind::HttpStatus,
            Some(200),
        ),
        (
            good(),
            that("s.health.status == 503"),
            Class::HttpStatus,
            Kind::HttpStatus,
            Some(200),
        ),
        (
            good(),
            that("refused(upgrade)"),
            Class::Expectation,
            Kind::Expectation,
            None,
        ),
        (
            good(),
            that("refused(upgrade)").class(Class::Auth),
            Class::Auth,
            Kind::AuthRefused,
            None,
        ),
        (
            good(),
            that("upgrade.status in [401, 403]").class(Class::Auth),
            Class::Auth,
            Kind::AuthAccepted,
            Some(101),
        ),
        (
            good(),
            that("health.status == 200 && health.json.status == 'x'"),
            Class::Expectation,
            Kind::Expectation,
            None,
        ),
        (
            good(),
            that("welcome.latency_ms < 10").class(Class::Latency),
            Class::Latency,
            Kind::LatencyTarget,
            None,
        ),
    ];
    for (transcript, expectation, class, kind, status) in rows {
        let source = expectation.that.source().to_owned();
        let judgement = judge(transcript, vec![expectation]);
        let failure = judgement.failure.unwrap();
        assert_eq!(judgement.verdict, Verdict::Fail, "{source}");
        assert_eq!(
            (failure.class, failure.kind, failure.status),
            (class, kind, status),
            "{source}"
        );
        assert_eq!(failure.blame, Blame::Target, "{source}");
    }
}

#[test]
fn a_list_tells_which_status_was_wrong() {
    let transcript = transcript(
        "s",
        [101, 500, 101]
            .iter()
            .zip(0_u32..)
            .map(|(status, place)| {
                let mut entry = upgrade("many", *status);
                entry["place"] = json!([place]);
                entry
            })
            .collect(),
    );
    let judgement = judge(
        transcript,
        vec![that("size(many) == 3 && many.all(m, m.status == 101)").witness("size(many) == 3")],
    );
    let failure = judgement.failure.unwrap();
    assert_eq!((failure.class, failure.status), (Class::UpgradeStatus, Some(500)));
    assert_eq!(judgement.expectations[0].values[0].expression, "many[1]");
}

#[test]
fn a_step_that_never_ran_is_blocked_by_the_one_that_broke() {
    let judgement = judge(
        refused(),
        vec![that("welcome.matched"), that("upgrade.endpoint == 'main'")],
    );
    assert_eq!(
        verdict(&judgement),
        (Verdict::Unknown, Some(UnknownReason::BlockedBy), Some(Blame::Target))
    );
    assert_eq!(
        judgement.blocked_by.as_deref(),
        Some("m/s.upgrade: ws_upgrade_refused in upgrade: HTTP 500")
    );
    assert_eq!(judgement.failure.as_ref().unwrap().status, Some(500));
    let held: Vec<_> = judgement.expectations.iter().map(|judged| judged.held).collect();
    assert_eq!(held, [None, Some(true)], "all expectations are evaluated");
    assert_eq!(
        judgement.expectations[0].message,
        "blocked by m/s.upgrade: ws_upgrade_refused in upgrade: HTTP 500"
    );
}

#[test]
fn a_false_expectation_beats_a_blocked_one() {
    let judgement = judge(refused(), vec![that("welcome.matched"), that("upgrade.status == 101")]);
    assert_eq!(verdict(&judgement), (Verdict::Fail, None, Some(Blame::Target)));
    assert_eq!(judgement.blocked_by, None);
}

#[test]
fn a_skipped_step_is_no_activity() {
    for source in ["later.status == 200", "s.later.status == 200", "has(s.later.status)"] {
        let judgement = judge(good(), vec![that(source)]);
        assert_eq!(
            verdict(&judgement),
            (Verdict::Unknown, Some(UnknownReason::NoActivity), None),
            "{source}"
        );
    }
}

#[test]
fn our_own_faults_are_reasons_and_never_fails() {
    let rows = [
        (
            Failure::new(Kind::CredentialMissing, "no user free"),
            UnknownReason::CredentialMissing,
        ),
        (Failure::new(Kind::BudgetExhausted, "429"), UnknownReason::Budget),
        (Failure::new(Kind::Fd, "no descriptors"), UnknownReason::Monitor),
        (
            Failure::new(Kind::TcpTimeout, "our network").blamed_on(Blame::Monitor),
            UnknownReason::Monitor,
        ),
    ];
    for (failure, reason) in rows {
        let mut entry = upgrade("upgrade", 101);
        entry.as_object_mut().unwrap().remove("status");
        let ran = transcript("s", vec![failed(entry, &failure)]);
        for transcript in [ran.clone(), broken_off(ran, "upgrade", failure)] {
            let judgement = judge(transcript, vec![that("upgrade.status == 101"), that("welcome.matched")]);
            let reason = if judgement.expectations[1].message.contains("did not run") {
                assert_eq!(judgement.expectations[0].held, None);
                reason
            } else {
                reason
            };
            assert_eq!(
                verdict(&judgement),
                (Verdict::Unknown, Some(reason), Some(Blame::Monitor)),
                "{reason}"
            );
        }
    }
}

#[test]
fn the_path_is_blamed_but_still_fails() {
    let failure = Failure::new(Kind::DnsTimeout, "no answer").blamed_on(Blame::Path);
    let mut entry = upgrade("upgrade", 101);
    entry.as_object_mut().unwrap().remove("status");
    let judgement = judge(
        transcript("s", vec![failed(entry, &failure)]),
        vec![that("upgrade.status == 101")],
    );
    assert_eq!(verdict(&judgement), (Verdict::Fail, None, Some(Blame::Path)));
    assert_eq!(judgement.failure, Some(failure));
}
