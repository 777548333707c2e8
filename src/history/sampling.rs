//! Which texts are worth keeping. Failures in full; of what goes well one in many, at least one an hour, every change, and
//! always the latest, which makes room when the next one comes.

use crate::limits::{HISTORY_SAMPLED_AT_LEAST, HISTORY_SAMPLED_ONE_IN};
use std::collections::BTreeMap;

/// Remembers what was kept last, by scenario and by check.
#[derive(Default)]
pub(super) struct Sampling {
    kept: BTreeMap<String, Kept>,
}

struct Kept {
    state: String,
    at: f64,
    since: u32,
}

impl Sampling {
    /// Whether the text of `key`, which came at `at` with `state`, is kept beyond the next one. What fails always is.
    pub(super) fn keeps(&mut self, key: &str, (state, fails): (&str, bool), at: f64) -> bool {
        if let Some(kept) = self.kept.get_mut(key) {
            kept.since += 1;
            let often = kept.since >= HISTORY_SAMPLED_ONE_IN;
            let late = at - kept.at >= HISTORY_SAMPLED_AT_LEAST.as_secs_f64();
            if !fails && !often && !late && kept.state == state {
                return false;
            }
        }
        let state = state.to_owned();
        self.kept.insert(key.to_owned(), Kept { state, at, since: 0 });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_changes_one_in_many_and_one_an_hour() {
        let mut sampling = Sampling::default();
        let mut keeps = |state: &str, at: f64| sampling.keeps("m/s", (state, state == "fail"), at);
        assert!(keeps("pass", 0.0), "the first");
        assert!(!keeps("pass", 60.0));
        assert!(keeps("fail", 120.0) && keeps("fail", 180.0), "every failure");
        assert!(keeps("pass", 240.0), "the recovery");
        let kept = (0..100)
            .filter(|minute| keeps("pass", 300.0 + f64::from(*minute)))
            .count();
        assert_eq!(kept, 100 / usize::try_from(HISTORY_SAMPLED_ONE_IN).unwrap_or(1));
        assert!(keeps("pass", 8_000.0), "an hour has passed");
    }
}
