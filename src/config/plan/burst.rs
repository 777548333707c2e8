//! What a confirm burst costs at worst: every watch at once, the attempts that confirm each of them, and once each scenario on
//! confirm. An outage that both credentials meet makes this many requests within seconds.

use super::{Counter, handshakes as of_run};
use crate::catalog::watch::{siblings, watches};
use crate::catalog::{Catalog, CredentialSource, Pool, Scenario};

/// The runs of a burst: scenarios and how often each.
fn runs(catalog: &Catalog) -> impl Iterator<Item = (&Scenario, u32)> {
    let attempts = catalog.alerting.sockets.attempts;
    let again = watches(catalog).map(move |(_, _, scenario)| (scenario.as_ref(), attempts));
    let sockets = catalog.target.sockets.keys();
    let beside = sockets.flat_map(|socket| siblings(catalog, socket).map(|scenario| (scenario.as_ref(), 1)));
    again.chain(beside)
}

/// Requests that count against a limit, a login or renewal for each user included.
pub(super) fn requests(catalog: &Catalog, counter: &Counter) -> f64 {
    runs(catalog)
        .map(|(scenario, times)| f64::from(times) * (counter.of_run(scenario) + tokens(catalog, counter, scenario)))
        .sum()
}

fn tokens(catalog: &Catalog, counter: &Counter, scenario: &Scenario) -> f64 {
    let own = scenario.credentials.iter().filter(|used| used.same_as.is_none());
    let counted = own.filter(|used| match catalog.credentials.get(&used.source) {
        Some(CredentialSource::Pool(pool)) => counter.counts_tokens(pool),
        Some(CredentialSource::Mint(_)) | None => false,
    });
    f64::from(counted.map(|used| used.count).sum::<u32>())
}

/// Handshakes with users of `pool`.
pub(super) fn handshakes(catalog: &Catalog, pool: &Pool) -> u32 {
    runs(catalog)
        .map(|(scenario, times)| times * of_run(scenario, pool).values().map(|(count, _)| count).sum::<u32>())
        .sum()
}
