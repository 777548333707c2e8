//! Our own manners: the target's rate limits as sliding windows over what we send, and the pause after it said "too much".
//! Must not: send anything, or know who asks.

use super::BudgetLevel;
use crate::catalog::{Catalog, RateLimit};
use crate::expression::Scope;
use crate::failure::{Failure, Kind};
use crate::limits::{BACK_OFF_MAX, BACK_OFF_MIN};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One request about to be sent, as rate limits see it.
pub(super) struct Planned<'a> {
    /// `http` or `upgrade`.
    pub kind: &'static str,
    /// Method.
    pub method: &'a str,
    /// Named base, or endpoint for an upgrade.
    pub base: &'a str,
    /// Path and query.
    pub path: &'a str,
}

/// Whether a request may use what limits keep in reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// What is left beside the reserve.
    Usual,
    /// All of it.
    Whole,
}

impl Room {
    fn of(self, limit: &RateLimit) -> usize {
        let kept = match self {
            Self::Usual => limit.reserve,
            Self::Whole => 0,
        };
        limit.max.saturating_sub(kept) as usize
    }
}

/// What we have sent lately.
pub(super) struct Traffic {
    limits: Vec<RateLimit>,
    windows: Mutex<Vec<VecDeque<Instant>>>,
    back_off: Mutex<BackOff>,
    time_scale: f64,
}

#[derive(Default)]
struct BackOff {
    until: Option<Instant>,
    pause: Duration,
}

impl Traffic {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let limits = catalog.target.limits.clone();
        Self {
            windows: Mutex::new(limits.iter().map(|_| VecDeque::new()).collect()),
            limits,
            back_off: Mutex::default(),
            time_scale: catalog.time_scale,
        }
    }

    /// Counts `planned` against every limit it falls under; waits for `room` until `deadline`. `target` is a
    /// scope that knows the target.
    ///
    /// # Errors
    /// `budget_exhausted` when there is no room in time, or while we are backing off.
    pub(super) async fn admit(
        &self,
        planned: &Planned<'_>,
        target: &Scope<'_>,
        (room, deadline): (Room, Instant),
    ) -> Result<(), Failure> {
        let counted = self.counted(planned, target);
        loop {
            if let Some(left) = self.backing_off() {
                return Err(exhausted(format!(
                    "backing off for another {:.1} s",
                    left.as_secs_f64()
                )));
            }
            let Some((name, free_at)) = self.take(&counted, (room, Instant::now())) else {
                return Ok(());
            };
            if free_at > deadline {
                let wait = free_at.saturating_duration_since(Instant::now());
                let detail = format!(
                    "rate limit `{name}` has no room for another {:.1} s",
                    wait.as_secs_f64()
                );
                return Err(exhausted(detail));
            }
            tokio::time::sleep_until(free_at).await;
        }
    }

    /// Places of the limits that `planned` counts against. A limit that cannot be evaluated counts everything.
    fn counted(&self, planned: &Planned<'_>, target: &Scope<'_>) -> Vec<usize> {
        if self.limits.is_empty() {
            return Vec::new();
        }
        let request =
            json!({ "kind": planned.kind, "method": planned.method, "base": planned.base, "path": planned.path });
        let mut scope = target.child();
        scope.set("request", &request);
        let counts = |limit: &RateLimit| limit.counts.holds(&scope).unwrap_or(true);
        (0..self.limits.len()).filter(|&at| counts(&self.limits[at])).collect()
    }

    /// Takes a place in every window, or says which one is full and until when.
    fn take(&self, counted: &[usize], (room, now): (Room, Instant)) -> Option<(&str, Instant)> {
        let mut windows = self.windows();
        let mut full = None;
        for &at in counted {
            let (limit, window) = (&self.limits[at], &mut windows[at]);
            prune(window, now, limit.per);
            let room = room.of(limit);
            if window.len() < room {
                continue;
            }
            // Room comes when the newest that stands in the way leaves the window; a limit of zero never has any.
            let way = window.get(window.len() - room);
            let free_at = way.map_or(now + BACK_OFF_MAX, |&gone| gone + limit.per);
            if full.is_none_or(|(_, latest)| free_at > latest) {
                full = Some((limit.name.as_str(), free_at));
            }
        }
        if full.is_none() {
            counted.iter().for_each(|&at| windows[at].push_back(now));
        }
        full
    }

    /// How long we still keep still, if we do.
    pub(super) fn backing_off(&self) -> Option<Duration> {
        self.pause_left(Instant::now())
    }

    fn pause_left(&self, now: Instant) -> Option<Duration> {
        self.back_off()
            .until
            .filter(|&until| until > now)
            .map(|until| until - now)
    }

    /// The target said that we send too much: every run is refused for a while. The pause doubles when it says so again soon
    /// after the last pause. Gives the pause.
    pub(super) fn throttled(&self, retry_after: Option<Duration>) -> Duration {
        self.pause(retry_after, Instant::now())
    }

    fn pause(&self, retry_after: Option<Duration>, now: Instant) -> Duration {
        let mut back_off = self.back_off();
        let asked = retry_after.unwrap_or_default().min(BACK_OFF_MAX);
        let first = BACK_OFF_MIN.mul_f64(self.time_scale);
        let pause = match back_off.until {
            // Several answers of one crowd are one complaint.
            Some(until) if until > now => back_off.pause,
            Some(until) if until + back_off.pause > now => back_off.pause * 2,
            _ => first,
        };
        back_off.pause = pause.min(BACK_OFF_MAX.mul_f64(self.time_scale)).max(asked);
        back_off.until = back_off.until.max(Some(now + back_off.pause));
        back_off.pause
    }

    /// What is left of each limit.
    pub(super) fn levels(&self) -> Vec<BudgetLevel> {
        let now = Instant::now();
        let mut windows = self.windows();
        let level = |(limit, window): (&RateLimit, &mut VecDeque<Instant>)| {
            prune(window, now, limit.per);
            let used = u32::try_from(window.len()).unwrap_or(u32::MAX);
            BudgetLevel {
                name: limit.name.clone(),
                remaining_ratio: 1.0 - f64::from(used.min(limit.max)) / f64::from(limit.max.max(1)),
            }
        };
        self.limits.iter().zip(windows.iter_mut()).map(level).collect()
    }

    fn windows(&self) -> MutexGuard<'_, Vec<VecDeque<Instant>>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn back_off(&self) -> MutexGuard<'_, BackOff> {
        self.back_off.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prune(window: &mut VecDeque<Instant>, now: Instant, per: Duration) {
    while window.front().is_some_and(|&at| at + per <= now) {
        window.pop_front();
    }
}

fn exhausted(detail: String) -> Failure {
    Failure::new(Kind::BudgetExhausted, detail)
}

/// The pause that an answer asks for: `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(answer: &Value, now_unix: f64) -> Option<Duration> {
    let text = answer.get("headers")?.get("retry-after")?.as_str()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let left = crate::clock::unix_seconds(date.to_utc()) - now_unix;
    Duration::try_from_secs_f64(left).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::expression::Expression;

    fn traffic(max: u32, reserve: u32) -> Traffic {
        let limit = RateLimit {
            name: "api".to_owned(),
            counts: Expression::compile("request.path.startsWith('/api/')").unwrap(),
            max,
            per: Duration::from_secs(60),
            reserve,
        };
        Traffic {
            windows: Mutex::new(vec![VecDeque::new()]),
            limits: vec![limit],
            back_off: Mutex::default(),
            time_scale: 1.0,
        }
    }

    fn planned(path: &str) -> Planned<'_> {
        Planned {
            kind: "http",
            method: "GET",
            base: "api",
            path,
        }
    }

    #[test]
    fn a_full_window_says_when_there_is_room() {
        let traffic = traffic(2, 0);
        let now = Instant::now();
        assert_eq!(traffic.counted(&planned("/health"), &Scope::new()), Vec::<usize>::new());
        let counted = traffic.counted(&planned("/api/a"), &Scope::new());
        let take = |seconds| traffic.take(&counted, (Room::Usual, now + Duration::from_secs(seconds)));
        assert_eq!((take(0), take(1)), (None, None));
        assert_eq!(take(2), Some(("api", now + Duration::from_secs(60))));
        assert_eq!(traffic.levels()[0].remaining_ratio, 0.0);
        assert_eq!(take(60), None);
    }

    #[test]
    fn a_reserve_is_for_those_that_watch() {
        let traffic = traffic(3, 2);
        let now = Instant::now();
        let take = |room, seconds| traffic.take(&[0], (room, now + Duration::from_secs(seconds)));
        let full = |seconds| Some(("api", now + Duration::from_secs(seconds)));
        assert_eq!(take(Room::Usual, 0), None);
        assert_eq!(take(Room::Usual, 1), full(60));
        assert_eq!((take(Room::Whole, 1), take(Room::Whole, 2)), (None, None));
        assert_eq!(
            take(Room::Whole, 3),
            full(60),
            "the oldest of three makes room for another"
        );
        assert_eq!(take(Room::Usual, 3), full(62), "all three stand in the way");
        assert_eq!(take(Room::Usual, 62), None);
    }

    #[tokio::test]
    async fn no_room_before_the_deadline_is_our_own_budget() {
        let traffic = traffic(1, 0);
        let soon = Instant::now() + Duration::from_secs(5);
        let admit = async |path| traffic.admit(&planned(path), &Scope::new(), (Room::Usual, soon)).await;
        admit("/api/a").await.unwrap();
        assert_eq!(admit("/api/b").await.unwrap_err().kind, Kind::BudgetExhausted);
        admit("/health").await.unwrap();
        traffic.throttled(None);
        assert!(admit("/health").await.is_err());
    }

    #[test]
    fn the_pause_doubles_only_when_it_comes_again() {
        let traffic = traffic(10, 0);
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let pause = |asked: Option<u64>, at| traffic.pause(asked.map(Duration::from_secs), at).as_secs();
        assert_eq!(pause(None, after(0)), 60);
        assert_eq!(pause(None, after(1)), 60);
        assert_eq!(traffic.pause_left(after(62)), None);
        assert_eq!(pause(None, after(62)), 120);
        assert_eq!(pause(Some(600), after(63)), 600);
        assert_eq!(pause(None, after(3000)), 60);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let answer = |value: &str| json!({ "headers": { "retry-after": value } });
        assert_eq!(retry_after(&answer("7"), 0.0).map(|pause| pause.as_secs()), Some(7));
        let date = retry_after(&answer("Thu, 01 Jan 1970 00:01:40 GMT"), 60.0);
        assert_eq!(date.map(|pause| pause.as_secs()), Some(40));
        assert_eq!(retry_after(&json!({}), 0.0), None);
    }
}
