//! A target whose every answer is an attack on whoever reads about it: scripts, terminal commands, markup, templates, shell. The
//! bundle and the reports hold it as text; and the bundle leaves out what only sensitive checks read.

use crate::support::{catalog_of, until};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use stagewatch::app::daemon::{self, Running};
use stagewatch::catalog::Catalog;
use stagewatch::config::Overrides;
use stagewatch::history::IncidentFilter;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const SCRIPT: &str = "<script>alert(1)</script>";
/// What it says: each part means something to somebody.
const SAID: &str = "<script>alert(1)</script>\u{1b}[31mred\u{9b}2J\u{202e} [pay](https://evil.example) `$(touch pwned)` '; touch pwned; ' {{ .Labels }} ${HOME} {% if x %} @here <!here> & | # **bold**";

const MODULE: &str = "
module: m
number: 1
title: M
owner: me
scenarios:
  s:
    schedule: { every: 1s }
    steps:
      - http: { id: well, base: api, path: /well }
        on_failure: go_on
        capture: { said: { value: well.body.text, required: false } }
      - http: { id: back, base: api, path: /back, method: POST, json: { said: '${said}' } }
        on_failure: go_on
  hidden: { schedule: { every: 1s }, steps: [ { http: { id: door, base: api, path: /door } } ] }
checks:
  - { id: well, title: It is well, parts: [ { needs: [s], expect: [ { that: 'well.status == 200', else: 'it said ${well.body.text}' } ] } ] }
  - { id: door, title: The door, sensitive: true, parts: [ { needs: [hidden], expect: [ { that: 'door.status == 500' } ] } ] }
";

const RULES: &str = "
diagnosis: of hostile text
rules:
  - id: it_speaks
    title: 'It says ${m.s.well.body.text}'
    when: \"m.s.well.status == 500\"
    indicators: [ 'It says ${m.s.well.body.text}' ]
    quotes: [ m.s.well ]
    whys: [ { why: Why?, answer: 'Because ${m.s.well.body.text}', evidence: '${m.s.well.body.text}' } ]
    stops_at: { why: Why?, look: '${m.s.well.body.text}' }
    actions: [ { priority: P0, text: 'Read ${m.s.well.body.text}' } ]
";

async fn target() -> String {
    let answer = || async {
        let mut headers = HeaderMap::new();
        headers.insert("x-said", "<script>alert(1)</script> `id` {{x}}".parse().unwrap());
        (StatusCode::INTERNAL_SERVER_ERROR, headers, SAID)
    };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    address
}

fn catalog(main: &str, folder: &Path) -> Arc<Catalog> {
    stagewatch::crypto::init_crypto();
    std::fs::write(folder.join("main.yaml"), main).unwrap();
    std::fs::write(folder.join("m.yaml"), MODULE).unwrap();
    std::fs::write(folder.join("d.yaml"), RULES).unwrap();
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(folder.join("data")),
        ..Overrides::default()
    };
    catalog_of([main, MODULE, RULES], &overrides)
}

/// What a command of ours writes, in `folder`.
fn stagewatch(folder: &Path, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stagewatch"))
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Nothing commands a terminal or hides itself; no tag begins where tags mean something.
fn does_nothing(what: &str, text: &str, tags: &[&str]) {
    let acts = |character: &char| matches!(character, '\u{1b}' | '\u{9b}' | '\u{202e}' | '\u{7}' | '\r');
    assert_eq!(text.chars().find(acts), None, "{what}: {text}");
    for tag in tags {
        assert!(!text.contains(tag), "{what} has {tag}: {text}");
    }
    assert!(text.contains("alert(1)"), "{what} does not hold what was said: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_and_reports_hold_hostile_text_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let main = format!(
        "target: {{ name: t, environment: staging, bases: {{ api: 'http://{}' }}, http: {{ user_agent: t, allow_addresses: [loopback] }} }}
modules: [m.yaml]
diagnosis: [d.yaml]
",
        target().await
    );
    let running = daemon::start(catalog(&main, folder.path())).await.unwrap();
    let id = explained(&running).await;
    running.explaining().store_iteration();
    let reader = running.history().reader().clone();
    until("an iteration", || reader.iteration(None).unwrap()).await;
    running.shutdown().await;

    let bundled = stagewatch(folder.path(), &["bundle", &id]);
    does_nothing("the bundle", &bundled, &["<", ">"]);
    let bundle: Value = serde_json::from_str(&bundled).unwrap();
    let texts = bundle["evidence"].to_string();
    assert!(texts.contains(SCRIPT), "whoever parses it reads what was said: {texts}");
    steps_are_only_words(folder.path(), &bundle["repeat"]);
    leaves_out_what_is_sensitive(&bundle, folder.path(), &id);

    std::fs::write(folder.path().join("incident.json"), bundled).unwrap();
    let judged = stagewatch(folder.path(), &["judge", "--config", "main.yaml", "incident.json"]);
    assert!(
        judged.contains("\"same\":true") && !judged.contains("\"same\":false"),
        "{judged}"
    );
    let diagnosed = |format: &str| {
        let words = ["diagnose", "--config", "main.yaml", "--format", format, "incident.json"];
        stagewatch(folder.path(), &words)
    };
    does_nothing("the diagnosis", &diagnosed("text"), &[]);
    for markdown in [
        diagnosed("markdown"),
        stagewatch(folder.path(), &["report", "--incident", &id]),
        stagewatch(folder.path(), &["report", "--format", "markdown"]),
    ] {
        does_nothing("the Markdown", &markdown, &[]);
        let means = meaning(&markdown);
        for tag in ["<", "[pay]", "{{", "@here", "alert(1)<"] {
            assert!(!means.contains(tag), "{tag} in {means}");
        }
    }
    let html = stagewatch(folder.path(), &["report", "--format", "html"]);
    does_nothing("the page of the report", &html, &[SCRIPT, "<!here"]);
    assert!(!folder.path().join("pwned").exists());
}

/// What means something in Markdown: all but escaped characters and code spans (CommonMark sections 2.4 and 6.1).
fn meaning(markdown: &str) -> String {
    let mut means = String::new();
    let mut rest = markdown;
    while let Some(character) = rest.chars().next() {
        if character == '`' {
            let fence = &rest[..rest.len() - rest.trim_start_matches('`').len()];
            let inside = &rest[fence.len()..];
            let ends = |at: &usize| {
                let after = &inside[at + fence.len()..];
                !inside[..*at].ends_with('`') && !after.starts_with('`')
            };
            let end = inside.match_indices(fence).map(|(at, _)| at).find(ends);
            rest = end.map_or(inside, |end| &inside[end + fence.len()..]);
            continue;
        }
        let taken = if character == '\\' { 2 } else { 1 };
        if taken == 1 {
            means.push(character);
        }
        let mut characters = rest.chars();
        characters.by_ref().take(taken).for_each(drop);
        rest = characters.as_str();
    }
    means
}

/// The incident of the check that is not sensitive, once it is explained.
async fn explained(running: &Running) -> String {
    let reader = running.history().reader().clone();
    let found = until("the explained incident", || {
        let found = reader.incidents(&IncidentFilter::default()).unwrap();
        found.into_iter().find(|incident| incident.diagnosis.lead().is_some())
    })
    .await;
    assert!(found.has("m/well") && !found.sensitive);
    found.id
}

/// Each line to repeat a step runs one command, with what was said as a word of it.
fn steps_are_only_words(folder: &Path, repeats: &Value) {
    let lines: Vec<&str> = repeats
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["line"].as_str().unwrap())
        .collect();
    assert!(lines.len() >= 2, "{lines:?}");
    for line in &lines {
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{line}");
        let run = Command::new("sh")
            .args(["-c", &script])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(run.status.success() && run.stderr.is_empty(), "{line}: {run:?}");
    }
    assert!(lines.iter().any(|line| line.contains("touch pwned")), "{lines:?}");
}

fn leaves_out_what_is_sensitive(bundle: &Value, folder: &Path, id: &str) {
    let scenarios = |bundle: &Value| {
        let seen = bundle["evidence"].as_array().unwrap();
        let mut ids: Vec<String> = seen
            .iter()
            .map(|seen| seen["scenario"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    };
    assert_eq!(scenarios(bundle), ["m/s"]);
    assert_eq!(bundle["left_out"]["scenarios"], serde_json::json!(["m/hidden"]));
    assert!(bundle["left_out"]["counts"]["evidence"].as_u64().unwrap() > 0);
    assert!(bundle["left_out"]["why"].as_str().unwrap().contains("sensitive"));
    let whole: Value = serde_json::from_str(&stagewatch(folder, &["bundle", id, "--sensitive"])).unwrap();
    assert_eq!(scenarios(&whole), ["m/hidden", "m/s"]);
    assert!(whole["left_out"].is_null());
}
