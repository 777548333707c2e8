//! The report of the day that started this project, played again: the whole text, and beside the original's findings.
//! `UPDATE_GOLDEN=1 cargo test --test explain golden` writes the text anew.

use crate::support::iterate;
use regex::Regex;
use stagewatch::report::{Colour, Format, render};
use stagewatch::sensitive::Viewer;
use std::path::Path;

/// What the original says, and what says the same in ours, with the evidence that the original lacked.
const FINDINGS: [(&str, &str); 9] = [
    (
        "WebSocket service on staging returning HTTP 500 errors",
        "- **Critical finding:** The WebSocket upgrade answers HTTP 500",
    ),
    ("Chat functionality severely impaired", "- **Business impact:** "),
    ("test_1_websocket_events_staging", "**1. WebSocket events**"),
    ("server rejected WebSocket connection: HTTP 500", "HTTP 500"),
    (
        "JWT authentication IS working (no 403 errors)",
        "Authentication works: an upgrade without a token is answered \\[403\\]",
    ),
    (
        "Server accepting connections but internal error occurring",
        "The failure is inside the upgrade, after authentication",
    ),
    (
        "Consistent across all WebSocket-dependent tests",
        "All WebSocket-dependent checks share it",
    ),
    (
        "### Why 1: Why is the WebSocket returning HTTP 500?",
        "### Why 1: Why is the WebSocket returning HTTP 500?",
    ),
    ("### Immediate (P0)", "### Immediate (P0)"),
];
/// Sections that the original lacked.
const BEYOND: [&str; 5] = [
    "## Not judged (",
    "## Since the previous iteration",
    "**Evidence:**",
    "**Look here:**",
    "## Evidence\n",
];

/// The text with everything that differs from run to run replaced.
fn normalised(report: &str) -> String {
    let rules = [
        (r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "TIME"),
        (r"\b[0-9a-f]{32}\b", "TRACE"),
        (r"\b[0-9a-f]{16}\b", "RUN"),
        (r"\b[0-9a-f]{12}\b", "NONCE"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID"),
        (r"\bsynthetic-[0-9A-Za-z-]+", "ID"),
        (r"127\.0\.0\.1:\d+", "HOST"),
        // Both are asked at once, and either may be answered first.
        (
            r"(siblings\.valid)_(?:header|subprotocol)(.*), by (?:header|subprotocol)\)",
            "$1$2)",
        ),
        (r"\d+(\.\d+)? ms\b", "N ms"),
        (r"\d+ samples?\b", "N samples"),
        (r"\*\*Duration:\*\* [0-9.]+ s", "**Duration:** N s"),
    ];
    rules.iter().fold(report.to_owned(), |text, (pattern, put)| {
        Regex::new(pattern).unwrap().replace_all(&text, *put).into_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_the_day_is_as_it_was_and_says_what_the_original_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let original = std::fs::read_to_string(folder.join("docs/iteration-1-report.md")).unwrap();
    let golden = folder.join("tests/explain/golden/ws-upgrade-500-after-auth.md");
    let mut text = String::new();
    // Looked at twice, because a busy machine misses deadlines, and what was not seen is not said.
    for _ in 0..2 {
        let (_, iterated) = iterate(&["ws-upgrade-500-after-auth"], &["failure_recovery/recovery_metrics"]).await;
        let report = render(
            &iterated.iteration.seen_by(Viewer::Anyone),
            Format::Markdown,
            Colour::Plain,
        );
        says_what_the_original_says(&report, &original);
        text = normalised(&report);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            std::fs::write(&golden, &text).unwrap();
        }
        if text == std::fs::read_to_string(&golden).unwrap_or_default() {
            return;
        }
    }
    assert_eq!(text, std::fs::read_to_string(&golden).unwrap_or_default());
}

fn says_what_the_original_says(report: &str, original: &str) {
    for (theirs, ours) in FINDINGS {
        assert!(original.contains(theirs), "the original does not say: {theirs}");
        assert!(report.contains(ours), "ours does not say: {ours}\n{report}");
    }
    for section in BEYOND {
        assert!(
            report.contains(section) && !original.contains(section),
            "{section}\n{report}"
        );
    }
}
