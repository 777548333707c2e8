//! What only the whole catalog shows: roll-ups in a circle, a plan beyond the target's limits, too many series.

use super::compile::Loaded;
use super::error::{At, Report};
use super::plan::{self, Plan};
use super::raw::TextOr;
use crate::catalog::Catalog;
use crate::catalog::watch::watches;
use std::collections::{BTreeMap, BTreeSet};

/// Scenarios named in a help line.
const NAMED_MAX: usize = 4;

/// Says what is wrong with the catalog as a whole.
pub fn review(catalog: &Catalog, loaded: &Loaded, report: &Report) {
    let top = At::top(&loaded.main.0, report);
    circles(catalog, &places_of_checks(loaded, report));
    let plan = plan::plan(catalog);
    unwatched(catalog, loaded, report);
    limits(&plan, top);
    pools(&plan, top);
    series(&plan, top);
}

fn places_of_checks<'load>(loaded: &'load Loaded, report: &'load Report) -> BTreeMap<String, At<'load>> {
    let mut places = BTreeMap::new();
    for (page, module) in &loaded.modules {
        let checks = At::top(page, report).key("checks");
        for (place, check) in module.checks.iter().enumerate() {
            places.insert(format!("{}/{}", module.module, check.id), checks.item(place).key("id"));
        }
    }
    places
}

/// Roll-ups and verdict variables must not lead back to where they came from.
fn circles(catalog: &Catalog, places: &BTreeMap<String, At>) {
    let edges: BTreeMap<String, Vec<&String>> = catalog
        .checks()
        .map(|(_, check)| {
            let rolled = check.parts.iter().flat_map(|part| &part.rolls_up);
            let read = check
                .parts
                .iter()
                .flat_map(|part| part.verdicts.iter().map(|(_, check)| check));
            (check.full_id(), rolled.chain(read).collect())
        })
        .collect();
    let mut said = BTreeSet::new();
    for start in edges.keys() {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop() {
            for next in way
                .last()
                .and_then(|last| edges.get(*last))
                .into_iter()
                .flatten()
                .copied()
            {
                let place = places.get(start.as_str());
                if let Some(place) = place.filter(|_| next == start)
                    && said.insert(way.iter().copied().collect::<BTreeSet<_>>())
                {
                    let round: Vec<&str> = way.iter().chain([&start]).map(|id| id.as_str()).collect();
                    place.wrong(
                        format!("the check `{start}` waits for its own verdict: {}", round.join(" → ")),
                        "take one of these roll-ups or verdicts out",
                    );
                }
                if seen.insert(next) {
                    ways.push(way.iter().copied().chain([next]).collect());
                }
            }
        }
    }
}

/// What runs on confirm of a socket that nothing watches would never run.
fn unwatched(catalog: &Catalog, loaded: &Loaded, report: &Report) {
    let watched: BTreeSet<&str> = watches(catalog).map(|(socket, _, _)| socket).collect();
    for (page, module) in &loaded.modules {
        for (name, scenario) in module.scenarios.iter() {
            if let TextOr::Detailed(times) = &scenario.schedule
                && let Some(socket) = times.on_confirm.as_deref().filter(|socket| !watched.contains(socket))
            {
                let at = At::top(page, report).key("scenarios").key(name).key("schedule");
                at.key("on_confirm").wrong(
                    format!("nothing watches the socket `{socket}`, so `{name}` would never run"),
                    "give a scenario that opens it `feeds_watch: true`",
                );
            }
        }
    }
}

fn limits(plan: &Plan, top: At) {
    for (place, limit) in plan.limits.iter().enumerate().filter(|(_, limit)| !limit.fits()) {
        if limit.worst <= f64::from(limit.regular_max()) {
            top.key("target").key("limits").item(place).key("max").wrong(
                format!(
                    "a confirm burst makes {:.1} requests beside the {:.1} in {} of the plan, the limit `{}` is {}",
                    limit.burst,
                    limit.worst,
                    plan::shown(limit.per),
                    limit.name,
                    limit.max
                ),
                "raise `max` and `reserve` if the target allows it, or ask less on confirm",
            );
            continue;
        }
        let mut shares: Vec<_> = limit.shares.iter().collect();
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        let named: Vec<String> = shares
            .iter()
            .take(NAMED_MAX)
            .map(|(id, share)| format!("{id} ({share:.1})"))
            .collect();
        top.key("target").key("limits").item(place).key("max").wrong(
            format!(
                "the plan makes {:.1} requests in {}, the limit `{}` is {}",
                limit.worst,
                plan::shown(limit.per),
                limit.name,
                limit.regular_max()
            ),
            format!("lengthen the schedules of the largest: {}", named.join(", ")),
        );
    }
}

fn pools(plan: &Plan, top: At) {
    for pool in plan.pools.iter().filter(|pool| !pool.fits()) {
        let per = plan::shown(pool.per);
        let at = top
            .key("credentials")
            .key(&pool.name)
            .key("pool")
            .key("handshakes")
            .key("max");
        if pool.one_user > pool.max {
            at.wrong(
                format!(
                    "one run needs {} handshakes of one user, who has {} in {per}",
                    pool.one_user, pool.max
                ),
                "open fewer sockets in one run, or use several users",
            );
        } else {
            at.wrong(
                format!(
                    "the plan makes {} handshakes in {per}, the {} users of `{}` have {}",
                    pool.worst,
                    pool.users,
                    pool.name,
                    pool.room()
                ),
                format!("add users, or lengthen the schedules of {}", pool.scenarios.join(", ")),
            );
        }
    }
}

fn series(plan: &Plan, top: At) {
    if plan.series > plan.series_max {
        top.key("service").key("series_max").wrong(
            format!(
                "the configuration makes up to {} metric series, series_max is {}",
                plan.series, plan.series_max
            ),
            "raise `service.series_max`, or take checks out",
        );
    }
}
