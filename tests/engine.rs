//! Behaviour of the engine: schedule, history, serving, the composition of all of it, the command line.

#[path = "engine/history.rs"]
mod history;
