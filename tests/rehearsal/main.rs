//! The rehearsal staging, seen from outside: its healthy contract, and that each fault shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod facts;
mod faults;
mod healthy_http;
mod healthy_socket;
mod signatures;
mod support;
