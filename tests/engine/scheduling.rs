//! The schedule with a stand-in for the runner: who runs when, what is missed, what never waits. Periods are a few
//! hundred milliseconds and bounds are wide, because the machine may be busy.

use crate::support;
use stagewatch::catalog::{ActiveHours, Catalog, Scenario, Schedule};
use stagewatch::scenario::Outcome;
use stagewatch::schedule::{self, Event, Execute, Observer, Scheduler, SkipCause};
use stagewatch::verdict::UnknownReason;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Starts of runs, and how long each scenario takes.
#[derive(Default)]
struct Stage {
    starts: Mutex<BTreeMap<String, Vec<Instant>>>,
    takes: BTreeMap<&'static str, Duration>,
    panics_first: Option<&'static str>,
    in_flight: Mutex<BTreeMap<String, usize>>,
    most: Mutex<usize>,
}

impl Stage {
    fn starts(&self, id: &str) -> Vec<Instant> {
        self.starts.lock().unwrap().get(id).cloned().unwrap_or_default()
    }
}

impl Execute for Stage {
    fn execute<'a>(
        &'a self,
        scenario: &'a Arc<Scenario>,
        stop: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let first = {
                let mut starts = self.starts.lock().unwrap();
                let starts = starts.entry(scenario.id.clone()).or_default();
                starts.push(Instant::now());
                starts.len() == 1
            };
            assert!(
                !(first && self.panics_first == Some(scenario.id.as_str())),
                "as the test wants it"
            );
            let all = {
                let mut in_flight = self.in_flight.lock().unwrap();
                let own = in_flight.entry(scenario.id.clone()).or_default();
                *own += 1;
                assert_eq!(*own, 1, "two runs of {} at once", scenario.id);
                in_flight.values().sum()
            };
            {
                let mut most = self.most.lock().unwrap();
                *most = (*most).max(all);
            }
            let takes = self.takes.get(scenario.id.as_str()).copied();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(takes.unwrap_or(Duration::from_millis(10))) => {}
            }
            *self.in_flight.lock().unwrap().get_mut(&scenario.id).unwrap() -= 1;
            Outcome::Refused {
                reason: UnknownReason::NoActivity,
                note: String::new(),
            }
        })
    }
}

#[derive(Default)]
struct Counts {
    skipped: Mutex<BTreeMap<&'static str, u64>>,
    rearmed: Mutex<Vec<String>>,
}

impl Observer for Counts {
    fn started(&self, _delay: Duration) {}
    fn skipped(&self, cause: SkipCause, slots: u64) {
        *self.skipped.lock().unwrap().entry(cause.as_str()).or_default() += slots;
    }
    fn ticked(&self) {}
    fn rearmed(&self, scenario: &str) {
        self.rearmed.lock().unwrap().push(scenario.to_owned());
    }
    fn clock_jumped(&self, _by_s: f64) {}
}

/// Scenarios that only wait, by name and period in milliseconds.
fn catalog(scenarios: &[(&str, u64)]) -> Catalog {
    stagewatch::crypto::init_crypto();
    let mut module = "module: m\nnumber: 1\ntitle: Stand-ins\nseverity: info\nowner: nobody\nscenarios:\n".to_owned();
    for (name, _) in scenarios {
        module.push_str(&format!(
            "  {name}:\n    schedule: {{ every: 60s }}\n    deadline: 5s\n    steps: [ {{ http: {{ id: {name}_step, base: api, path: /x }} }} ]\n"
        ));
    }
    module.push_str("checks:\n");
    for (name, _) in scenarios {
        module.push_str(&format!(
            "  - {{ id: {name}, title: {name}, parts: [ {{ needs: [{name}], expect: [ {{ that: \"{name}_step.status == 200\" }} ] }} ] }}\n"
        ));
    }
    let main = include_str!("main.yaml")
        .replace("BACKEND", "127.0.0.1:9")
        .replace("AUTH", "127.0.0.1:9")
        .replace("time_scale: 0.02", "time_scale: 1");
    let loaded = support::load(&main, &module, std::path::Path::new("unused"));
    let mut catalog = Arc::into_inner(loaded).unwrap();
    // Shorter than a configuration may ask for, so that a test sees many periods.
    for (scenario, (_, period)) in catalog.modules[0].scenarios.iter_mut().zip(scenarios) {
        let scenario = Arc::get_mut(scenario).unwrap();
        assert!(scenario.deadline >= Duration::from_secs(5));
        scenario.schedule = Schedule::Every(Duration::from_millis(*period));
    }
    catalog
}

struct Show {
    scheduler: Scheduler,
    stage: Arc<Stage>,
    counts: Arc<Counts>,
    events: mpsc::UnboundedReceiver<Event>,
    begun: Instant,
}

async fn show(catalog: Catalog, stage: Stage) -> Show {
    let (stage, counts) = (Arc::new(stage), Arc::new(Counts::default()));
    let (events, mut bounded) = mpsc::channel(16);
    let (seen, unbounded) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = bounded.recv().await {
            let _ = seen.send(event);
        }
    });
    let begun = Instant::now();
    let (_, commands) = schedule::commands(Arc::clone(&counts) as _);
    let scheduler = support::scheduler(catalog, (&stage, &counts), (events, commands)).await;
    Show {
        scheduler,
        stage,
        counts,
        events: unbounded,
        begun,
    }
}

async fn pass(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_runs_at_once_and_then_in_its_phase() {
    let show = show(catalog(&[("quick", 100), ("slow", 600)]), Stage::default()).await;
    pass(6000).await;
    for (id, period, least) in [("m/quick", 100, 40), ("m/slow", 600, 8)] {
        let starts = show.stage.starts(id);
        assert!(starts[0] - show.begun < Duration::from_secs(1), "{id} first ran late");
        let most = 6000 / period + 2;
        assert!(
            (least..=most).contains(&starts.len()),
            "{id} ran {} times",
            starts.len()
        );
        // Late starts do not move the grid: the whole is a multiple of the period, give or take one late start.
        let span = starts[starts.len() - 1] - starts[1];
        let off = span.as_millis() % period as u128;
        assert!(off.min(period as u128 - off) < 80, "{id} is {off} ms off its grid");
    }
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_slot_is_missed_and_counted_and_nobody_else_waits() {
    let stage = Stage {
        takes: [("m/stuck", Duration::from_millis(510))].into(),
        ..Stage::default()
    };
    let mut show = show(catalog(&[("stuck", 200), ("other", 200)]), stage).await;
    pass(6000).await;
    let stuck = show.stage.starts("m/stuck").len();
    assert!(
        (7..=11).contains(&stuck),
        "ran {stuck} times in 6 s, each taking three slots of 200 ms"
    );
    let other = show.stage.starts("m/other").len();
    assert!(other >= 20, "the other one ran {other} times");
    show.scheduler.stop().await;
    let missed = show.counts.skipped.lock().unwrap()["overrun"];
    assert!((12..=23).contains(&missed), "{missed} slots missed");
    let mut told = 0;
    while let Some(event) = show.events.recv().await {
        if let Event::Missed { slots, scenario } = event {
            assert_eq!(scenario.id, "m/stuck");
            told += slots;
        }
    }
    assert_eq!(told, missed, "every missed slot is handed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_asked_for_while_one_is_waiting_are_one() {
    let stage = Stage {
        takes: [("m/rare", Duration::from_millis(300))].into(),
        ..Stage::default()
    };
    let show = show(catalog(&[("rare", 3_600_000)]), stage).await;
    pass(700).await;
    let ask = || show.scheduler.handle().ask(&["m/rare".to_owned(), "m/none".to_owned()]);
    assert_eq!(ask(), ["m/rare"]);
    pass(100).await;
    for _ in 0..50 {
        assert_eq!(ask(), ["m/rare"], "while the second run goes on");
    }
    pass(1200).await;
    assert_eq!(show.stage.starts("m/rare").len(), 3, "fifty requests are one more run");
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_once_than_allowed() {
    let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    let scenarios: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 60_000)).collect();
    let mut catalog = catalog(&scenarios);
    catalog.service.concurrency = 3;
    let ids: Vec<&'static str> = names.iter().map(|name| &*format!("m/{name}").leak()).collect();
    let stage = Stage {
        takes: ids.iter().map(|id| (*id, Duration::from_millis(500))).collect(),
        ..Stage::default()
    };
    let show = show(catalog, stage).await;
    pass(4000).await;
    assert_eq!(*show.stage.most.lock().unwrap(), 3);
    assert!(ids.iter().all(|id| !show.stage.starts(id).is_empty()));
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_died_is_armed_again() {
    let mut catalog = catalog(&[("fragile", 200)]);
    Arc::get_mut(&mut catalog.modules[0].scenarios[0]).unwrap().deadline = Duration::from_millis(100);
    let stage = Stage {
        panics_first: Some("m/fragile"),
        ..Stage::default()
    };
    let show = show(catalog, stage).await;
    pass(1000).await;
    assert_eq!(show.stage.starts("m/fragile").len(), 1);
    support::eventually(Duration::from_secs(25), "a second life", async || {
        (show.stage.starts("m/fragile").len() > 2).then_some(())
    })
    .await;
    assert_eq!(*show.counts.rearmed.lock().unwrap(), ["m/fragile"]);
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_active_hours_a_module_rests() {
    let mut catalog = catalog(&[("office", 100)]);
    catalog.modules[0].active_hours = Some(ActiveHours {
        cron: "* * 31 2 *".to_owned(),
        zone: chrono_tz::Tz::UTC,
    });
    let mut show = show(catalog, Stage::default()).await;
    pass(1500).await;
    assert!(show.stage.starts("m/office").is_empty());
    let event = show.events.try_recv().unwrap();
    assert!(matches!(event, Event::Inactive { scenario } if scenario.id == "m/office"));
    assert!(show.events.try_recv().is_err(), "said once");
    show.scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_a_moment_then_cancels() {
    let stage = Stage {
        takes: [("m/endless", Duration::from_secs(100_000))].into(),
        ..Stage::default()
    };
    let show = show(catalog(&[("endless", 1000)]), stage).await;
    pass(1000).await;
    let begun = Instant::now();
    show.scheduler.stop().await;
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(6),
        "{took:?}"
    );
    let in_flight = show.stage.in_flight.lock().unwrap()["m/endless"];
    assert_eq!(in_flight, 0, "it was told to end");
}
