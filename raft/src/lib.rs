//! Placeholder.

pub mod change_log;
pub mod checkpoint;
pub mod control;
pub mod encode;
pub mod log;
pub mod machine;
pub mod meta;
pub mod runtime;
mod segments;
pub mod store;
pub mod transport;
pub mod types;
