//! A node's groups, each replicated by Raft: one log for all, checkpoints, the transport between nodes, and their host. See
//! docs/ARCHITECTURE.md.

pub mod change_log;
pub mod checkpoint;
pub mod control;
pub mod encode;
#[cfg(test)]
mod eventually;
pub mod host;
pub mod log;
pub mod machine;
pub mod meta;
pub mod runtime;
mod segments;
pub mod stages;
pub mod store;
pub mod transport;
pub mod types;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
