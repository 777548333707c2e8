//! The rehearsal staging, seen from outside: its healthy contract, and that each fault shows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "rehearsal/healthy_http.rs"]
mod healthy_http;
#[path = "rehearsal/healthy_socket.rs"]
mod healthy_socket;
#[path = "rehearsal/support.rs"]
mod support;
