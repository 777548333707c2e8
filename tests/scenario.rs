//! The scenario runner against small servers on loopback: what a run does, keeps, and leaves behind.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "scenario/support.rs"]
mod support;

#[path = "scenario/credentials.rs"]
mod credentials;
#[path = "scenario/faults.rs"]
mod faults;
#[path = "scenario/flow.rs"]
mod flow;
#[path = "scenario/identity.rs"]
mod identity;
#[path = "scenario/manners.rs"]
mod manners;
#[path = "scenario/residents.rs"]
mod residents;
#[path = "scenario/secrets.rs"]
mod secrets;
#[path = "scenario/sockets.rs"]
mod sockets;
