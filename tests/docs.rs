//! Documents that are generated from the code say what the code says. `UPDATE_DOCS=1 cargo test --test docs` writes them anew.

use stagewatch::failure::{Class, Failure, Kind};
use std::path::Path;

fn assert_up_to_date(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stands == text,
        "docs/{file} is not what the code says: run UPDATE_DOCS=1 cargo test --test docs"
    );
}

/// Kinds that an upgrade attempt cannot end with have no outcome.
fn outcome(kind: Kind) -> String {
    let attempt = [
        Class::Dns,
        Class::Connect,
        Class::Tls,
        Class::UpgradeStatus,
        Class::UpgradeProtocol,
    ];
    match kind {
        Kind::WsUpgradeRefused => "`http_<status>`, `http_other`".to_owned(),
        Kind::HttpClosed => "–".to_owned(),
        Kind::UpgradeTimeout | Kind::HeaderTooLarge | Kind::HttpProtocol => {
            format!("`{}`", Failure::new(kind, "").upgrade_outcome())
        }
        _ if attempt.contains(&kind.class()) => format!("`{}`", Failure::new(kind, "").upgrade_outcome()),
        _ => "–".to_owned(),
    }
}

#[test]
fn the_table_of_failures_is_up_to_date() {
    let mut text = String::from(
        "# Kinds of failure\n\nGenerated from `src/failure.rs`. The class is the metric label `reason`; the outcome is the label of \
         `stagewatch_websocket_upgrades_total` that an upgrade attempt which failed like this counts as. Kinds of class `internal` \
         are blamed on the monitor: they make a verdict `unknown`, never `fail`.\n\n\
         | kind | class | usual phase | upgrade outcome |\n|---|---|---|---|\n",
    );
    for kind in Kind::ALL {
        text += &format!(
            "| `{kind}` | `{}` | `{}` | {} |\n",
            kind.class(),
            kind.usual_phase(),
            outcome(*kind)
        );
    }
    assert_up_to_date("failures.md", &text);
}
