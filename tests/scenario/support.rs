//! A target of our own, catalogs for it, and short ways to run a scenario and to look at its transcript.

#[path = "support/target.rs"]
mod target;

pub use target::{Target, WATCHED};

use serde_json::Value;
use stagewatch::catalog::{Catalog, Scenario};
use stagewatch::config::{self, MemoryEnvironment};
use stagewatch::failure::Kind;
use stagewatch::scenario::{Journal, MemoryJournal, Outcome, Runner};
use stagewatch::transcript::{Entry, Transcript, entry_view};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The main file. `ADDR` is the target, `GONE` a port where nobody listens; `# target` and `# pool` take more lines.
const MAIN: &str = r#"
target:
  name: Small target
  environment: small
  bases: { api: "http://ADDR", auth: "http://ADDR", gone: "http://GONE" }
  sockets:
    main:
      url: "ws://ADDR/ws"
      subprotocols: [jwt-auth]
      token_subprotocols: [jwt-auth, "jwt.${token_base64url}"]
      answers: [ { when: "frame.json.type == 'ping'", json: { type: pong, at: "${frame.json.at}" } } ]
      refused: "open.status in [401, 403] || (open.status == 101 && open.frames.exists(f, f.json.type == 'error_message') && has(open.close))"
      error_frame: "open.status == 101 && open.frames.exists(f, f.json.type == 'error_message')"
      user_limit: "open.frames.exists(f, f.json.code == 'USER_LIMIT')"
    free:
      url: "ws://ADDR/free"
  facts: { word: hello }
  http: { user_agent: runner-probe/1, allow_addresses: [loopback] }
  limits: [ { name: everything, counts: "true", max: 600, per: 60s } ]
  throttled: "answer.status == 429"
  fingerprints: [ { layer: app, when: "'x-app' in answer.headers" } ]
  # target
credentials:
  users:
    pool:
      users_from: { count: 4, fields: { email: "user-${index}@rehearsal.invalid", password: "rehearsal-only-${index}" } }
      login: small
      handshakes: { max: 4, per: 30m }
      rest: 35m
  single:
    pool:
      users_from: { count: 1, fields: { email: "single-${index}@rehearsal.invalid", password: "rehearsal-single" } }
      login: small
      handshakes: { max: 4, per: 30m }
      rest: 35m
logins:
  small:
    login: { base: auth, path: /auth/login, json: { email: "${user.email}", password: "${user.password}" }, access_token: answer.json.access_token, refresh_token: answer.json.refresh_token }
    refresh: { base: auth, path: /auth/refresh, json: { refresh_token: "${refresh_token}" }, access_token: answer.json.access_token, refresh_token: answer.json.refresh_token }
time_scale: 1
modules: [module.yaml]
enable: [llm]
"#;

/// What a test changes in the main file: text and what stands in its place.
pub type Changes<'a> = &'a [(&'a str, &'a str)];

/// A catalog with these scenarios (YAML under `scenarios:`, indented by two).
pub fn catalog(target: &Target, scenarios: &str, changes: Changes<'_>) -> Arc<Catalog> {
    let mut main = MAIN.to_owned();
    for (from, to) in changes {
        assert!(main.contains(from), "the main file has no `{from}`");
        main = main.replace(from, to);
    }
    let main = main
        .replace("ADDR", &target.address.to_string())
        .replace("GONE", &target.gone.to_string());
    let module =
        format!("module: m\nnumber: 1\ntitle: M\nseverity: info\nowner: o\nscenarios:\n{scenarios}\nchecks: []\n");
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let world = MemoryEnvironment::new(now)
        .with_file("etc/main.yaml", main)
        .with_file("etc/module.yaml", module);
    match config::load(Path::new("etc/main.yaml"), &world) {
        Ok(catalog) => Arc::new(catalog),
        Err(errors) => panic!("{errors}"),
    }
}

/// A runner and the catalog it runs.
pub struct Room {
    pub runner: Arc<Runner>,
    pub catalog: Arc<Catalog>,
}

impl Room {
    pub fn new(target: &Target, scenarios: &str) -> Self {
        Self::with(target, scenarios, &[])
    }

    pub fn with(target: &Target, scenarios: &str, changes: Changes<'_>) -> Self {
        Self::journalled(target, scenarios, changes, Arc::new(MemoryJournal::default()))
    }

    pub fn journalled(target: &Target, scenarios: &str, changes: Changes<'_>, journal: Arc<dyn Journal>) -> Self {
        let catalog = catalog(target, scenarios, changes);
        let runner = Runner::new(Arc::clone(&catalog), journal).unwrap();
        Self { runner, catalog }
    }

    pub fn scenario(&self, name: &str) -> Arc<Scenario> {
        let id = format!("m/{name}");
        Arc::clone(self.catalog.scenarios().find(|scenario| scenario.id == id).unwrap())
    }

    pub async fn outcome(&self, name: &str) -> Outcome {
        self.runner.run(&self.scenario(name), CancellationToken::new()).await
    }

    pub async fn run(&self, name: &str) -> Transcript {
        match self.outcome(name).await {
            Outcome::Ran(transcript) => *transcript,
            Outcome::Refused { reason, note } => panic!("refused: {reason}: {note}"),
        }
    }
}

/// Runs the one scenario `s`.
pub async fn run(target: &Target, scenario: &str) -> Transcript {
    Room::new(target, scenario).run("s").await
}

/// Short looks at a transcript.
pub trait Look {
    fn all(&self, id: &str) -> Vec<&Entry>;
    fn entry(&self, id: &str) -> &Entry;
    fn view(&self, id: &str) -> Value;
    fn broke(&self) -> Option<(&str, Kind)>;
}

impl Look for Transcript {
    fn all(&self, id: &str) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.id == id).collect()
    }

    fn entry(&self, id: &str) -> &Entry {
        match self.all(id).as_slice() {
            [entry] => entry,
            several => panic!("{} entries of `{id}` in {self:#?}", several.len()),
        }
    }

    fn view(&self, id: &str) -> Value {
        entry_view(self.entry(id))
    }

    fn broke(&self) -> Option<(&str, Kind)> {
        self.broke_off
            .as_ref()
            .map(|broke| (broke.step.as_str(), broke.failure.kind))
    }
}
