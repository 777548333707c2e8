//! The ledger keeps what it acknowledged, through kills, corruption and full queues.

use crate::folding::nothing as run;
use crate::support;
use serde_json::{Value, json};
use stagewatch::catalog::Extract;
use stagewatch::catalog::check::ExtractOf;
use stagewatch::history::{Bases, History, HistoryError, Ledger, Place};
use stagewatch::record::Sink;
use stagewatch::run::{Judgement, Measured};
use stagewatch::scenario::{HandshakeUse, Journal, UserRest};
use stagewatch::transcript::{Entry, HttpExchange, Observation, Transcript};
use stagewatch::verdict::{UnknownReason, Verdict};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[path = "history/disks.rs"]
mod disks;
#[path = "history/kills.rs"]
mod kills;
#[path = "history/texts.rs"]
mod texts;

const SOON: Duration = Duration::from_secs(10);

fn transcript(scenario: &str, run: &str, at: f64) -> Transcript {
    Transcript {
        scenario: scenario.into(),
        run: run.into(),
        started_at: String::new(),
        started_unix: at,
        duration_ms: 12.0,
        late_ms: 0.0,
        nonce: "0".repeat(12),
        trace_id: String::new(),
        vars: serde_json::Map::new(),
        credentials: Default::default(),
        entries: Vec::new(),
        broke_off: None,
        time_scale: 1.0,
        period_s: 60.0,
    }
}

fn judgement(id: &str, verdict: Verdict, reason: Option<UnknownReason>) -> Arc<Judgement> {
    Arc::new(support::judgement(("m", id), verdict, reason))
}

fn measured(series: &str, value: Value, target: Option<&str>) -> Measured {
    Measured {
        series: series.into(),
        value,
        latency_target: target.map(str::to_owned),
        floor: None,
    }
}

fn extract(of: ExtractOf, over_s: u64, limit: usize) -> Extract {
    Extract {
        name: "x".into(),
        of,
        over: Duration::from_secs(over_s),
        limit,
    }
}

fn open(folder: &Path) -> Arc<History> {
    let api = "http://127.0.0.1:1234/".parse().unwrap();
    History::open(&Place::Folder(folder.to_owned()), Bases(vec![("api".into(), api)])).unwrap()
}

#[test]
fn extracts_are_bounded_windows_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    for at in [100.0, 200.0, 300.0] {
        let mut run = run(at);
        run.transcript = Some(Arc::new(transcript("m/s", &format!("{at}"), at)));
        run.measures = vec![
            measured("latency", json!([at, at + 1.0]), Some("api_response")),
            measured("fact", json!({"version": "v1"}), None),
        ];
        run.judgements = vec![judgement("c", Verdict::Unknown, Some(UnknownReason::Budget))];
        run.inputs = vec![Arc::new(json!({}))];
        history.take(&Arc::new(run));
    }
    assert!(history.flush(SOON));
    let of = |of, over, limit| history.extract(&extract(of, over, limit), 310.0).unwrap();
    let series = |name: &str| ExtractOf::Series(name.to_owned());
    assert_eq!(
        of(series("latency"), 150, 3),
        json!([{"at": 200.0, "value": 201.0}, {"at": 300.0, "value": 300.0}, {"at": 300.0, "value": 301.0}]),
        "a list gives one sample an item, and the newest three are kept"
    );
    assert_eq!(
        of(series("fact"), 50, 10),
        json!([{"at": 300.0, "value": {"version": "v1"}}])
    );
    assert_eq!(of(series("nothing"), 1000, 10), json!([]));
    assert_eq!(
        of(ExtractOf::Verdicts(vec!["m/c".into()]), 20, 10),
        json!([{"at": 300.0, "check": "m/c", "verdict": "unknown", "reason": "budget", "kind": null}])
    );
    assert_eq!(of(ExtractOf::Verdicts(vec!["m/other".into()]), 1000, 10), json!([]));
    assert_eq!(
        of(ExtractOf::Runs(Vec::new()), 120, 10),
        json!([
            {"at": 200.0, "scenario": "m/s", "broke_off": null, "kind": null},
            {"at": 300.0, "scenario": "m/s", "broke_off": null, "kind": null},
        ])
    );
}

#[test]
fn bad_answers_in_our_own_traffic_are_kept_by_base_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    let exchange = |url: &str, status| {
        Observation::Http(HttpExchange {
            url: url.into(),
            status: Some(status),
            headers: [("retry-after".to_owned(), "7".to_owned())].into(),
            ..HttpExchange::default()
        })
    };
    let entry = |offset_ms, seen| Entry {
        id: "x".into(),
        place: Vec::new(),
        offset_ms,
        duration_ms: 1.0,
        credential: None,
        seen,
        failure: None,
    };
    let mut run = run(10.0);
    let mut seen = transcript("m/s", "r", 10.0);
    seen.entries = vec![
        entry(0.0, exchange("http://127.0.0.1:1234/ok", 200)),
        entry(500.0, exchange("http://127.0.0.1:1234/api/x?token=1", 503)),
        entry(900.0, exchange("http://elsewhere.invalid/y", 404)),
    ];
    run.transcript = Some(Arc::new(seen));
    history.take(&Arc::new(run));
    assert!(history.flush(SOON));
    let of = |statuses| {
        history
            .extract(&extract(ExtractOf::Statuses(statuses), 100, 10), 20.0)
            .unwrap()
    };
    assert_eq!(
        of(Vec::new()),
        json!([{"at": 10.5, "base": "api", "path": "/api/x", "status": 503, "retry_after": "7"}])
    );
    assert_eq!(of(vec![404])[0]["path"], "/y");
}

#[test]
fn budgets_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let now = stagewatch::clock::unix_seconds(stagewatch::clock::now());
    let today = stagewatch::clock::now().format("%Y-%m-%d").to_string();
    {
        let history = open(folder.path());
        history.record_handshake(HandshakeUse {
            pool: "p".into(),
            user: "u".into(),
            at_unix: now,
        });
        history.record_rest(UserRest {
            pool: "p".into(),
            user: "u".into(),
            until_unix: now + 60.0,
        });
        history.record_run("m/s", &today);
        history.record_run("m/s", &today);
    }
    let history = open(folder.path());
    assert_eq!(history.handshakes_since(now - 1.0).len(), 1);
    assert_eq!(history.rests().len(), 1);
    assert_eq!(history.runs_today("m/s", &today), 2);
}

#[test]
fn two_daemons_do_not_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(folder.path());
    let second = History::open(&Place::Folder(folder.path().to_owned()), Bases::default());
    assert!(matches!(second, Err(HistoryError::InUse(_))));
}

#[test]
fn a_corrupt_file_is_put_aside() {
    for damage in [
        b"not a database at all, but long enough to be one".as_slice(),
        &[0; 4096],
    ] {
        let folder = tempfile::tempdir().unwrap();
        {
            let history = open(folder.path());
            history.record_run("m/s", "2026-01-01");
        }
        let file = folder.path().join("history.sqlite3");
        let mut handle = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
        handle.write_all(damage).unwrap();
        drop(handle);
        let history = open(folder.path());
        assert_eq!(history.stats().corrupt_files, 1);
        assert_eq!(history.stats().degraded, None);
        history.take(&Arc::new(run(1.0)));
        assert!(history.flush(SOON));
        let aside = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains(".corrupt-")
        });
        assert!(aside.count() >= 1);
    }
}

#[test]
fn a_newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let connection = rusqlite::Connection::open(folder.path().join("history.sqlite3")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let opened = History::open(&Place::Folder(folder.path().to_owned()), Bases::default());
    assert!(matches!(opened, Err(HistoryError::Newer { found: 99, .. })));
}

#[test]
fn a_directory_that_cannot_hold_the_file_leaves_the_history_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("history.sqlite3")).unwrap();
    let history = open(folder.path());
    assert!(history.stats().degraded.unwrap().contains("kept in memory"));
    let mut run = run(1.0);
    run.judgements = vec![judgement("c", Verdict::Pass, None)];
    run.inputs = vec![Arc::new(json!({}))];
    history.take(&Arc::new(run));
    assert!(history.flush(SOON));
    assert_eq!(history.reader().verdicts(Some("m/c"), 5).unwrap().len(), 1);
}

#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let history = open(&folder);
    assert!(history.flush(SOON));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for name in ["history.sqlite3", "history.sqlite3-wal", "lock"] {
        assert_eq!(mode(&folder.join(name)) & 0o077, 0, "{name}");
    }
}
