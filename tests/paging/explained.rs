//! What the first notification already says: each signature that the rehearsal can play, through the daemon's binary with all
//! shipped modules and Debian's Alertmanager to a webhook.

use crate::expected::SIGNATURES;
use crate::site::{Plan, Site};
use serde_json::Value;
use stagewatch::history::Reader;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Sites at once: more, and daemons wait for the processor instead of the target.
const AT_ONCE: usize = 2;
/// How long a fault may take to become a notification; what has not by then raises none.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How long every scenario may take to have run once.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// From confirmation to the webhook, for pages that Alertmanager does not hold back.
const PAGED_WITHIN_S: f64 = 5.0;
/// What the test's Alertmanager waits before it tells of a check (30 s as shipped, so that one fault is one page).
const GROUPED_S: f64 = 6.0;
/// Rules whose text only callers with the token may read: a notification says that there is one.
const SENSITIVE: [&str; 3] = [
    "cross_user_messages",
    "agents_without_authentication",
    "logout_does_not_revoke",
];

/// The first notification of a fault.
struct First {
    alert: String,
    /// What leads the diagnosis, of each alert in it.
    causes: Vec<String>,
    described: bool,
    /// From confirmation to the webhook.
    after_s: f64,
}

impl First {
    fn is_page(&self) -> bool {
        self.alert.starts_with("StagewatchWebSocket")
    }

    fn names(&self, rule: &str) -> bool {
        let said = if SENSITIVE.contains(&rule) { "sensitive" } else { rule };
        self.described && !self.causes.is_empty() && self.causes.iter().all(|cause| cause == said)
    }

    fn in_time(&self) -> bool {
        let held = if self.is_page() { 0.0 } else { GROUPED_S };
        self.after_s <= PAGED_WITHIN_S + held
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour of live faults: cargo test --test paging -- --ignored --nocapture first_notification"]
async fn the_first_notification_has_the_diagnosis() {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let wanted = std::env::var("STAGEWATCH_SIGNATURE").ok();
    let mut tasks = JoinSet::new();
    for (fault, rule, _) in SIGNATURES {
        if wanted.as_ref().is_some_and(|wanted| wanted != fault) {
            continue;
        }
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            (*fault, *rule, play(fault).await)
        });
    }
    let mut played = Vec::new();
    while let Some(one) = tasks.join_next().await {
        let (fault, rule, first) = one.unwrap();
        match &first {
            None => println!("{fault}: no notification within {TOLD_WITHIN:?}"),
            Some(first) => println!(
                "{fault}: {} after {:.1} s names {:?}{}",
                first.alert,
                first.after_s,
                first.causes,
                if first.names(rule) { "" } else { " <- not expected" }
            ),
        }
        played.extend(first.map(|first| (rule, first)));
    }
    let right = |(rule, first): &&(&str, First)| first.names(rule) && first.in_time();
    let pages: Vec<_> = played.iter().filter(|(_, first)| first.is_page()).collect();
    let good = (
        played.iter().filter(right).count(),
        pages.iter().copied().filter(right).count(),
    );
    println!(
        "{} of {} signatures raise a notification; {} have the diagnosis in the first one, in time; of {} socket pages {}",
        played.len(),
        SIGNATURES.len(),
        good.0,
        pages.len(),
        good.1
    );
    assert!(
        wanted.is_some() || played.len() >= 20,
        "only {} signatures were told of",
        played.len()
    );
    assert!(good.0 * 100 >= played.len() * 95, "{} of {}", good.0, played.len());
}

/// The first notification that a fault raises, on a site that was well before.
async fn play(fault: &str) -> Option<First> {
    let site = Site::start(Plan {
        everything: true,
        ..Plan::default()
    })
    .await;
    settled(&site).await;
    let before = site.pager.0.pushes().len();
    site.faults(&[fault], &[]).await;
    let until = Instant::now() + TOLD_WITHIN;
    while Instant::now() < until {
        let told = site.pager.0.pushes();
        let first = told.iter().skip(before).find(|asked| is_told(&asked.line, &asked.body));
        if let Some(asked) = first {
            let received = SystemTime::now() - asked.at.elapsed();
            let received = received.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
            return Some(read(&site, &asked.body, received).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

fn is_told(line: &str, body: &Value) -> bool {
    ["POST /pager", "POST /tickets"].contains(&line) && body["status"] == "firing"
}

/// Waits until every check was judged once and nothing fires but the heartbeat.
async fn settled(site: &Site) {
    let until = Instant::now() + SETTLED_WITHIN;
    while Instant::now() < until {
        let url = format!("http://127.0.0.1:{}/api/v1/status", site.daemon_port);
        let answer = reqwest::get(url).await.unwrap();
        let status: Value = answer.json().await.unwrap();
        if status["summary"]["pending"] == 0 && status["summary"]["checks"]["fail"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn read(site: &Site, body: &Value, received: f64) -> First {
    let alerts = body["alerts"].as_array().unwrap();
    let text = |alert: &Value, name: &str| alert["annotations"][name].as_str().unwrap_or_default().to_owned();
    let name = alerts[0]["labels"]["alertname"].as_str().unwrap_or_default().to_owned();
    let confirmed = confirmed(site, &alerts[0]).await;
    First {
        causes: alerts.iter().map(|alert| text(alert, "cause")).collect(),
        described: alerts
            .iter()
            .all(|alert| text(alert, "description").contains(" Diagnosis: ")),
        after_s: confirmed.map_or(f64::INFINITY, |confirmed| received - confirmed),
        alert: name,
    }
}

/// When an alert was confirmed, seconds since 1970: of a socket, by the daemon's own stages; of a check, its second failure.
async fn confirmed(site: &Site, alert: &Value) -> Option<f64> {
    let started = alert["startsAt"].as_str()?;
    let started = stagewatch::clock::unix_seconds(started.parse().ok()?);
    let label = |name: &str| alert["labels"][name].as_str();
    if let (Some(module), Some(check)) = (label("module"), label("check")) {
        let reader = Reader::open(&site.data()).unwrap();
        let stored = reader.verdicts(Some(&format!("{module}/{check}")), 20).unwrap();
        let mut failed = stored
            .iter()
            .filter(|one| one.verdict == "fail" && one.at >= started - 0.001);
        return failed.nth(1).map(|second| second.at);
    }
    let stage = |end: &str| format!("stagewatch_page_stage_seconds_{end}{{stage=\"confirmed\"}}");
    let (sum, count) = (site.metric(&stage("sum")).await?, site.metric(&stage("count")).await?);
    Some(started + sum / count)
}
