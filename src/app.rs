//! The composition root: puts the rooms together, supervises them, drains them. Decides nothing itself.

pub mod assemble;
mod depends;
pub mod select;
