//! What `/metrics` says of the shipped configuration before and after judgements: names, label sets, bounds, arithmetic.

use crate::folding::nothing;
use crate::support;
use stagewatch::app::shipped;
use stagewatch::catalog::Catalog;
use stagewatch::config::{self, Overrides};
use stagewatch::failure::{Failure, Kind, UpgradeOutcome};
use stagewatch::record::Sink;
use stagewatch::record::encode::Format;
use stagewatch::record::metrics::Metrics;
use stagewatch::run::{Judgement, Measured, Missed, Run};
use stagewatch::transcript::{Entry, Frame, HttpExchange, Observation, Phases, Received, Transcript, UpgradeExchange};
use stagewatch::verdict::{UnknownReason, Verdict};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn shipped() -> Catalog {
    stagewatch::crypto::init_crypto();
    let loaded = config::load_with(
        Path::new(shipped::REHEARSAL),
        &shipped::environment(&[]),
        &Overrides::default(),
    );
    loaded.unwrap_or_else(|errors| panic!("{errors}"))
}

fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.render(Format::Text);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn run(judgements: Vec<Judgement>) -> Run {
    Run {
        judgements: judgements.into_iter().map(Arc::new).collect(),
        ..nothing(1000.0)
    }
}

fn judgement(id: &str, verdict: Verdict, reason: Option<UnknownReason>) -> Judgement {
    Judgement {
        failure: (verdict == Verdict::Fail).then(|| Failure::new(Kind::WsUpgradeRefused, "HTTP 500").with_status(500)),
        duration_ms: 40.0,
        ..support::judgement(("websocket_events", id), verdict, reason)
    }
}

#[test]
fn every_label_set_exists_from_the_first_scrape_and_within_the_bound() {
    let catalog = shipped();
    let metrics = Metrics::new(&catalog).unwrap();
    let before = samples(&metrics);
    assert!(
        before.len() <= config::series_bound(&catalog),
        "{} series",
        before.len()
    );
    assert!(config::series_bound(&catalog) <= 4500);
    let of = |name: &str| {
        before
            .keys()
            .filter(|series| series.split('{').next() == Some(name))
            .count()
    };
    let checks = catalog.checks().count();
    assert_eq!(checks, 58);
    for (name, expected) in [
        ("stagewatch_build_info", 1),
        ("stagewatch_check_info", checks),
        ("stagewatch_check_interval_seconds", checks),
        ("stagewatch_module_pass_ratio", 0),
        ("stagewatch_module_coverage_ratio", 0),
        ("stagewatch_module_checks", 40),
        ("stagewatch_check_runs_total", checks * 3),
        ("stagewatch_check_failures_total", checks * 16),
        ("stagewatch_check_unknowns_total", 100),
        ("stagewatch_check_verdict", checks * 4),
        ("stagewatch_check_consecutive_failures", checks),
        ("stagewatch_check_consecutive_unjudged", checks),
        ("stagewatch_check_last_run_timestamp_seconds", checks),
        ("stagewatch_check_last_success_timestamp_seconds", checks),
        ("stagewatch_check_duration_seconds_bucket", checks * 18),
        ("stagewatch_scenario_step_seconds_count", 40),
        ("stagewatch_latency_target_seconds_bucket", 5 * 18),
        ("stagewatch_latency_target_threshold_seconds", 5),
        ("stagewatch_phase_duration_seconds_bucket", 7 * 11),
        ("stagewatch_websocket_upgrades_total", 2 * 18),
        ("stagewatch_websocket_sessions_total", 6),
        ("stagewatch_scheduler_skipped_runs_total", 4),
        ("stagewatch_serve_refused_total", 9),
        ("stagewatch_scheduler_delay_seconds_count", 1),
        ("stagewatch_scheduler_last_tick_timestamp_seconds", 1),
        ("stagewatch_history_write_errors_total", 1),
        ("stagewatch_clock_jumps_total", 1),
        ("stagewatch_config_last_reload_successful", 1),
        ("stagewatch_log_messages_total", 5),
        ("process_start_time_seconds", 1),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
    let unknown = before
        .iter()
        .filter(|(series, _)| series.starts_with("stagewatch_check_verdict{"));
    for (series, value) in unknown {
        assert_eq!(
            *value,
            f64::from(u8::from(series.contains("verdict=\"unknown\""))),
            "{series}"
        );
    }
}

#[test]
fn ratios_follow_the_latest_verdicts() {
    let metrics = Metrics::new(&shipped()).unwrap();
    let take = |judgements| metrics.take(&Arc::new(run(judgements)));
    take(vec![
        judgement("health_check", Verdict::Pass, None),
        judgement("websocket_connection", Verdict::Fail, None),
        judgement("api_endpoints_for_agents", Verdict::Off, None),
    ]);
    let seen = samples(&metrics);
    let of = |name: &str| seen[&format!("stagewatch_{name}{{module=\"websocket_events\"}}")];
    // Five checks: one passes, one fails, one is off, two were not judged yet and so are unknown.
    assert_eq!(of("module_pass_ratio"), 0.25);
    assert_eq!(of("module_coverage_ratio"), 0.5);
    let check = |name: &str, id: &str, rest: &str| {
        seen[&format!("stagewatch_{name}{{check=\"{id}\",module=\"websocket_events\"{rest}}}")]
    };
    assert_eq!(
        check(
            "check_failures_total",
            "websocket_connection",
            ",reason=\"upgrade_status\""
        ),
        1.0
    );
    assert_eq!(check("check_consecutive_failures", "websocket_connection", ""), 1.0);
    assert_eq!(
        check("check_last_success_timestamp_seconds", "health_check", ""),
        1000.0
    );
    assert_eq!(
        check("check_last_success_timestamp_seconds", "websocket_connection", ""),
        0.0
    );
    assert_eq!(check("check_duration_seconds_count", "health_check", ""), 1.0);
    assert_eq!(
        check("check_duration_seconds_count", "websocket_connection", ""),
        0.0,
        "passes only"
    );

    take(vec![judgement(
        "websocket_connection",
        Verdict::Unknown,
        Some(UnknownReason::Budget),
    )]);
    let seen = samples(&metrics);
    let check =
        |name: &str, id: &str| seen[&format!("stagewatch_{name}{{check=\"{id}\",module=\"websocket_events\"}}")];
    assert_eq!(
        check("check_consecutive_failures", "websocket_connection"),
        1.0,
        "only a pass ends failing"
    );
    assert_eq!(check("check_consecutive_unjudged", "websocket_connection"), 1.0);
    assert_eq!(
        seen["stagewatch_check_unknowns_total{module=\"websocket_events\",reason=\"budget\"}"],
        1.0
    );
}

#[test]
fn all_off_has_no_ratio_and_stale_is_no_sign_of_life() {
    let metrics = Metrics::new(&shipped()).unwrap();
    let ids = [
        "health_check",
        "websocket_connection",
        "api_endpoints_for_agents",
        "websocket_event_flow_real",
        "concurrent_websocket_real",
    ];
    metrics.take(&Arc::new(run(vec![judgement("health_check", Verdict::Pass, None)])));
    metrics.take(&Arc::new(run(ids
        .iter()
        .map(|id| judgement(id, Verdict::Off, None))
        .collect())));
    let seen = samples(&metrics);
    assert!(!seen.contains_key("stagewatch_module_pass_ratio{module=\"websocket_events\"}"));
    let stale = judgement("health_check", Verdict::Unknown, Some(UnknownReason::Stale));
    metrics.take(&Arc::new(Run {
        at: 5000.0,
        ..run(vec![stale])
    }));
    let seen = samples(&metrics);
    let last = "stagewatch_check_last_run_timestamp_seconds{check=\"health_check\",module=\"websocket_events\"}";
    assert_eq!(seen[last], 1000.0);
}

#[test]
fn missed_slots_count_as_unknown_judgements() {
    let metrics = Metrics::new(&shipped()).unwrap();
    metrics.take(&Arc::new(Run {
        missed: Some(Missed {
            scenario: "websocket_events/health".into(),
            slots: 3,
            checks: vec![("websocket_events".into(), "health_check".into())],
        }),
        ..run(Vec::new())
    }));
    let seen = samples(&metrics);
    let runs = "stagewatch_check_runs_total{check=\"health_check\",module=\"websocket_events\",verdict=\"unknown\"}";
    assert_eq!(seen[runs], 3.0);
    assert_eq!(
        seen["stagewatch_check_unknowns_total{module=\"websocket_events\",reason=\"missed\"}"],
        3.0
    );
}

fn entry(id: &str, seen: Observation) -> Entry {
    Entry {
        id: id.into(),
        place: Vec::new(),
        offset_ms: 0.0,
        duration_ms: 7.0,
        credential: None,
        seen,
        failure: None,
    }
}

fn upgrade(token: &str, status: u16, outcome: UpgradeOutcome) -> Observation {
    Observation::Upgrade(UpgradeExchange {
        endpoint: "main".into(),
        token: token.into(),
        transport: "header".into(),
        http: HttpExchange {
            url: "wss://staging.example/ws".into(),
            status: Some(status),
            layer: "edge".into(),
            phases: Phases {
                first_byte_ms: Some(3.0),
                ..Phases::default()
            },
            ..HttpExchange::default()
        },
        accepted: status == 101,
        outcome,
        subprotocol: String::new(),
        frames: Vec::new(),
        close: None,
    })
}

fn seen(scenario: &str, entries: Vec<Entry>) -> Run {
    let transcript = Transcript {
        scenario: scenario.into(),
        run: "r".into(),
        started_at: String::new(),
        started_unix: 0.0,
        duration_ms: 1.0,
        late_ms: 0.0,
        nonce: String::new(),
        trace_id: String::new(),
        vars: serde_json::Map::new(),
        credentials: BTreeMap::new(),
        entries,
        broke_off: None,
        time_scale: 1.0,
        period_s: 1.0,
    };
    Run {
        transcript: Some(Arc::new(transcript)),
        ..run(Vec::new())
    }
}

#[test]
fn upgrades_are_counted_by_outcome_and_sessions_by_what_followed() {
    let catalog = shipped();
    let metrics = Metrics::new(&catalog).unwrap();
    let feeding = catalog
        .scenarios()
        .find(|scenario| scenario.feeds_watch && scenario.name == "upgrade_authenticated")
        .expect("the shipped watch");
    let step = feeding.steps[0].id.clone();
    let take = |entries| metrics.take(&Arc::new(seen(&feeding.id, entries)));
    take(vec![entry(&step, upgrade("valid", 500, UpgradeOutcome::Http500))]);
    take(vec![entry(&step, upgrade("tampered", 403, UpgradeOutcome::Http403))]);
    let mut silent = entry(
        "welcome",
        Observation::Received(Received {
            on: "main".into(),
            ..Received::default()
        }),
    );
    silent.failure = Some(Failure::new(Kind::WsSilent, "nothing came"));
    take(vec![entry(&step, upgrade("valid", 101, UpgradeOutcome::Ok)), silent]);
    let welcome = Received {
        on: "main".into(),
        matched: true,
        latency_ms: Some(52.0),
        frames: vec![Frame::default()],
        ..Received::default()
    };
    take(vec![
        entry(&step, upgrade("valid", 101, UpgradeOutcome::Ok)),
        entry("welcome", Observation::Received(welcome)),
    ]);
    let seen = samples(&metrics);
    let upgrades = |outcome: &str| {
        seen[&format!(
            "stagewatch_websocket_upgrades_total{{credential=\"valid\",outcome=\"{outcome}\",socket=\"main\"}}"
        )]
    };
    assert_eq!(
        (upgrades("http_500"), upgrades("ok"), upgrades("http_403")),
        (1.0, 2.0, 0.0)
    );
    assert_eq!(
        seen["stagewatch_websocket_upgrade_layer_total{layer=\"edge\",socket=\"main\"}"],
        1.0
    );
    assert_eq!(
        seen["stagewatch_websocket_upgrade_status_code{credential=\"valid\",socket=\"main\"}"],
        101.0
    );
    let sessions =
        |outcome: &str| seen[&format!("stagewatch_websocket_sessions_total{{outcome=\"{outcome}\",socket=\"main\"}}")];
    assert_eq!((sessions("ok"), sessions("no_welcome")), (1.0, 1.0));
    assert_eq!(seen["stagewatch_phase_duration_seconds_count{phase=\"welcome\"}"], 1.0);
    assert_eq!(seen["stagewatch_phase_duration_seconds_count{phase=\"upgrade\"}"], 2.0);
    assert_eq!(
        seen["stagewatch_phase_duration_seconds_count{phase=\"first_byte\"}"],
        2.0
    );
}

#[test]
fn latencies_are_observed_one_by_one_and_floors_kept() {
    let catalog = shipped();
    let metrics = Metrics::new(&catalog).unwrap();
    let measured = |value: serde_json::Value, target: Option<&str>, floor: Option<&str>| Measured {
        series: "s".into(),
        value,
        latency_target: target.map(str::to_owned),
        floor: floor.map(str::to_owned),
    };
    metrics.take(&Arc::new(Run {
        measures: vec![
            measured(serde_json::json!([40.0, 90.0, 110.0]), Some("api_response"), None),
            measured(serde_json::json!(2.5), None, Some("ws_ping")),
        ],
        ..seen("websocket_events/resident_echo", Vec::new())
    }));
    let seen = samples(&metrics);
    let bucket = |le: &str| {
        seen[&format!("stagewatch_latency_target_seconds_bucket{{latency_target=\"api_response\",le=\"{le}\"}}")]
    };
    assert_eq!((bucket("0.05"), bucket("0.1"), bucket("+Inf")), (1.0, 2.0, 3.0));
    assert_eq!(
        seen["stagewatch_network_floor_seconds{phase=\"ws_ping\",socket=\"main\"}"],
        0.0025
    );
}
