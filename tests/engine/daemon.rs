//! The daemon against a rehearsal: it judges, serves, runs on demand, notices a fault, ends in time and remembers.

use crate::support::{API_TOKEN, catalog, eventually, rehearsal};
use serde_json::{Value, json};
use stagewatch::app::daemon::{self, Running};
use stagewatch::history::Reader;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// Verdict and reason by check.
async fn verdicts(running: &Running) -> BTreeMap<String, (String, Option<String>)> {
    let status = get(running, "/api/v1/status").await;
    let checks = status["modules"][0]["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    checks
        .iter()
        .map(|check| {
            let verdict = text(&check["verdict"]).unwrap_or_else(|| "pending".to_owned());
            (text(&check["id"]).unwrap(), (verdict, text(&check["reason"])))
        })
        .collect()
}

async fn get(running: &Running, path: &str) -> Value {
    let url = format!("http://{}{path}", running.address());
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

async fn text(running: &Running, path: &str) -> String {
    let url = format!("http://{}{path}", running.address());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_judges_everything_serves_it_and_ends_in_time() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let started = Instant::now();
    eventually(Duration::from_secs(2), "a first verdict", async || {
        let first = running.live().status().summary.checks.pass;
        (first > 0).then_some(())
    })
    .await;
    let seen = eventually(SOON, "a verdict for each check", async || {
        let seen = verdicts(&running).await;
        let done = |id: &str, wanted: &str| seen[id].0 == wanted;
        let passing = ["healthy", "refuses", "welcomes", "calendar", "both", "rolled", "fast"];
        (passing.iter().all(|id| done(id, "pass")) && done("costly", "off")).then_some(seen)
    })
    .await;
    assert_eq!(seen.len(), 8);

    let metrics = text(&running, "/metrics").await;
    for line in [
        "stagewatch_check_verdict{check=\"welcomes\",module=\"m\",verdict=\"pass\"} 1.0",
        "stagewatch_check_verdict{check=\"costly\",module=\"m\",verdict=\"off\"} 1.0",
        "stagewatch_module_pass_ratio{module=\"m\"} 1.0",
        "stagewatch_module_coverage_ratio{module=\"m\"} 1.0",
        "stagewatch_latency_target_threshold_seconds{latency_target=\"api_response\"} 0.1",
        "stagewatch_check_info{check=\"fast\",module=\"m\",owner=\"engine\",severity=\"critical\",title=\"Answers come fast\"} 1.0",
        "stagewatch_history_write_errors_total 0.0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is missing in:\n{metrics}"
        );
    }
    let page = text(&running, "/").await;
    assert!(page.contains("A valid token is welcomed") && page.contains("http-equiv=\"refresh\""));

    let stopping = Instant::now();
    running.shutdown().await;
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "it took {:?} to end",
        stopping.elapsed()
    );
    rehearsal.shutdown().await;
    let reader = Reader::open(folder.path()).unwrap();
    assert!(
        reader
            .verdicts(Some("m/welcomes"), 10)
            .unwrap()
            .iter()
            .any(|stored| stored.verdict == "pass")
    );
    assert!(!reader.runs(10).unwrap().is_empty());
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_turns_its_checks_red_and_back() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let wait_for = async |what: &str, expected: [(&str, &str); 4]| {
        eventually(SOON, what, async || {
            let seen = verdicts(&running).await;
            expected
                .iter()
                .all(|(id, verdict)| seen[*id].0 == *verdict)
                .then_some(())
        })
        .await;
    };
    let well = [
        ("welcomes", "pass"),
        ("rolled", "pass"),
        ("healthy", "pass"),
        ("refuses", "pass"),
    ];
    wait_for("health", well).await;
    rehearsal.switch("ws-upgrade-500-after-auth", true).unwrap();
    let broken = [
        ("welcomes", "fail"),
        ("rolled", "fail"),
        ("healthy", "pass"),
        ("refuses", "pass"),
    ];
    wait_for("the fault", broken).await;
    let status = get(&running, "/api/v1/status").await;
    let welcomes = status["modules"][0]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == "welcomes")
        .unwrap();
    let failure = &welcomes["judgement"]["failure"];
    assert_eq!(failure["class"], "upgrade_status");
    assert_eq!(failure["status"], 500);
    assert_eq!(failure["blame"], "target");
    let metrics = text(&running, "/metrics").await;
    assert!(
        metrics.contains("stagewatch_check_failures_total{check=\"welcomes\",module=\"m\",reason=\"upgrade_status\"}")
    );
    rehearsal.switch("ws-upgrade-500-after-auth", false).unwrap();
    wait_for("recovery", well).await;
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_now_needs_the_token_and_a_known_name() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let url = format!("http://{}/api/v1/run", running.address());
    let client = reqwest::Client::new();
    let ask = async |token: Option<&str>, body: Value| {
        let mut request = client.post(&url).json(&body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ask(None, json!({ "all": true })).await.0, 401);
    assert_eq!(ask(Some("wrong"), json!({ "all": true })).await.0, 401);
    let (status, problem) = ask(Some(API_TOKEN), json!({ "module": "nope" })).await;
    assert_eq!((status, problem["status"].as_u64()), (404, Some(404)));
    assert_eq!(problem["detail"], "there is no module `nope`; there are m");
    assert_eq!(
        ask(Some(API_TOKEN), json!({ "check": "m/rolled", "all": true }))
            .await
            .0,
        400
    );
    let (status, accepted) = ask(Some(API_TOKEN), json!({ "check": "m/rolled" })).await;
    assert_eq!((status, &accepted["scenarios"]), (202, &json!(["m/health", "m/talk"])));
    let (status, accepted) = ask(Some(API_TOKEN), json!({ "check": "m/costly" })).await;
    assert_eq!(
        (status, &accepted["scenarios"]),
        (202, &json!([])),
        "a disabled scenario does not run"
    );
    for _ in 0..20 {
        ask(Some("guess"), json!({ "all": true })).await;
    }
    assert_eq!(
        ask(Some(API_TOKEN), json!({ "all": true })).await.0,
        429,
        "guessing is braked"
    );
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_refused_by_name() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let mut catalog = catalog(&rehearsal, folder.path());
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    std::sync::Arc::get_mut(&mut catalog).unwrap().service.listen = address;
    let error = daemon::start(catalog).await.err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
}
