//! The API: what it says, what it refuses, and that its description is what is served.

use crate::support::{API_TOKEN, catalog, eventually, rehearsal};
use reqwest::StatusCode;
use serde_json::{Value, json};
use stagewatch::app::daemon::{self, Running};
use stagewatch::rehearsal::Rehearsal;
use stagewatch::serve::ROUTES;
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// Pages for people and what belongs to them; the description is of the API.
const PAGES: [&str; 9] = [
    "/incidents",
    "/incidents/{incident}",
    "/",
    "/checks/{module}/{check}",
    "/runs/{run}",
    "/page.css",
    "/live.js",
    "/icon.svg",
    "/events",
];
/// For scrapers and supervisors.
const OTHERS: [&str; 4] = ["/metrics", "/-/healthy", "/-/ready", "/-/reload"];

async fn daemon() -> (Rehearsal, tempfile::TempDir, Running) {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    (rehearsal, folder, running)
}

async fn ask(running: &Running, path: &str) -> (StatusCode, Value) {
    let url = format!("http://{}{path}", running.address());
    let answer = reqwest::get(url).await.unwrap();
    let status = answer.status();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let expected = if status.is_success() {
        "application/json"
    } else {
        "application/problem+json"
    };
    assert_eq!(kind, expected, "{path}");
    (status, answer.json().await.unwrap())
}

async fn read(running: &Running, path: &str) -> Value {
    let (status, body) = ask(running, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn end((rehearsal, folder, running): (Rehearsal, tempfile::TempDir, Running)) {
    running.shutdown().await;
    rehearsal.shutdown().await;
    drop(folder);
}

#[test]
fn the_description_holds_every_route_and_no_other() {
    let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.yaml")).unwrap();
    let described: Value = serde_saphyr::from_str(&written).unwrap();
    let paths = described["paths"].as_object().unwrap().iter();
    let described: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let served: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| !PAGES.contains(&route.path) && !OTHERS.contains(&route.path))
        .map(|route| (route.method.as_str().to_owned(), route.path.to_owned()))
        .collect();
    assert_eq!(described, served);
    assert!(served.len() >= 11, "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_runs_and_judgements_are_read_a_page_at_a_time() {
    let all = daemon().await;
    let running = &all.2;
    let path = "/api/v1/checks/m/welcomes/judgements";
    eventually(SOON, "three judgements that are stored", async || {
        let page = read(running, path).await;
        (page["items"].as_array().unwrap().len() >= 3).then_some(())
    })
    .await;
    let modules = read(running, "/api/v1/modules").await;
    assert_eq!(modules["items"][0]["id"], "m");
    assert_eq!(
        read(running, "/api/v1/modules/m").await["checks"]
            .as_array()
            .unwrap()
            .len(),
        8
    );

    let first = read(running, "/api/v1/checks?limit=3").await;
    assert_eq!(
        (
            first["items"].as_array().unwrap().len(),
            &first["total"],
            &first["next"]
        ),
        (3, &json!(8), &json!(3))
    );
    let rest = read(running, "/api/v1/checks?limit=200&offset=3").await;
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), &rest["next"]),
        (5, &Value::Null)
    );
    let passing = read(running, "/api/v1/checks?module=m&verdict=pass").await;
    assert!(
        passing["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["verdict"] == "pass")
    );

    // A range in which nothing was, and two pages of one item each.
    let future = format!("{path}?until=2100-01-01T00:00:00Z&from=2099-12-31T00:00:00Z");
    assert_eq!(read(running, &future).await, json!({ "items": [], "next": null }));
    let one = read(running, &format!("{path}?limit=1")).await;
    let next = one["next"].as_str().unwrap();
    let other = read(running, &format!("{path}?limit=1&cursor={next}")).await;
    assert!(one["items"][0]["at"].as_str() >= other["items"][0]["at"].as_str());
    assert_ne!(one["items"][0]["id"], other["items"][0]["id"]);

    // Of passes only some are kept, the latest among them.
    let all_of_them = read(running, path).await;
    let kept = all_of_them["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["kept"] == true);
    let id = kept.unwrap()["id"].as_str().unwrap();
    let judgement = read(running, &format!("{path}/{id}")).await;
    assert_eq!(
        (&judgement["module"], &judgement["id"]),
        (&json!("m"), &json!("welcomes"))
    );
    assert!(!judgement["expectations"].as_array().unwrap().is_empty());
    let run = judgement["transcripts"][0]["run"].as_str().unwrap();
    let run = read(running, &format!("/api/v1/runs/{run}")).await;
    assert_eq!(run["transcript"]["scenario"], run["scenario"]);
    let runs = read(
        running,
        &format!("/api/v1/runs?scenario={}", run["scenario"].as_str().unwrap()),
    )
    .await;
    assert!(
        runs["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|found| found["scenario"] == run["scenario"])
    );
    let check = read(running, "/api/v1/checks/m/welcomes").await;
    assert!(check["last"].as_array().unwrap().len() >= 3 && check["judgement"]["verdict"] == "pass");
    assert_eq!(read(running, "/api/v1/openapi.json").await["openapi"], "3.1.0");
    end(all).await;
}

/// Paths, and how they must be refused.
const REFUSED: [(&str, u16); 47] = [
    ("/api/v1/checks?offset=1001", 422),
    ("/api/v1/checks?limit=0", 422),
    ("/api/v1/checks?limit=201", 422),
    ("/api/v1/checks?limit=1000000000", 422),
    ("/api/v1/checks?limit=99999999999999999999999", 422),
    ("/api/v1/checks?limit=-1", 400),
    ("/api/v1/checks?limit=NaN", 400),
    ("/api/v1/checks?limit=1e3", 400),
    ("/api/v1/checks?limit=", 400),
    ("/api/v1/checks?limit=1&limit=2", 400),
    ("/api/v1/checks?offset=-1", 400),
    ("/api/v1/checks?verdict=green", 400),
    ("/api/v1/checks?unknown=1", 400),
    ("/api/v1/runs?from=yesterday", 400),
    ("/api/v1/runs?from=1e308", 400),
    ("/api/v1/runs?from=2026-02-30T00:00:00Z", 400),
    ("/api/v1/runs?from=0001-01-01T00:00:00Z", 422),
    ("/api/v1/runs?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 422),
    ("/api/v1/runs?cursor=%27%20OR%201%3D1", 422),
    ("/api/v1/runs?cursor=7ff0000000000000-1", 422),
    ("/api/v1/runs?limit=%00", 400),
    ("/api/v1/runs/..%2f..%2fetc%2fpasswd", 404),
    ("/api/v1/runs/%27%20OR%201%3D1", 404),
    ("/api/v1/runs/%ff", 400),
    ("/api/v1/checks/m/nothing", 404),
    ("/api/v1/checks/m/nothing/judgements", 404),
    ("/api/v1/checks/m/welcomes/judgements/x", 404),
    ("/api/v1/checks/m/welcomes/judgements/-9223372036854775808", 404),
    ("/api/v1/checks/m/welcomes/judgements/99999999999999999999", 404),
    ("/api/v1/incidents?open=maybe", 400),
    ("/api/v1/incidents?limit=0", 422),
    ("/api/v1/incidents?before=2026-01-01T00:00:00Z", 400),
    (
        "/api/v1/incidents?from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z",
        422,
    ),
    ("/api/v1/incidents?cursor=-", 422),
    ("/api/v1/incidents/nothing", 404),
    ("/api/v1/incidents/..%2f..%2fetc%2fpasswd", 404),
    ("/api/v1/incidents/%ff", 400),
    ("/api/v1/incidents/a%0d%0aSet-Cookie:%20x=1", 404),
    ("/api/v1/incidents/nothing/evidence", 401),
    ("/api/v1/reports?limit=201", 422),
    ("/api/v1/reports/0", 404),
    ("/api/v1/reports/-9223372036854775808", 404),
    ("/api/v1/reports/1e9", 404),
    ("/api/v1/reports/latest?format=pdf", 400),
    ("/api/v1/reports/latest?format=..%2fhtml", 400),
    ("/api/v1/modules/%3Cscript%3E", 404),
    ("/api/v1/../../../etc/passwd", 404),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_absurd_is_refused_with_a_sentence() {
    let all = daemon().await;
    let running = &all.2;
    for (path, expected) in REFUSED {
        let (status, body) = ask(running, path).await;
        assert_eq!(status.as_u16(), expected, "{path}: {body}");
        assert_eq!(body["status"], expected, "{path}");
        assert!(body["detail"].as_str().unwrap().len() > 10, "{path}: {body}");
    }
    let client = reqwest::Client::new();
    let url = format!("http://{}/api/v1/run", running.address());
    let bodies: [(&str, &str, u16); 9] = [
        ("text/plain", "{\"all\":true}", 415),
        ("application/x-www-form-urlencoded", "all=true", 415),
        ("application/json", "", 400),
        ("application/json", "{\"all\":false}", 400),
        ("application/json", "{\"all\":true,\"module\":\"m\"}", 400),
        ("application/json", "{\"check\":7}", 400),
        ("application/json", "[[[[", 400),
        ("application/json", "{\"module\":\"\\u0000\"}", 404),
        ("application/json", "{\"check\":\"m/../../x\"}", 404),
    ];
    for (kind, body, expected) in bodies {
        let sent = client
            .post(&url)
            .bearer_auth(API_TOKEN)
            .header("content-type", kind)
            .body(body);
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{kind} {body}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let sent = client
        .post(&url)
        .bearer_auth(API_TOKEN)
        .header("content-type", "application/json");
    assert_eq!(sent.body(deep).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    for (method, path) in [
        ("PUT", "/"),
        ("DELETE", "/api/v1/runs"),
        ("POST", "/api/v1/status"),
        ("PATCH", "/checks/m/fast"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("http://{}{path}", running.address());
        let answer = client.request(method, url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(answer.headers().contains_key("allow"), "{path}");
    }
    // The daemon is unharmed.
    assert_eq!(
        read(running, "/api/v1/status").await["target"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
    end(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_drawn_and_wrong_ones_refused() {
    let all = daemon().await;
    let running = &all.2;
    eventually(SOON, "a judgement", async || {
        (running.live().status().summary.checks.pass > 3).then_some(())
    })
    .await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", running.address()))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = get("/").await;
    assert_eq!((status, page.matches("<svg class=strip").count()), (200, 9));
    assert!(
        page.contains("p95 over time") && page.contains("The monitor itself"),
        "{page}"
    );
    let check = eventually(SOON, "evidence on the page", async || {
        let (status, page) = get("/checks/m/welcomes").await;
        assert_eq!(status, 200);
        page.contains("class=\"steps\"").then_some(page)
    })
    .await;
    assert!(
        check.contains("The latest judgement")
            && check.contains("Sec-WebSocket-Accept") | check.contains("sec-websocket-accept")
    );
    let earlier = check.split("?judgement=").nth(1).unwrap().split('"').next().unwrap();
    let (status, page) = get(&format!("/checks/m/welcomes?judgement={earlier}")).await;
    assert!(status == 200 && page.contains("show the latest"), "{status}");
    for (path, expected) in [
        ("/checks/m/nothing", 404),
        ("/checks/m/welcomes?judgement=0", 404),
        ("/checks/m/welcomes?judgement=x", 404),
        ("/checks/m/welcomes?x=1", 400),
        ("/runs/nothing", 404),
        ("/checks/%ff/x", 400),
        ("/incidents/nothing", 404),
        ("/incidents/%ff", 400),
        ("/incidents?cursor=x", 400),
        ("/incidents?x=1", 400),
    ] {
        assert_eq!(get(path).await.0, expected, "{path}");
    }
    end(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_live_and_only_so_many_of_them() {
    let all = daemon().await;
    let url = format!("http://{}/events", all.2.address());
    let mut first = reqwest::get(&url).await.unwrap();
    let chunk = tokio::time::timeout(SOON, first.chunk())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&chunk).starts_with("event: judged\ndata: 2"),
        "{chunk:?}"
    );
    let mut others = Vec::new();
    for _ in 1..stagewatch::limits::EVENT_LISTENERS_MAX {
        others.push(reqwest::get(&url).await.unwrap());
    }
    assert!(others.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(
        reqwest::get(&url).await.unwrap().status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    drop(others);
    eventually(SOON, "a free place", async || {
        (reqwest::get(&url).await.unwrap().status() == StatusCode::OK).then_some(())
    })
    .await;
    // An open stream does not hold up the end.
    let begun = std::time::Instant::now();
    end(all).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(first);
}
