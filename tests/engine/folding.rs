//! The alert fold by itself: what opens an alert, what ends it, and what does neither.

use crate::support::load;
use proptest::prelude::*;
use serde_json::{Value, json};
use stagewatch::alert::firing::Firing;
use stagewatch::alert::fold::{Fold, Signals};
use stagewatch::alert::{Alert, AlertName, Cause, Command, Credential, Muted};
use stagewatch::catalog::Catalog;
use stagewatch::run::{Measured, Run};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Moment of the first answer.
pub const T0: f64 = 1_000_000.0;

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
    let main = include_str!("main.yaml")
        .replace("BACKEND", "127.0.0.1:1")
        .replace("AUTH", "127.0.0.1:2");
    let mut catalog = load(&main, include_str!("watched.yaml"), Path::new("unused"));
    Arc::get_mut(&mut catalog).unwrap().alerting.instance_series = Some("instance".to_owned());
    catalog
});

/// The watched configuration.
pub fn catalog() -> Arc<Catalog> {
    Arc::clone(&CATALOG)
}

/// A run of the authenticated watch whose upgrade met `status` at `at`.
pub fn answer(at: f64, status: u16) -> Run {
    attempt(at, status, Value::Null)
}

fn attempt(at: f64, status: u16, failure: Value) -> Run {
    let accepted = status == 101;
    let outcome = if accepted {
        "ok".to_owned()
    } else {
        format!("http_{status}")
    };
    let mut upgrade = json!({
        "id": "upgrade", "kind": "upgrade", "offset_ms": 0.0, "duration_ms": 0.0,
        "endpoint": "main", "token": "valid", "transport": "header", "accepted": accepted, "outcome": outcome,
        "method": "GET", "url": "ws://h/ws", "status": status,
    });
    if !failure.is_null() {
        upgrade["failure"] = failure;
    }
    run(at, "m/authenticated", vec![upgrade])
}

/// A 101, and then the welcome or its absence.
fn session(at: f64, welcomed: bool) -> Run {
    let mut run = answer(at, 101);
    let mut welcome = json!({
        "id": "welcome", "kind": "received", "offset_ms": 0.0, "duration_ms": 0.0,
        "on": "socket", "matched": welcomed, "frames": [], "waited_ms": 1.0,
    });
    if !welcomed {
        welcome["failure"] = json!({ "class": "session", "kind": "ws_silent", "phase": "welcome", "blame": "target", "detail": "nothing" });
    }
    let transcript = Arc::make_mut(run.transcript.as_mut().unwrap());
    let on = match catalog().scenarios().find(|scenario| scenario.name == "authenticated") {
        Some(scenario) => match &scenario.steps[0].action {
            stagewatch::catalog::Action::Open(open) => open.on.clone(),
            _ => panic!("the first step opens"),
        },
        None => panic!("there is a watch"),
    };
    welcome["on"] = json!(on);
    transcript.entries.push(serde_json::from_value(welcome).unwrap());
    run
}

fn run(at: f64, scenario: &str, entries: Vec<Value>) -> Run {
    let transcript = json!({
        "scenario": scenario, "run": "0", "started_at": "", "started_unix": at, "duration_ms": 0.0, "nonce": "",
        "trace_id": "", "entries": entries, "time_scale": 1.0, "period_s": 1.0,
    });
    Run {
        transcript: Some(Arc::new(serde_json::from_value(transcript).unwrap())),
        ..nothing(at)
    }
}

/// A run of which nothing came.
pub fn nothing(at: f64) -> Run {
    Run {
        transcript: None,
        measures: Vec::new(),
        judgements: Vec::new(),
        inputs: Vec::new(),
        repeated: Vec::new(),
        missed: None,
        at,
    }
}

/// What pages.
pub fn pages(fold: &Fold) -> Vec<Firing> {
    let mut firing = fold.firing();
    firing.retain(|firing| firing.id.name != AlertName::PushHeartbeat);
    firing
}

pub fn give(fold: &mut Fold, statuses: &[(f64, u16)]) -> Vec<Command> {
    statuses
        .iter()
        .flat_map(|(at, status)| fold.take(&answer(*at, *status), *at))
        .collect()
}

pub fn bursts_in(commands: &[Command]) -> usize {
    let bursts = commands
        .iter()
        .filter(|command| matches!(command, Command::Confirm { .. }));
    bursts.count()
}

/// As it is kept.
pub fn as_alert(firing: &Firing) -> Alert {
    Alert {
        id: firing.id.clone(),
        severity: firing.severity,
        owner: firing.owner.clone(),
        starts_at: firing.starts_at,
        annotations: BTreeMap::new(),
        page: String::new(),
    }
}

#[test]
fn four_of_four_page_and_three_right_answers_over_a_minute_end_it() {
    let mut fold = Fold::new(&catalog(), T0);
    let commands = give(&mut fold, &[(T0, 500)]);
    let burst = Command::Confirm {
        socket: "main".to_owned(),
        credential: Credential::Valid,
        attempts: 3,
    };
    let beside = Command::Probe {
        socket: "main".to_owned(),
        credential: Credential::Nobody,
    };
    assert_eq!(commands, [burst, beside]);
    assert_eq!(give(&mut fold, &[(T0 + 0.2, 500), (T0 + 0.3, 502)]), []);
    assert!(pages(&fold).is_empty());
    give(&mut fold, &[(T0 + 0.4, 500)]);
    let firing = pages(&fold);
    assert_eq!(
        (firing[0].id.name, firing[0].starts_at),
        (AlertName::UpgradeHttp500, T0)
    );
    assert_eq!(fold.tick(T0 + 10.0, Signals::default()), []);
    let probe = Command::Probe {
        socket: "main".to_owned(),
        credential: Credential::Valid,
    };
    assert_eq!(fold.tick(T0 + 16.0, Signals::default()), [probe]);
    assert_eq!(fold.tick(T0 + 17.0, Signals::default()), []);
    give(
        &mut fold,
        &[(T0 + 20.0, 101), (T0 + 35.0, 101), (T0 + 50.0, 101), (T0 + 65.0, 101)],
    );
    assert_eq!(pages(&fold).len(), 1, "45 seconds of right answers are not a minute");
    give(&mut fold, &[(T0 + 80.0, 101)]);
    assert!(pages(&fold).is_empty());
}

#[test]
fn one_odd_answer_does_not_make_another_alert_but_four_do() {
    let mut fold = Fold::new(&catalog(), T0);
    give(
        &mut fold,
        &[(T0, 500), (T0 + 1.0, 500), (T0 + 2.0, 500), (T0 + 3.0, 500)],
    );
    give(
        &mut fold,
        &[
            (T0 + 15.0, 503),
            (T0 + 30.0, 500),
            (T0 + 45.0, 503),
            (T0 + 60.0, 503),
            (T0 + 75.0, 502),
        ],
    );
    assert_eq!(pages(&fold)[0].id.name, AlertName::UpgradeHttp500);
    give(&mut fold, &[(T0 + 90.0, 503)]);
    let firing = pages(&fold);
    assert_eq!(firing.len(), 1);
    assert_eq!(firing[0].id.labels["outcome"], "http_503");
    assert_eq!(firing[0].starts_at, T0 + 45.0);
}

#[test]
fn what_a_held_session_reports_late_overrules_nothing() {
    let mut fold = Fold::new(&catalog(), T0);
    give(&mut fold, &[(T0, 500), (T0 + 1.0, 500)]);
    give(&mut fold, &[(T0 - 200.0, 101)]);
    give(&mut fold, &[(T0 + 2.0, 500), (T0 + 3.0, 500)]);
    assert_eq!(pages(&fold).len(), 1, "an old 101 is no right answer of now");
    let mut fold = Fold::new(&catalog(), T0);
    give(&mut fold, &[(T0, 101)]);
    assert_eq!(give(&mut fold, &[(T0 - 100.0, 500)]), [], "an old 500 is no news");
}

#[test]
fn a_session_without_welcome_pages_and_so_does_a_refused_valid_token() {
    let mut fold = Fold::new(&catalog(), T0);
    for step in 0..4_u32 {
        let at = T0 + f64::from(step);
        fold.take(&session(at, false), at);
    }
    assert_eq!(pages(&fold)[0].id.name, AlertName::SessionBroken);
    for step in 0..4_u32 {
        let at = T0 + 10.0 + f64::from(step) * 30.0;
        fold.take(&session(at, true), at);
    }
    assert!(pages(&fold).is_empty());
    give(
        &mut fold,
        &[
            (T0 + 200.0, 403),
            (T0 + 201.0, 403),
            (T0 + 202.0, 403),
            (T0 + 203.0, 403),
        ],
    );
    let refused = &pages(&fold)[0];
    assert_eq!(refused.id.labels["outcome"], "http_403");
    assert_eq!(refused.severity, Some(stagewatch::catalog::Severity::Critical));
}

#[test]
fn after_a_deploy_mark_or_with_a_new_instance_it_only_observes() {
    let instance = |name: &str, at: f64| Run {
        measures: vec![Measured {
            series: "instance".to_owned(),
            value: json!([name]),
            latency_target: None,
            floor: None,
        }],
        ..nothing(at)
    };
    let mut fold = Fold::new(&catalog(), T0);
    fold.take(&instance("a", T0), T0);
    give(&mut fold, &[(T0, 500)]);
    // The deploy was noticed after its first wrong answer.
    fold.take(&instance("b", T0 + 1.0), T0 + 1.0);
    let graced = fold.suppressed();
    let graced = graced.iter().filter(|muted| muted.cause == Cause::DeployGrace);
    assert_eq!(graced.count(), 1);
    for step in 2..60_u32 {
        let at = T0 + f64::from(step);
        assert_eq!(give(&mut fold, &[(at, 500)]), []);
        fold.tick(at, Signals::default());
    }
    assert!(pages(&fold).is_empty());
    let mut bad = Fold::new(&catalog(), T0);
    bad.mark_deploy(T0);
    give(&mut fold, &[(T0 + 70.0, 101)]);
    fold.tick(T0 + 92.0, Signals::default());
    assert!(fold.suppressed().is_empty() && pages(&fold).is_empty());
    for step in 0..4_u32 {
        let at = T0 + 89.0 + f64::from(step);
        give(&mut bad, &[(at, 500)]);
    }
    assert!(pages(&bad).is_empty());
    give(&mut bad, &[(T0 + 93.0, 500)]);
    assert_eq!(
        pages(&bad)[0].starts_at,
        T0 + 89.0,
        "a bad deploy pages, from its first wrong answer"
    );
}

#[test]
fn maintenance_mutes_the_creation_and_nothing_else() {
    let muted = |whole: bool, modules: &[&str]| Signals {
        muted: Muted {
            whole,
            modules: modules.iter().map(|module| (*module).to_owned()).collect(),
        },
        ..Signals::default()
    };
    for signals in [muted(true, &[]), muted(false, &["m"])] {
        let mut fold = Fold::new(&catalog(), T0);
        fold.tick(T0, signals.clone());
        give(
            &mut fold,
            &[(T0, 500), (T0 + 1.0, 500), (T0 + 2.0, 500), (T0 + 3.0, 500)],
        );
        assert!(pages(&fold).is_empty());
        assert_eq!(fold.watches()[1].state, "failing");
        fold.tick(T0 + 4.0, muted(false, &["other"]));
        assert_eq!(pages(&fold)[0].starts_at, T0);
        fold.tick(T0 + 5.0, signals);
        assert_eq!(pages(&fold).len(), 1, "what fires goes on");
    }
}

/// What may happen at a step: an answer, our own fault, a refused run, or silence.
fn happening() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(Some(101)), Just(Some(500)), Just(Some(503)), Just(None)]
}

/// Our own fault in two shapes, and silence: nothing that was judged.
fn unjudged(at: f64, which: usize) -> Run {
    let ours = json!({ "class": "internal", "kind": "fd", "phase": "monitor", "blame": "monitor", "detail": "" });
    match which % 3 {
        0 => attempt(at, 500, ours),
        1 => nothing(at),
        _ => run(at, "m/health", Vec::new()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stray_failures_never_page(seed in any::<u64>(), five in any::<bool>()) {
        let share = if five { 20 } else { 100 };
        let mut fold = Fold::new(&catalog(), T0);
        let mut state = seed | 1;
        let mut at = T0;
        for _ in 0..4000 {
            // xorshift: the seed is proptest's, so that a failure can be repeated.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            at += 5.0;
            let stray = state % share == 0;
            let commands = give(&mut fold, &[(at, if stray { 500 } else { 101 })]);
            for _ in 0..bursts_in(&commands) {
                give(&mut fold, &[(at + 0.1, 101), (at + 0.2, 101), (at + 0.3, 101)]);
            }
            prop_assert!(pages(&fold).is_empty());
        }
    }

    #[test]
    fn unknown_neither_opens_nor_closes(happenings in prop::collection::vec(happening(), 1..60)) {
        let (mut all, mut judged) = (Fold::new(&catalog(), T0), Fold::new(&catalog(), T0));
        for (place, happening) in happenings.iter().enumerate() {
            let at = T0 + 20.0 * place as f64;
            let before = pages(&all);
            if let Some(status) = happening {
                give(&mut all, &[(at, *status)]);
                give(&mut judged, &[(at, *status)]);
                if *status != 101 {
                    prop_assert!(pages(&all).len() >= before.len(), "only right answers close");
                }
            } else {
                all.take(&unjudged(at, place), at);
                prop_assert_eq!(&pages(&all), &before);
            }
            prop_assert_eq!(pages(&all), pages(&judged));
        }
    }

    #[test]
    fn a_restart_neither_forgets_nor_pages_again(happenings in prop::collection::vec(happening(), 1..60), restart in 0_usize..60) {
        let mut fold = Fold::new(&catalog(), T0);
        for (place, happening) in happenings.iter().enumerate() {
            let at = T0 + 20.0 * place as f64;
            if place == restart {
                let before = pages(&fold);
                let alerts: Vec<Alert> = before.iter().map(as_alert).collect();
                fold = Fold::new(&catalog(), at);
                // Kept by us, and once more from an Alertmanager.
                prop_assert_eq!(fold.adopt(&alerts).len(), alerts.len());
                fold.adopt(&alerts);
                let known_by = |firing: &Firing| (firing.id.clone(), firing.starts_at.to_bits());
                prop_assert_eq!(
                    pages(&fold).iter().map(known_by).collect::<Vec<_>>(),
                    before.iter().map(known_by).collect::<Vec<_>>()
                );
            }
            let before = pages(&fold);
            give(&mut fold, &[(at, happening.unwrap_or(500))]);
            for firing in &before {
                let still = pages(&fold).into_iter().find(|found| found.id == firing.id);
                if let Some(still) = still {
                    prop_assert_eq!(still.starts_at.to_bits(), firing.starts_at.to_bits());
                }
            }
        }
    }
}
