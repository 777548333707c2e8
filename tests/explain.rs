//! The diagnosis: which rule leads for which fault of the rehearsal, what the report then says, and what stays inert.

#[path = "explain/pure.rs"]
mod pure;
#[path = "explain/signatures.rs"]
mod signatures;
#[path = "explain/support.rs"]
mod support;
