//! The node as a library.

pub mod config;
mod from_proto;
mod to_proto;

pub use config::{ConfigError, NodeConfig, Overrides};
