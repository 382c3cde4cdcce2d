//! The bounds of one shard. They are part of the replicated state, so that all replicas decide alike: every shard begins with
//! the default ones, and gets others by a command in its log.

use serde::{Deserialize, Serialize};

/// The bounds of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Results kept, keyed ones included; a quarter of them is for keyed ids.
    pub results: u64,
    /// How long a result is kept at most, in ms of log time.
    pub result_window_ms: u64,
    /// How long the result of a keyed id is kept at least, in ms of log time.
    pub keyed_minimum_ms: u64,
    /// How far ahead of log time an id may be minted, in ms.
    pub mint_ahead_ms: u64,
    /// Reservations in memory that have not ended.
    pub live_reservations: u64,
    /// Reservations in memory that have ended.
    pub ended_reservations: u64,
    /// How long an ended reservation of which nothing was shipped stays in memory at most, in ms of log time.
    pub keep_ended_ms: u64,
    /// Items and locations of one shard, each.
    pub items: u64,
    /// Reservations released by one entry, or before one command, because their time is over.
    pub sweep: u32,
    /// The longest hold, in seconds, where the item says nothing.
    pub max_hold_s: u32,
    /// How long an ended reservation stays of which units were shipped, so that they can come back and a recall names them, in ms of log time.
    /// Beyond `ended_reservations` the others are forgotten first.
    pub keep_trace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            results: 2_000_000,
            result_window_ms: 24 * 3_600_000,
            keyed_minimum_ms: 10 * 60_000,
            mint_ahead_ms: 5 * 60_000,
            live_reservations: 4_000_000,
            ended_reservations: 1_000_000,
            keep_ended_ms: 7 * 24 * 3_600_000,
            items: 4_000_000,
            sweep: 256,
            max_hold_s: 14_400,
            keep_trace_ms: 1_096 * 24 * 3_600_000,
        }
    }
}
