//! Configuration: what is accepted, what is refused and with which words, the plan, the schema.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "config/accepted.rs"]
mod accepted;
#[path = "config/alerting.rs"]
mod alerting;
#[path = "config/planned.rs"]
mod planned;
#[path = "config/refused.rs"]
mod refused;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/shipped.rs"]
mod shipped;
#[path = "config/support.rs"]
mod support;
