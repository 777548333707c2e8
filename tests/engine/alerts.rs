//! Alerts of a daemon against a rehearsal: each kind of failure has its own, and only right answers end it.

use crate::support::{eventually, load, rehearsal};
use serde_json::{Value, json};
use stagewatch::alert::{Alert, AlertName};
use stagewatch::app::daemon::{self, Running};
use stagewatch::catalog::{Catalog, Severity};
use stagewatch::rehearsal::Rehearsal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Two watches each second, against the rehearsal.
fn watched(rehearsal: &Rehearsal, folder: &Path) -> Arc<Catalog> {
    let main = include_str!("main.yaml")
        .replace("BACKEND", &rehearsal.backend_addr().to_string())
        .replace("AUTH", &rehearsal.auth_addr().to_string());
    let mut catalog = load(&main, include_str!("watched.yaml"), folder);
    let edited = Arc::get_mut(&mut catalog).unwrap();
    edited.target.controls = vec![format!("http://{}", rehearsal.control_addr()).parse().unwrap()];
    let sockets = &mut edited.alerting.sockets;
    sockets.close_after = 2;
    sockets.close_for = Duration::from_millis(500);
    catalog
}

/// What fires but the heartbeat: name, labels' values in the order of their names, severity.
fn firing(running: &Running) -> Vec<(AlertName, String, Option<Severity>)> {
    let said = |alert: &Alert| {
        let labels: Vec<&str> = alert.id.labels.values().map(String::as_str).collect();
        (alert.id.name, labels.join(" "), alert.severity)
    };
    let snapshot = running.alerts().snapshot();
    let mut firing: Vec<_> = snapshot.firing.iter().map(said).collect();
    firing.retain(|(name, _, _)| *name != AlertName::PushHeartbeat && !about_checks(*name));
    firing
}

fn about_checks(name: AlertName) -> bool {
    matches!(
        name,
        AlertName::CheckFailing | AlertName::CheckUnjudged | AlertName::ModuleDown
    )
}

async fn fires(running: &Running, expected: &[(AlertName, &str)]) {
    let what = format!("{expected:?}");
    eventually(SOON, &what, async || {
        let firing = firing(running);
        let named: Vec<_> = firing
            .iter()
            .map(|(name, labels, _)| (*name, labels.as_str()))
            .collect();
        (named == expected).then_some(())
    })
    .await;
}

async fn metrics(running: &Running) -> String {
    let url = format!("http://{}/metrics", running.address());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// What the rules in `deploy/prometheus` read and a daemon without an Alertmanager and without TLS does not have.
const ELSEWHERE: [(&str, &str); 3] = [
    (
        "stagewatch_alertmanager_pushes_total",
        "with an Alertmanager: tests/paging",
    ),
    (
        "stagewatch_alertmanager_push_failures_total",
        "with an Alertmanager: tests/paging",
    ),
    (
        "stagewatch_tls_certificate_not_after_timestamp_seconds",
        "with a target that has TLS",
    ),
];

/// A rule that reads a metric which nobody exposes never fires.
async fn every_metric_of_the_rules_is_there(running: &Running) {
    let used = include_str!("../../deploy/prometheus/metrics-used.txt");
    let wanted = used
        .lines()
        .filter(|name| ELSEWHERE.iter().all(|(elsewhere, _)| elsewhere != name));
    let names: Vec<&str> = wanted.collect();
    assert!(names.len() > 20);
    eventually(SOON, "every metric of the rules", async || {
        let text = metrics(running).await;
        let missing: Vec<_> = names
            .iter()
            .filter(|name| {
                !text.lines().any(|line| {
                    line.strip_prefix(**name)
                        .is_some_and(|rest| rest.starts_with(['{', ' ']))
                })
            })
            .collect();
        if !missing.is_empty() {
            eprintln!("missing: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
}

/// Everybody sees what fires and how every watch stands; what quotes the target needs the token.
async fn the_api_says_what_fires(running: &Running) {
    let asked = async |token: &str| -> Value {
        let asked = reqwest::Client::new().get(format!("http://{}/api/v1/alerts", running.address()));
        asked.bearer_auth(token).send().await.unwrap().json().await.unwrap()
    };
    let page = |said: &Value| -> Value {
        let firing = said["firing"].as_array().unwrap();
        let page = firing
            .iter()
            .find(|alert| alert["name"] == "StagewatchWebSocketUpgradeHTTP500");
        page.unwrap().clone()
    };
    let said = asked("").await;
    let shown = page(&said);
    assert_eq!(shown["labels"], json!({ "credential": "valid", "socket": "main" }));
    assert_eq!(
        (&shown["severity"], &shown["annotations"]),
        (&json!("critical"), &Value::Null)
    );
    let stands = |credential: &Value| {
        let watches = said["watches"].as_array().unwrap();
        let watch = watches.iter().find(|watch| watch["credential"] == *credential).unwrap();
        (watch["state"].clone(), watch["outcome"].clone())
    };
    assert_eq!(stands(&json!("valid")), (json!("failing"), json!("http_500")));
    assert_eq!(stands(&json!("none")), (json!("well"), Value::Null));
    assert_eq!((&said["pushes"], &said["dropped"]), (&json!([]), &json!(0)));
    let shown = page(&asked(crate::support::API_TOKEN).await);
    assert!(
        shown["annotations"]["description"].as_str().unwrap().contains("4 of 4"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_alert_from_its_first_wrong_answer_to_its_right_ones() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(watched(&rehearsal, folder.path())).await.unwrap();
    eventually(SOON, "first judged attempts", async || {
        let snapshot = running.alerts().snapshot();
        snapshot.watches.iter().all(|watch| watch.judged).then_some(())
    })
    .await;
    let valid = "stagewatch_websocket_upgrade_failing{credential=\"valid\",outcome=\"http_500\",socket=\"main\"}";
    // An exposition is shown for a second.
    eventually(SOON, "the state before the fault", async || {
        metrics(&running).await.contains(&format!("{valid} 0.0")).then_some(())
    })
    .await;
    let before = stagewatch::clock::unix_seconds(stagewatch::clock::now());
    rehearsal.switch("ws-upgrade-500-after-auth", true).unwrap();
    fires(&running, &[(AlertName::UpgradeHttp500, "valid main")]).await;

    let alert = running
        .alerts()
        .snapshot()
        .firing
        .iter()
        .find(|alert| alert.id.name == AlertName::UpgradeHttp500)
        .cloned()
        .unwrap();
    assert_eq!(alert.severity, Some(Severity::Critical));
    let now = stagewatch::clock::unix_seconds(stagewatch::clock::now());
    assert!(alert.starts_at >= before && alert.starts_at <= now);
    let description = &alert.annotations["description"];
    assert!(
        description
            .starts_with("Socket main: 4 of 4 upgrades with a valid token were answered with HTTP 500: (\"error\":"),
        "{description}"
    );
    for line in [
        format!("{valid} 1.0"),
        "stagewatch_alerts_active{alertname=\"StagewatchWebSocketUpgradeHTTP500\"} 1.0".to_owned(),
        "stagewatch_page_stage_seconds_count{stage=\"confirmed\"} 1".to_owned(),
        "stagewatch_page_stage_seconds_count{stage=\"diagnosed\"} 1".to_owned(),
    ] {
        eventually(SOON, &line, async || {
            metrics(&running).await.contains(&line).then_some(())
        })
        .await;
    }
    every_metric_of_the_rules_is_there(&running).await;
    the_api_says_what_fires(&running).await;
    rehearsal.switch("ws-upgrade-500-after-auth", false).unwrap();
    fires(&running, &[]).await;
    let text = eventually(SOON, "the state after the fault", async || {
        let text = metrics(&running).await;
        text.contains(&format!("{valid} 0.0")).then_some(text)
    })
    .await;
    assert!(text.contains("stage=\"confirmed\"} 1\n"), "one page, not two");
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_has_its_own_alert() {
    use AlertName::{SessionBroken, UpgradeFailing, UpgradeHttp500};
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let mut catalog = watched(&rehearsal, folder.path());
    Arc::get_mut(&mut catalog).unwrap().alerting.sockets.attempts = 1;
    let running = daemon::start(catalog).await.unwrap();
    let expected: [(&str, &[(AlertName, &str)]); 6] = [
        (
            "ws-upgrade-500",
            &[(UpgradeHttp500, "none main"), (UpgradeHttp500, "valid main")],
        ),
        // For somebody without a token 403 is right.
        ("ws-upgrade-403", &[(UpgradeFailing, "valid http_403 main")]),
        (
            "ws-upgrade-503",
            &[
                (UpgradeFailing, "none http_503 main"),
                (UpgradeFailing, "valid http_503 main"),
            ],
        ),
        (
            "ws-upgrade-hang",
            &[
                (UpgradeFailing, "none timeout main"),
                (UpgradeFailing, "valid timeout main"),
            ],
        ),
        (
            "ws-upgrade-close",
            &[
                (UpgradeFailing, "none reset main"),
                (UpgradeFailing, "valid reset main"),
            ],
        ),
        ("ws-no-welcome", &[(SessionBroken, "main")]),
    ];
    for (fault, alerts) in expected {
        rehearsal.switch(fault, true).unwrap();
        fires(&running, alerts).await;
        assert!(
            firing(&running)
                .iter()
                .all(|(_, _, severity)| *severity == Some(Severity::Critical)),
            "{fault}"
        );
        rehearsal.switch(fault, false).unwrap();
        fires(&running, &[]).await;
    }
    rehearsal.shutdown().await;
    eventually(SOON, "refused connections", async || {
        firing(&running)
            .iter()
            .any(|(name, labels, _)| *name == UpgradeFailing && labels == "none refused main")
            .then_some(())
    })
    .await;
    running.shutdown().await;
}
