//! From a firing alert to the page: the push against Alertmanagers that answer in every way, and real servers end to end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "paging/adoption.rs"]
mod adoption;
#[path = "paging/delivery.rs"]
mod delivery;
#[path = "paging/drill.rs"]
mod drill;
#[path = "explain/expected.rs"]
mod expected;
#[path = "paging/explained.rs"]
mod explained;
#[path = "paging/fake.rs"]
mod fake;
#[path = "paging/incidents.rs"]
mod incidents;
#[path = "paging/kept.rs"]
mod kept;
#[path = "paging/quiet.rs"]
mod quiet;
#[path = "paging/reloads.rs"]
mod reloads;
#[path = "paging/servers.rs"]
mod servers;
#[path = "paging/site.rs"]
mod site;
#[path = "paging/strays.rs"]
mod strays;
#[path = "paging/support.rs"]
mod support;
