//! Tests of the log.

mod basics;
mod crashes;
mod node;
mod rot;
mod scrub;
