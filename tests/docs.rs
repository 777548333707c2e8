//! Documents that are generated from the code say what the code says. `UPDATE_DOCS=1 cargo test --test docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails where it stops")]

use stagewatch::config::{self, ProcessEnvironment};
use stagewatch::failure::{Class, Failure, Kind};
use stagewatch::record::encode::Format;
use stagewatch::record::metrics::Metrics;
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

/// Labels of a sample line such as `name{a="1",b="2"} 3`, without `le`.
fn labels(sample: &str) -> Vec<String> {
    let inside = sample
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'))
        .map_or("", |(inside, _)| inside);
    let names = inside
        .split("\",")
        .filter_map(|label| label.split_once('='))
        .map(|(name, _)| name.trim().to_owned());
    names.filter(|name| name != "le").collect()
}

#[test]
fn the_table_of_metrics_is_up_to_date() {
    stagewatch::crypto::init_crypto();
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rehearsal.yaml");
    let catalog = config::load(&main, &ProcessEnvironment).unwrap_or_else(|errors| panic!("{errors}"));
    let rendered = Metrics::new(&catalog).unwrap().render(Format::Text);
    let mut text = String::from(
        "# Metrics\n\nGenerated from what a daemon with the shipped modules exposes at its first scrape. Gauges of state appear once they \
         are known, so a metric without labels here may have some later.\n\n| name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let lines: Vec<&str> = rendered.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        if !name.starts_with("stagewatch_") {
            continue;
        }
        let kind = lines[at + 1].rsplit(' ').next().unwrap_or_default();
        let sample = lines[at + 2..]
            .iter()
            .take_while(|line| !line.starts_with('#'))
            .next()
            .copied()
            .unwrap_or_default();
        text += &format!("| `{name}` | {kind} | {} | {help} |\n", labels(sample).join(", "));
    }
    assert!(text.matches("stagewatch_").count() > 20, "{text}");
    assert_up_to_date("metrics.md", &text);
}
