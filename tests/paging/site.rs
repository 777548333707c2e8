//! A staging that can be broken (the rehearsal), the daemon's binary that watches it, and everything that carries its pages.

use crate::servers::{Alertmanager, Pager, Process, Prometheus, free_port, logged, ready, repository};
use crate::strays::{Strays, many};
use serde_json::json;
use stagewatch::rehearsal::{self, Rehearsal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

pub const HTTP_500: &str = "StagewatchWebSocketUpgradeHTTP500";
pub const FAILING: &str = "StagewatchWebSocketUpgradeFailing";

/// What the tests watch: both credentials every 1.2 s (scaled), and a check that needs no socket.
const WATCH: &str = r#"
module: websocket_events
number: 1
title: WebSocket events
severity: critical
owner: chat-team
scenarios:
  health: { schedule: { every: 60s }, steps: [ { http: { id: well, base: api, path: /api/health/live, within: 3s } } ] }
  upgrade_anonymous:
    schedule: { every: 60s }
    deadline: 6s
    feeds_watch: true
    steps: [ { ws.open: { id: upgrade, socket: main, auth: none, settle: 500ms, within: 2s } } ]
  upgrade_authenticated:
    schedule: { every: 60s }
    credential: { pool: watch }
    deadline: 9s
    feeds_watch: true
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header, within: 2s }
      - ws.receive: { id: welcome, until: "is_welcome(frame)", within: 2s }
      - ws.close: { id: bye, code: 1000, within: 1s }
        on_failure: go_on
checks:
  - id: health
    title: The target says that it is well
    parts: [ { needs: [health], expect: [ { that: "well.status == 200" } ] } ]
"#;

/// Where the target's log of a trace is read; the trace id follows.
pub const LOGS: &str = "https://logs.example/trace/";

/// With which the API may change something.
const API_TOKEN: &str = "a-token-of-a-rehearsal";

/// `alerting` with short times: the lease is longer than scrape and evaluation take for the rule to let go. `confirm_within` is
/// long, for it only bounds what is waited for: on a slow machine both credentials are still one page.
const TIMES: &str = "  lease: 12s
  resend: 2s
  sockets: { attempts: 3, confirm_within: 15s, probe_every: 1s, close_after: 3, close_for: 2s }
  deploy_grace: 10s
  owner: staging-oncall
  monitor_owner: stagewatch-oncall
  runbooks: https://stagewatch.example/docs/alerts.md
";

/// What a site is made of.
#[derive(Default)]
pub struct Plan {
    /// Control addresses.
    pub controls: Vec<SocketAddr>,
    /// All shipped modules instead of the few scenarios of [`WATCH`].
    pub everything: bool,
    /// A second Alertmanager, in a cluster with the first.
    pub pair: bool,
    /// A crowd of watches, and before the target somebody who answers one upgrade in so many with HTTP 500.
    pub stray_in: Option<u64>,
}

pub struct Site {
    pub rehearsal: Rehearsal,
    pub pager: Pager,
    pub alertmanagers: Vec<Alertmanager>,
    pub daemon_port: u16,
    pub folder: TempDir,
    pub strays: Option<Strays>,
    daemon: Option<Process>,
    prometheus: Option<Prometheus>,
    http: reqwest::Client,
}

impl Site {
    /// Everything but Prometheus, the daemon having seen a healthy target.
    pub async fn start(plan: Plan) -> Self {
        stagewatch::crypto::init_crypto();
        let folder = tempfile::tempdir().unwrap();
        let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let rehearsal = rehearsal::start(rehearsal::Options {
            backend: any,
            auth: any,
            control: any,
            faults: Vec::new(),
            time_scale: 0.02,
        });
        let rehearsal = rehearsal.await.unwrap();
        let pager = Pager::start().await;
        let mut alertmanagers = Vec::new();
        if plan.pair {
            let (one, other) = (free_port(), free_port());
            alertmanagers.push(Alertmanager::start(folder.path(), &pager, Some((one, other))).await);
            alertmanagers.push(Alertmanager::start(folder.path(), &pager, Some((other, one))).await);
        } else {
            alertmanagers.push(Alertmanager::start(folder.path(), &pager, None).await);
        }
        let strays = match plan.stray_in {
            Some(one_in) => Some(Strays::before(rehearsal.backend_addr(), one_in).await),
            None => None,
        };
        let mut site = Self {
            strays,
            rehearsal,
            pager,
            alertmanagers,
            daemon_port: free_port(),
            folder,
            daemon: None,
            prometheus: None,
            http: reqwest::Client::new(),
        };
        site.configure(&plan);
        site.daemon_up().await;
        site.healthy().await;
        site
    }

    /// As [`Self::start`], with Prometheus and the shipped rules.
    pub async fn with_rules(plan: Plan) -> Self {
        let mut site = Self::start(plan).await;
        site.rules(None).await;
        site
    }

    /// Starts Prometheus and waits until it has seen the daemon.
    pub async fn rules(&mut self, blackbox: Option<u16>) {
        let asked = self.rehearsal.backend_addr().to_string();
        let blackbox = blackbox.map(|port| (port, asked.as_str()));
        let port = self.alertmanagers[0].port;
        let prometheus = Prometheus::start(self.folder.path(), self.daemon_port, port, blackbox).await;
        for _ in 0..1200 {
            if prometheus.query("up{job=\"stagewatch\"} == 1").await.is_some() {
                self.prometheus = Some(prometheus);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Prometheus does not see the daemon");
    }

    fn configure(&self, plan: &Plan) {
        let mut main = std::fs::read_to_string(repository("config/rehearsal.yaml")).unwrap();
        let start = main.find("\nalerting:").unwrap() + 1;
        let end = main.find("\ntime_scale:").unwrap() + 1;
        let alertmanagers: Vec<String> = self
            .alertmanagers
            .iter()
            .enumerate()
            .map(|(place, one)| format!("    - {{ name: am{place}, url: \"{}\", within: 3s }}\n", one.url()))
            .collect();
        // As it ships: there are siblings to wait for.
        let times = match plan.everything {
            true => TIMES.replace("confirm_within: 15s", "confirm_within: 2s"),
            false => TIMES.to_owned(),
        };
        let alerting = format!("alerting:\n  alertmanagers:\n{}{times}", alertmanagers.concat());
        main.replace_range(start..end, &alerting);
        let backend = match &self.strays {
            Some(strays) => strays.address,
            None => self.rehearsal.backend_addr(),
        };
        let controls: Vec<String> = plan
            .controls
            .iter()
            .map(|address| format!("\"http://{address}\""))
            .collect();
        for (from, to) in [
            ("127.0.0.1:18080".to_owned(), backend.to_string()),
            ("127.0.0.1:18081".to_owned(), self.rehearsal.auth_addr().to_string()),
            ("environment: rehearsal".to_owned(), "environment: staging".to_owned()),
            (
                "controls: []".to_owned(),
                format!("controls: [{}]", controls.join(", ")),
            ),
            (
                "data_dir: ../data/rehearsal".to_owned(),
                "data_dir: data\n  api_token: { env: STAGEWATCH_API_TOKEN }".to_owned(),
            ),
        ] {
            assert!(main.contains(&from), "config/rehearsal.yaml has no `{from}` any more");
            main = main.replace(&from, &to);
        }
        let shipped = |name: &str| repository(name).display().to_string();
        // Rules about modules that are not there would be refused.
        let generic = ["config/diagnosis/1-evidence.yaml", "config/diagnosis/3-generic.yaml"].map(shipped);
        let modules = match plan.everything {
            true => format!(
                "\nmodules: {}\ndiagnosis: {}\n",
                shipped("config/modules"),
                shipped("config/diagnosis")
            ),
            false => format!("\nmodules: [watch.yaml]\ndiagnosis: [{}]\n", generic.join(", ")),
        };
        main = main.replace("\nmodules: modules\n", &modules);
        main = main.replace(
            "\n  facts:\n",
            &format!("\n  logs: {{ link: \"{LOGS}${{trace_id}}\", window: 5m }}\n  facts:\n"),
        );
        if !plan.everything {
            // A crowd, so that no budget of one user ends a watch of a minute, which is an hour here.
            let users = main.find("fields: { email: \"watch-").unwrap();
            let count = main[..users].rfind("count: ").unwrap();
            main.replace_range(
                count..users,
                if plan.stray_in.is_some() {
                    "count: 200, "
                } else {
                    "count: 60, "
                },
            );
            main = main.replace("enable: [llm, numeric_account]", "enable: []");
        }
        std::fs::write(self.folder.path().join("main.yaml"), main).unwrap();
        let watch = match plan.stray_in {
            Some(_) => many(WATCH),
            None => WATCH.to_owned(),
        };
        std::fs::write(self.folder.path().join("watch.yaml"), watch).unwrap();
    }

    pub async fn daemon_up(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stagewatch"));
        command
            .args([
                "run",
                "--listen",
                &format!("127.0.0.1:{}", self.daemon_port),
                "-c",
                "main.yaml",
            ])
            .env("STAGEWATCH_API_TOKEN", API_TOKEN)
            .current_dir(self.folder.path());
        logged(&mut command, self.folder.path(), "daemon");
        self.daemon = Some(Process::start(&mut command));
        ready(&self.url("/-/ready")).await;
    }

    /// kill -9.
    pub fn daemon_dies(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// SIGHUP.
    pub fn daemon_reloads(&self) {
        self.daemon.as_ref().unwrap().hang_up();
    }

    /// SIGTERM.
    pub fn daemon_stops(&mut self) {
        self.daemon.take().unwrap().terminate();
    }

    pub fn data(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("data")
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.daemon_port)
    }

    pub async fn metrics(&self) -> String {
        let answer = self.http.get(self.url("/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// The value of one series, as it is written up to its value.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        let line = text
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Waits until both watches were judged, and rightly answered.
    pub async fn healthy(&self) {
        let series = |credential: &str| {
            format!(
                "stagewatch_websocket_upgrade_failing{{credential=\"{credential}\",outcome=\"http_500\",socket=\"main\"}}"
            )
        };
        for _ in 0..2400 {
            if self.metric(&series("none")).await == Some(0.0) && self.metric(&series("valid")).await == Some(0.0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the watches are not judged: {}", self.daemon_log());
    }

    /// Waits until nothing critical has fired for so many seconds.
    pub async fn calm(&self, for_seconds: u32) {
        let mut calm = 0;
        for _ in 0..600 {
            let critical = self.alertmanagers[0].matching("severity=\"critical\"").await;
            calm = if critical.is_empty() { calm + 1 } else { 0 };
            if calm >= for_seconds {
                return;
            }
            seconds(1).await;
        }
        panic!("it does not get calm: {}", self.daemon_log());
    }

    /// Waits until the first Alertmanager has exactly these alerts with this name, each as `origin state`, sorted.
    pub async fn shows(&self, name: &str, expected: &[&str]) {
        let mut found = Vec::new();
        for _ in 0..1200 {
            let alerts = self.alertmanagers[0].alerts(name).await;
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let said = alerts.iter().map(|alert| {
                format!(
                    "{} {}",
                    text(&alert["labels"]["origin"]),
                    text(&alert["status"]["state"])
                )
            });
            found = said.collect::<Vec<_>>();
            found.sort();
            if found == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name}: {found:?} instead of {expected:?}: {}", self.daemon_log());
    }

    pub fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    /// Tells the daemon something.
    pub async fn post(&self, path: &str, body: &serde_json::Value) {
        let asked = self.http.post(self.url(path)).bearer_auth(API_TOKEN).json(body);
        let answer = asked.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Waits until Prometheus finds something for an expression.
    pub async fn measures(&self, expression: &str) {
        let prometheus = self.prometheus.as_ref().unwrap();
        for _ in 0..1200 {
            if prometheus.query(expression).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing for {expression}: {}", self.daemon_log());
    }

    /// Other instances of the target take over.
    pub async fn restart(&self) {
        let url = format!("http://{}/rehearsal/restart", self.rehearsal.control_addr());
        let asked = self.http.post(url).json(&json!({ "down_ms": 0 }));
        assert!(asked.send().await.unwrap().status().is_success());
    }

    /// Switches faults of the target.
    pub async fn faults(&self, on: &[&str], off: &[&str]) {
        let url = format!("http://{}/rehearsal/faults", self.rehearsal.control_addr());
        let answer = self
            .http
            .post(url)
            .json(&json!({"on": on, "off": off}))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
    }
}

pub async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
