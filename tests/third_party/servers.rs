//! Starts the third-party servers on loopback and stops them again. Knows no check.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The running servers.
pub struct Servers {
    nginx: Child,
    python: Child,
    node: Child,
    nginx_port: u16,
    python_port: u16,
    node_port: u16,
    _folder: tempfile::TempDir,
}

impl Servers {
    /// Starts all three and waits until they listen.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (python, python_port) = announced(
            Command::new("python3")
                .arg(here("echo_server.py"))
                .env("PYTHONPATH", installed("python")),
            "Python `websockets`",
        );
        let (node, node_port) = announced(
            Command::new("node").arg(here("echo_server.mjs")).arg(installed("node")),
            "Node `ws`",
        );
        let (nginx_port, dead_port) = (free_port(), free_port());
        let configuration = std::fs::read_to_string(here("nginx.conf")).unwrap();
        let configuration = configuration
            .replace("@PORT@", &nginx_port.to_string())
            .replace("@DEAD@", &dead_port.to_string())
            .replace("@ECHO@", &python_port.to_string())
            .replace("@DIR@", &folder.path().display().to_string());
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, configuration).unwrap();
        let nginx = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-p")
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn();
        let nginx =
            nginx.unwrap_or_else(|error| panic!("nginx does not start ({error}): run ./test.sh, which installs it"));
        await_listener(nginx_port);
        Self {
            nginx,
            python,
            node,
            nginx_port,
            python_port,
            node_port,
            _folder: folder,
        }
    }

    /// The main configuration file for a module file `module.yaml` beside it.
    pub fn main_file(&self, folder: &Path) -> String {
        let socket =
            |name: &str, port: u16, path: &str| format!("    {name}: {{ url: \"ws://127.0.0.1:{port}{path}\" }}\n");
        let (nginx, python, node) = (self.nginx_port, self.python_port, self.node_port);
        let sockets: String = [
            socket("nginx_500", nginx, "/ws"),
            socket("nginx_502", nginx, "/dead"),
            socket("nginx_444", nginx, "/closed"),
            socket("proxied", nginx, "/live"),
            socket("python", python, "/"),
            socket("node", node, "/echo"),
            socket("node_refuse", node, "/refuse"),
            socket("node_destroy", node, "/destroy"),
            socket("node_bug", node, "/bug"),
        ]
        .concat();
        format!(
            "target:\n  name: strangers\n  environment: loopback\n  bases: {{ web: \"http://127.0.0.1:{nginx}\" }}\n  sockets:\n{sockets}  \
             http: {{ user_agent: stagewatch, allow_addresses: [loopback] }}\nservice: {{ listen: \"127.0.0.1:0\", data_dir: {} }}\nmodules: [module.yaml]\n",
            folder.join("data").display()
        )
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in [&mut self.nginx, &mut self.python, &mut self.node] {
            // A server that has ended already is as good as one that we end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/third_party")
        .join(file)
}

/// Where `test.sh` installs packages of other languages.
fn installed(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/third-party")
        .join(language)
}

/// Starts a server that prints its port on its first line.
fn announced(command: &mut Command, name: &str) -> (Child, u16) {
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child =
        started.unwrap_or_else(|error| panic!("{name} does not start ({error}): run ./test.sh, which installs it"));
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let port = line.trim().parse();
    (
        child,
        port.unwrap_or_else(|_| panic!("{name} announced no port but {line:?}: run ./test.sh, which installs it")),
    )
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn await_listener(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
