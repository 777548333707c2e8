//! The alert fold over judgements and measurements: checks, modules, promises, ourselves.

use crate::folding::{T0, answer, as_alert, catalog, nothing, pages};
use serde_json::{Value, json};
use stagewatch::alert::firing::Firing;
use stagewatch::alert::fold::{Fold, Signals};
use stagewatch::alert::{Alert, AlertId, AlertName, Cause};
use stagewatch::catalog::Severity;
use stagewatch::run::{Judgement, Measured, Run, TranscriptRef};
use std::sync::Arc;

/// A judgement of a check of module `m`, such as `fail` or `unknown target`.
fn judgement(check: &str, said: &str) -> Arc<Judgement> {
    let (verdict, blame) = said.split_once(' ').unwrap_or((said, ""));
    let mut judgement = json!({
        "module": "m", "id": check, "title": "", "at": "", "verdict": verdict, "expectations": [], "transcripts": [],
        "duration_ms": 1.0,
    });
    if !blame.is_empty() {
        judgement["blames"] = Value::from(blame);
        judgement["reason"] = Value::from("blocked_by");
    }
    Arc::new(serde_json::from_value(judgement).unwrap())
}

fn judge(fold: &mut Fold, at: f64, said: &[(&str, &str)]) {
    let run = Run {
        judgements: said.iter().map(|(check, said)| judgement(check, said)).collect(),
        ..nothing(at)
    };
    fold.take(&run, at);
}

fn names(fold: &Fold) -> Vec<(AlertName, String)> {
    let said = |firing: &Firing| {
        let labels: Vec<&str> = firing.id.labels.values().map(String::as_str).collect();
        (firing.id.name, labels.join(" "))
    };
    pages(fold).iter().map(said).collect()
}

#[test]
fn two_failures_open_and_only_a_pass_closes() {
    let mut fold = Fold::new(&catalog(), T0);
    judge(&mut fold, T0, &[("healthy", "fail target"), ("welcomes", "pass")]);
    assert_eq!(names(&fold), []);
    judge(&mut fold, T0 + 1.0, &[("healthy", "unknown monitor")]);
    judge(&mut fold, T0 + 2.0, &[("healthy", "fail target")]);
    let open = [(AlertName::CheckFailing, "healthy m false".to_owned())];
    assert_eq!(names(&fold), open);
    assert_eq!(
        (pages(&fold)[0].starts_at, pages(&fold)[0].severity),
        (T0, Some(Severity::Critical))
    );
    for step in 3..23_u32 {
        judge(
            &mut fold,
            T0 + f64::from(step),
            &[("healthy", if step % 2 == 0 { "unknown path" } else { "off" })],
        );
        fold.tick(T0 + f64::from(step), Signals::default());
        assert_eq!(names(&fold)[0], open[0], "what is unknown or off ends nothing");
    }
    judge(&mut fold, T0 + 30.0, &[("healthy", "pass")]);
    assert_eq!(names(&fold), []);
}

/// A refused upgrade stands among the answers of all our traffic for as long as a check looks back: it has an alert of its own, or
/// was a single one, and in neither case the check's alert is news.
#[test]
fn a_check_of_all_our_traffic_is_excused_for_as_long_as_it_remembers_a_refused_upgrade() {
    let traffic = "  - id: traffic
    title: No internal errors
    parts:
      - ledger: { errors: { statuses: [500], over: 15m }, runs: { runs: [health], over: 15m } }
        expect: [ { that: \"size(errors) == 0\", witness: \"size(runs) > 0\" } ]
";
    let main = include_str!("main.yaml")
        .replace("BACKEND", "127.0.0.1:1")
        .replace("AUTH", "127.0.0.1:2");
    let module = format!("{}{traffic}", include_str!("watched.yaml"));
    let mut fold = Fold::new(
        &crate::support::load(&main, &module, std::path::Path::new("unused")),
        T0,
    );
    fold.take(&answer(T0, 500), T0);
    fold.take(&answer(T0 + 0.1, 101), T0 + 0.1);
    for step in 1..8_u32 {
        judge(
            &mut fold,
            T0 + f64::from(step),
            &[("traffic", "fail target"), ("healthy", "pass")],
        );
    }
    assert_eq!(names(&fold), []);
    let suppressed = fold.suppressed();
    assert!(
        suppressed
            .iter()
            .any(|muted| muted.check == "traffic" && muted.cause == Cause::Dependency)
    );
    // Other answers than those of the socket keep it failing.
    for at in [T0 + 1000.0, T0 + 1001.0] {
        judge(&mut fold, at, &[("traffic", "fail target"), ("healthy", "pass")]);
    }
    assert_eq!(names(&fold), [(AlertName::CheckFailing, "traffic m true".to_owned())]);
}

/// The socket is well again, and a run that began in its outage is judged now: its failure is that of the outage.
#[test]
fn what_rests_on_a_run_of_an_outage_is_excused_after_it_too_and_counts_from_the_next_run_on() {
    let mut fold = Fold::new(&catalog(), T0);
    fold.take(&answer(T0, 500), T0);
    fold.take(&answer(T0 + 1.0, 101), T0 + 1.0);
    let muted = |fold: &Fold| fold.suppressed().iter().any(|muted| muted.check == "welcomes");
    let mut late = |began: f64, at: f64, expected: &[(AlertName, String)]| {
        let mut failed = Arc::unwrap_or_clone(judgement("welcomes", "fail target"));
        failed.transcripts = vec![TranscriptRef {
            scenario: "m/authenticated".to_owned(),
            run: String::new(),
            entries: Vec::new(),
        }];
        let run = Run {
            judgements: vec![Arc::new(failed), judgement("healthy", "pass")],
            at,
            ..answer(began, 101)
        };
        fold.take(&run, at);
        assert_eq!(names(&fold), expected, "after {}", at - T0);
        // Until the daemon itself counts enough, the rules, which count everything, are muted.
        assert_eq!(muted(&fold), expected.is_empty(), "after {}", at - T0);
    };
    late(T0 + 0.5, T0 + 5.0, &[]);
    late(T0 + 0.5, T0 + 6.0, &[]);
    late(T0 + 7.0, T0 + 8.0, &[]);
    late(
        T0 + 9.0,
        T0 + 10.0,
        &[(AlertName::CheckFailing, "welcomes m true".to_owned())],
    );
}

#[test]
fn a_critical_check_that_cannot_be_judged_alerts_by_blame() {
    for (blame, severity) in [("target", Severity::Critical), ("path", Severity::Warning)] {
        let mut fold = Fold::new(&catalog(), T0);
        let said = format!("unknown {blame}");
        for step in 0..3_u32 {
            assert_eq!(names(&fold), []);
            judge(&mut fold, T0 + f64::from(step), &[("healthy", &said)]);
        }
        assert_eq!(
            names(&fold),
            [(AlertName::CheckUnjudged, format!("{blame} healthy m false"))]
        );
        assert_eq!(
            (pages(&fold)[0].severity, pages(&fold)[0].starts_at),
            (Some(severity), T0)
        );
        judge(&mut fold, T0 + 3.0, &[("healthy", "fail target")]);
        assert_eq!(names(&fold)[0].0, AlertName::CheckUnjudged, "one failure is no pass");
        judge(&mut fold, T0 + 4.0, &[("healthy", "fail target")]);
        assert_eq!(names(&fold)[0].0, AlertName::CheckFailing);
    }
    let mut fold = Fold::new(&catalog(), T0);
    for step in 0..4_u32 {
        judge(
            &mut fold,
            T0 + f64::from(step),
            &[("healthy", "unknown monitor"), ("welcomes", "unknown")],
        );
    }
    fold.tick(T0 + 4.0, Signals::default());
    assert_eq!(
        names(&fold),
        [(AlertName::MonitorFault, String::new())],
        "our own fault, and nobody else's"
    );
    judge(&mut fold, T0 + 5.0, &[("healthy", "pass")]);
    fold.tick(T0 + 6.0, Signals::default());
    assert_eq!(names(&fold), []);
}

#[test]
fn a_module_of_which_nothing_passes_is_one_alert() {
    let mut fold = Fold::new(&catalog(), T0);
    let all = [
        ("healthy", "fail target"),
        ("welcomes", "fail target"),
        ("rolled", "fail target"),
    ];
    judge(&mut fold, T0, &all);
    judge(&mut fold, T0 + 1.0, &all);
    judge(&mut fold, T0 + 2.0, &all);
    assert_eq!(names(&fold), [(AlertName::ModuleDown, "m false".to_owned())]);
    assert_eq!(pages(&fold)[0].starts_at, T0);
    judge(&mut fold, T0 + 3.0, &[("welcomes", "unknown target")]);
    assert_eq!(names(&fold).len(), 1);
    judge(&mut fold, T0 + 4.0, &[("welcomes", "pass"), ("healthy", "fail target")]);
    assert_eq!(names(&fold), [(AlertName::CheckFailing, "healthy m false".to_owned())]);
}

#[test]
fn what_needs_a_broken_socket_is_no_news_and_neither_is_what_rests_on_it() {
    let mut fold = Fold::new(&catalog(), T0);
    judge(
        &mut fold,
        T0,
        &[("healthy", "pass"), ("welcomes", "pass"), ("rolled", "pass")],
    );
    fold.take(&answer(T0 + 1.0, 500), T0 + 1.0);
    let both = [("welcomes", "fail target"), ("rolled", "fail target")];
    for step in 2..6_u32 {
        judge(&mut fold, T0 + f64::from(step), &both);
        fold.take(&answer(T0 + f64::from(step), 500), T0 + f64::from(step));
    }
    assert_eq!(names(&fold), [(AlertName::UpgradeHttp500, "valid main".to_owned())]);
    let muted: Vec<_> = fold
        .suppressed()
        .into_iter()
        .map(|muted| (muted.check, muted.cause))
        .collect();
    assert_eq!(
        muted,
        [
            ("rolled".to_owned(), Cause::Dependency),
            ("welcomes".to_owned(), Cause::Dependency)
        ]
    );
    // What does not need it goes on to alert.
    judge(&mut fold, T0 + 6.0, &[("healthy", "fail target")]);
    judge(&mut fold, T0 + 7.0, &[("healthy", "fail target")]);
    assert!(names(&fold).contains(&(AlertName::CheckFailing, "healthy m false".to_owned())));
    judge(&mut fold, T0 + 8.0, &[("healthy", "pass")]);
    for step in 0..6_u32 {
        let at = T0 + 10.0 + 15.0 * f64::from(step);
        fold.take(&answer(at, 101), at);
    }
    // The roll-up still says what the old judgement of the other one was.
    judge(&mut fold, T0 + 100.0, &[("rolled", "fail target")]);
    judge(&mut fold, T0 + 160.0, &[("rolled", "fail target")]);
    assert_eq!(
        names(&fold),
        [],
        "the socket is well again, what rests on its failure is no news"
    );
    judge(&mut fold, T0 + 200.0, &both);
    assert_eq!(names(&fold), []);
    judge(&mut fold, T0 + 201.0, &both);
    let now = names(&fold);
    assert!(
        now.contains(&(AlertName::CheckFailing, "welcomes m true".to_owned())),
        "{now:?}"
    );
}

#[test]
fn a_promise_is_missed_when_it_is_missed_for_long() {
    let sample = |at: f64, ms: f64| Run {
        measures: vec![Measured {
            series: "api_ms".to_owned(),
            value: json!([ms]),
            latency_target: Some("api_response".to_owned()),
            floor: None,
        }],
        ..nothing(at)
    };
    let mut fold = Fold::new(&catalog(), T0);
    let mut first = None;
    for step in 0..80_u32 {
        let at = T0 + 30.0 * f64::from(step);
        fold.take(&sample(at, if step % 10 == 0 { 250.0 } else { 40.0 }), at);
        fold.tick(at, Signals::default());
        if first.is_none() && !names(&fold).is_empty() {
            first = Some(at);
        }
    }
    assert_eq!(
        names(&fold),
        [(AlertName::LatencyTargetMissed, "api_response".to_owned())]
    );
    assert!((900.0..1000.0).contains(&(first.unwrap() - T0)), "{first:?}");
    // Silence is no improvement.
    fold.tick(T0 + 9000.0, Signals::default());
    assert_eq!(names(&fold).len(), 1);
    for step in 0..4_u32 {
        fold.take(&sample(T0 + 9001.0, 40.0 + f64::from(step)), T0 + 9001.0);
    }
    fold.tick(T0 + 9002.0, Signals::default());
    assert_eq!(names(&fold), []);
}

#[test]
fn a_blind_module_and_a_suspect_network_are_told() {
    let mut fold = Fold::new(&catalog(), T0);
    judge(
        &mut fold,
        T0,
        &[("healthy", "pass"), ("welcomes", "unknown"), ("rolled", "unknown")],
    );
    let signals = |controls: f64| Signals {
        controls: Some(controls),
        ..Signals::default()
    };
    for step in 0..=60_u32 {
        fold.tick(T0 + f64::from(step), signals(0.3));
    }
    assert_eq!(names(&fold), [(AlertName::MonitorNetworkSuspect, String::new())]);
    for step in 61..1900_u32 {
        fold.tick(T0 + f64::from(step), signals(0.7));
    }
    assert_eq!(names(&fold), [(AlertName::ModuleBlind, "m".to_owned())]);
    judge(&mut fold, T0 + 1900.0, &[("welcomes", "pass"), ("rolled", "pass")]);
    for step in 1900..7200_u32 {
        fold.tick(T0 + f64::from(step), signals(0.7));
    }
    assert_eq!(names(&fold), []);
}

#[test]
fn every_alert_outlives_a_restart_with_its_beginning() {
    let known_by: [(AlertName, &[(&str, &str)]); 11] = [
        (AlertName::UpgradeHttp500, &[("socket", "main"), ("credential", "none")]),
        (
            AlertName::UpgradeFailing,
            &[("socket", "main"), ("credential", "valid"), ("outcome", "timeout")],
        ),
        (AlertName::SessionBroken, &[("socket", "main")]),
        (
            AlertName::CheckFailing,
            &[("module", "m"), ("check", "healthy"), ("needs_socket", "false")],
        ),
        (
            AlertName::CheckUnjudged,
            &[
                ("module", "m"),
                ("check", "welcomes"),
                ("needs_socket", "true"),
                ("blame", "path"),
            ],
        ),
        (AlertName::ModuleDown, &[("module", "m"), ("needs_socket", "true")]),
        (AlertName::ModuleBlind, &[("module", "m")]),
        (AlertName::LatencyTargetMissed, &[("latency_target", "api_response")]),
        (AlertName::MonitorNetworkSuspect, &[]),
        (AlertName::MonitorFault, &[]),
        (AlertName::PushHeartbeat, &[]),
    ];
    assert_eq!(known_by.len(), AlertName::ALL.len());
    for (name, labels) in known_by {
        let labels = labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        let kept = Alert {
            id: AlertId {
                name,
                labels: labels.collect(),
            },
            severity: None,
            owner: String::new(),
            starts_at: T0 - 500.0,
            annotations: [("outcome".to_owned(), "mute".to_owned())].into(),
            page: String::new(),
        };
        let mut fold = Fold::new(&catalog(), T0);
        assert_eq!(fold.adopt(std::slice::from_ref(&kept)).len(), 1, "{name}");
        for step in 0..30_u32 {
            fold.tick(T0 + f64::from(step), Signals::default());
            let firing = fold.firing().into_iter().find(|firing| firing.id == kept.id);
            assert_eq!(firing.map(|firing| firing.starts_at), Some(T0 - 500.0), "{name}");
        }
        let again: Vec<Alert> = fold.firing().iter().map(as_alert).collect();
        assert_eq!(fold.adopt(&again).len(), again.len());
    }
    let gone = Alert {
        id: AlertId {
            name: AlertName::CheckFailing,
            labels: [
                ("module".to_owned(), "m".to_owned()),
                ("check".to_owned(), "gone".to_owned()),
            ]
            .into(),
        },
        severity: None,
        owner: String::new(),
        starts_at: T0,
        annotations: [].into(),
        page: String::new(),
    };
    let mut fold = Fold::new(&catalog(), T0);
    assert!(fold.adopt(&[gone]).is_empty() && pages(&fold).is_empty());
}
