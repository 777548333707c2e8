//! Configuration: what is accepted, what is refused and with which words, the plan, the schema.

#[path = "config/accepted.rs"]
mod accepted;
#[path = "config/planned.rs"]
mod planned;
#[path = "config/refused.rs"]
mod refused;
#[path = "config/schema.rs"]
mod schema;
#[path = "config/support.rs"]
mod support;
