//! stagewatch: continuous synthetic monitoring of a staging environment. Observe once, judge purely, explain from evidence;
//! what measured nothing is never green.
//!
//! # The map
//!
//! ```text
//! config (YAML + CEL) ─compile─▶ catalog ─▶ schedule ─▶ scenario ─▶ transcript ─▶ judge ─▶ run ─▶ record: metrics · live · history
//!                                              ▲           │ IO                    │ pure            └▶ report, serve read from there
//!                                              │           ▼                       ▼
//!                                          run-now     probe: http · websocket · sse · jwt
//! ```
//!
//! From the ground up; a room imports only from rooms below it:
//!
//! | floor | rooms |
//! |---|---|
//! | plain data and pure helpers | [`failure`], [`verdict`], [`transcript`], [`secret`], [`limits`], [`clock`], [`expression`], [`mod@closed_set`], [`crypto`] |
//! | what to do | [`catalog`] (compiled, never changed), [`config`] (files to catalog) |
//! | how to see | [`probe`] (the wire), [`identity`] (tokens of our own workload), [`scenario`] (steps, credentials, budgets) |
//! | what it means | [`judge`] (pure), [`run`] (what sinks receive), [`report`] (pure renderers) |
//! | when | [`schedule`] (pure plan, and the loop) |
//! | what is kept and shown | [`history`] (ledger), [`record`] (metrics, live status), [`serve`] (HTTP) |
//! | together | [`app`] (composition), [`cli`] (commands) |
//! | beside | [`rehearsal`], a staging to practise on, which imports nothing of the rest |
//!
//! # The invariants, and where each is held
//!
//! 1. Nothing measured is never green: [`config`] refuses expectations that read no evidence, [`judge`] leaves open what it
//!    cannot see, [`app::assemble`] withdraws evidence that is too old.
//! 2. Our own fault pages nobody else: [`failure::Blame`]; [`scenario`] asks the control addresses.
//! 3. Evidence survives failure: [`probe`] keeps a refused upgrade whole and verifies the handshake itself.
//! 4. Secrets cannot be printed: [`secret`].
//! 5. Every wait has a deadline, every buffer a limit: [`limits`].
//! 6. Configuration is never mutated: a [`catalog::Catalog`] is made once and shared.
//! 7. Labels come from closed sets: [`record::metrics`] makes every handle at load.
//! 8. [`judge`], [`schedule::plan`], [`alert::fold`] and the parsers do no IO and read no clock.
//! 9. Only a pass resolves: [`alert::fold`] closes on right answers and passes alone, [`record::metrics`] resets failures on
//!    a pass alone.
//! 10. We do no harm: [`config`] refuses a plan beyond the target's limits, [`scenario`] keeps budgets across restarts.

pub mod alert;
pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod closed_set;
pub mod config;
pub mod crypto;
pub mod diagnose;
pub mod expression;
pub mod failure;
pub mod history;
pub mod identity;
pub mod incident;
pub mod judge;
pub mod limits;
pub mod logs;
pub mod notice;
pub mod probe;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod secret;
pub mod sensitive;
pub mod serve;
pub mod transcript;
pub mod verdict;
