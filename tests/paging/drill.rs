//! Drills on Debian's Alertmanager with the shipped routes: they arrive, and wake nobody.

use crate::servers::{Alertmanager, Pager, free_port};
use stagewatch::app::drill::{DrillError, DrillOptions, Drilled, drill};
use std::time::Duration;

async fn play(name: &str, url: &str, within_s: u64) -> Result<Drilled, DrillError> {
    stagewatch::crypto::init_crypto();
    let options = DrillOptions {
        name: name.to_owned(),
        alertmanager: url.parse().unwrap(),
        within: Duration::from_secs(within_s),
    };
    drill(&options, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_arrives_at_alertmanager_and_at_no_pager() {
    let folder = tempfile::tempdir().unwrap();
    let pager = Pager::start().await;
    let alertmanager = Alertmanager::start(folder.path(), &pager, None).await;
    let url = alertmanager.url();
    for (name, alert) in [
        ("ws-upgrade-500-after-auth", "StagewatchWebSocketUpgradeHTTP500"),
        ("ws-upgrade-503", "StagewatchWebSocketUpgradeFailing"),
        ("ws-no-welcome", "StagewatchWebSocketSessionBroken"),
    ] {
        let drilled = play(name, &url, 60).await.unwrap();
        assert_eq!(drilled.expected.as_str(), alert);
        let visible = drilled
            .visible_s
            .unwrap_or_else(|| panic!("{name} did not arrive: {drilled:?}"));
        let moments: Vec<f64> = drilled.stages.iter().map(|(_, at)| *at).collect();
        assert!(moments.len() >= 4 && moments[0] > -0.1, "{:?}", drilled.stages);
        assert!(moments.iter().all(|at| *at <= visible + 0.1), "{:?}", drilled.stages);
        let shown = alertmanager.alerts(alert).await;
        let ours = shown
            .iter()
            .find(|shown| shown["labels"]["drill_id"] == drilled.id.as_str());
        assert_eq!(ours.unwrap()["labels"]["drill"], "true");
    }
    assert_eq!(pager.everything(), Vec::<String>::new(), "nobody was woken");
    let drills = pager.all().into_iter().filter(|told| told.receiver == "/drills");
    assert!(drills.count() >= 3, "{:?}", pager.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_arrive_is_said() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let drilled = play("ws-upgrade-500", &nobody, 2).await.unwrap();
    assert_eq!(drilled.visible_s, None);
    assert!(drilled.trouble.is_some(), "nobody listens there");
    let unknown = play("ws-upgrade-5000", &nobody, 2).await.unwrap_err().to_string();
    assert!(
        unknown.starts_with("there is no drill `ws-upgrade-5000`; there are ws-upgrade-500, "),
        "{unknown}"
    );
}
