//! The wire and the log of Holdfast: types and services generated from `holdfast/**/*.proto` when the crate is built.

#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// The public API, package `holdfast.v1`.
pub mod v1 {
    tonic::include_proto!("holdfast.v1");
}

/// The entries of the log, package `holdfast.log.v1`.
pub mod log {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.log.v1");
    }
}

/// What nodes say to one another, package `holdfast.peer.v1`.
pub mod peer {
    /// Version 1.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/peer/holdfast.peer.v1.rs"));
    }
}

/// The header in which a request names the cluster that it is for, by its `cluster_id`. One that names none is for whichever
/// cluster it reaches.
pub const CLUSTER_HEADER: &str = "holdfast-cluster";

/// The descriptors of all files, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/holdfast_descriptor.bin"));

pub mod checksummed;
pub mod ids;
mod operation_name;
pub mod reason;
