//! The target's own log, asked of local servers that speak as Google's do: metadata, token exchange, `entries:list`; by itself
//! and by a daemon whose incident opens.

use crate::support::rehearsal;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use stagewatch::app::daemon;
use stagewatch::config::{self, MemoryEnvironment, Overrides};
use stagewatch::history::IncidentFilter;
use stagewatch::logs::{Access, LogError, LogQuestion, LogSettings, Logs};
use stagewatch::report::incident_markdown;
use stagewatch::secret::{Redactor, Secret};
use stagewatch::sensitive::Viewer;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// What the servers saw, and how they answer.
#[derive(Default)]
struct Google {
    public_pem: String,
    base: Mutex<String>,
    tokens_given: Mutex<u32>,
    asked: Mutex<Vec<Value>>,
    /// Refuse the first token although it has not ended.
    first_is_refused: bool,
    /// Never answer.
    hangs: bool,
}

async fn metadata(State(google): State<Arc<Google>>, headers: HeaderMap) -> Response {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return StatusCode::FORBIDDEN.into_response();
    }
    give_token(&google)
}

async fn exchange(State(google): State<Arc<Google>>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let mut rules = Validation::new(Algorithm::RS256);
    let audience = format!("{}token", google.base.lock().unwrap());
    rules.set_audience(&[audience]);
    rules.set_issuer(&["watch@project.example"]);
    let key = DecodingKey::from_rsa_pem(google.public_pem.as_bytes()).unwrap();
    let word = jsonwebtoken::decode::<Value>(&form["assertion"], &key, &rules);
    let scope = word.map(|word| word.claims["scope"].clone());
    let granted = form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        && scope.is_ok_and(|scope| scope == "https://www.googleapis.com/auth/logging.read");
    if granted {
        give_token(&google)
    } else {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": "invalid_grant", "echo": form["assertion"] })),
        )
            .into_response()
    }
}

fn give_token(google: &Google) -> Response {
    let mut given = google.tokens_given.lock().unwrap();
    *given += 1;
    Json(json!({ "access_token": format!("CANARY-token-{given}"), "expires_in": 3599, "token_type": "Bearer" }))
        .into_response()
}

async fn list(State(google): State<Arc<Google>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if google.hangs {
        std::future::pending::<()>().await;
    }
    let bearer = headers["authorization"].to_str().unwrap().to_owned();
    let valid = if google.first_is_refused {
        "Bearer CANARY-token-2"
    } else {
        "Bearer CANARY-token-1"
    };
    if bearer != valid {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "error": { "message": bearer } })),
        )
            .into_response();
    }
    google.asked.lock().unwrap().push(body);
    Json(json!({ "entries": [
        { "timestamp": "2025-09-07T08:42:00Z", "severity": "ERROR", "trace": "projects/p/traces/0af7651916cd43dd8448eb211c80319c",
          "jsonPayload": { "message": format!("TypeError in websocket upgrade \u{1b}[31m {bearer} password=hunter2-secret") } },
        { "timestamp": "2025-09-07T08:41:00Z", "severity": "CRITICAL", "textPayload": "x".repeat(10_000) },
    ] }))
    .into_response()
}

/// Starts the servers on one loopback port.
async fn google(google: Google) -> (Arc<Google>, Url) {
    let google = Arc::new(google);
    let router = Router::new()
        .route(
            "/computeMetadata/v1/instance/service-accounts/default/token",
            get(metadata),
        )
        .route("/token", post(exchange))
        .route("/v2/entries:list", post(list))
        .with_state(Arc::clone(&google));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap());
    google.base.lock().unwrap().clone_from(&base);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (google, base.parse().unwrap())
}

fn settings(base: &Url, access: Access) -> LogSettings {
    LogSettings {
        endpoint: base.clone(),
        project: "p".to_owned(),
        filter: None,
        access,
        within: Duration::from_secs(5),
    }
}

fn question() -> LogQuestion {
    LogQuestion {
        traces: vec!["0af7651916cd43dd8448eb211c80319c".to_owned()],
        from: "2025-09-07T08:40:00Z".to_owned(),
        to: "2025-09-07T08:45:00Z".to_owned(),
    }
}

#[tokio::test]
async fn a_workload_reads_the_errors_of_a_trace_redacted_and_bounded() {
    let (seen, base) = google(Google::default()).await;
    let password = Secret::new("hunter2-secret");
    let logs = Logs::new(
        settings(&base, Access::Metadata(base.clone())),
        Redactor::new([&password]),
    )
    .unwrap();
    let entries = logs.errors(&question()).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].severity, "ERROR");
    assert_eq!(entries[0].trace, "0af7651916cd43dd8448eb211c80319c");
    let text = &entries[0].text;
    assert!(text.contains("TypeError in websocket upgrade"), "{text}");
    assert!(
        !text.contains("CANARY") && !text.contains("hunter2") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(entries[1].text.len() < 3_000, "{}", entries[1].text.len());
    // The second question needs no second token.
    logs.errors(&question()).await.unwrap();
    assert_eq!(*seen.tokens_given.lock().unwrap(), 1);
    let asked = seen.asked.lock().unwrap();
    assert_eq!(asked[0]["resourceNames"], json!(["projects/p"]));
    let filter = asked[0]["filter"].as_str().unwrap();
    assert!(
        filter.contains("trace=\"projects/p/traces/0af7651916cd43dd8448eb211c80319c\""),
        "{filter}"
    );
}

#[tokio::test]
async fn a_service_account_exchanges_its_signed_word_and_renews_a_refused_token() {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (seen, base) = google(Google {
        public_pem: pair.public_key_pem(),
        first_is_refused: true,
        ..Google::default()
    })
    .await;
    let access = |email: &str| Access::Account {
        email: email.to_owned(),
        key: Secret::new(pair.serialize_pem()),
        token_url: base.join("token").unwrap(),
    };
    let logs = Logs::new(settings(&base, access("watch@project.example")), Redactor::new([])).unwrap();
    assert_eq!(logs.errors(&question()).await.unwrap().len(), 2);
    assert_eq!(*seen.tokens_given.lock().unwrap(), 2);
    // Somebody else gets none, and the refusal repeats nothing of what was sent.
    let logs = Logs::new(settings(&base, access("other@project.example")), Redactor::new([])).unwrap();
    let error = logs.errors(&question()).await.unwrap_err();
    assert_eq!(error.to_string(), "the token server answers 400: no token");
}

#[tokio::test]
async fn a_log_that_hangs_or_is_gone_is_said_within_the_deadline() {
    let (_, base) = google(Google {
        hangs: true,
        ..Google::default()
    })
    .await;
    let mut hanging = settings(&base, Access::Metadata(base.clone()));
    hanging.within = Duration::from_millis(300);
    let logs = Logs::new(hanging, Redactor::new([])).unwrap();
    assert_eq!(logs.errors(&question()).await, Err(LogError::Unreachable("the log")));
    let nobody: Url = "http://127.0.0.1:9/".parse().unwrap();
    let logs = Logs::new(settings(&nobody, Access::Metadata(nobody.clone())), Redactor::new([])).unwrap();
    assert_eq!(
        logs.errors(&question()).await,
        Err(LogError::Unreachable("the metadata server"))
    );
    let bad = Access::Account {
        email: "watch@project.example".to_owned(),
        key: Secret::new("no key at all"),
        token_url: nobody.clone(),
    };
    assert!(matches!(
        Logs::new(settings(&nobody, bad), Redactor::new([])),
        Err(LogError::Key(_))
    ));
}

const MODULE: &str = "
module: m
number: 1
title: M
severity: critical
owner: me
scenarios:
  s: { schedule: { every: 1s }, steps: [ { http: { id: well, base: api, path: /health } } ] }
checks:
  - { id: door, title: The door, parts: [ { needs: [s], expect: [ { that: 'well.status == 403', else: 'the door is open' } ] } ] }
";

/// A daemon's configuration whose log is at `google`, read as the service account of this key file.
fn main_file(api: &str, google: &Url, more: &str) -> String {
    format!(
        "target:
  name: t
  environment: staging
  bases: {{ api: 'http://{api}' }}
  http: {{ user_agent: t, allow_addresses: [loopback] }}
  logs:
    project: p
    query: 'resource.type=\"cloud_run_revision\"'
    window: 1m
    fetch: {{ endpoint: '{google}', within: 5s, after: 100ms{more} }}
modules: [m.yaml]
"
    )
}

async fn lived(google: &Url, more: &str, key_file: Option<String>) -> (tempfile::TempDir, String, String) {
    let rehearsal = rehearsal(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut environment = MemoryEnvironment::new(stagewatch::clock::now())
        .with_file(
            "main.yaml",
            main_file(&rehearsal.backend_addr().to_string(), google, more),
        )
        .with_file("m.yaml", MODULE);
    if let Some(text) = key_file {
        environment = environment.with_file("account.json", text);
    }
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(folder.path().to_owned()),
        ..Overrides::default()
    };
    let catalog = config::load_with(Path::new("main.yaml"), &environment, &overrides);
    let catalog = Arc::new(catalog.unwrap_or_else(|errors| panic!("{errors}")));
    let running = daemon::start(catalog).await.unwrap();
    let reader = running.history().reader().clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let incident = loop {
        let found = reader.incidents(&IncidentFilter::default()).unwrap();
        if let Some(found) = found.into_iter().find(|one| one.target_log.is_some()) {
            break found;
        }
        assert!(tokio::time::Instant::now() < deadline, "no incident with a log");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let account = reader.account_of(incident).unwrap();
    let markdown = incident_markdown(&account.clone().seen_by(Viewer::Anyone), 0.0);
    running.shutdown().await;
    rehearsal.shutdown().await;
    (folder, account.incident.id, markdown)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_has_what_the_log_says_as_a_service_account_of_the_configuration() {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (seen, base) = google(Google {
        public_pem: pair.public_key_pem(),
        ..Google::default()
    })
    .await;
    let key_file = json!({
        "type": "service_account", "client_email": "watch@project.example", "private_key": pair.serialize_pem(),
        "token_uri": base.join("token").unwrap().as_str(),
    });
    let more = ", service_account: { file: account.json }";
    let (folder, id, markdown) = lived(&base, more, Some(key_file.to_string())).await;
    assert!(markdown.contains("TypeError in websocket upgrade"), "{markdown}");
    assert!(
        !markdown.contains("CANARY") && !markdown.contains('\u{1b}'),
        "{markdown}"
    );
    let asked = seen.asked.lock().unwrap().clone();
    let filter = asked[0]["filter"].as_str().unwrap();
    assert!(filter.contains("trace=\"projects/p/traces/"), "{filter}");
    assert!(filter.contains("(resource.type=\"cloud_run_revision\")"), "{filter}");
    // The bundle and the report of the incident have it too, and the link.
    let command = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stagewatch"))
            .args(words)
            .arg("--data-dir")
            .arg(folder.path())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for text in [command(&["bundle", &id]), command(&["report", "--incident", &id])] {
        assert!(text.contains("TypeError in websocket upgrade"), "{text}");
        assert!(
            text.contains("https://console.cloud.google.com/logs/query;query=trace%3D%22projects%2Fp%2Ftraces%2F"),
            "{text}"
        );
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_says_that_the_log_could_not_be_read() {
    let nobody: Url = "http://127.0.0.1:9/".parse().unwrap();
    let (_folder, _id, markdown) = lived(&nobody, ", metadata: 'http://127.0.0.1:9/'", None).await;
    assert!(
        markdown.contains("It could not be read: the metadata server cannot be reached"),
        "{markdown}"
    );
}
