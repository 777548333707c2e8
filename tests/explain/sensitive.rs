//! What a sensitive check and a sensitive rule say is told to nobody without the token: not by alert, page, API, report,
//! incident or bundle.

use crate::support::{catalog_of, rehearsal, until};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use stagewatch::app::{daemon, iterations};
use stagewatch::catalog::Catalog;
use stagewatch::config::Overrides;
use stagewatch::history::IncidentFilter;
use stagewatch::report::{Colour, html};
use stagewatch::report::{Format, incident_markdown, render};
use stagewatch::secret::Secret;
use stagewatch::sensitive::Viewer;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

const TOKEN: &str = "api-token-of-this-one";
/// What the check says, and what the rule says.
const SAID: [&str; 2] = ["CANARY-the-door-is-open", "CANARY-the-lock-is-broken"];

const MODULE: &str = "
module: m
number: 1
title: M
owner: me
scenarios:
  s: { schedule: { every: 1s }, steps: [ { http: { id: well, base: api, path: /health } } ] }
checks:
  - { id: door, title: The door, sensitive: true, parts: [ { needs: [s], expect: [ { that: 'well.status == 403', else: 'CANARY-the-door-is-open' } ] } ] }
";

const RULES: &str = "
diagnosis: of the door
rules:
  - id: lock_is_broken
    title: CANARY-the-lock-is-broken
    sensitive: true
    when: \"checks.m.door.verdict == 'fail'\"
    indicators: [ CANARY-the-lock-is-broken ]
    quotes: [ m.s.well ]
    whys: [ { why: CANARY-the-lock-is-broken, answer: CANARY-the-lock-is-broken, evidence: CANARY-the-lock-is-broken } ]
    stops_at: { why: CANARY-the-lock-is-broken, look: CANARY-the-lock-is-broken }
    actions: [ { priority: P0, text: CANARY-the-lock-is-broken } ]
";

fn catalog(api: &str, alertmanager: &str, folder: &Path) -> Arc<Catalog> {
    let main = format!(
        "target: {{ name: t, environment: staging, bases: {{ api: 'http://{api}' }}, http: {{ user_agent: t, allow_addresses: [loopback] }} }}
modules: [m.yaml]
service: {{ external_url: 'https://watch.example' }}
diagnosis: [d.yaml]
alerting:
  runbooks: https://runbooks.example/alerts
  lease: 6s
  resend: 1s
  alertmanagers: [ {{ name: am, url: 'http://{alertmanager}' }} ]
"
    );
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(folder.to_owned()),
        api_token: Some(Secret::new(TOKEN)),
        ..Overrides::default()
    };
    catalog_of([&main, MODULE, RULES], &overrides)
}

/// An Alertmanager that writes down what it is told.
async fn alertmanager() -> (String, Arc<Mutex<Vec<Value>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let take = move |Json(body): Json<Value>| async move {
        kept.lock()
            .unwrap()
            .extend(body.as_array().cloned().unwrap_or_default());
    };
    let router = Router::new().route("/api/v2/alerts", post(take).get(|| async { Json(Vec::<Value>::new()) }));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, told)
}

fn withheld(what: &str, text: &str) {
    for said in SAID {
        assert!(!text.contains(said), "{what} says it: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_callers_with_the_token_read_it() {
    let rehearsal = rehearsal(&[]).await;
    let (alertmanager, told) = alertmanager().await;
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(&rehearsal.backend_addr().to_string(), &alertmanager, folder.path());
    let running = daemon::start(Arc::clone(&catalog)).await.unwrap();

    // The alert.
    let alert = until("the alert", || {
        let told = told.lock().unwrap();
        told.iter()
            .find(|alert| alert["labels"]["alertname"] == "StagewatchCheckFailing")
            .cloned()
    })
    .await;
    assert!(
        alert["annotations"]["description"]
            .as_str()
            .unwrap()
            .contains("sensitive"),
        "{alert}"
    );
    withheld("the alert", &alert.to_string());

    // Page and API, without the token and with it.
    let base = format!("http://{}", running.address());
    let client = reqwest::Client::new();
    for path in [
        "/",
        "/checks/m/door",
        "/api/v1/status",
        "/api/v1/checks/m/door",
        "/api/v1/checks/m/door/judgements",
        "/api/v1/runs",
    ] {
        let answer = client.get(format!("{base}{path}")).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        withheld(path, &answer.text().await.unwrap());
    }
    let shown = client
        .get(format!("{base}/api/v1/checks/m/door"))
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    assert!(
        shown.text().await.unwrap().contains(SAID[0]),
        "who has the token reads it"
    );

    // Incident and report.
    let reader = running.history().reader().clone();
    let incident = until("the explained incident", || {
        let found = reader.incidents(&IncidentFilter::default()).unwrap();
        found.into_iter().find(|incident| !incident.diagnosis.causes.is_empty())
    })
    .await;
    let account = reader.account_of(incident.clone()).unwrap();
    let written = |viewer| incident_markdown(&account.clone().seen_by(viewer), 0.0);
    withheld("the incident", &written(Viewer::Anyone));
    assert!(SAID.iter().all(|said| written(Viewer::Operator).contains(said)));
    running.explaining().store_iteration();
    let iteration = until("an iteration", || iterations::stored(&reader, None).unwrap()).await;
    let public = iteration.seen_by(Viewer::Anyone);
    for format in Format::ALL {
        withheld(format.as_str(), &render(&public, *format, Colour::Plain));
    }
    withheld("the page of the report", &html(&public));
    let whole = render(&iteration.seen_by(Viewer::Operator), Format::Markdown, Colour::Plain);
    assert!(SAID.iter().all(|said| whole.contains(said)), "{whole}");

    // The bundle of a sensitive incident is not given at all.
    let bundle = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stagewatch"));
        command
            .args(["bundle", &incident.id, "--data-dir"])
            .arg(folder.path())
            .args(more);
        command.output().unwrap()
    };
    let refused = bundle(&[]);
    assert!(!refused.status.success());
    withheld(
        "the refused bundle",
        &(String::from_utf8_lossy(&refused.stdout) + String::from_utf8_lossy(&refused.stderr)),
    );
    assert!(String::from_utf8_lossy(&bundle(&["--sensitive"]).stdout).contains(SAID[1]));
    running.shutdown().await;
    rehearsal.shutdown().await;
}
