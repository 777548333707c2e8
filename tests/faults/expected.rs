//! The table of faults, `expected.yaml`: for each fault the checks that do not pass under it, and how.

use super::seen::Seen;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Name of the row without any fault.
pub const HEALTHY: &str = "healthy";

/// What one fault does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Why it says what it says, for people.
    #[serde(default)]
    pub note: String,
    /// Checks (full ids) by their outcome.
    #[serde(default)]
    pub red: BTreeMap<String, Vec<String>>,
    /// Checks that chance decides about: the instance that answers, the moment of a meeting.
    #[serde(default)]
    pub may: BTreeSet<String>,
}

/// The whole table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub rows: BTreeMap<String, Row>,
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/expected.yaml"))
}

impl Table {
    /// Reads the table.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        let rows = if text.trim().is_empty() {
            BTreeMap::new()
        } else {
            serde_saphyr::from_str(&text).unwrap()
        };
        Self { rows }
    }

    /// What is expected under `fault`: the healthy row, and over it the fault's own.
    pub fn outcomes(&self, fault: &str) -> BTreeMap<String, String> {
        let rows = [HEALTHY, fault].into_iter().filter_map(|name| self.rows.get(name));
        rows.flat_map(|row| &row.red)
            .flat_map(|(outcome, checks)| checks.iter().map(|check| (check.clone(), outcome.clone())))
            .collect()
    }

    /// How `seen` differs from what is expected under `fault`, one line for each check.
    pub fn differences(&self, fault: &str, seen: &Seen) -> Vec<String> {
        let Some(row) = self.rows.get(fault) else {
            return vec![format!("{fault}: expected.yaml has no such row")];
        };
        let expected = self.outcomes(fault);
        let checks: BTreeSet<&String> = expected.keys().chain(seen.outcomes.keys()).collect();
        let passes = "pass".to_owned();
        checks
            .into_iter()
            .filter(|check| !row.may.contains(*check))
            .filter_map(|check| {
                let wanted = expected.get(check).unwrap_or(&passes);
                let got = seen.outcomes.get(check).unwrap_or(&passes);
                let message = seen.messages.get(check).map_or("", String::as_str);
                (wanted != got).then(|| format!("{fault}: {check}: expected {wanted}, got {got} {message}"))
            })
            .collect()
    }

    /// Takes what was seen as what is expected; chance and notes are kept.
    pub fn bless(&mut self, fault: &str, seen: &Seen) {
        let healthy = match fault {
            HEALTHY => BTreeMap::new(),
            _ => self.outcomes(HEALTHY),
        };
        let row = self.rows.entry(fault.to_owned()).or_default();
        row.red.clear();
        for (check, outcome) in &seen.outcomes {
            if healthy.get(check) != Some(outcome) && !row.may.contains(check) {
                row.red.entry(outcome.clone()).or_default().push(check.clone());
            }
        }
    }

    /// Writes the table.
    pub fn write(&self) {
        let mut text = String::from(
            "# What each fault of the rehearsal turns red. A check that is not named passes, or is as in the row `healthy`.\n",
        );
        for (fault, row) in &self.rows {
            let _ = writeln!(text, "\"{fault}\":");
            if !row.note.is_empty() {
                let _ = writeln!(text, "  note: {:?}", row.note);
            }
            if row.red.is_empty() {
                text.push_str("  red: {}\n");
            } else {
                text.push_str("  red:\n");
            }
            for (outcome, checks) in &row.red {
                let _ = writeln!(text, "    {outcome}:");
                checks.iter().for_each(|check| {
                    let _ = writeln!(text, "      - {check}");
                });
            }
            if !row.may.is_empty() {
                text.push_str("  may:\n");
            }
            for check in &row.may {
                let _ = writeln!(text, "    - {check}");
            }
        }
        std::fs::write(path(), text).unwrap();
    }
}
