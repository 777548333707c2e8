//! The switchboard: which faults are on, since when, and the one parameter that exists.
//! It owns names and switches; acting a fault out belongs to the file that the table names.

mod table;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use serde::Serialize;

pub use table::Fault;
use table::{ALL, TABLE};

/// The part of the staging in which a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Touches {
    /// The load balancer, the transport and the outermost middleware.
    Edge,
    /// Health, readiness and the state of dependencies.
    Health,
    /// The auth service and token checks.
    Auth,
    /// Discovery, MCP and configuration endpoints.
    Surface,
    /// Threads and messages.
    Threads,
    /// The agents' HTTP endpoints.
    Api,
    /// Circuit breakers.
    Breaker,
    /// Server-sent events.
    Stream,
    /// The WebSocket upgrade, up to its status line.
    Upgrade,
    /// A WebSocket session after its 101.
    Session,
    /// Agent runs and their events.
    Agent,
    /// Starts and restarts of instances.
    Lifecycle,
}

/// What the catalogue says about one fault.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FaultInfo {
    /// Name to switch it by; `:MS` at the end stands for a number of milliseconds.
    pub name: &'static str,
    /// One sentence about what changes on the wire.
    pub says: &'static str,
    /// The part of the staging in which it acts.
    pub touches: Touches,
}

/// A name that no fault has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault {name:?}; known faults: {}", known_names())]
pub struct UnknownFault {
    /// The name as it was given.
    pub name: String,
}

/// Every fault, in the order of the table.
pub fn catalogue() -> Vec<FaultInfo> {
    let info = |row: &table::Row| FaultInfo {
        name: row.name,
        says: row.says,
        touches: row.touches,
    };
    TABLE.iter().map(info).collect()
}

fn known_names() -> String {
    let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    names.join(", ")
}

/// A fault by its name, with its parameter if it takes one and the name carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    fault: Fault,
    milliseconds: Option<u64>,
}

/// Longest delay that `api-slow:MS` takes, so that a typing mistake cannot hold a request for hours.
const API_SLOW_MAX_MS: u64 = 120_000;

/// Finds the fault called `name`; `api-slow:300` carries its milliseconds.
pub fn choose(name: &str) -> Result<Choice, UnknownFault> {
    let unknown = || UnknownFault { name: name.to_owned() };
    if let Some(index) = TABLE.iter().position(|row| row.name == name) {
        let fault = ALL[index];
        return Ok(Choice {
            fault,
            milliseconds: None,
        });
    }
    let (stem, parameter) = name.split_once(':').unwrap_or((name, ""));
    if stem != "api-slow" {
        return Err(unknown());
    }
    let milliseconds = match parameter {
        "" => None,
        digits => Some(digits.parse::<u64>().map_err(|_| unknown())?),
    };
    Ok(Choice {
        fault: Fault::ApiSlow,
        milliseconds: milliseconds.map(|ms| ms.min(API_SLOW_MAX_MS)),
    })
}

/// Delay used when `api-slow` is switched on without a number.
const API_SLOW_DEFAULT_MS: u64 = 300;

/// Which faults are on. Cheap to ask, from any task.
pub struct Faults {
    /// Unix milliseconds at which each fault was switched on, 0 when it is off.
    since: Vec<AtomicI64>,
    api_slow_ms: AtomicU64,
}

impl Faults {
    /// A board with every fault off.
    pub fn new() -> Self {
        Self {
            since: TABLE.iter().map(|_| AtomicI64::new(0)).collect(),
            api_slow_ms: AtomicU64::new(API_SLOW_DEFAULT_MS),
        }
    }

    /// Whether `fault` is on.
    pub fn on(&self, fault: Fault) -> bool {
        self.since_ms(fault).is_some()
    }

    /// Whether any of `faults` is on.
    pub fn any(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| self.on(*fault))
    }

    /// Unix milliseconds at which `fault` was switched on, if it is on.
    pub fn since_ms(&self, fault: Fault) -> Option<i64> {
        match self.since[fault as usize].load(Ordering::Relaxed) {
            0 => None,
            since => Some(since),
        }
    }

    /// The delay of `api-slow:MS`, if it is on.
    pub fn api_slow_ms(&self) -> Option<u64> {
        self.on(Fault::ApiSlow)
            .then(|| self.api_slow_ms.load(Ordering::Relaxed))
    }

    /// Switches one fault on or off.
    pub fn set(&self, choice: Choice, on: bool) {
        if let Some(milliseconds) = choice.milliseconds {
            self.api_slow_ms.store(milliseconds, Ordering::Relaxed);
        }
        let since = if on { super::timing::now_ms() } else { 0 };
        self.since[choice.fault as usize].store(since, Ordering::Relaxed);
    }

    /// The catalogue with each fault's position, as the control listener lists it.
    pub fn list(&self) -> Vec<serde_json::Value> {
        let row = |(index, info): (usize, FaultInfo)| {
            let on = self.on(ALL[index]);
            serde_json::json!({ "name": info.name, "says": info.says, "touches": info.touches, "on": on })
        };
        catalogue().into_iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_sentences_end() {
        let names: HashSet<&str> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for row in TABLE {
            assert!(row.says.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn api_slow_takes_a_number() {
        let faults = Faults::new();
        faults.set(choose("api-slow:40").unwrap(), true);
        assert_eq!(faults.api_slow_ms(), Some(40));
        faults.set(choose("api-slow").unwrap(), false);
        assert_eq!(faults.api_slow_ms(), None);
        assert!(choose("api-slow:x").is_err());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = choose("ws-upgrade-499").unwrap_err().to_string();
        assert!(error.contains("ws-upgrade-499") && error.contains("ws-upgrade-500"));
    }
}
