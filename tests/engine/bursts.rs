//! What the alert fold asks of the schedule, with a stand-in for the runner and against the rehearsal.

use crate::support;
use serde_json::json;
use stagewatch::alert::{Command, Credential, Obey};
use stagewatch::app::once::{OnceOptions, once};
use stagewatch::catalog::{ActiveHours, Catalog, Scenario, Schedule};
use stagewatch::limits::COMMANDS_WAITING_MAX;
use stagewatch::scenario::Outcome;
use stagewatch::schedule::{self, Commander, Event, Execute, Observer, Scheduler, SkipCause};
use stagewatch::transcript::Transcript;
use stagewatch::verdict::UnknownReason;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const MODULE: &str = include_str!("burst.yaml");
const HOUR: Duration = Duration::from_secs(3600);

/// Notes starts; every run takes a while and sees nothing, or is refused.
#[derive(Default)]
struct Stage {
    starts: Mutex<BTreeMap<String, Vec<Instant>>>,
    refuses: Option<UnknownReason>,
    in_flight: Mutex<(usize, usize)>,
}

fn nothing_seen(scenario: &str) -> Transcript {
    let transcript = json!({
        "scenario": scenario, "run": "00000000000000a1", "started_at": "2026-01-02T03:04:05.000Z", "started_unix": 1_767_323_045.0,
        "duration_ms": 1.0, "nonce": "0123456789ab", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "entries": [],
        "time_scale": 1.0, "period_s": 60.0,
    });
    serde_json::from_value(transcript).unwrap()
}

impl Stage {
    fn count(&self, id: &str) -> usize {
        self.starts.lock().unwrap().get(id).map_or(0, Vec::len)
    }

    /// Runs of the anonymous watch, of the one with a token, of the siblings, of those of another socket.
    fn counts(&self) -> [usize; 4] {
        ["m/anonymous", "m/talk", "m/siblings", "m/elsewhere"].map(|id| self.count(id))
    }
}

impl Execute for Stage {
    fn execute<'a>(
        &'a self,
        scenario: &'a Arc<Scenario>,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let now = Instant::now();
            self.starts
                .lock()
                .unwrap()
                .entry(scenario.id.clone())
                .or_default()
                .push(now);
            {
                let mut flying = self.in_flight.lock().unwrap();
                flying.0 += 1;
                flying.1 = flying.1.max(flying.0);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            self.in_flight.lock().unwrap().0 -= 1;
            match self.refuses {
                Some(reason) => Outcome::Refused {
                    reason,
                    note: String::new(),
                },
                None => Outcome::Ran(Box::new(nothing_seen(&scenario.id))),
            }
        })
    }
}

#[derive(Default)]
struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    fn of(&self, cause: SkipCause) -> u64 {
        self.0.lock().unwrap().get(cause.as_str()).copied().unwrap_or(0)
    }
}

impl Observer for Counts {
    fn started(&self, _delay: Duration) {}
    fn skipped(&self, cause: SkipCause, slots: u64) {
        *self.0.lock().unwrap().entry(cause.as_str()).or_default() += slots;
    }
    fn ticked(&self) {}
    fn rearmed(&self, _scenario: &str) {}
    fn clock_jumped(&self, _by_s: f64) {}
}

/// The main file with a second socket.
fn main_file(backend: &str, auth: &str) -> String {
    include_str!("main.yaml")
        .replace(
            "  sockets:\n",
            "  sockets:\n    other: { url: \"ws://BACKEND/ws/test\" }\n    third: { url: \"ws://BACKEND/ws/test\" }\n",
        )
        .replace("BACKEND", backend)
        .replace("AUTH", auth)
}

/// The watches run at the start and then once an hour, so that every further run comes from a command.
fn catalog() -> Catalog {
    stagewatch::crypto::init_crypto();
    let main = main_file("127.0.0.1:9", "127.0.0.1:9").replace("time_scale: 0.02", "time_scale: 1");
    let mut catalog = Arc::into_inner(support::load(&main, MODULE, std::path::Path::new("unused"))).unwrap();
    for scenario in &mut catalog.modules[0].scenarios {
        let scenario = Arc::get_mut(scenario).unwrap();
        if matches!(scenario.schedule, Schedule::Every(_)) {
            scenario.schedule = Schedule::Every(HOUR);
        }
    }
    catalog
}

struct Show {
    scheduler: Scheduler,
    commander: Arc<Commander>,
    stage: Arc<Stage>,
    counts: Arc<Counts>,
    events: mpsc::Receiver<Event>,
}

/// A schedule whose first runs are over.
async fn show(catalog: Catalog, stage: Stage) -> Show {
    let (stage, counts) = (Arc::new(stage), Arc::new(Counts::default()));
    let (commander, commands) = schedule::commands(Arc::clone(&counts) as _);
    let (events, seen) = mpsc::channel(64);
    let scheduler = support::scheduler(catalog, (&stage, &counts), (events, commands)).await;
    pass(900).await;
    Show {
        scheduler,
        commander,
        stage,
        counts,
        events: seen,
    }
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn confirm(credential: Credential) -> Command {
    Command::Confirm {
        socket: "main".to_owned(),
        credential,
        attempts: 3,
    }
}

fn probe(socket: &str, credential: Credential) -> Command {
    Command::Probe {
        socket: socket.to_owned(),
        credential,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_runs_the_watch_three_times_at_once_and_its_siblings_once() {
    let mut show = show(catalog(), Stage::default()).await;
    assert_eq!(
        show.stage.counts(),
        [1, 1, 0, 0],
        "what runs on confirm runs at no other time"
    );
    let begun = Instant::now();
    show.commander.obey(&confirm(Credential::Valid));
    show.commander.obey(&confirm(Credential::Valid));
    pass(600).await;
    assert_eq!(
        show.stage.counts(),
        [1, 4, 1, 0],
        "two commands are one burst, of this socket only"
    );
    assert_eq!(show.stage.in_flight.lock().unwrap().1, 4, "all at once");
    let starts = show.stage.starts.lock().unwrap()["m/talk"].clone();
    assert!(starts[1..].iter().all(|start| *start - begun < Duration::from_secs(2)));
    // The other credential is a burst of its own; the siblings have just been asked.
    show.commander.obey(&confirm(Credential::Nobody));
    pass(600).await;
    assert_eq!(show.stage.counts(), [4, 4, 1, 0]);
    show.scheduler.stop().await;
    let mut told = BTreeMap::new();
    while let Ok(event) = show.events.try_recv() {
        let Event::Finished { scenario, outcome } = event else {
            continue;
        };
        assert!(matches!(outcome, Outcome::Ran(_)));
        *told.entry(scenario.id.clone()).or_insert(0) += 1;
    }
    assert_eq!(
        told,
        [("m/anonymous", 4), ("m/talk", 4), ("m/other", 1), ("m/siblings", 1)]
            .map(|(id, n)| (id.to_owned(), n))
            .into()
    );
    assert!(show.counts.0.lock().unwrap().is_empty(), "nothing was skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_explains_a_failing_check_runs_once_more() {
    let show = show(catalog(), Stage::default()).await;
    let scenarios = ["m/talk", "m/siblings", "m/nowhere"].map(str::to_owned).to_vec();
    show.commander.obey(&Command::Ask { scenarios });
    pass(900).await;
    assert_eq!(show.stage.counts(), [1, 2, 0, 0]);
    assert_eq!(
        show.counts.of(SkipCause::Command),
        2,
        "what runs on confirm only, and what there is not, is counted"
    );
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_one_more_run_in_the_lane() {
    let show = show(catalog(), Stage::default()).await;
    for _ in 0..20 {
        show.commander.obey(&probe("main", Credential::Nobody));
    }
    pass(900).await;
    let runs = show.stage.count("m/anonymous");
    assert!(
        (2..=3).contains(&runs),
        "twenty requests while one run goes on made {runs}"
    );
    assert_eq!(show.counts.of(SkipCause::Command), 0);
    show.commander.obey(&probe("main", Credential::Valid));
    show.commander.obey(&probe("third", Credential::Valid));
    show.commander.obey(&Command::Confirm {
        socket: "third".to_owned(),
        credential: Credential::Nobody,
        attempts: 3,
    });
    pass(300).await;
    assert_eq!(show.stage.count("m/talk"), 2);
    assert_eq!(
        show.counts.of(SkipCause::Command),
        2,
        "nothing watches the third socket"
    );
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_not_allowed_is_counted_and_concludes_nothing() {
    let refusing = Stage {
        refuses: Some(UnknownReason::Budget),
        ..Stage::default()
    };
    let mut refused = show(catalog(), refusing).await;
    while refused.events.try_recv().is_ok() {}
    let before = refused.counts.of(SkipCause::Budget);
    refused.commander.obey(&confirm(Credential::Nobody));
    pass(500).await;
    assert_eq!(refused.counts.of(SkipCause::Budget) - before, 4);
    assert!(
        refused.events.try_recv().is_err(),
        "a refused attempt leaves verdicts alone"
    );
    refused.scheduler.stop().await;

    let mut asleep = catalog();
    asleep.modules[0].active_hours = Some(ActiveHours {
        cron: "* * 31 2 *".to_owned(),
        zone: chrono_tz::Tz::UTC,
    });
    let asleep = show(asleep, Stage::default()).await;
    asleep.commander.obey(&confirm(Credential::Nobody));
    pass(500).await;
    assert_eq!(
        (asleep.stage.counts(), asleep.counts.of(SkipCause::Command)),
        ([0; 4], 4)
    );
    asleep.scheduler.stop().await;

    let mut crowded = catalog();
    crowded.service.concurrency = 1;
    crowded.alerting.sockets.confirm_within = Duration::from_millis(300);
    let crowded = show(crowded, Stage::default()).await;
    crowded.commander.obey(&confirm(Credential::Nobody));
    pass(1000).await;
    let (most, skipped) = (
        crowded.stage.in_flight.lock().unwrap().1,
        crowded.counts.of(SkipCause::Command),
    );
    assert_eq!(
        (most, skipped),
        (1, 2),
        "two of four found a place in time, one after the other"
    );
    crowded.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_never_waits() {
    let counts = Arc::new(Counts::default());
    let (commander, waiting) = schedule::commands(Arc::clone(&counts) as _);
    for _ in 0..COMMANDS_WAITING_MAX + 7 {
        commander.obey(&confirm(Credential::Nobody));
    }
    assert_eq!(counts.of(SkipCause::Command), 7);
    drop(waiting);
    commander.obey(&confirm(Credential::Nobody));
    assert_eq!(counts.of(SkipCause::Shutdown), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iteration_asks_the_siblings_only_after_a_wrong_answer() {
    let (rehearsal, folder) = (support::rehearsal().await, tempfile::tempdir().unwrap());
    let main = main_file(
        &rehearsal.backend_addr().to_string(),
        &rehearsal.auth_addr().to_string(),
    );
    let catalog = support::load(&main, MODULE, folder.path());
    let siblings = async || {
        let iterated = once(Arc::clone(&catalog), OnceOptions::default()).await.unwrap();
        let seen = iterated.transcripts.iter().filter(|seen| seen.scenario == "m/siblings");
        seen.flat_map(|seen| seen.entries.iter().map(|entry| entry.id.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(siblings().await, Vec::<String>::new());
    rehearsal.switch("ws-upgrade-500-after-auth", true).unwrap();
    assert_eq!(siblings().await, ["plain_get"]);
    rehearsal.shutdown().await;
}
