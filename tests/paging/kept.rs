//! Firing alerts survive a restart, and what fired when can be read.

use crate::support::{alert, now, page};
use stagewatch::alert::{AlertName, Keep, KeptAlert};
use stagewatch::history::{Bases, History, Place};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn open(folder: &Path) -> Arc<History> {
    History::open(&Place::Folder(folder.to_owned()), Bases::default()).unwrap()
}

fn kept(alert: stagewatch::alert::Alert) -> KeptAlert {
    KeptAlert {
        lease_until: alert.starts_at + 120.0,
        alert,
    }
}

#[test]
fn what_fires_survives_a_restart_and_what_ended_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (
        kept(page("main")),
        kept(alert(AlertName::CheckFailing, &[("check", "c")])),
    );
    let history = open(folder.path());
    assert_eq!(history.firing(), []);
    history.keep(&[first.clone(), second.clone()]);
    assert_eq!(history.firing().len(), 2, "before it is stored");
    history.keep(std::slice::from_ref(&first));
    drop(history);
    let history = open(folder.path());
    assert_eq!(history.firing(), [first], "the start to the bit");
}

#[test]
fn the_log_says_what_fired_from_when_to_when_with_its_last_text() {
    let folder = tempfile::tempdir().unwrap();
    let history = open(folder.path());
    let mut first = kept(page("main"));
    let began = now();
    history.keep(std::slice::from_ref(&first));
    // It turns out that it began earlier, and more is known.
    first.alert.starts_at -= 3.0;
    first
        .alert
        .annotations
        .insert("description".to_owned(), "who answered".to_owned());
    history.keep(std::slice::from_ref(&first));
    history.keep(&[]);
    let mut again = kept(page("main"));
    again.alert.starts_at = now() + 60.0;
    history.keep(std::slice::from_ref(&again));
    assert!(history.flush(SOON));
    let log = history.reader().alerts(10).unwrap();
    let [over, fires] = log.as_slice() else {
        panic!("{log:?}");
    };
    assert_eq!(
        (over.started, fires.started),
        (first.alert.starts_at, again.alert.starts_at)
    );
    assert!(
        over.ended.is_some_and(|ended| ended >= began && ended <= now()),
        "{over:?}"
    );
    assert_eq!(fires.ended, None);
    assert_eq!((over.severity.as_str(), over.owner.as_str()), ("critical", "chat"));
    assert_eq!(over.annotations["description"], "who answered");
    assert_eq!(over.id, first.alert.id);
    assert_eq!(
        history.reader().alerts(1).unwrap(),
        std::slice::from_ref(fires),
        "the newest"
    );
}
