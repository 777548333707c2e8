//! An incident as a daemon lives it: opened and explained within seconds, bundled, judged again elsewhere, reported, closed.

use crate::support::{daemon_catalog, rehearsal, until};
use serde::Deserialize;
use serde_json::Value;
use stagewatch::app::rejudge::{Exported, Transcripts, rejudge};
use stagewatch::app::{daemon, iterations};
use stagewatch::history::{IncidentFilter, Reader};
use stagewatch::incident::Incident;
use stagewatch::report::{Colour, Format, render};
use stagewatch::sensitive::Viewer;
use stagewatch::transcript::Transcript;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const FAULT: &str = "ws-upgrade-500-after-auth";

#[derive(Deserialize)]
struct Bundle {
    judgements: Vec<Exported>,
    evidence: Vec<Transcript>,
    incident: Incident,
    repeat: Vec<Value>,
    config_digest: String,
}

/// The incident of the refused upgrade, once the rules have named its cause.
fn explained(reader: &Reader, open: bool) -> Option<Incident> {
    let filter = IncidentFilter {
        open: Some(open),
        member: Some("main/valid".to_owned()),
        ..IncidentFilter::default()
    };
    let mut incidents = reader.incidents(&filter).unwrap().into_iter();
    incidents.find(|incident| {
        let lead = incident.diagnosis.lead();
        lead.is_some_and(|cause| cause.rule == "upgrade_500_after_auth")
    })
}

fn bundle(folder: &Path, id: &str) -> Bundle {
    let file = folder.join("bundle.json");
    let status = Command::new(env!("CARGO_BIN_EXE_stagewatch"))
        .args(["bundle", id, "--data-dir"])
        .arg(folder)
        .arg("--output")
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_opened_explained_bundled_reported_and_closed() {
    let rehearsal = rehearsal(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let catalog = daemon_catalog(&rehearsal, folder.path());
    let running = daemon::start(std::sync::Arc::clone(&catalog)).await.unwrap();
    let reader = running.history().reader().clone();
    let live = std::sync::Arc::clone(running.live());
    until("a first good look at the sockets", || {
        let status = live.status();
        let module = status.modules.iter().find(|module| module.id == "websocket_events")?;
        let check = module.checks.iter().find(|check| check.id == "websocket_connection")?;
        check.last_pass_at.clone()
    })
    .await;
    until("a first judgement of every check", || {
        (live.status().summary.pending == 0).then_some(())
    })
    .await;
    // What was opened at the start is past, so that what is seen from now on speaks of the fault.
    tokio::time::sleep(Duration::from_secs(4)).await;
    running.explaining().store_iteration();

    rehearsal.switch(FAULT, true).unwrap();
    let incident = until("the incident", || explained(&reader, true)).await;
    assert!(incident.last_good.is_some(), "{incident:#?}");
    let change = incident.changes.iter().find(|change| change.what == "status");
    let change = change.map(|change| (change.from.as_str(), change.to.as_str()));
    assert_eq!(change, Some(("101", "500")));

    let bundle = bundle(folder.path(), &incident.id);
    assert_eq!(
        (bundle.incident.id.as_str(), bundle.config_digest.as_str()),
        (incident.id.as_str(), catalog.digest.as_str())
    );
    assert!(bundle.judgements.len() > 5, "{} judgements", bundle.judgements.len());
    let transcripts = Transcripts::new(bundle.evidence);
    for stored in &bundle.judgements {
        let again = rejudge(&catalog, stored, &transcripts).unwrap();
        assert_eq!(
            serde_json::to_string(&again).unwrap(),
            serde_json::to_string(&stored.judgement).unwrap()
        );
    }
    let lines: Vec<&str> = bundle.repeat.iter().filter_map(|step| step["line"].as_str()).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("websocat -v") && line.contains("$TOKEN")),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("eyJ")), "{lines:#?}");

    running.explaining().store_iteration();
    let reported = until("the second iteration", || {
        let iteration = iterations::stored(&reader, None).unwrap()?;
        iteration.since.is_some().then_some(iteration)
    })
    .await;
    let report = render(&reported.seen_by(Viewer::Anyone), Format::Markdown, Colour::Plain);
    assert!(
        report.contains("- **Newly failing:**\n") && report.contains("websocket_events/websocket_connection"),
        "{report}"
    );

    rehearsal.switch(FAULT, false).unwrap();
    let closed = until("the recovery", || {
        reader
            .incident(&incident.id)
            .unwrap()
            .filter(|incident| incident.closed_at.is_some())
    })
    .await;
    assert!(
        closed
            .members
            .iter()
            .all(|member| member.aftermath || member.until.is_some())
    );
    running.shutdown().await;
    rehearsal.shutdown().await;
}
