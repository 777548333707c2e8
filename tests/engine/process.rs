//! The daemon as a process of its own: where it listens, what it says, how it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{API_TOKEN, rehearsal};
use stagewatch::rehearsal::Rehearsal;
use tempfile::TempDir;

/// A daemon that ends with the test.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub address: String,
}

/// Writes the small configuration for `rehearsal` into `folder`, with the token of the tests as a secret file.
pub fn write_config(main: &str, folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder.join("modules")).unwrap();
    write_secret(&folder.join("token"), API_TOKEN);
    std::fs::write(folder.join("main.yaml"), main).unwrap();
    std::fs::write(folder.join("modules/m.yaml"), include_str!("module.yaml")).unwrap();
    folder.join("main.yaml")
}

/// The small main file for a backend and an auth service.
pub fn main_file(backend: &str, auth: &str) -> String {
    include_str!("main.yaml")
        .replace("BACKEND", backend)
        .replace("AUTH", auth)
        .replace(
            "service: { data_dir: ./data }",
            "service: { data_dir: ./data, api_token: { file: token } }",
        )
}

/// A rehearsal, and in a folder of its own the small configuration for it.
pub struct Beside {
    pub rehearsal: Rehearsal,
    pub folder: TempDir,
    /// Text of the main file.
    pub main: String,
    /// Path of the main file.
    pub config: PathBuf,
}

impl Beside {
    pub async fn start() -> Self {
        let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
        let main = main_file(
            &rehearsal.backend_addr().to_string(),
            &rehearsal.auth_addr().to_string(),
        );
        let config = write_config(&main, folder.path());
        Self {
            rehearsal,
            folder,
            main,
            config,
        }
    }
}

/// Puts a secret where the daemon takes it: moved into place, mode 0600.
pub fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt;
    let beside = path.with_extension("new");
    std::fs::write(&beside, secret).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// The binary, without variables of ours.
pub fn stagewatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagewatch"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STAGEWATCH_")) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts `run` on a free port and waits until it listens.
    pub fn start(config: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = stagewatch();
        command.args(["run", "--listen", "127.0.0.1:0", "--log-format", "json", "--config"]);
        command.arg(config);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || lines.lines().for_each(|line| kept.lock().unwrap().push(line.unwrap())));
        let mut process = Self {
            child,
            log,
            address: String::new(),
        };
        let started = process.said("app.started", Duration::from_secs(20));
        let started: serde_json::Value = serde_json::from_str(&started).unwrap();
        process.address = started["listen"].as_str().unwrap().to_owned();
        process
    }

    /// Waits for a log line that holds `what`.
    pub fn said(&mut self, what: &str, within: Duration) -> String {
        let begun = Instant::now();
        loop {
            let found = self.log().into_iter().find(|line| line.contains(what));
            if let Some(line) = found {
                return line;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                begun.elapsed() < within && ended.is_none(),
                "`{what}` was not said ({ended:?}): {:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything said so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Asks it to end and waits.
    pub fn end(mut self) -> (ExitStatus, Duration) {
        self.signal("TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(15),
                "it does not end: {:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended by itself, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
