//! The binary: every command, its exit status, its outputs, its ends.

use serde_json::Value;
use stagewatch::rehearsal::Rehearsal;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, rehearsal};

/// Writes the small configuration for `rehearsal` into `folder`.
fn write_config(rehearsal: &Rehearsal, folder: &Path) -> PathBuf {
    let main = include_str!("main.yaml")
        .replace("BACKEND", &rehearsal.backend_addr().to_string())
        .replace("AUTH", &rehearsal.auth_addr().to_string());
    std::fs::create_dir_all(folder.join("modules")).unwrap();
    std::fs::write(folder.join("main.yaml"), main).unwrap();
    std::fs::write(folder.join("modules/m.yaml"), include_str!("module.yaml")).unwrap();
    folder.join("main.yaml")
}

fn stagewatch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagewatch"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STAGEWATCH_")) {
        command.env_remove(name);
    }
    command
}

async fn output(args: &[&str]) -> Output {
    let mut command = stagewatch(args);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn once_reports_in_every_format_and_judge_agrees() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let config = write_config(&rehearsal, folder.path());
    let config = config.to_str().unwrap();
    let exported = folder.path().join("export.json");
    let file = exported.to_str().unwrap();
    let args = [
        "once",
        "--config",
        config,
        "--format",
        "json",
        "--with-transcripts",
        "--output",
        file,
    ];
    let ended = output(&args).await;
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&exported).unwrap()).unwrap();
    assert_eq!(document["summary"]["checks"]["pass"], 6);
    assert_eq!(document["summary"]["checks"]["off"], 1);
    let checks = document["modules"][0]["checks"].as_array().unwrap();
    let named = checks
        .iter()
        .filter(|check| check["verdict"] == "pass" && check["id"] != "rolled");
    for check in named {
        assert!(
            !check["transcripts"].as_array().unwrap().is_empty(),
            "{check} names no evidence"
        );
    }

    let judged = output(&["judge", "--config", config, file]).await;
    assert_eq!(judged.status.code(), Some(3), "{}", text(&judged.stderr));
    let lines: Vec<Value> = text(&judged.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 8);
    assert!(lines.iter().all(|line| line["same"] == true), "{lines:?}");

    for (format, shown) in [("text", "healthy"), ("junit", "<testsuites"), ("markdown", "# ")] {
        let ended = output(&["once", "--config", config, "--check", "m/healthy", "--format", format]).await;
        assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
        assert!(text(&ended.stdout).contains(shown), "{format}: {}", text(&ended.stdout));
    }
    rehearsal.switch("ws-upgrade-500-after-auth", true).unwrap();
    let failed = output(&["once", "--config", config, "--check", "m/welcomes"]).await;
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stdout).contains("the upgrade was refused with HTTP 500"));
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_usage_and_bad_configuration_end_with_2() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let config = write_config(&rehearsal, folder.path());
    let config = config.to_str().unwrap();
    let cases: [(&[&str], &str); 6] = [
        (
            &["once", "--config", config, "--check", "m/nothing"],
            "there is no check `m/nothing`",
        ),
        (&["once", "--config", config, "--format", "pdf"], "`pdf` is none of"),
        (
            &["once", "--config", config, "--with-transcripts"],
            "needs --format json",
        ),
        (&["run", "--config", "missing.yaml"], "missing.yaml"),
        (&["rehearse", "--fault", "no-such-fault"], "no-such-fault"),
        (&["history", "--data-dir", "no-such-directory"], "no-such-directory"),
    ];
    for (args, said) in cases {
        let ended = output(args).await;
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(text(&ended.stderr).contains(said), "{args:?}: {}", text(&ended.stderr));
    }
    std::fs::write(folder.path().join("modules/m.yaml"), "module: m\nbogus: 1\n").unwrap();
    let ended = output(&["validate", "--config", config]).await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        text(&ended.stderr).contains("--> modules/m.yaml:2"),
        "{}",
        text(&ended.stderr)
    );
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_ends_with_0_on_sigterm_and_leaves_its_history() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let config = write_config(&rehearsal, folder.path());
    let data = folder.path().join("kept");
    let mut child = stagewatch(&[
        "run",
        "--config",
        config.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
    ])
    .args(["--data-dir", data.to_str().unwrap()])
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    support::eventually(Duration::from_secs(20), "a stored verdict", async || {
        let reader = stagewatch::history::Reader::open(&data).ok()?;
        let stored = reader.verdicts(Some("m/welcomes"), 1).ok()?;
        (!stored.is_empty()).then_some(())
    })
    .await;
    let begun = Instant::now();
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let status = tokio::task::spawn_blocking(move || {
        let status = child.wait().unwrap();
        let mut logged = String::new();
        child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        for line in logged.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        assert!(
            logged.contains("app.started") && logged.contains("app.stopped"),
            "{logged}"
        );
        status
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let listed = output(&["history", "runs", "--data-dir", data.to_str().unwrap(), "--limit", "3"]).await;
    let lines: Vec<Value> = text(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["transcript"]["entries"].is_array()));
    let judged = output(&[
        "judge",
        "--config",
        config.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
        "--limit",
        "20",
    ])
    .await;
    assert!(text(&judged.stdout).lines().count() > 5, "{}", text(&judged.stderr));
    assert!(
        !text(&judged.stdout).contains("\"same\":false"),
        "{}",
        text(&judged.stdout)
    );
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_and_faults_are_printed() {
    let schema = output(&["schema"]).await;
    assert_eq!(schema.status.code(), Some(0));
    assert!(serde_json::from_slice::<Value>(&schema.stdout).unwrap().is_object());
    let faults = output(&["rehearse", "--list"]).await;
    assert!(text(&faults.stdout).contains("ws-upgrade-500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_survives_a_kill() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let config = write_config(&rehearsal, folder.path());
    let data = folder.path().join("kept");
    let args = [
        "run",
        "--config",
        config.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let mut stored = 0;
    for round in 0..3 {
        let mut child = stagewatch(&args).stderr(Stdio::null()).spawn().unwrap();
        let seen = support::eventually(Duration::from_secs(20), "more verdicts", async || {
            let reader = stagewatch::history::Reader::open(&data).ok()?;
            let seen = reader.verdicts(None, 100_000).ok()?.len();
            (seen > stored + 10).then_some(seen)
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
        let reader = stagewatch::history::Reader::open(&data).unwrap();
        stored = reader.verdicts(None, 100_000).unwrap().len();
        assert!(
            stored >= seen,
            "round {round}: {seen} were there before the kill, {stored} after"
        );
    }
    let corrupt = std::fs::read_dir(&data).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("corrupt")
    });
    assert_eq!(corrupt.count(), 0);
    rehearsal.shutdown().await;
}
