//! No shipped check passes on nothing: evidence is taken away and every check is judged again.

use super::staging::Staging;
use stagewatch::app::once::Iterated;
use stagewatch::app::rejudge::{Exported, StoredEvidence, Transcripts, rejudge};
use stagewatch::app::select;
use stagewatch::catalog::{Catalog, Check, Expectation, Part};
use stagewatch::expression::Expression;
use stagewatch::transcript::Transcript;
use stagewatch::verdict::{UnknownReason, Verdict};
use std::collections::BTreeSet;

fn transcripts(iterated: &Iterated, change: impl Fn(&mut Transcript)) -> Transcripts {
    Transcripts::new(iterated.transcripts.iter().map(|transcript| {
        let mut transcript = (**transcript).clone();
        change(&mut transcript);
        transcript
    }))
}

fn name(exported: &Exported) -> String {
    format!("{}/{}", exported.judgement.module, exported.judgement.id)
}

/// The steps that an expression names, `step` and `scenario.step` alike.
fn steps(expression: &Expression, scenarios: &BTreeSet<&str>) -> BTreeSet<String> {
    let reads = expression.reads().iter();
    reads
        .filter_map(|path| match scenarios.contains(path.root.as_str()) {
            true => path.fields.first().cloned(),
            false => Some(path.root.clone()),
        })
        .collect()
}

/// Every expectation of a check with its part, in order.
fn expectations(check: &Check) -> impl Iterator<Item = (&Part, &Expectation)> {
    check
        .parts
        .iter()
        .flat_map(|part| part.expect.iter().map(move |expectation| (part, expectation)))
}

/// Judges `exported` again without the entries of `dropped`, and says which of its expectations still hold.
fn still_held(
    catalog: &Catalog,
    exported: &Exported,
    (iterated, dropped): (&Iterated, &BTreeSet<String>),
) -> Vec<bool> {
    // Only what the check read: views of everything, hundreds of times over, would take minutes.
    let runs: BTreeSet<&str> = exported.inputs.iter().flat_map(|inputs| inputs.runs()).collect();
    let read = iterated
        .transcripts
        .iter()
        .filter(|transcript| runs.contains(transcript.run.as_str()));
    let left = Transcripts::new(read.map(|transcript| {
        let mut transcript = (**transcript).clone();
        transcript.entries.retain(|entry| !dropped.contains(&entry.id));
        transcript
    }));
    let judgement = rejudge(catalog, exported, &left).unwrap();
    judgement
        .expectations
        .iter()
        .map(|judged| judged.held == Some(true))
        .collect()
}

/// Every expectation without what it reads, and every absence without its witness.
fn hollow(catalog: &Catalog, exported: &Exported, iterated: &Iterated) -> Vec<String> {
    let check = select::find(catalog, &name(exported)).unwrap();
    let names: BTreeSet<&str> = check
        .scenarios()
        .iter()
        .filter_map(|id| id.split_once('/').map(|(_, name)| name))
        .collect();
    let mut found = Vec::new();
    for (place, (part, expectation)) in expectations(check).enumerate() {
        let reads = [Some(&expectation.that), expectation.witness.as_ref()];
        for expression in reads.into_iter().flatten() {
            let mut dropped = steps(expression, &names);
            part.extracts
                .iter()
                .for_each(|extract| _ = dropped.remove(&extract.name));
            let seen = iterated.transcripts.iter().flat_map(|transcript| &transcript.entries);
            if !seen.into_iter().any(|entry| dropped.contains(&entry.id)) {
                continue;
            }
            if still_held(catalog, exported, (iterated, &dropped))[place] {
                let text = expression.source();
                found.push(format!(
                    "{}: {} holds without {dropped:?} of {text}",
                    name(exported),
                    expectation.that.source()
                ));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_on_nothing() {
    let staging = Staging::start(&[]).await;
    let iterated = staging.iterate().await;
    let catalog = &staging.catalog;
    let judged: Vec<&Exported> = iterated
        .judgements
        .iter()
        .filter(|exported| exported.inputs.is_some())
        .collect();
    assert_eq!(judged.len(), 58);
    let passing = judged
        .iter()
        .filter(|exported| exported.judgement.verdict == Verdict::Pass)
        .count();
    assert!(passing >= 50, "only {passing} checks pass: the test would prove little");

    let empty = transcripts(&iterated, |transcript| transcript.entries.clear());
    let over_scenarios =
        |exported: &&&Exported| !select::find(catalog, &name(exported)).unwrap().scenarios().is_empty();
    for exported in judged.iter().filter(over_scenarios) {
        let again = rejudge(catalog, exported, &empty).unwrap();
        assert_ne!(
            again.verdict,
            Verdict::Pass,
            "{} passes on empty transcripts",
            name(exported)
        );
    }

    let whole = transcripts(&iterated, |_| {});
    for exported in judged.iter().filter(over_scenarios) {
        for scenario in exported.inputs.as_ref().unwrap().evidence.keys() {
            let mut without = (*exported).clone();
            let absent = StoredEvidence::Absent {
                reason: UnknownReason::Missed,
                note: "it did not run".to_owned(),
                blame: None,
            };
            without
                .inputs
                .as_mut()
                .unwrap()
                .evidence
                .insert(scenario.clone(), absent);
            let again = rejudge(catalog, &without, &whole).unwrap();
            let expected = if exported.judgement.verdict == Verdict::Pass {
                Verdict::Unknown
            } else {
                again.verdict
            };
            let whole_path = select::find(catalog, &name(exported)).unwrap().whole_path;
            assert!(
                again.verdict == expected || whole_path,
                "{} without {scenario}: {}",
                name(exported),
                again.verdict
            );
            assert_ne!(
                again.verdict,
                Verdict::Pass,
                "{} passes without {scenario}",
                name(exported)
            );
        }
    }

    let hollow: Vec<String> = judged
        .iter()
        .filter(over_scenarios)
        .flat_map(|exported| hollow(catalog, exported, &iterated))
        .collect();
    assert!(hollow.is_empty(), "{}", hollow.join("\n"));
    staging.end().await;
}
