//! Every fault against the table: exactly the checks it should turn red, with class, phase, status and blame, and no other;
//! well before and well after.

use super::documented::{Documented, is_of_the_past};
use super::expected::{HEALTHY, Table};
use super::seen::Seen;
use super::staging::Staging;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The faults that the first rehearsal had to have.
const FIRST: [&str; 20] = [
    "ws-upgrade-500",
    "ws-upgrade-500-after-auth",
    "ws-upgrade-403",
    "ws-upgrade-502",
    "ws-upgrade-503",
    "ws-upgrade-504",
    "ws-upgrade-hang",
    "ws-wrong-accept",
    "ws-no-welcome",
    "ws-close-1008",
    "ws-close-1011",
    "ws-zombie",
    "ws-cross-user-leak",
    "auth-accepts-tampered",
    "health-frozen",
    "health-lies",
    "api-slow:300",
    "api-500",
    "refuse-connections",
    "agent-silent",
];
/// Times that a fault is tried again, with fewer beside it, when the result is not the expected one: a busy machine misses
/// deadlines.
const TRIES_AGAIN: usize = 2;

/// Whether what is seen is to be written down instead of compared.
pub fn blessing() -> bool {
    std::env::var_os("STAGEWATCH_BLESS").is_some()
}

/// The faults of this run.
fn chosen(documented: &Documented) -> BTreeSet<String> {
    let all = || {
        let names = stagewatch::rehearsal::catalogue();
        names.iter().map(|fault| fault.name.replace(":MS", ":300")).collect()
    };
    match std::env::var("STAGEWATCH_FAULTS").as_deref() {
        Ok("all") => all(),
        Ok(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        Err(_) => FIRST
            .iter()
            .map(|name| (*name).to_owned())
            .chain(documented.faults())
            .collect(),
    }
}

async fn under(fault: &str) -> Seen {
    let faults = if fault == HEALTHY { vec![] } else { vec![fault] };
    let staging = Staging::start(&faults).await;
    let seen = Seen::of(&staging.iterate().await);
    staging.end().await;
    seen
}

/// How many faults are played at once: an iteration waits for most of its time. `STAGEWATCH_LANES` says otherwise.
fn lanes() -> usize {
    let asked = std::env::var("STAGEWATCH_LANES").ok();
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    asked.map_or_else(|| cores() * 4, |asked| asked.parse().unwrap())
}

/// Judges every fault, `lanes` at once.
async fn all_at_once(faults: &BTreeSet<String>, lanes: usize) -> BTreeMap<String, Seen> {
    let places = Arc::new(Semaphore::new(lanes));
    let mut tasks = JoinSet::new();
    for fault in faults.iter().cloned() {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let seen = under(&fault).await;
            println!("{fault}: {:?}", seen.outcomes);
            (fault, seen)
        });
    }
    tasks.join_all().await.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of live faults: cargo test --test faults -- --ignored"]
async fn each_fault_turns_red_what_it_should_and_nothing_else() {
    let documented = Documented::read();
    let mut table = Table::read();
    let mut faults = chosen(&documented);
    faults.insert(HEALTHY.to_owned());
    let mut seen = all_at_once(&faults, lanes()).await;
    let differences = |table: &Table, seen: &BTreeMap<String, Seen>| -> BTreeMap<String, Vec<String>> {
        let of_one = |(fault, seen): (&String, &Seen)| {
            let mut found = table.differences(fault, seen);
            found.extend(documented.differences(fault, seen, |check| !is_of_the_past(check)));
            (fault.clone(), found)
        };
        seen.iter().map(of_one).filter(|(_, found)| !found.is_empty()).collect()
    };
    for _ in 0..if blessing() { 0 } else { TRIES_AGAIN } {
        let again = differences(&table, &seen).into_keys().collect();
        seen.extend(all_at_once(&again, lanes().div_ceil(4)).await);
    }
    if blessing() {
        table.bless(HEALTHY, &seen[HEALTHY]);
        seen.iter().for_each(|(fault, seen)| table.bless(fault, seen));
        table.write();
        Documented::update(|page| page.bless(&seen));
        return;
    }
    let differences: Vec<String> = differences(&table, &seen).into_values().flatten().collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_fault_all_is_well_again() {
    let staging = Staging::start(&[]).await;
    for fault in FIRST {
        staging.rehearsal.switch(fault, true).unwrap();
    }
    let broken = Seen::of(&staging.iterate().await);
    assert!(broken.outcomes.len() > 40, "{:?}", broken.outcomes);
    for fault in FIRST {
        staging.rehearsal.switch(fault, false).unwrap();
    }
    let table = Table::read();
    let mut differences = Vec::new();
    for _ in 0..=TRIES_AGAIN {
        differences = table.differences(HEALTHY, &Seen::of(&staging.iterate().await));
        if differences.is_empty() {
            break;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    staging.end().await;
}

#[test]
fn the_table_names_existing_faults_and_every_fault_that_is_asked_for() {
    let table = Table::read();
    let faults = stagewatch::rehearsal::catalogue();
    let known: BTreeSet<String> = faults.iter().map(|fault| fault.name.replace(":MS", ":300")).collect();
    let named: BTreeSet<String> = table.rows.keys().filter(|name| *name != HEALTHY).cloned().collect();
    let strangers: Vec<_> = named.difference(&known).collect();
    assert!(
        strangers.is_empty(),
        "in the table, but no fault of the rehearsal: {strangers:?}"
    );
    let missing: Vec<_> = FIRST.iter().filter(|fault| !named.contains(**fault)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}
