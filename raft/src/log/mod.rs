//! The log of a node: the entries and votes of all its groups, in one sequence of segment files.
//!
//! Promises: an append, vote, truncation or purge that was reported done is there after any crash; order is kept over all
//! groups; what was torn by a crash is cut without a word, what rotted is named and never cut ([`Damage`]). A write or
//! sync that fails ends the process: it is never tried again, and nothing is reported done after it.
//! Leaves to others: when to purge, to keep a damaged group out of its quorum, to fetch what rotted from a peer, and how fast
//! to scrub.
//!
//! Mending: copies of rotten entries are taken only if they are, byte for byte, what was written here (`mend`); `scrub` walks
//! over the batches on the disk and finds rot before anybody reads it.
//!
//! The way of an append: [`Log::append`] puts it into the index and the queue (`state`); the writer (`writer`) takes what
//! waits, lays it out as one batch (`batch`, `format`), writes it, syncs once, and reports. The keeper (`keeper`) has the
//! next segment ready and frees old ones. `recover` reads it all back.

mod batch;
mod damage;
mod format;
mod group;
mod handle;
mod ids;
mod keeper;
mod mend;
mod read;
mod record;
mod recover;
mod replay;
mod scan;
mod scrub;
mod state;
mod writer;

#[cfg(test)]
mod tests;

pub use damage::{Damage, DamageCause};
pub use handle::{Log, LogUsage, Pin, Recovered};
pub use ids::{GroupId, Incarnation, LogId, LogPosition, Vote};
pub use mend::Mended;
pub use record::{AppendError, Done, GroupLogState, LogOptions, LogRecord, ReadError};
pub use recover::OpenError;
pub use scrub::{Rot, Scrub, Scrubbed};
pub use state::RotCounts;
