//! The shipped modules over the rehearsal: what each fault turns red and nothing else, that no check passes on nothing,
//! and that `docs/checks.md` says the truth about both.
//!
//! `STAGEWATCH_FAULTS=all` (or a list of names) judges more faults than those that `docs/checks.md` and the issue name;
//! `STAGEWATCH_BLESS=1` writes what was seen into `expected.yaml` and `docs/checks.md`, to be read before it is kept.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod documented;
mod expected;
mod past;
mod seen;
mod staging;
mod story;
mod table;
mod vacuity;
