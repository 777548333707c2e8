//! Behaviour of the engine: schedule, history, serving, the composition of all of it, the command line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "engine/alerts.rs"]
mod alerts;
#[path = "engine/api.rs"]
mod api;
#[path = "engine/bursts.rs"]
mod bursts;
#[path = "engine/canary.rs"]
mod canary;
#[path = "engine/commands.rs"]
mod commands;
#[path = "engine/counting.rs"]
mod counting;
#[path = "engine/daemon.rs"]
mod daemon;
#[path = "engine/folding.rs"]
mod folding;
#[path = "engine/history.rs"]
mod history;
#[path = "engine/life.rs"]
mod life;
#[path = "engine/lived.rs"]
mod lived;
#[path = "engine/metrics.rs"]
mod metrics;
#[path = "engine/notices.rs"]
mod notices;
#[path = "engine/once.rs"]
mod once;
#[path = "engine/process.rs"]
mod process;
#[path = "engine/reload.rs"]
mod reload;
#[path = "engine/routes.rs"]
mod routes;
#[path = "engine/scheduling.rs"]
mod scheduling;
#[path = "engine/serving.rs"]
mod serving;
#[path = "engine/strays.rs"]
mod strays;
#[path = "engine/support.rs"]
mod support;
#[path = "engine/together.rs"]
mod together;
#[path = "engine/verdicts.rs"]
mod verdicts;
#[path = "engine/web.rs"]
mod web;
