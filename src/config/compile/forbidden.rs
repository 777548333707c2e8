//! What must never be sent, as words that are compared.

use crate::catalog::Forbidden;
use crate::config::raw;

/// The rules of what is never sent.
pub fn forbidden(target: &raw::Target) -> Forbidden {
    let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect();
    match &target.forbidden {
        None => Forbidden::default(),
        Some(shape) => Forbidden {
            header_words: lower(&shape.header_words),
            user_agent_words: lower(&shape.user_agent_words),
            body_words: lower(&shape.body_words),
            paths: shape.paths.clone(),
            burst_max: shape.burst_max,
        },
    }
}
