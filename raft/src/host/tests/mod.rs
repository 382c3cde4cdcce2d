//! Whole hosts of one process over loopback: real logs, control files, sled and connections.

mod cluster;
mod failed_start;
mod full_store;
mod life;
mod rot;
mod slow_follower;
mod troubled_stores;
mod versions;
