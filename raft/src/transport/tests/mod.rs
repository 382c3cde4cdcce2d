//! Real groups over the transport, in a network that can be cut.

mod cluster;
mod network;
mod refusals;
mod replication;
mod sessions;
mod snapshots;
