//! How long the page takes to draw with everything that it can hold: 58 checks and a day of history.

use super::overview::{Overview, Seen};
use crate::app::shipped;
use crate::config::{self, Overrides};
use crate::record::Sink;
use crate::record::live::Live;
use crate::record::trend::Trend;
use crate::run::{Judgement, Measured, Run};
use crate::verdict::Verdict;
use askama::Template;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const TIMES: u32 = 20;
const NOW: f64 = 1_795_000_000.0;

fn judgement(module: &str, id: &str, verdict: Verdict) -> Arc<Judgement> {
    let judged = json!({
        "module": module, "id": id, "title": id, "at": "2026-11-27T00:00:00.000Z", "verdict": verdict, "duration_ms": 12.0,
        "expectations": [ { "that": "answer.status == 200", "held": verdict == Verdict::Pass, "message": "it was 500" } ],
        "transcripts": [],
    });
    Arc::new(serde_json::from_value(judged).expect("it is a judgement"))
}

#[test]
#[ignore = "prints a time; run it by hand with --release --nocapture"]
fn a_day_of_history_is_drawn_quickly() {
    crate::crypto::init_crypto();
    let environment = shipped::environment(&[]);
    let loaded = config::load_with(Path::new(shipped::REHEARSAL), &environment, &Overrides::default());
    let catalog = loaded.unwrap_or_else(|errors| panic!("{errors}"));
    let (live, trend) = (Live::new(&catalog), Trend::new(&catalog));
    let verdicts = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Unknown,
        Verdict::Pass,
        Verdict::Pass,
    ];
    let cell = trend.over().as_secs_f64() / 48.0;
    for (slot, verdict) in (0..48_u32).zip(verdicts.iter().cycle()) {
        let checks = catalog.modules.iter().flat_map(|module| &module.checks);
        let measures = catalog.latency_targets.keys().flat_map(|name| {
            (0..200).map(|value| Measured {
                series: name.clone(),
                value: json!(value),
                latency_target: Some(name.clone()),
                floor: None,
            })
        });
        let run = Arc::new(Run {
            transcript: None,
            measures: measures.collect(),
            judgements: checks
                .map(|check| judgement(&check.module, &check.id, *verdict))
                .collect(),
            inputs: Vec::new(),
            missed: None,
            repeated: Vec::new(),
            at: NOW - f64::from(48 - slot) * cell,
        });
        live.take(&run);
        trend.take(&run);
    }
    let begun = Instant::now();
    let mut page = String::new();
    for _ in 0..TIMES {
        let seen = Seen {
            status: &live.status(),
            catalog: &catalog,
            trend: &trend,
            now: NOW,
            open: &[],
            maintenance: Vec::new(),
            monitor: Vec::new(),
        };
        page = Overview::of(seen).render().expect("it can be drawn");
    }
    println!("{} bytes in {:?} on average", page.len(), begun.elapsed() / TIMES);
    assert_eq!(page.matches("class=strip").count(), 58 + 10);
}
