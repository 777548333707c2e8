//! An incident as readers see it: on the API, on the pages, open and over; and the reports beside it.

use crate::support::{API_TOKEN, catalog, eventually, rehearsal};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use stagewatch::app::daemon::{self, Running};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);
const FAULT: &str = "ws-upgrade-500-after-auth";

struct Reader<'a>(&'a Running);

impl Reader<'_> {
    async fn get(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.0.address());
        Client::new().get(url).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) {
        let request = Client::new().post(format!("http://{}{path}", self.0.address()));
        let answer = request.bearer_auth(API_TOKEN).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
    }

    /// Incidents that fit a query.
    async fn incidents(&self, query: &str) -> Vec<Value> {
        let page = self.json(&format!("/api/v1/incidents?{query}")).await;
        page["items"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_read_while_it_is_open_and_when_it_is_over() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let reader = Reader(&running);
    eventually(SOON, "a good look at the socket", async || {
        let check = reader.json("/api/v1/checks/m/welcomes").await;
        (check["verdict"] == "pass").then_some(())
    })
    .await;
    assert_eq!(reader.incidents("").await, Vec::<Value>::new());
    assert!(!reader.page("/").await.contains("Open incidents"));
    assert!(reader.page("/incidents").await.contains("No incident is open"));
    // Long enough ago that it does not keep alerts from being made.
    let at = stagewatch::clock::now() - Duration::from_secs(600);
    let said = json!({ "text": "new <b>build</b>", "version": "7.1", "at": stagewatch::clock::rfc3339(at) });
    reader.post("/api/v1/annotations", said).await;

    rehearsal.switch(FAULT, true).unwrap();
    let open = eventually(SOON, "the incident of the socket", async || {
        reader.incidents("open=true&member=main/valid").await.pop()
    })
    .await;
    let id = open["id"].as_str().unwrap();
    assert_eq!(open["title"], "WebSocket upgrade answered with HTTP 500");
    assert_eq!(
        (&open["closed_at"], &open["severity"]),
        (&Value::Null, &json!("critical"))
    );
    whole(&reader, id).await;
    // Not earlier: it keeps alerts from being made.
    let moving = json!({ "reason": "a move & more", "lasts": "1h" });
    reader.post("/api/v1/maintenance", moving).await;
    shown(&reader, id).await;
    let [long_ago, elsewhere] = ["until=2026-01-01T00:00:00Z", "member=m/fast"];
    for query in ["open=false&member=main/valid", long_ago, elsewhere] {
        assert_eq!(reader.incidents(query).await, Vec::<Value>::new(), "{query}");
    }

    rehearsal.switch(FAULT, false).unwrap();
    let over = eventually(SOON, "its end", async || {
        reader.incidents("open=false&member=main/valid").await.pop()
    })
    .await;
    assert!(over["id"] == *id && over["closed_at"].is_string(), "{over}");
    eventually(SOON, "a page without it", async || {
        (!reader.page("/").await.contains(&format!("/incidents/{id}"))).then_some(())
    })
    .await;
    let list = reader.page("/incidents").await;
    assert!(
        list.contains(&format!("/incidents/{id}")) && list.contains("lasted"),
        "{list}"
    );
    running.shutdown().await;
    rehearsal.shutdown().await;
}

/// Everything that the API has of it.
async fn whole(reader: &Reader<'_>, id: &str) {
    let path = format!("/api/v1/incidents/{id}");
    let whole = eventually(SOON, "its evidence and alert", async || {
        let whole = reader.json(&path).await;
        let alerted = whole["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
        (alerted && whole["evidence_kept"] == true).then_some(whole)
    })
    .await;
    assert_eq!(
        (&whole["failure"]["status"], &whole["failure"]["blame"]),
        (&json!(500), &json!("target"))
    );
    let changes = whole["changes"].as_array().unwrap();
    assert!(
        changes
            .iter()
            .any(|change| change["what"] == "status" && change["to"] == "500"),
        "{changes:?}"
    );
    assert_eq!(
        (&whole["marks"][0]["version"], &whole["marks"][1]),
        (&json!("7.1"), &Value::Null)
    );
    assert!(whole["diagnosis"]["causes"].is_array());
    let alerts = whole["alerts"].as_array().unwrap().iter();
    assert!(
        alerts.clone().all(|alert| alert["name"] != "StagewatchPushHeartbeat"),
        "{whole}"
    );
    let evidence = format!("{path}/evidence");
    assert_eq!(reader.get(&evidence).await.status(), StatusCode::UNAUTHORIZED);
    let url = format!("http://{}{evidence}", reader.0.address());
    let shown = Client::new().get(url).bearer_auth(API_TOKEN).send().await.unwrap();
    let shown: Value = shown.json().await.unwrap();
    assert!(!shown["evidence"].as_array().unwrap().is_empty(), "{shown}");
}

/// What the pages show of it.
async fn shown(reader: &Reader<'_>, id: &str) {
    let overview = eventually(SOON, "the incident on top", async || {
        let page = reader.page("/").await;
        page.contains(&format!("/incidents/{id}")).then_some(page)
    })
    .await;
    let place = |what: &str| overview.find(what).unwrap_or(usize::MAX);
    assert!(place("Open incidents") < place("class=\"board\""), "{overview}");
    assert!(
        overview.contains("a move &#38; more") && overview.contains("the whole target"),
        "{overview}"
    );
    let page = reader.page(&format!("/incidents/{id}")).await;
    for words in [
        "main/valid",
        "What changed",
        "deploy of 7.1: new &#60;b&#62;build&#60;/b&#62;",
        "StagewatchCheckFailing",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_iteration_is_read_in_every_form() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let reader = Reader(&running);
    eventually(SOON, "a second iteration that knows of the socket", async || {
        running.explaining().store_iteration();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let kept = reader.json("/api/v1/reports").await["items"].as_array().unwrap().len();
        if kept < 2 {
            return None;
        }
        let latest = reader.page("/api/v1/reports/latest").await;
        latest.contains("welcomes").then_some(())
    })
    .await;
    let first = reader.json("/api/v1/reports?limit=1").await;
    let next = first["next"].as_str().unwrap();
    let second = reader.json(&format!("/api/v1/reports?limit=1&cursor={next}")).await;
    assert!(
        first["items"][0]["number"].as_i64() > second["items"][0]["number"].as_i64(),
        "{first} {second}"
    );
    let report = reader.json("/api/v1/reports/latest").await;
    assert_eq!(
        (&report["target"], report["modules"].as_array().unwrap().len()),
        (&json!("rehearsal"), 1)
    );
    for (format, kind, begins) in [
        ("json", "application/json", "{"),
        ("markdown", "text/markdown; charset=utf-8", "# "),
        ("html", "text/html; charset=utf-8", "<!doctype html>"),
        ("junit", "application/xml", "<?xml"),
        ("text", "text/plain; charset=utf-8", ""),
    ] {
        let answer = reader.get(&format!("/api/v1/reports/latest?format={format}")).await;
        assert_eq!(
            (answer.status(), answer.headers()["content-type"].to_str().unwrap()),
            (StatusCode::OK, kind)
        );
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(policy.contains("sandbox"), format == "html", "{policy}");
        let body = answer.text().await.unwrap();
        assert!(
            body.starts_with(begins) && body.contains("welcomes"),
            "{format}: {body}"
        );
    }
    assert!(reader.page("/incidents").await.contains("?format=html"));
    running.shutdown().await;
    rehearsal.shutdown().await;
}
