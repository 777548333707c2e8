//! What must page nobody, beside what must, with the real servers: deploys, maintenance, and all that a long outage breaks.

use crate::servers::blackbox;
use crate::site::{FAILING, HTTP_500, Plan, Site, seconds};
use serde_json::json;
use std::time::Duration;

/// As a pipeline would tell it.
async fn deploy(site: &Site, version: &str) {
    let mark = json!({ "text": "deployed", "version": version });
    site.post("/api/v1/annotations", &mark).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blip_at_each_deploy_pages_nobody_and_a_bad_deploy_does() {
    let site = Site::with_rules(Plan::default()).await;
    let wrong = "sum(stagewatch_websocket_upgrades_total{outcome=\"http_500\"})";
    for version in 1..3 {
        deploy(&site, &format!("1.0.{version}")).await;
        site.faults(&["ws-upgrade-500"], &[]).await;
        // Each blip is met, by as many answers as would page at another time.
        site.measures(&format!("{wrong} >= {}", 4 * version)).await;
        site.faults(&[], &["ws-upgrade-500"]).await;
        site.measures("max(stagewatch_alert_suppressed{cause=\"deploy_grace\"} == 1)")
            .await;
        // The grace period is over before the next deploy.
        site.measures("absent(stagewatch_alert_suppressed{cause=\"deploy_grace\"} == 1)")
            .await;
    }
    assert_eq!(site.pager.everything(), Vec::<String>::new(), "{}", site.daemon_log());
    deploy(&site, "1.1.0").await;
    site.faults(&["ws-upgrade-500"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    seconds(10).await;
    site.faults(&[], &["ws-upgrade-500"]).await;
    site.pager.paged(HTTP_500, 2, 120).await;
    seconds(6).await;
    assert_eq!(
        site.pager.pages(HTTP_500),
        ["firing", "resolved"],
        "{}",
        site.daemon_log()
    );
    assert_eq!(site.pager.everything().len(), 2, "{:?}", site.pager.everything());
}

/// No mark and no held socket: an ordinary answer shows that an instance has just started. Its blip pages nobody, and one that lasts does.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_deploy_as_soon_as_any_answer_shows_it() {
    let site = Site::start(Plan::default()).await;
    let grace = "stagewatch_alert_suppressed{cause=\"deploy_grace\",check=\"\",module=\"\",socket=\"main\"}";
    // Its answers have told how old the instances are: older than the 5 s by which two readings of one start may differ.
    seconds(8).await;
    assert_ne!(site.metric(grace).await, Some(1.0), "{}", site.daemon_log());
    site.restart().await;
    for _ in 0..600 {
        if site.metric(grace).await == Some(1.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(site.metric(grace).await, Some(1.0), "{}", site.daemon_log());
    site.faults(&["ws-upgrade-500"], &[]).await;
    seconds(4).await;
    site.faults(&[], &["ws-upgrade-500"]).await;
    seconds(12).await;
    assert_eq!(site.metric(grace).await, Some(0.0), "{}", site.daemon_log());
    assert_eq!(site.pager.everything(), Vec::<String>::new(), "{}", site.daemon_log());
    site.faults(&["ws-upgrade-500"], &[]).await;
    site.pager.paged(HTTP_500, 1, 60).await;
}

/// The push creates no alert; the rule and that of the prober are muted by the same metric. What fires when it ends is one page.
#[tokio::test(flavor = "multi_thread")]
async fn maintenance_mutes_push_rule_and_prober_and_its_end_pages() {
    let mut site = Site::start(Plan::default()).await;
    let (port, _blackbox) = blackbox(site.folder.path()).await;
    site.rules(Some(port)).await;
    let begun = json!({ "reason": "database upgrade", "lasts": "1h" });
    site.post("/api/v1/maintenance", &begun).await;
    site.measures("max(stagewatch_alert_suppressed{cause=\"maintenance\",socket=\"main\"} == 1)")
        .await;
    site.faults(&["ws-upgrade-500"], &[]).await;
    // All three see it.
    let failing = "stagewatch_websocket_upgrade_failing{outcome=\"http_500\"}";
    site.measures(&format!("count({failing} == 1) == 2")).await;
    site.measures("max(probe_success{job=\"ws-http500\"} == 1)").await;
    seconds(10).await;
    assert_eq!(
        site.alertmanagers[0].alerts(HTTP_500).await,
        Vec::<serde_json::Value>::new()
    );
    assert_eq!(site.pager.everything(), Vec::<String>::new(), "{}", site.daemon_log());
    site.post("/api/v1/maintenance", &json!({ "end": true })).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let (rule, push) = ("prometheus suppressed", ["push active", "push suppressed"]);
    site.shows(HTTP_500, &[rule, rule, rule, push[0], push[1]]).await;
    seconds(6).await;
    assert_eq!(site.pager.everything().len(), 1, "{:?}", site.pager.everything());
}

/// All shipped modules, whose checks fail by the dozen while nobody can open a socket: one page says so. Takes seven minutes:
/// `cargo test --test paging -- --ignored everything`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seven minutes: cargo test --test paging -- --ignored everything"]
async fn everything_that_ships_makes_one_page_of_a_long_outage() {
    let mut site = Site::start(Plan {
        everything: true,
        ..Plan::default()
    })
    .await;
    let (port, _blackbox) = blackbox(site.folder.path()).await;
    site.rules(Some(port)).await;
    // Every check has been judged, and what a machine that is busy with starting had to say is over.
    seconds(60).await;
    site.calm(60).await;
    let before = site.pager.everything();
    site.faults(&["ws-upgrade-500"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    // Three and a half hours of the target's time.
    seconds(250).await;
    let during = site.pager.everything().split_off(before.len());
    assert_eq!(during, [format!("{HTTP_500} firing")], "{}", site.daemon_log());
    site.faults(&[], &["ws-upgrade-500"]).await;
    site.pager.paged(HTTP_500, 2, 120).await;
    seconds(60).await;
    let told = site.pager.everything().split_off(before.len());
    println!("before: {before:?}; of the outage: {told:?}: {}", site.pager.labels());
    assert!(told.len() <= 4, "{told:?}: {}", site.daemon_log());
    assert_eq!(site.pager.pages(HTTP_500), ["firing", "resolved"]);
    assert_eq!(site.pager.pages(FAILING), Vec::<String>::new());
}
