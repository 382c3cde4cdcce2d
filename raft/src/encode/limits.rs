//! The bounds of a shard in the log: of the cluster's own records, and of the shards themselves.

use holdfast_inventory::Limits;
use holdfast_proto::log::v1 as log;

/// Both ways of the translation from one list of the bounds. Each side is taken apart and put together by name, so that a
/// bound that only one of them has does not compile.
macro_rules! translations {
    ($($bound:ident),* $(,)?) => {
        pub(crate) fn limits_to_log(limits: &Limits) -> log::ShardLimits {
            let Limits { $($bound),* } = *limits;
            log::ShardLimits { $($bound),* }
        }

        pub(crate) fn limits_from_log(limits: &log::ShardLimits) -> Limits {
            let log::ShardLimits { $($bound),* } = *limits;
            Limits { $($bound),* }
        }
    };
}

translations! {
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
    keep_trace_ms,
}
