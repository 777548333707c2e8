//! CPU time per probe, everything included: runner, transcript, judge, metrics, history in memory.
//!
//! `cargo bench --bench cost` prints CPU milliseconds per HTTP probe on a new connection and per WebSocket session (upgrade,
//! echo, close), saturated and at ten a second, and beside them blackbox_exporter in the same run where it is installed.
//! The server is another process, so its time does not count. Absolute times mean little on shared machines; the ratio does.

use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use stagewatch::app::assemble::{Assembler, Freshness, Moment};
use stagewatch::catalog::{Catalog, Scenario};
use stagewatch::config::{self, ProcessEnvironment};
use stagewatch::history::{Bases, History, Place};
use stagewatch::record::live::Live;
use stagewatch::record::metrics::Metrics;
use stagewatch::record::{Fan, Sink};
use stagewatch::scenario::{Outcome, Runner};
use stagewatch::schedule::Event;
use stagewatch::verdict::Verdict;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const MODULE: &str = "
module: cost
number: 1
title: Cost
severity: info
owner: bench
scenarios:
  http:
    schedule: { every: 1h }
    deadline: 10s
    steps: [ { http: { id: health, base: web, path: /health } } ]
  websocket:
    schedule: { every: 1h }
    deadline: 10s
    steps:
      - ws.open: { id: upgrade, socket: echo, auth: none }
      - ws.send: { id: ask, json: { id: \"${nonce}\" } }
      - ws.receive: { id: reply, until: \"frame.json.id == nonce\", within: 5s }
      - ws.close: { id: bye, code: 1000 }
checks:
  - { id: http, title: HTTP, parts: [ { needs: [http], expect: [ { that: \"health.status == 200\" }, { that: \"health.json.status == 'healthy'\" } ] } ] }
  - { id: websocket, title: WebSocket, parts: [ { needs: [websocket], expect: [ { that: \"upgrade.status == 101\" }, { that: \"reply.json.id == nonce\" } ] } ] }
";

/// Runs in flight when saturated.
const IN_FLIGHT: usize = 16;
/// Runs before anything is counted.
const WARM_UP: usize = 200;

struct Bench {
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    judging: Mutex<Assembler>,
    fan: Fan,
}

impl Bench {
    fn new(catalog: Catalog) -> Arc<Self> {
        let catalog = Arc::new(catalog);
        let history = History::open(&Place::Memory, Bases::of(&catalog.target)).expect("a history in memory");
        let runner = Runner::new(Arc::clone(&catalog), Arc::clone(&history) as _).expect("a runner");
        let metrics = Metrics::new(&catalog).expect("metrics");
        let sinks: Vec<Arc<dyn Sink>> = vec![metrics, Live::new(&catalog), Arc::clone(&history) as _];
        let judging = Mutex::new(Assembler::new(
            Arc::clone(&catalog),
            history,
            (Freshness::Iteration, &Moment::now()),
        ));
        Arc::new(Self {
            catalog,
            runner,
            judging,
            fan: Fan::new(sinks),
        })
    }

    /// One probe, from the scenario to the metrics; its verdict has to be a pass.
    async fn probe(&self, scenario: &Arc<Scenario>) {
        let outcome = self.runner.run(scenario, CancellationToken::new()).await;
        assert!(matches!(outcome, Outcome::Ran(_)), "{} was refused", scenario.id);
        let event = Event::Finished {
            scenario: Arc::clone(scenario),
            outcome,
        };
        let run = self
            .judging
            .lock()
            .expect("no panic before")
            .take(event, &Moment::now());
        let verdict = run.judgements.first().map(|judgement| judgement.verdict);
        assert_eq!(verdict, Some(Verdict::Pass), "{}: {:?}", scenario.id, run.judgements);
        self.fan.take(run);
    }

    /// CPU milliseconds per probe of this process with `IN_FLIGHT` at once.
    async fn saturated(self: &Arc<Self>, scenario: &Arc<Scenario>, probes: usize) -> f64 {
        let before = cpu_ms(std::process::id());
        let lanes = (0..IN_FLIGHT).map(|_| {
            let (bench, scenario) = (Arc::clone(self), Arc::clone(scenario));
            tokio::spawn(async move {
                for _ in 0..probes / IN_FLIGHT {
                    bench.probe(&scenario).await;
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.expect("no probe fails");
        }
        (cpu_ms(std::process::id()) - before) / (probes / IN_FLIGHT * IN_FLIGHT) as f64
    }

    /// CPU milliseconds per probe at ten a second.
    async fn paced(self: &Arc<Self>, scenario: &Arc<Scenario>, probes: usize) -> f64 {
        let before = cpu_ms(std::process::id());
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..probes {
            ticks.tick().await;
            self.probe(scenario).await;
        }
        (cpu_ms(std::process::id()) - before) / probes as f64
    }
}

/// User and system time of a process in milliseconds, from the kernel's clock of 10 ms.
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) * 10.0
}

/// The other process: answers HTTP on one port and echoes WebSocket messages on another, and prints both.
async fn serve() {
    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!(
        "{} {}",
        web.local_addr().expect("bound").port(),
        echo.local_addr().expect("bound").port()
    );
    tokio::spawn(async move {
        while let Ok((stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let router = axum::Router::new().route(
        "/health",
        get(async || axum::Json(serde_json::json!({ "status": "healthy" }))),
    );
    axum::serve(web, router).await.expect("serves until killed");
}

/// blackbox_exporter on `port`, if it is installed.
fn blackbox(folder: &std::path::Path, port: u16) -> Option<Child> {
    let configuration = folder.join("blackbox.yml");
    std::fs::write(
        &configuration,
        "modules: { http_2xx: { prober: http, http: { preferred_ip_protocol: ip4 } } }\n",
    )
    .ok()?;
    let mut command = Command::new("prometheus-blackbox-exporter");
    command
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    std::thread::sleep(Duration::from_secs(1));
    Some(child)
}

async fn ask_blackbox(client: &reqwest::Client, url: &str) {
    let text = client
        .get(url)
        .send()
        .await
        .expect("blackbox answers")
        .text()
        .await
        .expect("a body");
    assert!(text.contains("probe_success 1"), "{text}");
}

async fn bench_blackbox(child: &Child, url: &str, probes: (usize, usize)) -> (f64, f64) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for _ in 0..WARM_UP {
        ask_blackbox(&client, url).await;
    }
    let before = cpu_ms(child.id());
    let lanes = (0..IN_FLIGHT).map(|_| {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move {
            for _ in 0..probes.0 / IN_FLIGHT {
                ask_blackbox(&client, &url).await;
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.expect("no probe fails");
    }
    let saturated = (cpu_ms(child.id()) - before) / (probes.0 / IN_FLIGHT * IN_FLIGHT) as f64;
    let before = cpu_ms(child.id());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..probes.1 {
        ticks.tick().await;
        ask_blackbox(&client, url).await;
    }
    (saturated, (cpu_ms(child.id()) - before) / probes.1 as f64)
}

fn row(name: &str, saturated: f64, paced: f64) {
    println!("{name:<44} {saturated:>10.3} {paced:>10.3}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    stagewatch::crypto::init_crypto();
    if std::env::args().any(|argument| argument == "serve") {
        return serve().await;
    }
    let probes = (6_000, 150);
    let begun = Instant::now();
    let own = std::env::current_exe().expect("our own path");
    let mut server = Command::new(own)
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("two ports");
    let ports: Vec<u16> = line
        .split_whitespace()
        .map(|port| port.parse().expect("a port"))
        .collect();

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("module.yaml"), MODULE).expect("written");
    let main = format!(
        "target:\n  name: bench\n  environment: loopback\n  bases: {{ web: \"http://127.0.0.1:{}\" }}\n  sockets: {{ echo: {{ url: \"ws://127.0.0.1:{}/\" }} }}\n  \
         http: {{ user_agent: stagewatch, allow_addresses: [loopback] }}\nmodules: [module.yaml]\n",
        ports[0], ports[1]
    );
    std::fs::write(folder.path().join("main.yaml"), main).expect("written");
    let catalog =
        config::load(&folder.path().join("main.yaml"), &ProcessEnvironment).unwrap_or_else(|errors| panic!("{errors}"));
    let bench = Bench::new(catalog);

    println!("CPU milliseconds per probe                    saturated     at 10/s");
    for (name, scenario) in [
        ("stagewatch: HTTP, new connection", "cost/http"),
        ("stagewatch: WebSocket upgrade, echo, close", "cost/websocket"),
    ] {
        let scenario = bench
            .catalog
            .scenarios()
            .find(|known| known.id == scenario)
            .expect("it is ours")
            .clone();
        for _ in 0..WARM_UP {
            bench.probe(&scenario).await;
        }
        row(
            name,
            bench.saturated(&scenario, probes.0).await,
            bench.paced(&scenario, probes.1).await,
        );
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    match blackbox(folder.path(), port) {
        Some(mut child) => {
            let url = format!(
                "http://127.0.0.1:{port}/probe?module=http_2xx&target=http://127.0.0.1:{}/health",
                ports[0]
            );
            let (saturated, paced) = bench_blackbox(&child, &url, probes).await;
            row("blackbox_exporter: HTTP, new connection", saturated, paced);
            let _ = child.kill();
            let _ = child.wait();
        }
        None => println!("blackbox_exporter: not installed, not measured"),
    }
    println!(
        "{} probes saturated, {} paced, {:.0} s in all",
        probes.0,
        probes.1,
        begun.elapsed().as_secs_f64()
    );
    let _ = server.kill();
    let _ = server.wait();
}
