//! Nothing that was acknowledged is lost when the process is killed. Each round starts this test binary again as the writer,
//! kills it in the midst of writing, and looks for every run that it had said was stored.
//!
//! `STAGEWATCH_KILL_ROUNDS=200 cargo test --test engine kills` makes it long.

use super::{SOON, judgement, open, run, transcript};
use serde_json::json;
use stagewatch::record::Sink;
use stagewatch::verdict::Verdict;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: u64 = 20;
const FOLDER: &str = "STAGEWATCH_TEST_KILLED_FOLDER";
const ROUND: &str = "STAGEWATCH_TEST_KILLED_ROUND";

/// The writer: not a test by itself.
#[test]
#[ignore = "the part of the next test that is killed"]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let history = open(folder.as_ref());
    let now = stagewatch::clock::unix_seconds(stagewatch::clock::now());
    let mut out = std::io::stdout().lock();
    // Ends by itself long after the kill that did not come.
    for number in 0..5_000_u32 {
        let id = format!("{round}-{number}");
        let at = now + f64::from(number);
        let mut run = run(at);
        run.transcript = Some(Arc::new(transcript("m/s", &id, at)));
        run.judgements = vec![judgement("c", Verdict::Fail, None)];
        run.inputs = vec![Arc::new(json!({}))];
        history.take(&Arc::new(run));
        if number % 7 == 0 && history.flush(SOON) {
            writeln!(out, "stored {number}").unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let rounds = std::env::var("STAGEWATCH_KILL_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "history::kills::writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stored = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| {
                let (_, number) = line.split_once("stored ")?;
                number.parse::<u32>().ok()
            });
        // It is at work: killed at different moments of a batch, the same ones each time.
        let mut last = stored.next();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10 + round * 37 % 90));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        last = stored.last().or(last);
        if let Some(last) = last {
            acknowledged.extend((0..=last).map(|number| format!("{round}-{number}")));
        }
        killer.join().unwrap();
    }
    let history = open(folder.path());
    assert_eq!(history.stats().corrupt_files, 0);
    let reader = history.reader();
    let runs = reader.runs(u32::MAX).unwrap();
    let kept: BTreeSet<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !kept.contains(id.as_str())).collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost, first {}",
        lost.len(),
        acknowledged.len(),
        lost[0]
    );
    assert!(
        acknowledged.len() >= usize::try_from(rounds).unwrap(),
        "{} acknowledged",
        acknowledged.len()
    );
    assert_eq!(reader.damaged(), 0);
    println!("{rounds} kills, {} runs acknowledged, none lost", acknowledged.len());
}
