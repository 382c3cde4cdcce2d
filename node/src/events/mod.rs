//! What happened, read from the change logs of this node's replicas.
//!
//! Any replica may be read: what is applied is committed, and its events are the same everywhere.

mod filter;
mod list;

pub(crate) use filter::EventFilter;
pub(crate) use list::{Found, MAX_EVENTS, list};
