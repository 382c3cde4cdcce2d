//! The node as a library: the configuration, the shards' actors and the services, over the groups of `raft`.
//!
//! Responsible for everything between the wire and the log: admission, batching, log time, routing checks, reads, founding a
//! cluster and changing its members, health and metrics. Promises that every request is answered in one of four ways: done,
//! refused, not admitted, or outcome unknown. Leaves replication and durability to `raft`, the rules to `inventory`, the
//! command line and the set-up of logging to `cli`. `main` and the simulator build a node by the same [`Node::start`].

mod admission;
mod alerts;
mod audit;
mod balance;
mod bootstrap;
mod calls;
mod change;
mod clocks;
pub mod config;
mod core;
mod events;
mod from_proto;
pub mod heads;
mod health;
mod http;
mod leaders;
pub mod metrics;
mod node;
mod orders;
mod planning;
mod refusals;
mod room;
mod routing;
mod services;
mod shard;
mod to_proto;
mod traced;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

pub use config::{ConfigError, NodeConfig, Overrides};
pub use node::{Node, StartError};
