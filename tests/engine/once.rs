//! One iteration: complete, restricted, stoppable, and judged again to the same bytes.

use crate::support::{catalog, rehearsal};
use stagewatch::app::once::{OnceOptions, once};
use stagewatch::app::rejudge::{Exported, Transcripts, rejudge};
use stagewatch::history::Place;
use stagewatch::serve::Wanted;
use stagewatch::verdict::{UnknownReason, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_judged_once_and_again_to_the_same_bytes() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let catalog = catalog(&rehearsal, folder.path());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let options = OnceOptions {
        progress: Some(Box::new(move |progress| told.lock().unwrap().push(progress))),
        ..OnceOptions::default()
    };
    let iterated = once(Arc::clone(&catalog), options).await.unwrap();
    let verdicts: BTreeMap<&str, (Verdict, Option<UnknownReason>)> = iterated
        .iteration
        .checks()
        .map(|(_, check)| (check.id.as_str(), (check.verdict, check.reason)))
        .collect();
    let expected = ["healthy", "refuses", "welcomes", "calendar", "both", "rolled"];
    for id in expected {
        assert_eq!(verdicts[id], (Verdict::Pass, None), "{id}");
    }
    assert_eq!(
        verdicts["fast"],
        (Verdict::Unknown, Some(UnknownReason::WindowTooShort))
    );
    assert_eq!(verdicts["costly"].0, Verdict::Off);
    assert_eq!(iterated.iteration.exit_code(), 3);
    let latency = &iterated.iteration.latency_targets[0];
    assert_eq!(
        (latency.samples, latency.measured_ms),
        (2, None),
        "two of the three samples that are needed"
    );
    assert_eq!(seen.lock().unwrap().len(), 4);
    assert_eq!(iterated.transcripts.len(), 4);

    let stored = serde_json::to_string(&iterated.judgements).unwrap();
    let stored: Vec<Exported> = serde_json::from_str(&stored).unwrap();
    let text = serde_json::to_string(&iterated.transcripts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
    let transcripts = Transcripts::new(serde_json::from_str::<Vec<_>>(&text).unwrap());
    assert_eq!(stored.len(), 8);
    for exported in &stored {
        let again = rejudge(&catalog, exported, &transcripts).unwrap();
        assert_eq!(
            serde_json::to_string(&again).unwrap(),
            serde_json::to_string(&exported.judgement).unwrap(),
        );
    }
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_up_runs_what_it_stands_on_and_shows_only_itself() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let options = OnceOptions {
        wanted: vec![Wanted::Check("m/rolled".into())],
        place: Place::Folder(folder.path().join("kept")),
        ..OnceOptions::default()
    };
    let iterated = once(catalog(&rehearsal, folder.path()), options).await.unwrap();
    let shown: Vec<_> = iterated
        .iteration
        .checks()
        .map(|(_, check)| check.id.as_str())
        .collect();
    assert_eq!(shown, ["rolled"]);
    assert_eq!(iterated.iteration.exit_code(), 0);
    let ran: Vec<_> = iterated.transcripts.iter().map(|seen| seen.scenario.as_str()).collect();
    assert_eq!(ran.len(), 2, "{ran:?}");
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_over_a_kept_history_fill_up() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let catalog = catalog(&rehearsal, folder.path());
    let mut verdicts = Vec::new();
    for _ in 0..2 {
        let options = OnceOptions {
            wanted: vec![Wanted::Check("m/fast".into()), Wanted::Check("m/healthy".into())],
            place: Place::Folder(folder.path().join("kept")),
            ..OnceOptions::default()
        };
        let iterated = once(Arc::clone(&catalog), options).await.unwrap();
        let fast = iterated
            .iteration
            .checks()
            .find(|(_, check)| check.id == "fast")
            .unwrap()
            .1;
        verdicts.push(fast.verdict);
    }
    assert_eq!(verdicts, [Verdict::Unknown, Verdict::Pass]);
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_refused() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let options = OnceOptions {
        wanted: vec![Wanted::Check("x/healthy".into())],
        ..OnceOptions::default()
    };
    let error = once(catalog(&rehearsal, folder.path()), options).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no check `x/healthy`; write MODULE/CHECK, such as m/healthy"
    );
    rehearsal.shutdown().await;
}
