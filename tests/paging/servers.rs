//! Debian's Prometheus, Alertmanager and blackbox_exporter with the shipped files, in which only addresses and times are
//! others; and the receiver that counts what a pager would get.

use crate::fake::{Fake, Reply};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that does not outlive the test.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::null()).spawn();
        Self(started.unwrap_or_else(|error| panic!("{command:?}: {error}; ./test.sh installs what is missing")))
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) {
        self.signal("-TERM");
        self.0.wait().unwrap();
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that was waited for is not there any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A shipped file with some texts replaced; each must be in it.
pub fn shipped(path: &str, replaced: &[(&str, &str)]) -> String {
    let text = std::fs::read_to_string(repository(path)).unwrap();
    replaced.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{path} has no `{from}` any more");
        text.replace(from, to)
    })
}

/// Standard output and error of a child go to a file of this name, for whoever looks into a failure.
pub fn logged(command: &mut Command, folder: &Path, name: &str) {
    let file = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    command.stderr(file.try_clone().unwrap()).stdout(file);
}

pub async fn ready(url: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        assert!(Instant::now() < deadline, "{url} does not come up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Alertmanager on a port of its own.
pub struct Alertmanager {
    pub port: u16,
    folder: PathBuf,
    cluster: Option<(u16, u16)>,
    process: Option<Process>,
}

impl Alertmanager {
    /// `cluster`: its own gossip port, and that of its peer.
    pub async fn start(folder: &Path, pager: &Pager, cluster: Option<(u16, u16)>) -> Self {
        let port = free_port();
        let folder = folder.join(format!("alertmanager-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let config = shipped(
            "deploy/alertmanager/alertmanager.yml",
            &[
                ("127.0.0.1:9099", &pager.0.address.to_string()),
                ("group_wait: 30s", "group_wait: 6s"),
                ("group_interval: 5m", "group_interval: 7s"),
                ("group_interval: 1m", "group_interval: 4s"),
            ],
        );
        std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
        let mut made = Self {
            port,
            folder,
            cluster,
            process: None,
        };
        made.up().await;
        made
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it (again), with what it stored.
    pub async fn up(&mut self) {
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!(
                "--config.file={}",
                self.folder.join("alertmanager.yml").display()
            ))
            .arg(format!("--storage.path={}", self.folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port));
        match self.cluster {
            None => command.arg("--cluster.listen-address="),
            Some((own, peer)) => command
                .arg(format!("--cluster.listen-address=127.0.0.1:{own}"))
                .arg(format!("--cluster.peer=127.0.0.1:{peer}"))
                .arg("--cluster.peer-timeout=2s")
                .arg("--cluster.settle-timeout=2s"),
        };
        logged(&mut command, &self.folder, "alertmanager");
        self.process = Some(Process::start(&mut command));
        ready(&format!("{}/-/ready", self.url())).await;
    }

    /// Stops it as a deployment would.
    pub fn down(&mut self) {
        self.process.take().unwrap().terminate();
    }

    /// What it has, with one alert name.
    pub async fn alerts(&self, name: &str) -> Vec<Value> {
        self.matching(&format!("alertname=\"{name}\"")).await
    }

    /// What it has that fits a matcher.
    pub async fn matching(&self, matcher: &str) -> Vec<Value> {
        let url = format!("{}/api/v2/alerts", self.url());
        let asked = reqwest::Client::new().get(url).query(&[("filter", matcher)]);
        asked.send().await.unwrap().json().await.unwrap()
    }
}

/// Prometheus with the shipped rules.
pub struct Prometheus {
    pub port: u16,
    _process: Process,
}

impl Prometheus {
    pub async fn start(folder: &Path, daemon: u16, alertmanager: u16, blackbox: Option<(u16, &str)>) -> Self {
        let port = free_port();
        let rules = shipped(
            "deploy/prometheus/stagewatch.rules.yml",
            &[("for: 1m", "for: 3s"), ("for: 2m", "for: 4s")],
        );
        std::fs::write(folder.join("stagewatch.rules.yml"), rules).unwrap();
        let (prober, asked) = blackbox.unwrap_or((1, "127.0.0.1:1"));
        let config = shipped(
            "deploy/prometheus/prometheus.yml",
            &[
                ("scrape_interval: 15s", "scrape_interval: 1s"),
                ("evaluation_interval: 15s", "evaluation_interval: 1s"),
                ("scrape_timeout: 10s", "scrape_timeout: 1s"),
                ("127.0.0.1:9093", &format!("127.0.0.1:{alertmanager}")),
                ("127.0.0.1:9464", &format!("127.0.0.1:{daemon}")),
                ("127.0.0.1:9115", &format!("127.0.0.1:{prober}")),
                ("api.staging.netrasystems.ai:443", asked),
                ("module: [ws-http500]", "module: [ws-http500-plain]"),
            ],
        );
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus-data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        logged(&mut command, folder, "prometheus");
        let process = Process::start(&mut command);
        ready(&format!("http://127.0.0.1:{port}/-/ready")).await;
        Self {
            port,
            _process: process,
        }
    }

    /// The value of an expression, if it has any.
    pub async fn query(&self, expression: &str) -> Option<f64> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let answer = reqwest::Client::new()
            .get(url)
            .query(&[("query", expression)])
            .send()
            .await;
        let answer: Value = answer.unwrap().json().await.unwrap();
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// blackbox_exporter with the shipped file.
pub async fn blackbox(folder: &Path) -> (u16, Process) {
    let port = free_port();
    let mut command = Command::new("prometheus-blackbox-exporter");
    command
        .arg(format!(
            "--config.file={}",
            repository("deploy/blackbox/blackbox.yml").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    logged(&mut command, folder, "blackbox");
    let process = Process::start(&mut command);
    ready(&format!("http://127.0.0.1:{port}/-/healthy")).await;
    (port, process)
}

/// What a pager would get: every notification by receiver.
pub struct Pager(pub Fake);

/// One notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// `/pager`, `/tickets`, …
    pub receiver: String,
    pub name: String,
    /// `firing` or `resolved`.
    pub status: String,
}

impl Pager {
    pub async fn start() -> Self {
        Self(Fake::start(|_| Reply::well()).await)
    }

    pub fn all(&self) -> Vec<Notification> {
        let told = self.0.pushes().into_iter().map(|asked| Notification {
            receiver: asked.line.trim_start_matches("POST ").to_owned(),
            name: asked.body["groupLabels"]["alertname"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            status: asked.body["status"].as_str().unwrap_or_default().to_owned(),
        });
        told.collect()
    }

    /// Statuses of the pages with this name, in order.
    pub fn pages(&self, name: &str) -> Vec<String> {
        let told = self.all().into_iter();
        told.filter(|told| told.receiver == "/pager" && told.name == name)
            .map(|told| told.status)
            .collect()
    }

    /// Every page, as `name status`.
    pub fn everything(&self) -> Vec<String> {
        let told = self.all().into_iter().filter(|told| told.receiver == "/pager");
        told.map(|told| format!("{} {}", told.name, told.status)).collect()
    }

    /// What was told of, for whoever looks into a failure.
    pub fn labels(&self) -> String {
        let told = self
            .0
            .pushes()
            .into_iter()
            .filter(|asked| asked.line.ends_with("/pager"));
        let alerts = told.flat_map(|asked| asked.body["alerts"].as_array().cloned().unwrap_or_default());
        let said = alerts.map(|alert| format!("\n{} {} {}", alert["status"], alert["startsAt"], alert["labels"]));
        said.collect()
    }

    /// Waits for so many pages with this name.
    pub async fn paged(&self, name: &str, times: usize, within: u64) {
        self.until(name, times, within, || self.pages(name)).await;
    }

    /// Waits for so many notifications with this name, whoever gets them.
    pub async fn told(&self, name: &str, times: usize, within: u64) {
        let named = || {
            let told = self.all().into_iter().filter(|told| told.name == name);
            told.map(|told| told.status).collect()
        };
        self.until(name, times, within, named).await;
    }

    async fn until(&self, name: &str, times: usize, within: u64, count: impl Fn() -> Vec<String>) {
        let deadline = Instant::now() + Duration::from_secs(within);
        while count().len() < times {
            assert!(
                Instant::now() < deadline,
                "{name}: {:?} instead of {times} after {within} s; all: {:?}",
                count(),
                self.everything()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
