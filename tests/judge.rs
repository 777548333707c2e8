//! The judge and the reports, from outside: evidence in, verdict and text out.

#[path = "judge/support.rs"]
mod support;

#[path = "judge/properties.rs"]
mod properties;
#[path = "judge/rules.rs"]
mod rules;
#[path = "judge/several.rs"]
mod several;
