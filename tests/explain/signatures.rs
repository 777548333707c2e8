//! For each signature that the rehearsal can play, the expected rule and no other leads the diagnosis.

use crate::expected::{BREAKER, COHERENCE, JOURNEY, MESSAGES, REFUSALS, SIGNATURES, THREADS};
use crate::support::iterate;
use stagewatch::app::explain::explain;
use stagewatch::app::once::Iterated;
use stagewatch::catalog::Catalog;
use stagewatch::report::{Colour, Format, render};
use stagewatch::run::Judgement;
use stagewatch::transcript::Transcript;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Rehearsals at once: a run that has to fight for the processor sees time-outs that no rule expects.
const AT_ONCE: usize = 3;

/// The rules that hold, sensitive ones included.
fn named(catalog: &Catalog, iterated: &Iterated, transcripts: &[Arc<Transcript>]) -> Vec<String> {
    let judgements: Vec<&Judgement> = iterated.judgements.iter().map(|stored| &stored.judgement).collect();
    let diagnosis = explain(catalog, transcripts, &judgements);
    diagnosis.causes.into_iter().map(|cause| cause.rule).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of live faults: cargo test --test explain -- --ignored"]
async fn the_expected_rule_leads() {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (fault, rule, more) in SIGNATURES {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let mut named_last = Vec::new();
            // Looked at twice, because a busy machine misses deadlines, and what was not seen is not named.
            for _ in 0..2 {
                let (catalog, iterated) = iterate(&[fault], more).await;
                named_last = named(&catalog, &iterated, &iterated.transcripts);
                if named_last.first().map(String::as_str) == Some(rule) {
                    return None;
                }
            }
            Some(format!("{fault}: {rule}, but {named_last:?}"))
        });
    }
    let mut wrong: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_named_on_a_healthy_target() {
    let (catalog, iterated) = iterate(&[], &[COHERENCE, BREAKER, MESSAGES, THREADS, REFUSALS, JOURNEY]).await;
    assert_eq!(named(&catalog, &iterated, &iterated.transcripts), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_the_day_says_what_took_an_hour() {
    let (catalog, iterated) = iterate(&["ws-upgrade-500-after-auth"], &[]).await;
    let report = render(&iterated.iteration, Format::Markdown, Colour::Plain);
    for said in [
        "- **Critical finding:** The WebSocket upgrade answers HTTP 500 for a valid token only",
        "Authentication works: an upgrade without a token is answered \\[403\\], a forged token \\[403\\]; the API answers \\[200\\] for the same tokens",
        "The failure is inside the upgrade, after authentication",
        "All WebSocket-dependent checks share it",
        "the API is unaffected",
        "## Five whys: The WebSocket upgrade answers HTTP 500 for a valid token only",
        "### Why 1: Why is the WebSocket returning HTTP 500?",
        "### Why 5: Which exception is raised after authentication?",
        "**Answer:** not visible from outside.",
        "### Immediate (P0)",
    ] {
        assert!(report.contains(said), "{said}\nis missing in\n{report}");
    }
    // The order in which scenarios ended must not change a byte.
    let mut backwards = iterated.transcripts.clone();
    backwards.reverse();
    let judgements: Vec<&Judgement> = iterated.judgements.iter().map(|stored| &stored.judgement).collect();
    assert_eq!(
        serde_json::to_string(&explain(&catalog, &iterated.transcripts, &judgements)).unwrap(),
        serde_json::to_string(&explain(&catalog, &backwards, &judgements)).unwrap(),
    );
}
