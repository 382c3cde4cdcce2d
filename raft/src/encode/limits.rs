//! The bounds of a shard in the log: of the cluster's own records, and of the shards themselves.

use holdfast_inventory::Limits;
use holdfast_proto::log::v1 as log;

pub(crate) fn limits_to_log(limits: &Limits) -> log::ShardLimits {
    // Taken apart, so that a new bound does not compile until it is written.
    let Limits {
        results,
        result_window_ms,
        keyed_minimum_ms,
        mint_ahead_ms,
        live_reservations,
        ended_reservations,
        keep_ended_ms,
        items,
        sweep,
        max_hold_s,
    } = *limits;
    log::ShardLimits {
        results,
        result_window_ms,
        keyed_minimum_ms,
        mint_ahead_ms,
        live_reservations,
        ended_reservations,
        keep_ended_ms,
        items,
        sweep,
        max_hold_s,
    }
}

pub(crate) fn limits_from_log(limits: &log::ShardLimits) -> Limits {
    Limits {
        results: limits.results,
        result_window_ms: limits.result_window_ms,
        keyed_minimum_ms: limits.keyed_minimum_ms,
        mint_ahead_ms: limits.mint_ahead_ms,
        live_reservations: limits.live_reservations,
        ended_reservations: limits.ended_reservations,
        keep_ended_ms: limits.keep_ended_ms,
        items: limits.items,
        sweep: limits.sweep,
        max_hold_s: limits.max_hold_s,
    }
}
