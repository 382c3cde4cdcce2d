//! Placeholder.

pub mod change_log;
pub mod control;
pub mod log;
mod segments;
