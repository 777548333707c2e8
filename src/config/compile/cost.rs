//! What a run costs at worst, and how often it runs: requests, handshakes, messages, bursts, time. Pure, over compiled steps.

use super::schedule::{occurrences, shortest_gap};
use crate::catalog::step::{Auth, Http, Redirects, TokenKind};
use crate::catalog::{Action, Cost, PlannedRequest, Scenario, Schedule, Step};
use crate::limits::PERIOD_MIN;
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that one followed redirect chain may add (three hops, see `Redirects::FollowSameOrigin`).
const REDIRECTS_MAX: u32 = 3;
/// Occurrences of a cron pattern that the plan looks at.
const OCCURRENCES: usize = 500;

/// The cost of one run.
pub fn cost(steps: &[Step], cleanup: &[Step], socket_paths: &BTreeMap<String, String>) -> Cost {
    let mut cost = Cost::default();
    add_steps(&mut cost, steps, 1, socket_paths);
    add_steps(&mut cost, cleanup, 1, socket_paths);
    cost
}

fn add_steps(cost: &mut Cost, steps: &[Step], times: u32, socket_paths: &BTreeMap<String, String>) {
    for step in steps {
        match &step.action {
            Action::Http(http) => add_request(cost, http, times),
            Action::Sse(sse) => add_request(cost, &sse.request, times),
            Action::Open(open) => {
                let configured = socket_paths.get(&open.endpoint).map_or("/", String::as_str);
                let path = open.path.as_ref().map_or(configured, |path| path.source());
                cost.requests.push(PlannedRequest {
                    kind: "upgrade",
                    method: "GET".to_owned(),
                    base: open.endpoint.clone(),
                    path: path.to_owned(),
                    times,
                });
                add_handshake(cost, &open.auth, times);
            }
            Action::Send(_) => cost.messages = cost.messages.saturating_add(times),
            Action::Repeat {
                times: count, steps, ..
            }
            | Action::Times {
                times: count, steps, ..
            } => {
                add_steps(cost, steps, times.saturating_mul(*count), socket_paths);
            }
            Action::Parallel(branches) => branches
                .iter()
                .for_each(|branch| add_steps(cost, branch, times, socket_paths)),
            Action::Group(steps) => add_steps(cost, steps, times, socket_paths),
            Action::Receive(_)
            | Action::Ping(_)
            | Action::HoldReading { .. }
            | Action::Close { .. }
            | Action::Abort { .. }
            | Action::Offer { .. }
            | Action::Borrow { .. }
            | Action::Wait(_) => {}
        }
    }
}

fn add_request(cost: &mut Cost, http: &Http, times: u32) {
    let hops = match http.redirects {
        Redirects::Record => 1,
        Redirects::FollowSameOrigin => 1 + REDIRECTS_MAX,
    };
    cost.requests.push(PlannedRequest {
        kind: "http",
        method: http.method.clone(),
        base: http.base.clone(),
        path: http.path.source().to_owned(),
        times: times.saturating_mul(hops),
    });
}

/// A token that should be let in uses up a handshake of its user; the others should not be.
fn add_handshake(cost: &mut Cost, auth: &Auth, times: u32) {
    if let Auth::Header { credential, token } | Auth::Subprotocol { credential, token } = auth
        && matches!(token, TokenKind::Valid)
    {
        *cost.handshakes.entry(credential.clone()).or_default() += times;
    }
}

/// The shortest time that a run of these steps can take: its waits.
pub fn shortest_run(steps: &[Step]) -> Duration {
    steps.iter().map(shortest_step).sum()
}

fn shortest_step(step: &Step) -> Duration {
    if step.when.is_some() {
        return Duration::ZERO;
    }
    match &step.action {
        Action::Wait(pause) => *pause,
        Action::Offer { hold, .. } => *hold,
        Action::Receive(receive) if receive.until.is_none() => step.within,
        Action::Repeat {
            times,
            every,
            until,
            steps,
            ..
        } => {
            let once = shortest_run(steps);
            if until.is_some() {
                return once;
            }
            let gap = every.map_or(once, |every| every.max(once));
            gap.saturating_mul(times.saturating_sub(1)) + once
        }
        Action::Times { steps, .. } | Action::Group(steps) => shortest_run(steps),
        Action::Parallel(branches) => branches
            .iter()
            .map(|branch| shortest_run(branch))
            .max()
            .unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

/// How often a scenario runs in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runs {
    /// At most.
    pub worst: f64,
    /// On average.
    pub average: f64,
}

/// How often a scenario runs in a window, when nothing is late.
pub fn runs_in(scenario: &Scenario, window: Duration) -> Runs {
    let regular = |period: Duration| {
        let average = window.as_secs_f64() / period.max(PERIOD_MIN).as_secs_f64();
        Runs {
            worst: average.ceil().max(1.0),
            average,
        }
    };
    match &scenario.schedule {
        Schedule::Every(period) => regular(*period),
        Schedule::Resident => regular(shortest_run(&scenario.steps)),
        // Not at regular times: the plan counts it with the confirm burst.
        Schedule::OnConfirm { .. } => Runs {
            worst: 0.0,
            average: 0.0,
        },
        Schedule::Cron { pattern, zone } => {
            let times = occurrences(pattern, *zone, OCCURRENCES);
            let (Some(first), Some(last), Some(gap)) = (times.first(), times.last(), shortest_gap(&times)) else {
                return Runs {
                    worst: 1.0,
                    average: 0.0,
                };
            };
            let span = (*last - *first).to_std().unwrap_or(PERIOD_MIN);
            if span <= window {
                return regular(gap);
            }
            let within = |start: usize| {
                times[start..]
                    .iter()
                    .take_while(|time| (**time - times[start]).to_std().is_ok_and(|gone| gone < window))
                    .count()
            };
            let worst = (0..times.len()).map(within).max().unwrap_or(1);
            #[expect(clippy::cast_precision_loss, reason = "at most OCCURRENCES")]
            Runs {
                worst: worst as f64,
                average: (times.len() - 1) as f64 * window.as_secs_f64() / span.as_secs_f64(),
            }
        }
    }
}

/// Messages sent without anything in between that waits: the longest row of them.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Before the first pause.
    head: u32,
    /// After the last pause.
    tail: u32,
    /// The longest.
    longest: u32,
    /// Whether there is a pause at all.
    pauses: bool,
}

impl Row {
    fn then(self, next: Self) -> Self {
        let joined = self.tail.saturating_add(next.head);
        Self {
            head: if self.pauses { self.head } else { joined },
            tail: if next.pauses { next.tail } else { joined },
            longest: self.longest.max(next.longest).max(joined),
            pauses: self.pauses || next.pauses,
        }
    }

    fn repeated(self, times: u32) -> Self {
        if self.pauses {
            return if times > 1 { self.then(self) } else { self };
        }
        let all = self.longest.saturating_mul(times);
        Self {
            head: all,
            tail: all,
            longest: all,
            pauses: false,
        }
    }
}

/// Most messages sent in one burst.
pub fn longest_burst(steps: &[Step]) -> u32 {
    row(steps).longest
}

fn row(steps: &[Step]) -> Row {
    steps.iter().map(step_row).fold(Row::default(), Row::then)
}

fn step_row(step: &Step) -> Row {
    let pause = Row {
        pauses: true,
        ..Row::default()
    };
    match &step.action {
        Action::Send(_) => Row {
            head: 1,
            tail: 1,
            longest: 1,
            pauses: false,
        },
        Action::Repeat {
            every: Some(_), steps, ..
        } => pause.then(row(steps)).then(pause),
        Action::Repeat { times, steps, .. } => row(steps).repeated(*times),
        // Each of them has its own socket.
        Action::Times { steps, .. } | Action::Group(steps) => row(steps),
        Action::Parallel(branches) => branches
            .iter()
            .map(|branch| row(branch))
            .fold(Row::default(), |all, one| Row {
                head: all.head.max(one.head),
                tail: all.tail.max(one.tail),
                longest: all.longest.max(one.longest),
                pauses: all.pauses || one.pauses,
            }),
        Action::HoldReading { .. } => Row::default(),
        _ => pause,
    }
}
