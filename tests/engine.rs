//! Behaviour of the engine: schedule, history, serving, the composition of all of it, the command line.

#[path = "engine/daemon.rs"]
mod daemon;
#[path = "engine/history.rs"]
mod history;
#[path = "engine/support.rs"]
mod support;
