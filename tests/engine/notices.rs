//! Maintenance and annotations over the API, and across a restart.

use crate::support::{API_TOKEN, catalog, eventually, rehearsal};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use stagewatch::app::daemon;
use std::time::Duration;

struct Api(String);

impl Api {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = Client::new()
            .request(method, format!("{}/api/v1/{path}", self.0))
            .bearer_auth(API_TOKEN);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await;
        (status.as_u16(), answer)
    }

    /// Reasons of the maintenance that goes on, from both places that tell.
    async fn reasons(&self) -> Vec<String> {
        let list = self.ask(Method::GET, "maintenance", None).await.1["maintenance"].take();
        assert_eq!(list, self.ask(Method::GET, "status", None).await.1["maintenance"]);
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["reason"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_begun_kept_over_a_restart_and_ended() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let api = Api(format!("http://{}", running.address()));
    assert_eq!(api.reasons().await, Vec::<String>::new());
    let (status, begun) = api
        .post(
            "maintenance",
            json!({ "reason": "upgrade", "modules": ["m"], "lasts": "2h" }),
        )
        .await;
    assert_eq!((status, &begun["whole_target"]), (201, &json!(false)), "{begun}");
    let (_, whole) = api
        .post("maintenance", json!({ "reason": "move", "lasts": "24h" }))
        .await;
    assert_eq!(whole["whole_target"], json!(true));
    assert_eq!(api.reasons().await, ["upgrade", "move"]);
    running.shutdown().await;

    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let api = Api(format!("http://{}", running.address()));
    assert_eq!(api.reasons().await, ["upgrade", "move"], "after a restart");
    let (status, ended) = api.post("maintenance", json!({ "end": true, "id": begun["id"] })).await;
    assert_eq!((status, ended), (200, json!({ "ended": [begun["id"]] })));
    assert_eq!(api.reasons().await, ["move"]);
    let (_, ended) = api.ask(Method::DELETE, "maintenance", None).await;
    assert_eq!(ended, json!({ "ended": [whole["id"]] }));
    assert_eq!(api.reasons().await, Vec::<String>::new());
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_kept_and_nonsense_is_refused_with_a_sentence() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let api = Api(format!("http://{}", running.address()));
    let (status, answer) = api
        .post(
            "annotations",
            json!({ "text": "deploy of the chat", "version": "1.2.3" }),
        )
        .await;
    assert_eq!((status, &answer["version"]), (201, &json!("1.2.3")), "{answer}");
    let an_hour_ago = stagewatch::clock::now() - chrono::Duration::hours(1);
    let (status, _) = api
        .post(
            "annotations",
            json!({ "text": "a mark", "at": stagewatch::clock::rfc3339(an_hour_ago) }),
        )
        .await;
    assert_eq!(status, 201);
    let kept = eventually(Duration::from_secs(5), "two annotations on disk", async || {
        let kept = running.history().reader().annotations(0.0, f64::MAX).unwrap();
        (kept.len() == 2).then_some(kept)
    })
    .await;
    let texts: Vec<_> = kept
        .iter()
        .map(|one| (one.text.as_str(), one.version.as_deref()))
        .collect();
    assert_eq!(
        texts,
        [("a mark", None), ("deploy of the chat", Some("1.2.3"))],
        "by time"
    );
    for (path, body, status, says) in [
        ("annotations", json!({ "text": "" }), 422, "one line"),
        ("annotations", json!({ "text": "two\nlines" }), 422, "one line"),
        (
            "annotations",
            json!({ "text": "x", "at": "2020-01-01T00:00:00Z" }),
            422,
            "`at` is not in the future",
        ),
        (
            "annotations",
            json!({ "words": "x" }),
            400,
            "the body is wrong: unknown field `words`",
        ),
        ("maintenance", json!({ "reason": "x" }), 400, "write {\"reason\""),
        (
            "maintenance",
            json!({ "reason": "x", "lasts": "25h" }),
            422,
            "at most 1day",
        ),
        ("maintenance", json!({ "reason": "x", "lasts": "soon" }), 422, "`lasts`"),
        (
            "maintenance",
            json!({ "reason": "x", "lasts": "1h", "modules": ["n"] }),
            404,
            "there is no module `n`",
        ),
    ] {
        let said = api.post(path, body.clone()).await;
        let detail = said.1["detail"].as_str().unwrap();
        assert!(said.0 == status && detail.contains(says), "{path} {body}: {said:?}");
    }
    running.shutdown().await;
    rehearsal.shutdown().await;
}
