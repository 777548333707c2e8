//! Secrets against every output at once: a target that echoes whatever it is shown, and a search for what it was shown in logs at
//! level trace, metrics, the API, the page, reports and the bytes of the history. The search itself has a positive control.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails where it stops")]

#[path = "canary/echo.rs"]
mod echo;
#[path = "canary/forms.rs"]
mod forms;

use forms::{Found, search};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of the form of no word that occurs anywhere else.
const PASSWORD: &str = "CANARY-7c1fpass0badc0de&+/ü";
const USER: &str = "CANARY-user-5ad1e7b2";
const REFRESH: &str = "CANARY-refresh-93e0aa17";
const FIXED: &str = "CANARY-fixed-header-11d2";
const PROXIED: &str = "CANARY-proxied-77ab03";
const API: &str = "CANARY-api-token-f00dfeed";

const MODULE: &str = r#"
module: leaks
number: 1
title: Leaks
severity: info
owner: nobody
scenarios:
  echoes:
    schedule: { every: 1s }
    credential: { pool: people }
    deadline: 10s
    steps:
      - http: { id: header, base: web, path: /echo, auth: header }
      - http: { id: query, base: web, path: "/echo?token=${credential.token}&again=${credential.refresh_token}" }
      - http: { id: body, base: web, path: /echo, method: POST, json: { password: "${credential.user.password}", token: "x ${credential.token} y" } }
      - http: { id: tampered, base: web, path: /echo, auth: { header: tampered } }
      - ws.open: { id: by_header, socket: echo, on: one, auth: header }
        on_failure: go_on
      - ws.open: { id: by_subprotocol, socket: echo, on: two, auth: subprotocol }
        on_failure: go_on
  refused:
    schedule: { every: 1s }
    credential: { pool: people }
    steps: [ { http: { id: gone, base: web, path: "/close?token=${credential.token}", auth: header } } ]
checks:
  - { id: header, title: echoed header, parts: [ { needs: [echoes], expect: [ { that: "header.status == 418", else: "the target says ${header.body.text} ${header.headers}" } ] } ] }
  - { id: query, title: echoed query, parts: [ { needs: [echoes], expect: [ { that: "query.status == 418", else: "${query.url} ${query.body.text}" } ] } ] }
  - { id: body, title: echoed body, parts: [ { needs: [echoes], expect: [ { that: "body.body.text == 'x'", else: "${body.request_body} ${body.body.text}" } ] } ] }
  - { id: sockets, title: echoed upgrades, parts: [ { needs: [echoes], expect: [ { that: "by_header.status == 101", else: "${by_header.body.text} ${by_header.headers}" }, { that: "by_subprotocol.status == 101", else: "${by_subprotocol.body.text} ${by_subprotocol.request_headers}" } ] } ] }
  - { id: gone, title: no answer, parts: [ { needs: [refused], expect: [ { that: "gone.status == 200", else: "${gone.url}" } ] } ] }
"#;

fn main_file(port: u16, data: &Path) -> String {
    format!(
        r#"
target:
  name: echo
  environment: loopback
  bases: {{ web: "http://127.0.0.1:{port}" }}
  sockets: {{ echo: {{ url: "ws://127.0.0.1:{port}/socket", token_subprotocols: ["jwt.${{token_base64url}}"] }} }}
  http: {{ user_agent: stagewatch, allow_addresses: [loopback], headers: {{ x-api-key: {FIXED} }}, proxy_authorization: {{ env: CANARY_PROXIED }} }}
logins:
  echo:
    login: {{ method: POST, base: web, path: /login, json: {{ user: "${{user.name}}", password: "${{user.password}}" }}, access_token: "answer.json.access_token", refresh_token: "answer.json.refresh_token" }}
credentials:
  people: {{ pool: {{ login: echo, users: [ {{ name: {{ env: CANARY_USER }}, password: {{ env: CANARY_PASSWORD }} }} ] }} }}
service: {{ listen: "127.0.0.1:0", data_dir: {}, api_token: {{ env: CANARY_API }} }}
modules: [module.yaml]
"#,
        data.display()
    )
}

fn stagewatch(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagewatch"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let secrets = [
        ("CANARY_USER", USER),
        ("CANARY_PASSWORD", PASSWORD),
        ("CANARY_PROXIED", PROXIED),
        ("CANARY_API", API),
    ];
    command.envs(secrets);
    command
}

/// Everything a finished command printed.
fn printed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = stagewatch(folder, arguments).output().unwrap();
    assert!(
        !output.stdout.is_empty(),
        "{arguments:?} printed nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    [output.stdout, output.stderr].concat()
}

/// Address that the daemon says it listens on in its log.
fn address(log: &Path) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let started = text
            .lines()
            .find(|line| line.contains("app.started"))
            .and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        if let Some(listen) = started.and_then(|line| line["listen"].as_str().map(str::to_owned)) {
            return listen;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the daemon does not start: {text}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn fetched(address: &str, path: &str) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    std::io::Write::write_all(
        &mut stream,
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{path}: {}",
        String::from_utf8_lossy(&answer)
    );
    answer
}

/// A daemon that does not outlive a test that fails.
struct Daemon(Child);

impl Daemon {
    /// Ends it as a supervisor would.
    fn stop(mut self) {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is as good as one that we end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the daemon for a while and gives everything it has put out, by name.
fn outputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut outputs = Vec::new();
    for format in ["text", "json", "junit", "markdown"] {
        outputs.push((
            format!("once {format}"),
            printed(
                folder,
                &["once", "-c", "main.yaml", "--format", format, "--log", "trace"],
            ),
        ));
    }
    outputs.push((
        "transcripts".into(),
        printed(
            folder,
            &["once", "-c", "main.yaml", "--format", "json", "--with-transcripts"],
        ),
    ));
    outputs.push(("validate".into(), printed(folder, &["validate", "-c", "main.yaml"])));
    let log = folder.join("log.jsonl");
    let daemon = Daemon(
        stagewatch(
            folder,
            &["run", "-c", "main.yaml", "--log-format", "json", "--log", "trace"],
        )
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap(),
    );
    let address = address(&log);
    std::thread::sleep(Duration::from_secs(4));
    for path in ["/metrics", "/api/v1/status", "/", "/-/healthy"] {
        outputs.push((path.to_owned(), fetched(&address, path)));
    }
    daemon.stop();
    outputs.push(("log".into(), std::fs::read(&log).unwrap()));
    outputs.push((
        "history".into(),
        printed(folder, &["history", "runs", "--data-dir", "data"]),
    ));
    for entry in std::fs::read_dir(folder.join("data")).unwrap() {
        let path = entry.unwrap().path();
        outputs.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    outputs
}

#[test]
fn no_secret_is_in_any_output() {
    let target = echo::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("module.yaml"), MODULE).unwrap();
    std::fs::write(
        folder.path().join("main.yaml"),
        main_file(target.port, &folder.path().join("data")),
    )
    .unwrap();
    let outputs = outputs(folder.path());

    let shown = target.shown();
    for secret in [USER, REFRESH, FIXED, PROXIED] {
        assert!(
            shown.contains(secret),
            "the target was never shown {secret}, so nothing could have leaked"
        );
    }
    assert!(
        outputs
            .iter()
            .any(|(_, bytes)| search(bytes, &["[redacted]"]) != Vec::<Found>::new()),
        "nothing was redacted at all"
    );
    let token = target.token();
    let secrets: Vec<&str> = [PASSWORD, USER, REFRESH, FIXED, PROXIED, API]
        .into_iter()
        .chain(token.split('.'))
        .collect();
    for (name, bytes) in &outputs {
        assert_eq!(search(bytes, &secrets), Vec::<Found>::new(), "in {name}");
    }
}

#[test]
fn the_search_finds_what_is_planted() {
    for form in forms::of(PASSWORD) {
        let haystack = format!("before {form} after");
        assert!(
            !search(haystack.as_bytes(), &[PASSWORD]).is_empty(),
            "{form} was not found"
        );
    }
    assert!(search(b"nothing here", &[PASSWORD]).is_empty());
}
