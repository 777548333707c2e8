//! The runner's journal on the history: what was used survives restarts. Reads come from a mirror in memory, so that a
//! budget never waits for a disk and sees what was recorded a moment ago.

use super::rows::{Row, today};
use super::{History, HistoryError};
use crate::clock;
use crate::scenario::{HandshakeUse, Journal, UserRest};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Handshakes older than this count for no budget (windows are at most a day).
const HANDSHAKES_KEPT_S: f64 = 2.0 * 24.0 * 3600.0;

/// What the journal answers from.
pub(super) struct Mirror(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    handshakes: Vec<HandshakeUse>,
    rests: BTreeMap<(String, String), f64>,
    runs: BTreeMap<(String, String), u32>,
}

impl Mirror {
    pub(super) fn load(reader: &Arc<Mutex<Connection>>) -> Result<Self, HistoryError> {
        let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::unix_seconds(clock::now());
        let mut kept = Kept::default();
        let mut handshakes = connection.prepare("SELECT pool, user, at FROM handshakes WHERE at >= ?1")?;
        for used in handshakes.query_map([now - HANDSHAKES_KEPT_S], |row| {
            Ok(HandshakeUse {
                pool: row.get(0)?,
                user: row.get(1)?,
                at_unix: row.get(2)?,
            })
        })? {
            kept.handshakes.push(used?);
        }
        let mut rests = connection.prepare("SELECT pool, user, until FROM rests WHERE until >= ?1")?;
        for rest in rests.query_map([now], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))? {
            kept.rests.extend([rest?]);
        }
        let mut runs = connection.prepare("SELECT scenario, day, runs FROM run_counts WHERE day = ?1")?;
        for count in runs.query_map([today()], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))? {
            kept.runs.extend([count?]);
        }
        Ok(Self(Mutex::new(kept)))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for History {
    fn handshakes_since(&self, unix: f64) -> Vec<HandshakeUse> {
        let kept = self.mirror.kept();
        kept.handshakes
            .iter()
            .filter(|used| used.at_unix >= unix)
            .cloned()
            .collect()
    }

    fn record_handshake(&self, used: HandshakeUse) {
        self.writer.put(vec![Row::Handshake {
            pool: used.pool.clone(),
            user: used.user.clone(),
            at: used.at_unix,
        }]);
        let mut kept = self.mirror.kept();
        let oldest = used.at_unix - HANDSHAKES_KEPT_S;
        kept.handshakes.retain(|known| known.at_unix >= oldest);
        kept.handshakes.push(used);
    }

    fn rests(&self) -> Vec<UserRest> {
        let kept = self.mirror.kept();
        let rests = kept.rests.iter().map(|((pool, user), until)| UserRest {
            pool: pool.clone(),
            user: user.clone(),
            until_unix: *until,
        });
        rests.collect()
    }

    fn record_rest(&self, rest: UserRest) {
        self.writer.put(vec![Row::Rest {
            pool: rest.pool.clone(),
            user: rest.user.clone(),
            until: rest.until_unix,
        }]);
        self.mirror.kept().rests.insert((rest.pool, rest.user), rest.until_unix);
    }

    fn runs_today(&self, scenario: &str, day: &str) -> u32 {
        let key = (scenario.to_owned(), day.to_owned());
        self.mirror.kept().runs.get(&key).copied().unwrap_or(0)
    }

    fn record_run(&self, scenario: &str, day: &str) {
        self.writer.put(vec![Row::RunCount {
            scenario: scenario.to_owned(),
            day: day.to_owned(),
        }]);
        let mut kept = self.mirror.kept();
        kept.runs.retain(|(_, known), _| known == day);
        *kept.runs.entry((scenario.to_owned(), day.to_owned())).or_default() += 1;
    }
}
