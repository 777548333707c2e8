//! Which texts are kept, that they come back, and that damage is noticed.

use super::{SOON, extract, judgement, measured, open, run, transcript};
use serde_json::json;
use stagewatch::catalog::check::ExtractOf;
use stagewatch::history::{History, Ledger};
use stagewatch::record::Sink;
use stagewatch::verdict::Verdict;
use std::path::Path;
use std::sync::Arc;

/// One run of `m/s` with a verdict of `m/c` that rests on it.
fn judged(history: &History, number: u32, verdict: Verdict) {
    let id = format!("r{number}");
    let mut run = run(f64::from(number));
    run.transcript = Some(Arc::new(transcript("m/s", &id, f64::from(number))));
    run.judgements = vec![judgement("c", verdict, None)];
    run.inputs = vec![Arc::new(json!({ "evidence": { "m/s": { "run": id } } }))];
    run.measures = vec![measured("latency", json!(1.5), None)];
    history.take(&Arc::new(run));
}

#[test]
fn failures_are_kept_whole_and_what_goes_well_is_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    for number in 0..100 {
        judged(&history, number, Verdict::Pass);
    }
    for number in 100..110 {
        judged(&history, number, Verdict::Fail);
    }
    judged(&history, 110, Verdict::Pass);
    judged(&history, 111, Verdict::Pass);
    assert!(history.flush(SOON));
    let runs = history.reader().runs(1000).unwrap();
    let kept: Vec<&str> = runs
        .iter()
        .filter(|run| run.transcript.is_some())
        .map(|run| run.id.as_str())
        .collect();
    assert_eq!(runs.len(), 112);
    let whole: Vec<String> = (100..112).map(|number| format!("r{number}")).collect();
    assert_eq!(kept[kept.len() - 12..], whole, "failures, the recovery, the latest");
    assert!((5..=8).contains(&(kept.len() - 12)), "{kept:?}");
    for verdict in history.reader().verdicts(Some("m/c"), 1000).unwrap() {
        let Some(inputs) = verdict.inputs else { continue };
        assert!(verdict.judgement.is_some());
        let inputs: serde_json::Value = serde_json::from_str(&inputs).unwrap();
        let of = inputs["evidence"]["m/s"]["run"].as_str().unwrap();
        assert!(
            kept.contains(&of),
            "the verdict at {} rests on {of}, which is gone",
            verdict.at
        );
    }
}

/// Changes stored bytes behind the daemon's back.
fn tamper(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("history.sqlite3")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn a_row_that_is_not_as_it_was_written_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    judged(&history, 1, Verdict::Fail);
    judged(&history, 2, Verdict::Fail);
    assert!(history.flush(SOON));
    let reader = history.reader();
    assert_eq!((reader.runs(9).unwrap().len(), history.stats().damaged_rows), (2, 0));

    tamper(folder.path(), "UPDATE runs SET scenario = 'm/t' WHERE id = 'r1'");
    assert_eq!(reader.runs(9).unwrap().len(), 1);
    tamper(folder.path(), "UPDATE verdicts SET verdict = 'pass' WHERE at = 1.0");
    assert_eq!(reader.verdicts(None, 9).unwrap().len(), 1);
    tamper(folder.path(), "UPDATE samples SET value = '0.1' WHERE at = 1.0");
    let series = extract(ExtractOf::Series("latency".to_owned()), 100, 10);
    assert_eq!(
        history.extract(&series, 10.0).unwrap(),
        json!([{ "at": 2.0, "value": 1.5 }])
    );
    tamper(
        folder.path(),
        "UPDATE runs SET packed = CAST(X'00' || packed AS BLOB) WHERE id = 'r2'",
    );
    assert_eq!(reader.run("r2").unwrap().unwrap().transcript, None);
    assert_eq!(history.stats().damaged_rows, 4);
}

#[test]
fn what_an_earlier_version_wrote_is_read() {
    let folder = tempfile::tempdir().unwrap();
    {
        let history = open(folder.path());
        judged(&history, 1, Verdict::Fail);
        assert!(history.flush(SOON));
    }
    tamper(
        folder.path(),
        "UPDATE runs SET transcript = '{\"plain\":1}', packed = NULL, sum = NULL",
    );
    tamper(
        folder.path(),
        "UPDATE verdicts SET judgement = '{}', packed = NULL, sum = NULL",
    );
    tamper(folder.path(), "UPDATE samples SET sum = NULL");
    let history = open(folder.path());
    assert_eq!(
        history.reader().runs(9).unwrap()[0].transcript.as_deref(),
        Some("{\"plain\":1}")
    );
    assert_eq!(
        history.reader().verdicts(None, 9).unwrap()[0].judgement.as_deref(),
        Some("{}")
    );
    assert_eq!(history.stats().damaged_rows, 0);
}
