//! What a judgement was decided on, so that the same failure seen once is not counted each time that another part of its
//! check has something new to say. Pure.

use crate::catalog::Check;
use crate::judge::Ruling;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the deciding parts of a judgement read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Grounds {
    /// Nothing that can be told from the last time: a window that moves with the clock, or no evidence at all.
    #[default]
    Untold,
    /// Scenarios, other checks and extracts, each with a number that grows when it has something new to say.
    Told(BTreeMap<String, u64>),
}

impl Grounds {
    /// The grounds of `ruling`. `heard` gives the number of a scenario, `counted` that of a check, nothing for one that passes
    /// and so decides nothing.
    pub(super) fn of(
        check: &Check,
        ruling: &Ruling,
        (heard, counted): (impl Fn(&str) -> u64, impl Fn(&str) -> Option<u64>),
    ) -> Self {
        // A check that reads no scenario is judged at its own period; each look at a window is one of its own.
        let at_own_period = check.scenarios().is_empty();
        let mut told = BTreeMap::new();
        for place in &ruling.deciding {
            let part = &check.parts[*place];
            if at_own_period && !part.extracts.is_empty() {
                return Self::Untold;
            }
            told.extend(part.needs.iter().map(|scenario| (scenario.clone(), heard(scenario))));
            let read = part.verdicts.iter().map(|(_, id)| id).chain(&part.rolls_up);
            told.extend(read.filter_map(|id| Some((id.clone(), counted(id)?))));
            let extracts = ruling
                .judgement
                .extracts
                .iter()
                .filter(|extract| extract.part == *place);
            told.extend(extracts.map(|extract| (format!("{place}.{}", extract.name), newest(&extract.value))));
        }
        if told.is_empty() {
            Self::Untold
        } else {
            Self::Told(told)
        }
    }

    /// Whether they hold something that `before` did not.
    pub(super) fn add_to(&self, before: &Self) -> bool {
        let (Self::Told(now), Self::Told(before)) = (self, before) else {
            return true;
        };
        now.iter().any(|(source, number)| before.get(source) != Some(number))
    }
}

/// The moment of the newest item of an extract in microseconds, 0 if it holds none.
fn newest(extract: &Value) -> u64 {
    let moments = extract
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["at"].as_f64());
    let newest = moments.fold(0.0, f64::max);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds since 1970 fit, and are not negative"
    )]
    let micros = (newest * 1e6) as u64;
    micros
}
