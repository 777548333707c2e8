//! The plan: what will run and how often, against the target's limits. Pure; `validate` prints it and the load refuses one
//! that does not fit.
//!
//! How a window is counted: scenarios whose period is no longer than the window count with the most runs that fit into it;
//! of the others, whose starts are spread over their periods, each counts with its average and the largest with a whole run.
//! One confirm burst comes on top (`burst`). The runner holds the limits exactly, by waiting; the plan shows that it will
//! not have to.

use super::compile::runs_in;
use crate::catalog::{Catalog, CredentialSource, Pool, RateLimit, Scenario, Schedule};
use crate::expression::Scope;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

mod burst;
mod series;
mod table;

pub use series::series_bound;

/// Life of a token that logins and renewals are reckoned with, since only the target knows it.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// What requests and handshakes are shown for.
const MINUTE: Duration = Duration::from_secs(60);

/// What will run, how often, and what it uses up.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the target.
    pub target: String,
    /// Factor on schedules and windows.
    pub time_scale: f64,
    /// Every scenario, in order.
    pub scenarios: Vec<PlannedScenario>,
    /// Every limit of the target.
    pub limits: Vec<PlannedLimit>,
    /// Every pool with a budget of handshakes.
    pub pools: Vec<PlannedPool>,
    /// Number of checks.
    pub checks: usize,
    /// Bound on metric series.
    pub series: usize,
    /// Cap on metric series.
    pub series_max: usize,
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct PlannedScenario {
    /// `module/scenario`.
    pub id: String,
    /// When it runs.
    pub schedule: String,
    /// Deadline of one run.
    pub deadline: Duration,
    /// Whether it runs.
    pub enabled: bool,
    /// Requests and upgrades of one run.
    pub requests: u32,
    /// Successful handshakes of one run.
    pub handshakes: u32,
    /// Messages of one run.
    pub messages: u32,
    /// Requests in a minute, on average.
    pub requests_per_minute: f64,
    /// Handshakes in a minute, on average.
    pub handshakes_per_minute: f64,
}

/// One limit.
#[derive(Clone, Debug)]
pub struct PlannedLimit {
    /// Name.
    pub name: String,
    /// At most this many …
    pub max: u32,
    /// … in this window.
    pub per: Duration,
    /// So many of them are kept for watches and confirm bursts.
    pub reserve: u32,
    /// What the plan makes at worst, without confirm bursts.
    pub worst: f64,
    /// What one confirm burst of every watch adds.
    pub burst: f64,
    /// By scenario.
    pub shares: Vec<(String, f64)>,
}

impl PlannedLimit {
    /// What is left for regular runs.
    pub fn regular_max(&self) -> u32 {
        self.max.saturating_sub(self.reserve)
    }

    /// Whether the regular runs leave the reserve alone, and a burst on top of them stays within the limit.
    pub fn fits(&self) -> bool {
        self.worst <= f64::from(self.regular_max()) && self.worst + self.burst <= f64::from(self.max)
    }
}

/// One pool.
#[derive(Clone, Debug)]
pub struct PlannedPool {
    /// Name.
    pub name: String,
    /// Users it has.
    pub users: usize,
    /// Handshakes each has …
    pub max: u32,
    /// … in this window.
    pub per: Duration,
    /// Handshakes that the plan makes in it at worst, one confirm burst included.
    pub worst: u32,
    /// Most handshakes of one user in one run.
    pub one_user: u32,
    /// The scenarios that use it.
    pub scenarios: Vec<String>,
}

impl PlannedPool {
    /// Handshakes of all users in the window.
    pub fn room(&self) -> u64 {
        self.users as u64 * u64::from(self.max)
    }

    /// Whether the plan stays within it; an optional pool without users runs nothing.
    pub fn fits(&self) -> bool {
        self.users == 0 || (u64::from(self.worst) <= self.room() && self.one_user <= self.max)
    }
}

/// Makes the plan of a catalog.
pub fn plan(catalog: &Catalog) -> Plan {
    let enabled: Vec<&Scenario> = catalog
        .scenarios()
        .filter(|scenario| scenario.enabled)
        .map(AsRef::as_ref)
        .collect();
    let pools = catalog.credentials.values().filter_map(|source| match source {
        CredentialSource::Pool(pool) => Some(pool),
        CredentialSource::Mint(_) => None,
    });
    Plan {
        target: catalog.target.name.clone(),
        time_scale: catalog.time_scale,
        scenarios: catalog.scenarios().map(|scenario| planned_scenario(scenario)).collect(),
        limits: catalog
            .target
            .limits
            .iter()
            .map(|limit| planned_limit(catalog, limit, &enabled))
            .collect(),
        pools: pools.filter_map(|pool| planned_pool(catalog, pool, &enabled)).collect(),
        checks: catalog.checks().count(),
        series: series_bound(catalog),
        series_max: catalog.service.series_max,
    }
}

fn planned_scenario(scenario: &Scenario) -> PlannedScenario {
    let requests = scenario.cost.requests.iter().map(|request| request.times).sum();
    let handshakes = scenario.cost.handshakes.values().sum();
    let runs = if scenario.enabled {
        runs_in(scenario, MINUTE).average
    } else {
        0.0
    };
    PlannedScenario {
        id: scenario.id.clone(),
        schedule: match &scenario.schedule {
            Schedule::Every(period) => format!("every {}", shown(*period)),
            Schedule::Cron { pattern, zone } => format!("{pattern} {zone}"),
            Schedule::Resident => "resident".to_owned(),
            Schedule::OnConfirm { socket } => format!("on confirm of {socket}"),
        },
        deadline: scenario.deadline,
        enabled: scenario.enabled,
        requests,
        handshakes,
        messages: scenario.cost.messages,
        requests_per_minute: f64::from(requests) * runs,
        handshakes_per_minute: f64::from(handshakes) * runs,
    }
}

fn planned_limit(catalog: &Catalog, limit: &RateLimit, enabled: &[&Scenario]) -> PlannedLimit {
    let counter = Counter {
        scope: Scope::with_functions(&catalog.target.functions),
        limit,
    };
    let mut sum = 0.0;
    let mut largest_rest = 0.0_f64;
    let mut shares = Vec::new();
    for scenario in enabled {
        let counted = counter.of_run(scenario);
        let runs = runs_in(scenario, limit.per);
        let usual = if runs.average >= 1.0 { runs.worst } else { runs.average };
        largest_rest = largest_rest.max(counted * (runs.worst - usual));
        sum += counted * usual;
        if counted > 0.0 {
            shares.push((scenario.id.clone(), counted * runs.worst));
        }
    }
    let logins = logins(catalog, &counter, enabled);
    if logins > 0.0 {
        shares.push(("logins and renewals".to_owned(), logins));
    }
    PlannedLimit {
        name: limit.name.clone(),
        max: limit.max,
        per: limit.per,
        reserve: limit.reserve,
        worst: sum + largest_rest + logins,
        burst: burst::requests(catalog, &counter),
        shares,
    }
}

/// Tells which requests count against a limit.
struct Counter<'plan> {
    scope: Scope<'static>,
    limit: &'plan RateLimit,
}

impl Counter<'_> {
    /// Requests of one run that count.
    fn of_run(&self, scenario: &Scenario) -> f64 {
        let requests = scenario.cost.requests.iter();
        let counted =
            requests.filter(|request| self.counts(&request.method, &request.base, (&request.path, request.kind)));
        f64::from(counted.map(|request| request.times).sum::<u32>())
    }

    /// Whether logins or renewals of a pool count.
    fn counts_tokens(&self, pool: &Pool) -> bool {
        let request = pool.login.refresh.as_ref().unwrap_or(&pool.login.login);
        self.counts(&request.method, &request.base, (&request.path, "http"))
    }

    fn counts(&self, method: &str, base: &str, (path, kind): (&str, &str)) -> bool {
        let mut scope = self.scope.child();
        let request = json!({"method": method, "base": base, "path": path, "kind": kind});
        scope.set("request", &request);
        // What cannot be told counts.
        self.limit.counts.holds(&scope).unwrap_or(true)
    }
}

/// Logins and renewals, on average: each user in use renews once in the share of a token's life after which it is due, and
/// each run at most once for each of its users.
fn logins(catalog: &Catalog, counter: &Counter, enabled: &[&Scenario]) -> f64 {
    let pools = catalog.credentials.values().filter_map(|source| match source {
        CredentialSource::Pool(pool) => Some(pool),
        CredentialSource::Mint(_) => None,
    });
    let window = counter.limit.per;
    pools
        .map(|pool| {
            if !counter.counts_tokens(pool) {
                return 0.0;
            }
            #[expect(clippy::cast_precision_loss, reason = "at most POOL_USERS_MAX")]
            let users = pool.users.len() as f64;
            let due = users * window.as_secs_f64() / (TOKEN_LIFE.as_secs_f64() * pool.login.renew_at);
            let asked = enabled.iter().map(|scenario| {
                let uses = scenario.credentials.iter().filter(|one| one.source == pool.name);
                let users: u32 = uses.filter(|one| one.same_as.is_none()).map(|one| one.count).sum();
                f64::from(users) * runs_in(scenario, window).average
            });
            due.min(asked.sum())
        })
        .sum()
}

/// Handshakes of one run with a pool, and users they are spread over, by the name of the user that makes them: shared users
/// count together.
fn handshakes<'run>(scenario: &'run Scenario, pool: &Pool) -> BTreeMap<&'run str, (u32, u32)> {
    let mut by_user: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for used in scenario.credentials.iter().filter(|used| used.source == pool.name) {
        let owner = used.same_as.as_deref().unwrap_or(&used.name);
        let count = scenario.cost.handshakes.get(&used.name).copied().unwrap_or(0);
        let entry = by_user.entry(owner).or_insert((0, 1));
        entry.0 += count;
        entry.1 = entry.1.max(used.count);
    }
    by_user
}

fn planned_pool(catalog: &Catalog, pool: &Pool, enabled: &[&Scenario]) -> Option<PlannedPool> {
    let budget = pool.handshakes.as_ref()?;
    let mut worst = burst::handshakes(catalog, pool);
    let mut one_user = 0_u32;
    let mut scenarios = Vec::new();
    for scenario in enabled {
        let by_user = handshakes(scenario, pool);
        let run: u32 = by_user.values().map(|(count, _)| count).sum();
        if run == 0 {
            continue;
        }
        one_user = by_user
            .values()
            .map(|(count, users)| count.div_ceil(*users))
            .fold(one_user, u32::max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of runs, saturating"
        )]
        let runs = runs_in(scenario, budget.per).worst as u32;
        worst = worst.saturating_add(run.saturating_mul(runs));
        scenarios.push(scenario.id.clone());
    }
    Some(PlannedPool {
        name: pool.name.clone(),
        users: pool.users.len(),
        max: budget.max,
        per: budget.per,
        worst,
        one_user,
        scenarios,
    })
}

/// A duration as people write it, without what does not matter.
pub fn shown(duration: Duration) -> String {
    let rounded = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    humantime::format_duration(rounded).to_string()
}
