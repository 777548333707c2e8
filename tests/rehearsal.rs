//! The rehearsal staging, seen from outside: its healthy contract, and that each fault shows.

#[path = "rehearsal/healthy_http.rs"]
mod healthy_http;
#[path = "rehearsal/healthy_socket.rs"]
mod healthy_socket;
#[path = "rehearsal/support.rs"]
mod support;
