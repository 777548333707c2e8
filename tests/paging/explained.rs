//! What the first notification already says: each signature that the rehearsal can play, through the daemon's binary with all
//! shipped modules and Debian's Alertmanager to a webhook.

use crate::expected::SIGNATURES;
use crate::site::{LOGS, Plan, Site};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Sites at once: more, and daemons wait for the processor instead of the target.
const AT_ONCE: usize = 2;
/// How long a fault may take to become a notification, for checks that look once an hour, twice; what has not by then raises none.
const TOLD_WITHIN: Duration = Duration::from_secs(170);
/// How long every scenario may take to have run once.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// From confirmation to the webhook, for pages that Alertmanager does not hold back.
const PAGED_WITHIN_S: f64 = 5.0;
/// What the test's Alertmanager waits before it tells of a check (30 s as shipped, so that one fault is one page).
const GROUPED_S: f64 = 6.0;
/// Checks that judge how long something takes: a busy machine fails them, and no fault here is about time.
const TIMED: [&str; 3] = [
    "streaming_performance_metrics",
    "critical_performance_targets",
    "cold_start_performance",
];
/// Rules whose text only callers with the token may read: a notification says that there is one.
const SENSITIVE: [&str; 3] = [
    "cross_user_messages",
    "agents_without_authentication",
    "logout_does_not_revoke",
];

/// The first notification of a fault.
struct First {
    alert: String,
    /// Each alert in it: what it is about, and what leads its diagnosis.
    causes: Vec<(String, String)>,
    described: bool,
    /// Each links to the target's log of a run that its diagnosis quotes.
    linked: bool,
    /// From confirmation to the webhook.
    after_s: f64,
    /// The notification and what the daemon logged of alerts and the schedule, to be looked at when something is wrong.
    log_tail: String,
}

impl First {
    fn is_page(&self) -> bool {
        self.alert.starts_with("StagewatchWebSocket")
    }

    fn names(&self, rule: &str) -> bool {
        // Of a sensitive finding nothing is quoted.
        let (said, linked) = match SENSITIVE.contains(&rule) {
            true => ("sensitive", true),
            false => (rule, self.linked),
        };
        linked && self.described && !self.causes.is_empty() && self.causes.iter().all(|(_, cause)| cause == said)
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
                "{fault}: {} after {:.1} s names {:?}{}{}",
                first.alert,
                first.after_s,
                first.causes,
                if first.names(rule) { "" } else { " <- not expected" },
                if first.in_time() { "" } else { " <- late" }
            ),
        }
        if let Some(First { log_tail, .. }) = first.as_ref().filter(|first| !first.names(rule)) {
            println!("{log_tail}");
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
    let broken = unix(SystemTime::now());
    site.faults(&[fault], &[]).await;
    let until = Instant::now() + TOLD_WITHIN;
    while Instant::now() < until {
        let told = site.pager.0.pushes();
        let mut told = told.iter().filter(|asked| is_told(&asked.line, &asked.body));
        if let Some(asked) = told.find(|asked| is_of(&asked.body, broken)) {
            let received = unix(SystemTime::now() - asked.at.elapsed());
            return Some(read(&site, &asked.body, (broken, received)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Whether all that a notification tells of has begun since, and not only by the business of the machine.
fn is_of(body: &Value, broken: f64) -> bool {
    let alerts = body["alerts"].as_array().unwrap();
    let timed = |alert: &Value| TIMED.iter().any(|check| alert["labels"]["check"] == *check);
    alerts.iter().all(|alert| started(alert).is_some_and(|at| at >= broken)) && !alerts.iter().all(timed)
}

fn started(alert: &Value) -> Option<f64> {
    Some(stagewatch::clock::unix_seconds(
        alert["startsAt"].as_str()?.parse().ok()?,
    ))
}

fn is_told(line: &str, body: &Value) -> bool {
    ["POST /pager", "POST /tickets"].contains(&line) && body["status"] == "firing"
}

/// Waits until every check was judged once and nothing fires but the heartbeat.
async fn settled(site: &Site) {
    let until = Instant::now() + SETTLED_WITHIN;
    while Instant::now() < until {
        let url = |path: &str| format!("http://127.0.0.1:{}/api/v1/{path}", site.daemon_port);
        let status: Value = get(&url("status")).await;
        let quiet = site.alertmanagers[0]
            .matching("alertname!=\"StagewatchPushHeartbeat\"")
            .await
            .is_empty();
        if status["summary"]["pending"] == 0 && status["summary"]["checks"]["fail"] == 0 && quiet {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

fn read(site: &Site, body: &Value, (broken, received): (f64, f64)) -> First {
    let alerts = body["alerts"].as_array().unwrap();
    let text = |alert: &Value, name: &str| alert["annotations"][name].as_str().unwrap_or_default().to_owned();
    let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
    let about = |alert: &Value| match label(alert, "check") {
        check if check.is_empty() => label(alert, "credential"),
        check => format!("{}/{check}", label(alert, "module")),
    };
    let log = site.daemon_log();
    let confirmed = alerts.iter().filter_map(|alert| confirmed(&log, alert, broken));
    let tail = log
        .lines()
        .filter(|line| line.contains("alert.") || line.contains("schedule."));
    let tail: Vec<&str> = tail.collect();
    let is_trace = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    First {
        linked: alerts
            .iter()
            .all(|alert| text(alert, "log_url").strip_prefix(LOGS).is_some_and(is_trace)),
        log_tail: format!("{body:#}\n{}", tail[tail.len().saturating_sub(25)..].join("\n")),
        causes: alerts
            .iter()
            .map(|alert| (about(alert), text(alert, "cause")))
            .collect(),
        described: alerts
            .iter()
            .all(|alert| text(alert, "description").contains(" Diagnosis: ")),
        // What is held back to tell of several together is held back from the first of them.
        after_s: received - confirmed.fold(f64::INFINITY, f64::min),
        alert: label(&alerts[0], "alertname"),
    }
}

/// When an alert was confirmed, seconds since 1970: as the daemon logs it.
fn confirmed(log: &str, alert: &Value, broken: f64) -> Option<f64> {
    let own = ["module", "check", "socket", "credential", "outcome", "blame"];
    let labels = own
        .iter()
        .filter_map(|name| Some(format!("\"{name}\": \"{}\"", alert["labels"][*name].as_str()?)));
    let mut wanted = vec![format!(
        "alert.confirmed alert={} ",
        alert["labels"]["alertname"].as_str()?
    )];
    wanted.extend(labels);
    let moments = log
        .lines()
        .filter(|line| wanted.iter().all(|part| line.contains(part)))
        .filter_map(|line| {
            Some(stagewatch::clock::unix_seconds(
                line.split_whitespace().next()?.parse().ok()?,
            ))
        });
    moments.filter(|at| *at >= broken).min_by(f64::total_cmp)
}
