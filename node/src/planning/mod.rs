//! What lines a request becomes, worked out before the log by whoever serves it: a kit becomes its components.
//!
//! Promises that what the log gets says which asked line each of its lines comes from, and that a command that was decided is
//! answered as it was, whatever has changed since: a refusal to work lines out is decided by the shard, under the command's id.
//! Leaves to the rules whether the lines can be held.

mod availability;
mod flatten;
mod kits;
mod look;

pub(crate) use kits::{KnownKits, Planned, answer_kit, plan};
pub(crate) use look::{look_for_peer, seen_to_peer};
