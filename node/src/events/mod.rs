//! What happened, read from the change logs of this node's replicas.
//!
//! Any replica may be read: what is applied is committed, and its events are the same everywhere.

mod as_of;
mod availability;
mod cursor;
mod filter;
mod list;
mod stream;
mod tail;
mod watch;

pub(crate) use as_of::{Levels, as_of};
pub(crate) use availability::{Wanted, watch as watch_availability};
pub(crate) use cursor::Cursor;
pub(crate) use filter::EventFilter;
pub(crate) use list::{Found, MAX_EVENTS, list};
pub(crate) use stream::{Answers, Sender, channel};
pub(crate) use tail::Tail;
pub(crate) use watch::{cursor_of, watch};
