//! Life and death of the daemon: what its supervisor hears, how it ends, what it says when it cannot start.

use crate::process::{Process, main_file, stagewatch, write_config};
use crate::support::rehearsal;
use stagewatch::app::pulse::{Patience, Pulse, Trouble};
use stagewatch::app::supervisor::Supervisor;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Output};
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
async fn the_supervisor_hears_of_life_and_death() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let main = main_file(
        &rehearsal.backend_addr().to_string(),
        &rehearsal.auth_addr().to_string(),
    );
    let config = write_config(&main, folder.path());
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

fn run(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_said_in_one_line() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let main = main_file(
        &rehearsal.backend_addr().to_string(),
        &rehearsal.auth_addr().to_string(),
    );
    let config = write_config(&main, folder.path());
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
