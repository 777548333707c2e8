//! Both credentials of a socket in one outage: asked together, told together, ended together. The fold and the desk by themselves.

use crate::folding::{T0, answer, as_alert, catalog, pages};
use crate::support::{eventually, load};
use stagewatch::alert::desk::{Desk, Parts, Snapshot, Told};
use stagewatch::alert::fold::{Fold, Signals};
use stagewatch::alert::{Alert, Command, Credential, Deliver, Keep, KeptAlert, Obey, Stage};
use stagewatch::clock;
use stagewatch::limits::RULES_AFTER;
use stagewatch::run::Run;
use stagewatch::transcript::Observation;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// As [`answer`], to an upgrade without a token; 101 stands for the right answer.
pub fn anonymous(at: f64, status: u16) -> Run {
    let mut run = answer(at, status);
    let transcript = Arc::make_mut(run.transcript.as_mut().unwrap());
    transcript.scenario = "m/anonymous".to_owned();
    for entry in &mut transcript.entries {
        if let Observation::Upgrade(upgrade) = &mut entry.seen {
            upgrade.token = "none".to_owned();
            upgrade.accepted = false;
        }
    }
    run
}

type Kind = fn(f64, u16) -> Run;

fn give(fold: &mut Fold, kind: Kind, answers: &[(f64, u16)]) {
    for (after, status) in answers {
        fold.take(&kind(T0 + after, *status), T0 + after);
    }
}

/// What pages, as the credentials.
fn shown(fold: &Fold) -> Vec<String> {
    let pages = pages(fold);
    pages.iter().map(|page| page.id.labels["credential"].clone()).collect()
}

/// Both credentials fail, confirmed.
fn outage() -> Fold {
    let mut fold = Fold::new(&catalog(), T0);
    give(&mut fold, answer, &[(0.0, 500), (0.1, 500), (0.2, 500), (0.3, 500)]);
    give(&mut fold, anonymous, &[(0.4, 500), (0.5, 500), (0.6, 500), (0.7, 500)]);
    assert_eq!(shown(&fold), ["none", "valid"]);
    fold
}

#[test]
fn a_wrong_answer_asks_the_other_credential_and_its_alert_is_undecided_until_that_is_known() {
    let mut fold = Fold::new(&catalog(), T0);
    assert!(!fold.undecided("main"));
    let commands = fold.take(&answer(T0, 500), T0);
    let asked = Command::Probe {
        socket: "main".to_owned(),
        credential: Credential::Nobody,
    };
    assert_eq!(commands.len(), 2);
    assert!(commands.contains(&asked), "{commands:?}");
    give(&mut fold, answer, &[(0.1, 500), (0.2, 500), (0.3, 500)]);
    assert_eq!(shown(&fold), ["valid"]);
    assert!(fold.undecided("main"), "nobody has answered yet");
    let mut right = Fold::new(&catalog(), T0);
    give(&mut right, answer, &[(0.0, 500), (0.1, 500), (0.2, 500), (0.3, 500)]);
    give(&mut right, anonymous, &[(0.4, 101)]);
    assert!(!right.undecided("main"), "the other one is well");
    give(&mut fold, anonymous, &[(0.4, 500)]);
    assert!(fold.undecided("main"), "its burst is on the way");
    give(&mut fold, anonymous, &[(0.5, 500), (0.6, 500), (0.7, 500)]);
    assert!(!fold.undecided("main"));
}

#[test]
fn the_first_to_be_well_waits_for_the_other_and_both_end_at_once() {
    let mut fold = outage();
    give(&mut fold, anonymous, &[(10.0, 101), (40.0, 101), (71.0, 101)]);
    let state = |fold: &Fold, place: usize| fold.watches()[place].state;
    assert_eq!(state(&fold, 0), "well", "its watch has closed");
    assert_eq!(shown(&fold), ["none", "valid"], "its alert has not");
    give(&mut fold, answer, &[(30.0, 101), (60.0, 101), (91.0, 101)]);
    assert_eq!(shown(&fold), Vec::<String>::new());
}

#[test]
fn it_waits_no_longer_than_a_lease() {
    let lease = catalog().alerting.lease.as_secs_f64();
    let mut fold = outage();
    give(&mut fold, anonymous, &[(10.0, 101), (40.0, 101), (71.0, 101)]);
    fold.tick(T0 + 71.0 + lease - 1.0, Signals::default());
    assert_eq!(shown(&fold), ["none", "valid"]);
    fold.tick(T0 + 71.0 + lease + 1.0, Signals::default());
    assert_eq!(shown(&fold), ["valid"], "a valid token alone is refused now");
}

#[test]
fn what_fails_again_while_it_waits_never_was_well() {
    let mut fold = outage();
    let since = pages(&fold)[0].starts_at;
    give(&mut fold, anonymous, &[(10.0, 101), (40.0, 101), (71.0, 101)]);
    give(
        &mut fold,
        anonymous,
        &[(80.0, 500), (80.1, 500), (80.2, 500), (80.3, 500)],
    );
    fold.tick(T0 + 400.0, Signals::default());
    assert_eq!(shown(&fold), ["none", "valid"]);
    assert_eq!(pages(&fold)[0].starts_at, since);
    // And a restart in the middle goes on with both.
    let kept: Vec<Alert> = pages(&fold).iter().map(as_alert).collect();
    let mut next = Fold::new(&catalog(), T0 + 401.0);
    assert_eq!(next.adopt(&kept).len(), 2);
    assert_eq!(shown(&next), ["none", "valid"]);
}

/// Everything that a desk tells, written down.
#[derive(Default)]
struct Ear {
    kept: Vec<KeptAlert>,
    delivered: Mutex<Vec<Vec<String>>>,
}

impl Deliver for Ear {
    fn deliver(&self, firing: &[Alert]) {
        let shown = firing
            .iter()
            .filter_map(|alert| alert.id.labels.get("credential").cloned());
        self.delivered.lock().unwrap().push(shown.collect());
    }
}

impl Obey for Ear {
    fn obey(&self, _: &Command) {}
}

impl Keep for Ear {
    fn firing(&self) -> Vec<KeptAlert> {
        self.kept.clone()
    }

    fn keep(&self, _: &[KeptAlert]) {}
}

impl Told for Ear {
    fn alerts(&self, _: &Arc<Snapshot>) {}

    fn page(&self, _: Stage, _: f64) {}
}

impl Ear {
    /// The sets that were delivered, from the first with a page.
    fn pages(&self) -> Vec<Vec<String>> {
        let delivered = self.delivered.lock().unwrap();
        delivered.iter().filter(|shown| !shown.is_empty()).cloned().collect()
    }
}

fn desk(confirm_within: Duration, kept: Vec<KeptAlert>) -> (Desk, Arc<Ear>) {
    let main = include_str!("main.yaml")
        .replace("BACKEND", "127.0.0.1:1")
        .replace("AUTH", "127.0.0.1:2");
    let mut catalog = load(&main, include_str!("watched.yaml"), Path::new("unused"));
    let edited = Arc::get_mut(&mut catalog).unwrap();
    edited.alerting.sockets.confirm_within = confirm_within;
    let ear = Arc::new(Ear { kept, ..Ear::default() });
    let desk = Desk::start(Parts {
        catalog,
        obey: Arc::clone(&ear) as _,
        deliver: Arc::clone(&ear) as _,
        keep: Arc::clone(&ear) as _,
        explain: Arc::new(|_, _| stagewatch::diagnose::Diagnosis::default()),
        signals: Box::new(|_| Signals::default()),
        told: Arc::clone(&ear) as _,
        siblings: BTreeMap::new(),
        instances: Vec::new(),
    });
    (desk, ear)
}

fn tell(desk: &Desk, kind: Kind, times: usize) {
    let now = clock::unix_seconds(clock::now());
    (0..times).for_each(|_| desk.take(&Arc::new(kind(now, 500))));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_delivered_in_one_message_although_the_second_is_confirmed_later() {
    let (desk, ear) = desk(Duration::from_secs(60), Vec::new());
    tell(&desk, answer, 4);
    // Long enough for the first to have gone alone if it would.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(ear.pages(), Vec::<Vec<String>>::new());
    tell(&desk, anonymous, 4);
    let delivered = eventually(Duration::from_secs(30), "a page", async || ear.pages().first().cloned()).await;
    assert_eq!(delivered, ["none", "valid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stays_undecided_is_waited_for_no_longer_than_it_may_be() {
    let (desk, ear) = desk(Duration::from_millis(300), Vec::new());
    tell(&desk, answer, 4);
    tell(&desk, anonymous, 1);
    let delivered = eventually(Duration::from_secs(30), "a page", async || ear.pages().first().cloned()).await;
    assert_eq!(delivered, ["valid"]);
}

/// The gauge that Prometheus' rules read follows the push, so that of two messages the one with the diagnosis is the first.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_page_is_made_and_handed_over_its_socket_is_held() {
    let (desk, ear) = desk(Duration::from_millis(300), Vec::new());
    assert!(desk.snapshot().held.is_empty());
    tell(&desk, answer, 4);
    tell(&desk, anonymous, 1);
    let held = || desk.snapshot().held.contains("main");
    let begun = eventually(Duration::from_secs(30), "a draft", async || held().then(Instant::now)).await;
    eventually(Duration::from_secs(30), "a page", async || ear.pages().first().cloned()).await;
    eventually(Duration::from_secs(30), "the end of it", async || {
        (!held()).then_some(())
    })
    .await;
    assert!(begun.elapsed() >= RULES_AFTER, "the push has a start of that");
    assert_eq!(desk.snapshot().firing.len(), 2, "the page, and the heartbeat");
}

/// The alert of a former process, whose lease ended so many seconds ago.
fn kept(seconds_ago: f64) -> KeptAlert {
    let now = clock::unix_seconds(clock::now());
    KeptAlert {
        alert: as_alert(&pages(&outage())[0]),
        lease_until: now - seconds_ago,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_gone_on_with_for_an_hour_after_its_lease() {
    let (_desk, ear) = desk(Duration::from_secs(1), vec![kept(3000.0)]);
    let delivered = eventually(Duration::from_secs(30), "a page", async || ear.pages().first().cloned()).await;
    assert_eq!(delivered, ["none"]);
    let (desk, ear) = desk(Duration::from_secs(1), vec![kept(4000.0)]);
    eventually(Duration::from_secs(30), "the heartbeat", async || {
        (!ear.delivered.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(desk.snapshot().firing.len(), 1, "the heartbeat alone");
    assert_eq!(ear.pages(), Vec::<Vec<String>>::new());
}
