//! Placeholder.

pub mod control;
pub mod log;
mod segments;
