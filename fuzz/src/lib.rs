//! What the fuzz targets share: the inputs they begin with, and the part of the command line that reads files of others.

#![allow(dead_code, unused_imports, reason = "the command line uses more of its files than the targets do")]

#[path = "../../cli/src/failure.rs"]
mod failure;
#[path = "../../cli/src/input/mod.rs"]
pub mod input;

mod output {
    /// The command line's prose goes nowhere here.
    pub fn say(_: &str) {}
}

/// Each target with valid inputs.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    use holdfast_inventory::untrusted::{chunk, event};
    use holdfast_node::untrusted::{command, configuration};
    use holdfast_raft::untrusted::{log_entry, manifest, meta_entry, peer_message, snapshot};
    vec![
        ("chunk", (0..chunk::PIECES).map(chunk::valid).collect()),
        ("event", vec![event::valid()]),
        ("log_entry", vec![log_entry::valid()]),
        ("manifest", vec![manifest::valid()]),
        ("meta_entry", vec![meta_entry::valid()]),
        ("peer_message", vec![peer_message::valid()]),
        ("snapshot", vec![snapshot::valid()]),
        ("client_command", vec![command::valid()]),
        ("configuration", vec![configuration::valid()]),
        ("catalogue", vec![input::catalogue::untrusted::valid()]),
        ("trace", vec![input::trace::untrusted::valid()]),
    ]
}
