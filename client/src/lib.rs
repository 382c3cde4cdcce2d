//! The Rust client of Holdfast.

mod answer;
mod cluster_time;
mod command;
mod options;

pub use answer::{Error, Failure, Success};
pub use command::{
    Adjust, Amend, Cancel, Command, CommandKey, Commit, Extend, Fulfil, PutItem, Receive, Release, Reserve, Return, Set,
};
pub use holdfast_proto::{ids, v1};
pub use options::{ClientOptions, ExecuteOptions, Transport};
