//! stagewatch: continuous synthetic monitoring of a staging environment.

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
