//! Counters that tests read on the control listener: what was asked of the staging, and how fast.
//! It owns counts and peaks; it must not change what anybody is answered.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Window of the request peaks, the edge's own.
const MINUTE: Duration = Duration::from_secs(60);
/// Window of the handshake peaks, the pool's own (checks §3).
const HALF_HOUR: Duration = Duration::from_secs(1800);
/// Moments kept per window; a peak above this is reported as this.
const MOMENTS_MAX: usize = 50_000;
/// Users counted apart; further ones are counted together.
const USERS_MAX: usize = 5_000;

/// The first segments of a path under which requests are counted.
const FAMILIES: &[&str] = &[
    "/api/threads",
    "/api/messages",
    "/api/agents",
    "/api/agent",
    "/api/circuit-breakers",
    "/api/discovery",
    "/api/mcp",
    "/api/config",
    "/api/health",
    "/api/monitoring",
    "/api/metrics",
    "/api",
    "/health",
    "/ws",
    "/websocket",
    "/openapi.json",
    "/auth/login",
    "/auth/refresh",
    "/auth/validate",
    "/auth/me",
    "/auth/logout",
    "/auth",
];

/// How an upgrade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeOutcome {
    /// Answered with 101.
    Accepted,
    /// Answered with anything else, or not at all.
    Refused,
}

/// Occurrences within a sliding window, and the most there ever were.
#[derive(Default)]
struct Peak {
    moments: VecDeque<Instant>,
    most: usize,
}

impl Peak {
    fn note(&mut self, window: Duration) {
        let now = Instant::now();
        while self.moments.front().is_some_and(|at| now.duration_since(*at) > window) {
            self.moments.pop_front();
        }
        if self.moments.len() < MOMENTS_MAX {
            self.moments.push_back(now);
        }
        self.most = self.most.max(self.moments.len());
    }
}

#[derive(Default)]
struct User {
    accepted: u64,
    refused: u64,
    peak: Peak,
}

#[derive(Default)]
struct Counts {
    requests: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    users: HashMap<String, User>,
    api: Peak,
    other: Peak,
    messages: u64,
    runs: u64,
}

/// The counters.
#[derive(Default)]
pub struct Stats {
    counts: Mutex<Counts>,
}

impl Stats {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request to the listener called `place`.
    pub fn request(&self, place: &'static str, path: &str) {
        let family = FAMILIES.iter().find(|family| belongs(path, family));
        let mut counts = self.counts();
        let by_family = counts.requests.entry(place).or_default();
        *by_family.entry(family.copied().unwrap_or("other")).or_default() += 1;
        match path.starts_with("/api") {
            true => counts.api.note(MINUTE),
            false => counts.other.note(MINUTE),
        }
    }

    /// Counts an upgrade by the user whose token it carried, or `anonymous`.
    pub fn upgrade(&self, user: Option<&str>, outcome: UpgradeOutcome) {
        let mut counts = self.counts();
        let name = user.unwrap_or("anonymous");
        let known = counts.users.len() < USERS_MAX || counts.users.contains_key(name);
        let name = if known { name } else { "others" };
        let user = counts.users.entry(name.to_owned()).or_default();
        match outcome {
            UpgradeOutcome::Accepted => {
                user.accepted += 1;
                user.peak.note(HALF_HOUR);
            }
            UpgradeOutcome::Refused => user.refused += 1,
        }
    }

    /// Counts a message a socket received.
    pub fn message(&self) {
        self.counts().messages += 1;
    }

    /// Counts a started run.
    pub fn run(&self) {
        self.counts().runs += 1;
    }

    /// Everything, for `GET /rehearsal/stats`.
    pub fn publish(&self) -> Value {
        let counts = self.counts();
        let user = |(name, user): (&String, &User)| {
            let shown = json!({ "accepted": user.accepted, "refused": user.refused,
                                "peak_accepted_per_30_min": user.peak.most });
            (name.clone(), shown)
        };
        let users: serde_json::Map<String, Value> = counts.users.iter().map(user).collect();
        json!({
            "requests": counts.requests,
            "upgrades_by_user": users,
            "peak_requests_per_minute": { "api": counts.api.most, "other": counts.other.most },
            "socket_messages": counts.messages,
            "agent_runs": counts.runs,
        })
    }
}

fn belongs(path: &str, family: &str) -> bool {
    path.strip_prefix(family)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
