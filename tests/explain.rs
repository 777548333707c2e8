//! The diagnosis: which rule leads for which fault of the rehearsal, what the report then says, and what stays inert.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "explain/expected.rs"]
mod expected;
#[path = "explain/golden.rs"]
mod golden;
#[path = "explain/hostile.rs"]
mod hostile;
#[path = "explain/incidents.rs"]
mod incidents;
#[path = "explain/lived.rs"]
mod lived;
#[path = "explain/logs.rs"]
mod logs;
#[path = "explain/pure.rs"]
mod pure;
#[path = "explain/sensitive.rs"]
mod sensitive;
#[path = "explain/signatures.rs"]
mod signatures;
#[path = "explain/support.rs"]
mod support;
