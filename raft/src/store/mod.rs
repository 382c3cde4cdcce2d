//! What openraft stores, over what a node has: a group's log over the node's one log, a group's state machine over its
//! checkpoints.

mod changes;
mod convert;
mod log_store;
mod machine_store;
#[cfg(test)]
mod suite;

pub use changes::{Changes, ChangesFault};
pub use convert::{decode_membership, encode_membership, entry_from_record, record_from_entry};
pub(crate) use convert::{from_log_id, from_vote, to_log_id, to_vote};
pub use log_store::{LogReader, LogStore};
pub use machine_store::{AppliedSchemas, MachineStore, SharedMachine, SnapshotBuilder};
