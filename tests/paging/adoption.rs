//! What an Alertmanager still has of ours comes back: the oldest start, nobody else's alerts, nobody waited for too long.

use crate::fake::{Fake, Reply, nobody};
use crate::support::{at, push};
use serde_json::{Value, json};
use stagewatch::alert::{AlertName, Deliver};
use stagewatch::catalog::Severity;
use std::time::{Duration, Instant};

fn listed(labels: &Value, starts_at: &str) -> Value {
    let mut all = json!({
        "alertname": "StagewatchWebSocketUpgradeHTTP500", "severity": "critical", "environment": "rehearsal", "owner": "chat",
        "origin": "push", "socket": "main", "credential": "valid", "team": "chat",
    });
    for (name, value) in labels.as_object().unwrap() {
        all[name] = value.clone();
    }
    json!({
        "labels": all, "annotations": {"summary": "as it was told"}, "startsAt": starts_at, "endsAt": "2026-11-27T12:02:00.000Z",
        "generatorURL": "https://watch.example/stagewatch/#socket-main", "status": {"state": "active"}, "fingerprint": "0",
    })
}

#[tokio::test]
async fn alerts_of_ours_come_back_with_their_earliest_start() {
    let one = json!([
        listed(&json!({}), "2026-11-27T12:00:01.500Z"),
        listed(&json!({"origin": "prometheus"}), "2026-11-27T11:00:00.000Z"),
        listed(&json!({"environment": "another"}), "2026-11-27T11:00:00.000Z"),
        listed(&json!({"drill": "true"}), "2026-11-27T11:00:00.000Z"),
        listed(
            &json!({"alertname": "StagewatchPushHeartbeat"}),
            "2026-11-27T11:00:00.000Z"
        ),
        listed(&json!({"alertname": "SomebodyElses"}), "2026-11-27T11:00:00.000Z"),
        json!({"labels": "nonsense"}),
    ]);
    let other = json!([
        listed(&json!({}), "2026-11-27T12:00:00.250Z"),
        listed(
            &json!({"alertname": "StagewatchCheckFailing", "severity": "warning", "check": "c"}),
            "2026-11-27T12:00:02Z"
        ),
    ]);
    let one = Fake::start(move |_| Reply::json(200, &one)).await;
    let other = Fake::start(move |_| Reply::json(200, &other)).await;
    let (push, watcher) = push(&[("one", at(one.url())), ("other", at(other.url()))]);
    let adopted = push.adopt().await;
    let query = "GET /api/v2/alerts?active=true&filter=origin%3D%22push%22&filter=environment%3D%22rehearsal%22";
    assert_eq!(one.asked()[0].line, query);
    let [page, check] = adopted.as_slice() else {
        panic!("{adopted:?}");
    };
    assert_eq!(
        (page.id.name, check.id.name),
        (AlertName::UpgradeHttp500, AlertName::CheckFailing)
    );
    assert_eq!(
        (page.severity, check.severity),
        (Some(Severity::Critical), Some(Severity::Warning))
    );
    let own: Vec<_> = page.id.labels.keys().map(String::as_str).collect();
    assert_eq!(
        own,
        ["credential", "socket"],
        "labels that all alerts share are none of its own"
    );
    assert!((page.starts_at - 1_795_780_800.25).abs() < 0.001, "{}", page.starts_at);
    assert_eq!(page.annotations["summary"], "as it was told");
    // Pushed again it is the same alert, and no new page.
    push.deliver(&adopted);
    let pushed = one.pushed(1).await.remove(0).body;
    let pushed = pushed
        .as_array()
        .unwrap()
        .iter()
        .find(|alert| alert["labels"]["credential"] == "valid" && alert["labels"]["check"].is_null());
    let pushed = pushed.unwrap();
    assert_eq!(pushed["labels"], listed(&json!({}), "")["labels"]);
    assert_eq!(pushed["startsAt"], "2026-11-27T12:00:00.250Z");
    assert_eq!(pushed["generatorURL"], "https://watch.example/stagewatch/#socket-main");
    assert_eq!(watcher.told(|told| told.accepted.len()), 0);
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let found = json!([listed(&json!({}), "2026-11-27T12:00:00Z")]);
    let well = Fake::start(move |_| Reply::json(200, &found)).await;
    let hung = Fake::start(|_| Reply::Hang).await;
    let html = Fake::start(|_| Reply::Say(200, "Content-Type: text/html\r\n", "<form>".to_owned())).await;
    let large = Fake::start(|_| Reply::Say(200, "", " ".repeat(5 * 1024 * 1024))).await;
    let away = nobody().await;
    let (push, _) = push(&[
        ("hung", at(hung.url())),
        ("html", at(html.url())),
        ("large", at(large.url())),
        ("away", at(format!("http://{away}"))),
        ("well", at(well.url())),
    ]);
    let began = Instant::now();
    assert_eq!(push.adopt().await.len(), 1);
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
}
