//! stagewatch: continuous synthetic monitoring of a staging environment.
//!
//! Flow: [`config`] → [`catalog`] → [`schedule`] → [`scenario`] (with [`probe`]) → [`transcript`] → [`judge`] → [`run`] →
//! [`record`], [`history`] → [`report`], [`serve`]. Data moves one way. `ARCHITECTURE.md` is the map.
//!
//! Invariants:
//! 1. Nothing measured is never green.
//! 2. Our own fault pages nobody else.
//! 3. Evidence survives failure.
//! 4. Secrets cannot be printed.
//! 5. Every wait has a deadline, every buffer a limit.
//! 6. Configuration is never mutated.
//! 7. Labels come from closed sets.
//! 8. Judge, plan and parsers do no IO and read no clock.
//! 9. Only a pass resolves.
//! 10. We do no harm.

pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod closed_set;
pub mod config;
pub mod crypto;
pub mod expression;
pub mod failure;
pub mod history;
pub mod judge;
pub mod limits;
pub mod probe;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod secret;
pub mod serve;
pub mod transcript;
pub mod verdict;
