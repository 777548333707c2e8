//! A configuration that changes in the middle of an incident: whatever begins anew, nobody is paged again, nothing is
//! resolved, and no counter goes back.

use crate::site::{HTTP_500, Plan, Site, seconds};
use serde_json::Value;
use std::collections::BTreeMap;

/// Longer than the lease, in seconds: what nobody renews has ended by then.
const LEASE: u64 = 14;

/// Every counter of the exposition, the buckets of histograms among them.
async fn counters(site: &Site) -> BTreeMap<String, f64> {
    let text = site.metrics().await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| line.rsplit_once(' ').unwrap());
    series
        .filter(|(name, _)| {
            let family = name.split('{').next().unwrap_or_default();
            ["_total", "_count", "_bucket"].iter().any(|end| family.ends_with(end))
        })
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// `startsAt` of what was pushed.
async fn starts(site: &Site) -> Vec<Value> {
    let alerts = site.alertmanagers[0].alerts(HTTP_500).await;
    let pushed = alerts.iter().filter(|alert| alert["labels"]["origin"] == "push");
    pushed.map(|alert| alert["startsAt"].clone()).collect()
}

/// Changes one of the daemon's files, and waits until the daemon has said what became of it.
async fn change(site: &Site, file: &str, from: &str, to: &str, said: &str) {
    let path = site.folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    let before = site.daemon_log().matches(said).count();
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    site.daemon_reloads();
    for _ in 0..300 {
        if site.daemon_log().matches(said).count() > before {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("`{said}` was not said: {}", site.daemon_log());
}

/// What must hold after each reload: as many counters, none lower; the alert as it was after `wait` seconds; one page.
async fn nothing_is_lost(site: &Site, before: &BTreeMap<String, f64>, (start, wait): (&[Value], u64)) {
    let after = counters(site).await;
    let lower: Vec<_> = before
        .iter()
        .filter(|(name, value)| after.get(*name).is_none_or(|now| now < *value))
        .map(|(name, value)| format!("{name} was {value}, is {:?}", after.get(name)))
        .collect();
    assert!(lower.is_empty(), "{lower:#?}");
    seconds(wait).await;
    assert_eq!(starts(site).await, start, "{}", site.daemon_log());
    assert_eq!(site.pager.pages(HTTP_500), ["firing"], "{}", site.daemon_log());
    assert_eq!(site.pager.everything().len(), 1, "{:?}", site.pager.everything());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_of_an_incident_pages_nobody_and_resolves_nothing() {
    let site = Site::with_rules(Plan::default()).await;
    site.faults(&["ws-upgrade-500-after-auth"], &[]).await;
    site.pager.paged(HTTP_500, 1, 120).await;
    let start = starts(&site).await;
    assert_eq!(start.len(), 1);

    // A bad file is refused, and what runs goes on.
    let before = counters(&site).await;
    change(
        &site,
        "watch.yaml",
        "feeds_watch: true",
        "feeds_wath: true",
        "app.reload_refused",
    )
    .await;
    assert_eq!(site.metric("stagewatch_config_last_reload_successful").await, Some(0.0));
    nothing_is_lost(&site, &before, (&start, 0)).await;

    // The module with the watches begins anew.
    let before = counters(&site).await;
    change(
        &site,
        "watch.yaml",
        "feeds_wath: true",
        "feeds_watch: true",
        "app.reloaded",
    )
    .await;
    change(
        &site,
        "watch.yaml",
        "title: WebSocket events",
        "title: Events",
        "app.reloaded",
    )
    .await;
    nothing_is_lost(&site, &before, (&start, LEASE)).await;

    // What everything stands on changes: another runner, desk and push.
    let before = counters(&site).await;
    change(
        &site,
        "main.yaml",
        "owner: staging-oncall",
        "owner: staging-oncall # asked",
        "app.reloaded",
    )
    .await;
    nothing_is_lost(&site, &before, (&start, LEASE)).await;

    site.faults(&[], &["ws-upgrade-500-after-auth"]).await;
    site.pager.paged(HTTP_500, 2, 120).await;
    seconds(6).await;
    assert_eq!(site.pager.pages(HTTP_500), ["firing", "resolved"]);
}
