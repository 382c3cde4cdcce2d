//! What the fuzz targets share: the inputs they begin with, the life of a shard, and the part of the command line that reads
//! files of others.

#![allow(dead_code, unused_imports, reason = "the command line uses more of its files than the targets do")]

#[path = "../../cli/src/failure.rs"]
mod failure;
pub mod history;
#[path = "../../cli/src/input/mod.rs"]
pub mod input;
pub mod seeds;
mod story;

mod output {
    /// The command line's prose goes nowhere here.
    pub fn say(_: &str) {}
}
