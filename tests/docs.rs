//! Documents that are generated from the code say what the code says. `UPDATE_DOCS=1 cargo test --test docs` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails where it stops")]

use stagewatch::alert::AlertName;
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

/// The values of `cause` that a metric has.
fn causes(lines: &[&str], metric: &str) -> String {
    let samples = lines.iter().filter(|line| line.starts_with(&format!("{metric}{{")));
    let values = samples.filter_map(|line| line.split("cause=\"").nth(1)?.split('"').next());
    values.collect::<Vec<_>>().join(", ")
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
        let labels = labels(sample).into_iter().map(|label| match label.as_str() {
            "cause" => format!("cause = {}", causes(&lines, name)),
            _ => label,
        });
        let labels: Vec<String> = labels.collect();
        text += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "));
    }
    assert!(text.matches("stagewatch_").count() > 20, "{text}");
    assert_up_to_date("metrics.md", &text);
}

#[test]
fn every_alert_has_a_runbook() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).unwrap();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    for alert in AlertName::ALL {
        let section = sections
            .iter()
            .find(|section| section.lines().next() == Some(alert.as_str()));
        let section = section.unwrap_or_else(|| panic!("docs/alerts.md has no section {alert}"));
        for part in ["**Means.**", "**Check.**", "**Do.**"] {
            assert!(section.contains(part), "{alert} does not say {part}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let link = regex::Regex::new(r"\]\(([^)#:\s]+)(?:#([^)\s]+))?\)").unwrap();
    let mut pages = vec![
        root.join("README.md"),
        root.join("ARCHITECTURE.md"),
        root.join("deploy/kubernetes/README.md"),
    ];
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    pages.extend(
        docs.map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "md")),
    );
    let mut links = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&text) {
            let target = page.parent().unwrap().join(&found[1]);
            assert!(target.exists(), "{}: {} is not there", page.display(), &found[1]);
            if let Some(anchor) = found.get(2) {
                let headings = std::fs::read_to_string(&target)
                    .unwrap()
                    .to_lowercase()
                    .replace(' ', "-");
                let found = headings
                    .lines()
                    .any(|line| line.trim_start_matches('#') == format!("-{}", anchor.as_str()));
                assert!(found, "{}: no heading {}", page.display(), anchor.as_str());
            }
            links += 1;
        }
    }
    assert!(links > 20, "only {links} links were looked at");
}
