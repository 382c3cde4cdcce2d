//! The node as a library.

pub mod config;

pub use config::{ConfigError, NodeConfig, Overrides};
