//! From a firing alert to the page: the push against Alertmanagers that answer in every way, and real servers end to end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "paging/adoption.rs"]
mod adoption;
#[path = "paging/delivery.rs"]
mod delivery;
#[path = "paging/fake.rs"]
mod fake;
#[path = "paging/kept.rs"]
mod kept;
#[path = "paging/support.rs"]
mod support;
