//! Secrets that must be in no output: a target that gives back all it was told, in every encoding, and everything that the
//! daemon and the commands then say, serve and store (faults.md section 3). What is no secret is looked for too, to show
//! that the search finds what is there.

use crate::process::{Process, stagewatch};
use crate::support::eventually;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forms::search;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

#[path = "../canary/forms.rs"]
mod forms;

const PASSWORD: &str = "CANARY-3f9a/77+c1 \"d0\"";
const API_TOKEN: &str = "CANARY-5b1e04aa9d77c203";
const PUSH_TOKEN: &str = "CANARY-a0417bd2e6f95c88";
/// No secret: it has to be found.
const CONTROL: &str = "CONTROL-8c2d51e07f3b96a4";

const MODULE: &str = r#"
module: m
number: 1
title: Small module
severity: critical
owner: engine
scenarios:
  talk:
    schedule: { every: 60s }
    deadline: 5s
    credential: { pool: users }
    steps:
      - http: { id: probe, base: api, path: /echo, method: POST, auth: header, json: { token: "${credential.token}", password: "${credential.user.password}" } }
      - ws.open: { id: upgrade, socket: main, auth: header }
        on_failure: go_on
checks:
  - id: answers
    title: It answers
    parts: [ { needs: [talk], expect: [ { that: "probe.status == 299", else: "it said ${probe.body.text}" }, { that: "upgrade.status == 101", else: "refused: ${upgrade.body.text}" } ] } ]
"#;

/// A token like a JWT.
fn token() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let payload = format!("{{\"sub\":\"CANARY-sub-4471\",\"exp\":{}}}", 4_000_000_000_u64);
    format!(
        "{}.{}.{}",
        part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
        part(&payload),
        part("CANARY-signature-0917")
    )
}

/// Gives back what it was told, in every encoding.
async fn echo(request: Request) -> impl IntoResponse {
    let shown = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let shown = shown.unwrap_or("").trim_start_matches("Bearer ").to_owned();
    let upgrade = request.headers().contains_key("upgrade");
    let body = axum::body::to_bytes(request.into_body(), 64 * 1024).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let password = told["password"].as_str().unwrap_or(PASSWORD).to_owned();
    let all = [shown.as_str(), password.as_str(), CONTROL].map(forms::of);
    let status = if upgrade {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    (
        status,
        [("x-shown", shown)],
        Json(json!({ "told": told, "all": all, "control": CONTROL })),
    )
}

async fn target() -> String {
    let login = || async { Json(json!({ "access_token": token(), "refresh_token": "CANARY-refresh-553" })) };
    let router = Router::new().route("/auth/login", post(login)).fallback(echo);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    address
}

fn write_config(address: &str, folder: &Path) -> String {
    let main = include_str!("main.yaml")
        .replace("BACKEND", address)
        .replace("AUTH", address)
        .replace("engine-${index}@rehearsal.invalid\", password: rehearsal-only }", "engine-${index}@rehearsal.invalid\" }, secrets: { password: { env: CANARY_PASSWORD } }")
        .replace(
            "service: { data_dir: ./data }",
            &format!("service: {{ data_dir: ./data, external_url: \"http://127.0.0.1:9464\", api_token: {{ env: CANARY_API }} }}\nalerting: {{ alertmanagers: [ {{ name: am, url: \"http://{address}\", bearer: {{ env: CANARY_PUSH }} }} ], runbooks: \"https://runbooks.example/\" }}"),
        );
    std::fs::create_dir_all(folder.join("modules")).unwrap();
    std::fs::write(folder.join("main.yaml"), main).unwrap();
    std::fs::write(folder.join("modules/m.yaml"), MODULE).unwrap();
    folder.join("main.yaml").to_str().unwrap().to_owned()
}

fn with_secrets(command: &mut std::process::Command) -> &mut std::process::Command {
    command
        .env("CANARY_PASSWORD", PASSWORD)
        .env("CANARY_API", API_TOKEN)
        .env("CANARY_PUSH", PUSH_TOKEN)
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
}

async fn gathered(config: &str, folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut outputs = BTreeMap::new();
    let process = Process::start(Path::new(config), |command| {
        with_secrets(command).args(["--log", "trace"]);
    });
    let client = reqwest::Client::new();
    let get = async |path: &str, operator: bool| {
        let request = client.get(process.url(path));
        let request = if operator {
            request.bearer_auth(API_TOKEN)
        } else {
            request
        };
        request.send().await.unwrap().bytes().await.unwrap().to_vec()
    };
    eventually(Duration::from_secs(20), "a verdict", async || {
        let status: serde_json::Value = serde_json::from_slice(&get("/api/v1/status", false).await).unwrap();
        (status["summary"]["checks"]["fail"] == 1).then_some(())
    })
    .await;
    for path in ["/", "/metrics", "/api/v1/status", "/-/healthy", "/nothing"] {
        outputs.insert(path.to_owned(), get(path, false).await);
        outputs.insert(format!("{path} (operator)"), get(path, true).await);
    }
    let command_line = std::fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
    outputs.insert("command line".to_owned(), command_line);
    outputs.insert("log".to_owned(), process.log().join("\n").into_bytes());
    assert!(process.end().0.success());
    files(&folder.join("data"), &mut outputs);
    let data = folder.join("data").display().to_string();
    let mut commands = vec![
        vec!["validate", "--config", config],
        vec!["history", "runs", "--data-dir", &data],
        vec!["history", "verdicts", "--data-dir", &data],
    ];
    for format in ["text", "json", "junit", "markdown", "html"] {
        commands.push(vec!["once", "--config", config, "--log", "trace", "--format", format]);
    }
    commands.push(vec![
        "once",
        "--config",
        config,
        "--format",
        "json",
        "--with-transcripts",
    ]);
    for args in commands {
        let mut command = stagewatch();
        with_secrets(&mut command)
            .args(&args)
            .stdout(std::process::Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        outputs.insert(args.join(" "), [output.stdout, output.stderr].concat());
    }
    outputs
}

fn holds(output: &[u8], text: &str) -> bool {
    output.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_output() {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(&target().await, folder.path());
    let outputs = gathered(&config, folder.path()).await;
    assert!(outputs.len() > 20, "{:?}", outputs.keys());

    let token = token();
    let mut secrets = vec![PASSWORD, API_TOKEN, PUSH_TOKEN, "CANARY-refresh-553", &token];
    secrets.extend(token.split('.').skip(1));
    let found = outputs.iter().flat_map(|(name, output)| {
        let found = search(output, &secrets).into_iter();
        found.map(move |found| (name, found))
    });
    let leaks: Vec<_> = found.collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    for form in forms::of(CONTROL) {
        let found = outputs.values().filter(|output| holds(output, &form)).count();
        // The database's bytes do not show it, because texts are packed there; `history` prints them unpacked.
        assert!(found >= 2, "what is no secret was found in {found} outputs as {form}");
    }
}
