//! Disks that are full or become read-only: rows wait in memory, the daemon says so, and nothing is lost when the disk is
//! well again. Needs root, to mount a disk of four megabytes.

use super::{SOON, judgement, open, run};
use serde_json::json;
use stagewatch::history::History;
use stagewatch::record::Sink;
use stagewatch::verdict::Verdict;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A small disk, unmounted at the end.
struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    /// None when it cannot be mounted, which is said.
    fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        if command(
            "mount",
            &["-t", "tmpfs", "-o", "size=4m", "tmpfs", path.to_str().unwrap()],
        ) {
            return Some(Self { _folder: folder, path });
        }
        println!("not run: {test} needs root, to mount a small disk");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(command("mount", &["-o", &options, self.path.to_str().unwrap()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        command("umount", &["-l", self.path.to_str().unwrap()]);
    }
}

fn command(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn verdict(history: &History, number: u32) {
    let mut run = run(f64::from(number));
    run.judgements = vec![judgement("c", Verdict::Fail, None)];
    run.inputs = vec![Arc::new(json!({ "number": number }))];
    history.take(&Arc::new(run));
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn numbers(history: &History) -> Vec<f64> {
    let verdicts = history.reader().verdicts(None, 10_000).unwrap();
    verdicts.iter().map(|verdict| verdict.at).collect()
}

#[test]
fn a_full_disk_delays_rows_and_loses_none() {
    let Some(disk) = Disk::mount("a_full_disk_delays_rows_and_loses_none") else {
        return;
    };
    let history = open(&disk.path);
    verdict(&history, 0);
    assert!(history.flush(SOON));
    // Fills what is left.
    let _ = std::fs::write(disk.path.join("other"), vec![7; 8 * 1024 * 1024]);
    let mut written = 1;
    eventually("the disk being full", || {
        verdict(&history, written);
        written += 1;
        history.stats().degraded.is_some()
    });
    assert!(history.stats().write_errors > 0);
    assert!(!history.flush(Duration::from_millis(50)), "rows wait");
    disk.remount("size=64m");
    assert!(history.flush(SOON), "the disk is large enough now");
    assert_eq!(history.stats().degraded, None);
    assert_eq!(numbers(&history), (0..written).map(f64::from).collect::<Vec<_>>());
    assert_eq!(history.stats().dropped_rows, 0);
}

#[test]
fn a_disk_that_cannot_be_written_at_the_start_leaves_the_history_in_memory() {
    let Some(disk) = Disk::mount("a_disk_that_cannot_be_written_at_the_start_leaves_the_history_in_memory") else {
        return;
    };
    disk.remount("ro");
    for folder in [disk.path.clone(), disk.path.join("data")] {
        let history = open(&folder);
        let degraded = history.stats().degraded.unwrap();
        assert!(degraded.contains("kept in memory"), "{degraded}");
        verdict(&history, 1);
        assert!(history.flush(SOON));
        assert_eq!(numbers(&history), [1.0]);
    }
}

#[test]
fn a_file_that_becomes_corrupt_is_replaced_while_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    for number in 0..200 {
        verdict(&history, number);
    }
    assert!(history.flush(SOON));
    let browser = history.browser();
    damage(&folder.path().join("history.sqlite3"));
    let mut written = 200;
    eventually("the damage being noticed", || {
        verdict(&history, written);
        written += 1;
        history.stats().corrupt_files == 1
    });
    assert!(history.flush(SOON));
    assert_eq!(history.stats().degraded, None);
    assert!(numbers(&history).contains(&f64::from(written - 1)), "it goes on");
    let newest = browser.verdicts(None, 1).unwrap();
    assert_eq!(newest.len(), 1, "who browses reads the new file");
    assert!((newest[0].at - f64::from(written - 1)).abs() < 1e-9, "{newest:?}");
}

/// Points a table at a page that is not there.
fn damage(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'verdicts';
               PRAGMA schema_version = 4242";
    connection.execute_batch(sql).unwrap();
}
