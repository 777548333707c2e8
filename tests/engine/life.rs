//! Life and death of the daemon: what its supervisor hears, how it ends, what it says when it cannot start.

use crate::process::{Beside, Process, main_file, stagewatch, write_config};
use stagewatch::app::pulse::{Patience, Pulse, Trouble};
use stagewatch::app::supervisor::Supervisor;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Patience = Patience {
    beat: Duration::from_millis(300),
    end: Duration::from_millis(300),
    look: Duration::from_millis(20),
};

/// What the watch finds within a second.
fn watched(drive: impl FnOnce(&Pulse)) -> Option<Trouble> {
    let pulse = Pulse::new(Supervisor::nobody());
    let (found, trouble) = mpsc::channel();
    pulse
        .watch(PATIENCE, move |trouble| found.send(trouble).unwrap())
        .unwrap();
    drive(&pulse);
    trouble.recv_timeout(Duration::from_secs(1)).ok()
}

#[test]
fn a_pulse_that_stops_is_noticed_and_one_that_beats_is_not() {
    let beats = |pulse: &Pulse| {
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(60));
            pulse.beat();
        }
    };
    assert_eq!(watched(|_| {}), Some(Trouble::Stalled));
    assert_eq!(watched(beats), Some(Trouble::Stalled), "it stopped after its beats");
    assert_eq!(watched(Pulse::end), Some(Trouble::DoesNotEnd));
    let well = watched(|pulse| {
        beats(pulse);
        pulse.end();
        pulse.ended();
    });
    assert_eq!(well, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alertmanager_of_the_command_line_is_told() {
    let Beside {
        config,
        folder: _folder,
        main,
        rehearsal,
    } = Beside::start().await;
    let reached = "service: { external_url: \"http://127.0.0.1:9464\", ";
    let runbooks = "alerting: { runbooks: \"https://stagewatch.example/docs/alerts.md\" }\n";
    std::fs::write(&config, main.replacen("service: { ", reached, 1) + runbooks).unwrap();
    let alertmanager = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", alertmanager.local_addr().unwrap());
    let (told, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for peer in alertmanager.incoming() {
            let mut line = String::new();
            BufReader::new(peer.unwrap()).read_line(&mut line).unwrap();
            // The test ends before the daemon does.
            let _ = told.send(line);
        }
    });
    let process = Process::start(&config, |command| {
        command.args(["--alertmanager", &url]);
    });
    let mut lines = std::iter::from_fn(|| asked.recv_timeout(Duration::from_secs(20)).ok());
    assert!(
        lines.any(|line| line.starts_with("POST /api/v2/alerts ")),
        "nothing was pushed: {:#?}",
        process.log()
    );
    process.end();
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_supervisor_hears_of_life_and_death() {
    let Beside {
        config,
        folder,
        rehearsal,
        ..
    } = Beside::start().await;
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let hear = || {
        let mut text = [0; 256];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let process = Process::start(&config, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1500000");
    });
    assert!(hear().starts_with("READY=1"));
    assert_eq!((hear(), hear()), ("WATCHDOG=1".to_owned(), "WATCHDOG=1".to_owned()));
    let (status, _) = process.end();
    let last = std::iter::repeat_with(hear).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(status.success());
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_time_although_the_target_hangs() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever connects gets no answer, ever.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let config = write_config(&main_file(&address, &address), folder.path());
    let process = Process::start(&config, |_| {});
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (status, took) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

/// Answers no question, and notes that it was asked.
fn silent_resolver() -> (std::net::UdpSocket, String) {
    // An address of its own, because the port cannot be chosen.
    let address = format!(
        "127.53.{}.{}",
        std::process::id() % 256,
        std::process::id() / 256 % 254 + 1
    );
    let socket = std::net::UdpSocket::bind((address.as_str(), 53)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    (socket, address)
}

/// The same command, in a mount namespace of its own with this `resolv.conf`.
fn with_resolver(resolv: &Path, command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    inside.args([
        "--mount",
        "sh",
        "-c",
        "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"",
    ]);
    inside.arg(resolv).arg(command.get_program()).args(command.get_args());
    inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    inside
}

/// Needs root, for a resolver of its own.
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_time_although_alertmanager_and_the_resolver_hang() {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return eprintln!("not checked: a resolver of one's own needs root");
    }
    let folder = tempfile::tempdir().unwrap();
    let (resolver, address) = silent_resolver();
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(
        &resolv,
        format!("nameserver {address}\noptions timeout:30 attempts:5\n"),
    )
    .unwrap();
    // It takes what it is sent, and says nothing.
    let alertmanager = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let alerting = format!(
        "service: {{ data_dir: ./data, external_url: \"https://watch.example\" }}\nalerting:\n  runbooks: https://runbooks.example\n  \
         alertmanagers: [ {{ name: hung, url: \"http://{}\", within: 30s }} ]\n",
        alertmanager.local_addr().unwrap()
    );
    let main = include_str!("main.yaml")
        .replace("BACKEND", "api.hung.example")
        .replace("AUTH", "auth.hung.example");
    let main = main.replace("service: { data_dir: ./data }\n", &alerting).replace(
        ", password: rehearsal-only }",
        " }, secrets: { password: { file: token } }",
    );
    let config = write_config(&main, folder.path());
    let process = Process::start(&config, |command| *command = with_resolver(&resolv, command));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(resolver.recv_from(&mut [0; 512]).is_ok(), "the resolver was not asked");
    assert!(alertmanager.accept().is_ok());
    let (status, took) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "it took {took:?}");
}

fn run(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_said_in_one_line() {
    let Beside {
        config,
        folder,
        rehearsal,
        ..
    } = Beside::start().await;
    let process = Process::start(&config, |_| {});
    let refusal = |args: &[&str]| {
        let mut command = stagewatch();
        command
            .args(["run", "--log", "error", "--config"])
            .arg(&config)
            .args(args);
        let (code, said) = run(command);
        assert_eq!(code, Some(2), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        said
    };
    let second = refusal(&["--listen", "127.0.0.1:0"]);
    assert!(second.contains("another") && second.contains("data"), "{second}");
    let taken = refusal(&[
        "--listen",
        &process.address,
        "--data-dir",
        folder.path().join("two").to_str().unwrap(),
    ]);
    assert!(
        taken.contains(&format!("cannot listen on {}", process.address)),
        "{taken}"
    );

    let mut open = stagewatch();
    open.args(["run", "--listen", "0.0.0.0:0", "--config"]).arg(&config);
    let (code, said) = run(open);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("open to the network") && said.contains("--insecure-listen"),
        "{said}"
    );

    let health = |url: &str| {
        let mut command = stagewatch();
        command.args(["health", url]);
        run(command).0
    };
    assert_eq!(health(&process.url("")), Some(0));
    assert_eq!(health("http://127.0.0.1:1"), Some(1));
    drop(process);
    rehearsal.shutdown().await;
}

#[test]
fn the_command_line_is_written_down() {
    for shell in ["bash", "zsh", "fish"] {
        let output = stagewatch()
            .args(["completions", shell])
            .stdout(std::process::Stdio::piped())
            .output()
            .unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("insecure-listen"), "{shell}");
    }
    let page = |args: &[&str]| {
        let output = stagewatch()
            .args(args)
            .stdout(std::process::Stdio::piped())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, man) = page(&["man", "run"]);
    assert!(
        code == Some(0) && man.starts_with(".ie") && man.contains("data\\-dir"),
        "{man}"
    );
    assert_eq!(page(&["man", "nothing"]).0, Some(2));
    let (_, version) = page(&["--version"]);
    assert!(
        version.contains(env!("CARGO_PKG_VERSION")) && version.contains('('),
        "{version}"
    );
}
