//! Whole incidents with real servers: the daemon's binary, Debian's Prometheus and Alertmanager with the shipped rules and
//! routes, and the number of notifications that a pager would get. Times are shortened by configuration alone.

use crate::servers::blackbox;
use crate::site::{FAILING, HTTP_500, Plan, Site, seconds};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// `startsAt` of the pushed alerts with this name, one for each credential.
async fn starts(site: &Site, name: &str) -> Vec<String> {
    let alerts = site.alertmanagers[0].alerts(name).await;
    let pushed = alerts.iter().filter(|alert| alert["labels"]["origin"] == "push");
    let mut starts: Vec<String> = pushed
        .map(|alert| alert["startsAt"].as_str().unwrap_or_default().to_owned())
        .collect();
    starts.sort();
    starts
}

fn label(alert: &Value, name: &str) -> String {
    alert["labels"][name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_one_fire_and_one_resolve_and_so_is_its_recurrence() {
    let site = Site::with_rules(Plan::default()).await;
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    // Longer than the lease: it is renewed, and the rule's alert has come and is muted by the push.
    seconds(16).await;
    site.shows(HTTP_500, &["prometheus suppressed", "push active"]).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing"]);
    site.faults(&[], &["ws-upgrade-500-after-auth"]).await;
    site.pager.paged(HTTP_500, 2, 120).await;
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 3, 120).await;
    site.faults(&[], &["ws-upgrade-500-after-auth"]).await;
    site.pager.paged(HTTP_500, 4, 120).await;
    seconds(6).await;
    let told = site.pager.pages(HTTP_500);
    assert_eq!(told, ["firing", "resolved", "firing", "resolved"]);
    assert_eq!(site.pager.everything().len(), 4, "{:?}", site.pager.everything());
    let stages = ["confirmed", "diagnosed", "accepted", "visible"];
    for stage in stages {
        let series = format!("stagewatch_page_stage_seconds_count{{stage=\"{stage}\"}}");
        assert_eq!(site.metric(&series).await, Some(2.0), "{stage}");
    }
    let pushed = site
        .metric("stagewatch_alertmanager_pushes_total{alertmanager=\"am0\"}")
        .await;
    assert!(pushed.is_some_and(|pushes| pushes > 5.0), "{pushed:?}");
    let failed = site
        .metric("stagewatch_alertmanager_push_failures_total{alertmanager=\"am0\"}")
        .await;
    assert_eq!(failed, Some(0.0));
}

/// Both credentials are one page, and they end together.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_for_everybody_is_one_group() {
    let site = Site::with_rules(Plan::default()).await;
    site.faults(&["ws-upgrade-500"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    seconds(16).await;
    let both = [
        "prometheus suppressed",
        "prometheus suppressed",
        "push active",
        "push suppressed",
    ];
    site.shows(HTTP_500, &both).await;
    site.faults(&[], &["ws-upgrade-500"]).await;
    site.pager.paged(HTTP_500, 2, 120).await;
    seconds(6).await;
    let told = site.pager.pages(HTTP_500);
    assert_eq!(told, ["firing", "resolved"], "{}", site.daemon_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_dies_resolves_nothing_and_pages_nobody_again() {
    let mut site = Site::with_rules(Plan::default()).await;
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let start = starts(&site, HTTP_500).await;
    assert_eq!(start.len(), 1);
    // kill -9 and a restart.
    site.daemon_dies();
    site.daemon_up().await;
    seconds(16).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing"], "{}", site.daemon_log());
    assert_eq!(starts(&site, HTTP_500).await, start);
    // The same without its memory: Alertmanager still has it.
    site.daemon_dies();
    std::fs::remove_dir_all(site.data()).unwrap();
    site.daemon_up().await;
    seconds(16).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing"], "{}", site.daemon_log());
    assert_eq!(starts(&site, HTTP_500).await, start, "adopted");
    // It stays away: the lease ends, the rule takes over, and that the monitor is down is a page of its own.
    site.daemon_dies();
    site.pager.paged("StagewatchMonitorDown", 1, 120).await;
    site.shows(HTTP_500, &["prometheus active"]).await;
    seconds(6).await;
    // It comes back and goes on where it was; the fault ends, and only then there is a resolve.
    site.daemon_up().await;
    site.shows(HTTP_500, &["prometheus suppressed", "push active"]).await;
    seconds(6).await;
    assert_eq!(starts(&site, HTTP_500).await, start, "kept");
    assert!(
        !site.pager.pages(HTTP_500).contains(&"resolved".to_owned()),
        "{:?}",
        site.pager.pages(HTTP_500)
    );
    let before = site.pager.pages(HTTP_500).len();
    site.faults(&[], &["ws-upgrade-500-after-auth"]).await;
    site.pager.paged(HTTP_500, before + 1, 120).await;
    seconds(6).await;
    let told = site.pager.pages(HTTP_500);
    let resolved = told.iter().filter(|status| *status == "resolved").count();
    assert_eq!(
        (resolved, told.last().map(String::as_str)),
        (1, Some("resolved")),
        "{told:?}"
    );
    // One page, and one message each time that the incident passes from the push to the rule and back.
    assert_eq!(told.len(), 4, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_restarts_is_told_again_and_pages_nobody_again() {
    let mut site = Site::start(Plan::default()).await;
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let start = starts(&site, HTTP_500).await;
    site.alertmanagers[0].down();
    site.alertmanagers[0].up().await;
    let mut waited = 0;
    while starts(&site, HTTP_500).await != start {
        waited += 1;
        assert!(waited < 30, "not pushed again within 30 s");
        seconds(1).await;
    }
    seconds(8).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_alertmanagers_is_enough_and_both_page_once() {
    let mut site = Site::start(Plan {
        pair: true,
        ..Plan::default()
    })
    .await;
    site.alertmanagers[1].down();
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let failures = "stagewatch_alertmanager_push_failures_total";
    let mut waited = 0;
    while site.metric(&format!("{failures}{{alertmanager=\"am1\"}}")).await <= Some(0.0) {
        waited += 1;
        assert!(waited < 20, "the one that is down is not counted");
        seconds(1).await;
    }
    assert_eq!(
        site.metric(&format!("{failures}{{alertmanager=\"am0\"}}")).await,
        Some(0.0)
    );
    site.alertmanagers[1].up().await;
    let mut waited = 0;
    while site.alertmanagers[1].alerts(HTTP_500).await.is_empty() {
        waited += 1;
        assert!(waited < 60, "the one that came back is told as well");
        seconds(1).await;
    }
    seconds(10).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_failures_have_their_own_alert_and_never_that_of_the_500() {
    let cases = [
        ("ws-upgrade-403", "http_403"),
        ("ws-upgrade-503", "http_503"),
        ("ws-upgrade-hang", "timeout"),
        ("refuse-connections", "refused"),
    ];
    let played = cases.map(|(fault, outcome)| async move {
        let site = Site::start(Plan::default()).await;
        site.faults(&[fault], &[]).await;
        site.pager.paged(FAILING, 1, 120).await;
        let alerts = site.alertmanagers[0].alerts(FAILING).await;
        let wrong: Vec<String> = alerts
            .iter()
            .map(|alert| format!("{} {}", label(alert, "outcome"), label(alert, "severity")))
            .filter(|seen| *seen != format!("{outcome} critical"))
            .collect();
        assert!(wrong.is_empty() && !alerts.is_empty(), "{fault}: {wrong:?}");
        // Another message of the group would have come by now.
        seconds(10).await;
        site.faults(&[], &[fault]).await;
        site.pager.paged(FAILING, 2, 120).await;
        seconds(6).await;
        let told = site.pager.pages(FAILING);
        assert_eq!(told, ["firing", "resolved"], "{fault}: {}", site.daemon_log());
        assert_eq!(site.pager.pages(HTTP_500), Vec::<String>::new(), "{fault}");
    });
    futures_util::future::join_all(played).await;
}

/// Three addresses that answer as long as their listeners live.
fn controls() -> Vec<TcpListener> {
    (0..3)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_control_that_is_down_changes_nothing() {
    let mut listeners = controls();
    let site = Site::start(Plan {
        controls: listeners.iter().map(|one| one.local_addr().unwrap()).collect(),
        ..Plan::default()
    })
    .await;
    listeners.pop();
    site.faults(&["refuse-connections"], &[]).await;
    site.pager.paged(FAILING, 1, 120).await;
    drop(listeners);
}

/// The way of everybody breaks at one moment, just after a look at the controls: nothing is said about the target. When the
/// controls are back and the target is not, it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_our_own_network_pages_nothing_about_the_target() {
    let listeners = controls();
    let addresses: Vec<SocketAddr> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
    let site = Site::start(Plan {
        controls: addresses.clone(),
        ..Plan::default()
    })
    .await;
    drop(listeners);
    // A login that is answered would show that our way works.
    site.faults(&["refuse-connections", "auth-down"], &[]).await;
    site.pager.told("StagewatchMonitorFault", 1, 120).await;
    seconds(10).await;
    let about_us = |name: &str| name.starts_with("StagewatchMonitor") || name == "StagewatchPushHeartbeat";
    let told = site.pager.all().into_iter().map(|told| told.name);
    let about_the_target: Vec<String> = told.filter(|name| !about_us(name)).collect();
    assert_eq!(about_the_target, Vec::<String>::new(), "{}", site.daemon_log());
    let back: Vec<TcpListener> = addresses.iter().map(|at| TcpListener::bind(at).unwrap()).collect();
    site.faults(&[], &["auth-down"]).await;
    site.pager.paged(FAILING, 1, 120).await;
    drop(back);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prober_pages_without_the_daemon() {
    let mut site = Site::start(Plan::default()).await;
    let (port, _blackbox) = blackbox(site.folder.path()).await;
    site.rules(Some(port)).await;
    site.daemon_stops();
    site.faults(&["ws-upgrade-500"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let alerts = site.alertmanagers[0].alerts(HTTP_500).await;
    let origins: Vec<String> = alerts.iter().map(|alert| label(alert, "origin")).collect();
    assert_eq!(origins, ["prometheus"]);
}
