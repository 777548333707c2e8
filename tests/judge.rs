//! The judge and the reports, from outside: evidence in, verdict and text out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "judge/support.rs"]
mod support;

#[path = "judge/evidence.rs"]
mod evidence;
#[path = "judge/properties.rs"]
mod properties;
#[path = "judge/reports.rs"]
mod reports;
#[path = "judge/rules.rs"]
mod rules;
#[path = "judge/several.rs"]
mod several;
