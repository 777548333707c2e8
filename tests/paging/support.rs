//! A configuration around an `alerting` section, alerts, and an observer that remembers.

use stagewatch::alert::push::{Fault, Push, PushObserver};
use stagewatch::alert::{Alert, AlertId, AlertName};
use stagewatch::catalog::{Catalog, Severity};
use stagewatch::clock;
use stagewatch::config::{self, MemoryEnvironment};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MAIN: &str = r#"
target:
  name: rehearsal
  environment: rehearsal
  bases: { api: "http://127.0.0.1:9" }
  http: { allow_addresses: [loopback] }
modules: [m.yaml]
service: { external_url: "https://watch.example/stagewatch/" }
"#;

const MODULE: &str = r#"
module: m
number: 1
title: M
owner: me
scenarios:
  s: { schedule: { every: 60s }, steps: [ { http: { id: a, base: api, path: / } } ] }
checks:
  - { id: c, title: C, parts: [ { needs: [s], expect: [ { that: "a.status == 200" } ] } ] }
"#;

/// The catalog with these lines as its `alerting` section.
pub fn catalog(alerting: &str) -> Arc<Catalog> {
    stagewatch::crypto::init_crypto();
    let main = format!("{MAIN}alerting:\n  runbooks: https://runbooks.example/alerts\n{alerting}");
    let environment = MemoryEnvironment::new(clock::now())
        .with_file("main.yaml", main)
        .with_file("m.yaml", MODULE);
    let loaded = config::load(Path::new("main.yaml"), &environment);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")))
}

pub fn now() -> f64 {
    clock::unix_seconds(clock::now())
}

/// The page about a socket, since a moment ago.
pub fn page(socket: &str) -> Alert {
    alert(
        AlertName::UpgradeHttp500,
        &[("socket", socket), ("credential", "valid")],
    )
}

pub fn alert(name: AlertName, labels: &[(&str, &str)]) -> Alert {
    let texts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    };
    Alert {
        id: AlertId {
            name,
            labels: texts(labels),
        },
        severity: (name != AlertName::PushHeartbeat).then_some(Severity::Critical),
        owner: "chat".to_owned(),
        starts_at: now(),
        annotations: texts(&[("summary", "WebSocket upgrades return HTTP 500.")]),
        page: "/#socket-main".to_owned(),
    }
}

/// What an observer was told.
#[derive(Debug, Default)]
pub struct Told {
    pub pushed: Vec<(String, Option<Fault>)>,
    pub rejected: usize,
    pub accepted: Vec<f64>,
    pub visible: Vec<f64>,
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Watcher(Mutex<Told>);

impl Watcher {
    pub fn told<T>(&self, look: impl FnOnce(&Told) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    /// Faults of pushes to `alertmanager`, those that went well left out.
    pub fn faults(&self, alertmanager: &str) -> Vec<Fault> {
        self.told(|told| {
            let pushes = told.pushed.iter().filter(|(name, _)| name == alertmanager);
            pushes.filter_map(|(_, fault)| *fault).collect()
        })
    }
}

impl PushObserver for Watcher {
    fn pushed(&self, alertmanager: &str, fault: Option<Fault>, _took: Duration) {
        self.0.lock().unwrap().pushed.push((alertmanager.to_owned(), fault));
    }

    fn rejected(&self, _alertmanager: &str) {
        self.0.lock().unwrap().rejected += 1;
    }

    fn accepted(&self, seconds: f64) {
        self.0.lock().unwrap().accepted.push(seconds);
    }

    fn visible(&self, seconds: f64) {
        self.0.lock().unwrap().visible.push(seconds);
    }
}

/// A push with these Alertmanagers (`name`, further keys) that renews every second.
pub fn push(alertmanagers: &[(&str, String)]) -> (Push, Arc<Watcher>) {
    let lines: Vec<String> = alertmanagers
        .iter()
        .map(|(name, keys)| format!("    - {{ name: {name}, {keys} }}\n"))
        .collect();
    let times = "  lease: 4s\n  resend: 1s\n  labels: { team: chat }\n";
    let catalog = catalog(&format!("{times}  alertmanagers:\n{}", lines.concat()));
    let watcher = Arc::new(Watcher::default());
    let push = Push::start(&catalog, Arc::clone(&watcher) as _).unwrap();
    (push, watcher)
}

/// `url: "…"`.
pub fn at(url: impl std::fmt::Display) -> String {
    format!("url: \"{url}\"")
}

/// Waits until `done`; panics after fifteen seconds.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(15);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
