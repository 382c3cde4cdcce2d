//! A whole cluster on this machine for development: each node a process of its own, with its own data folder and log.

mod layout;
mod nodes;

pub use layout::{Layout, Wanted, port_base_for};
pub use nodes::DevelopmentCluster;
