//! The names of all metrics of a node, and the few handles that the hot path keeps.

use std::time::Duration;

use holdfast_inventory::{EndpointId, Inventory};
use metrics::{Counter, Histogram};

use crate::core::Core;

/// Log entries proposed, by shard.
pub const ENTRIES: &str = "holdfast_shard_entries_total";
/// Commands proposed, by shard.
pub const COMMANDS: &str = "holdfast_shard_commands_total";
/// Reserves answered as sold out without a log entry, by shard.
pub const SOLD_OUT_UNRECORDED: &str = "holdfast_shard_sold_out_unrecorded_total";
/// Bytes of log entries proposed, by shard.
pub const ENTRY_BYTES: &str = "holdfast_shard_entry_bytes_total";
/// Time from proposing an entry until its answers are there, by shard.
pub const APPLIED: &str = "holdfast_shard_applied_seconds";
/// Restarts of a shard's actor.
pub const ACTOR_RESTARTS: &str = "holdfast_shard_actor_restarts_total";
/// Commands that wait at a shard.
pub const WAITING: &str = "holdfast_shard_waiting_commands";
/// Whether this node leads the group: 1 or 0.
pub const LEADS: &str = "holdfast_group_leads";
/// Positions of a group's log, by kind.
pub const LOG_INDEX: &str = "holdfast_group_log_index";
/// Records of a shard, by kind.
pub const RECORDS: &str = "holdfast_shard_records";
/// How far back a shard remembers results, in milliseconds of log time.
pub const RESULT_WINDOW_MS: &str = "holdfast_shard_result_window_ms";
/// How far this node's wall clock is from the median of the nodes', in milliseconds.
pub const CLOCK_OFFSET_MS: &str = "holdfast_clock_offset_ms";
/// Readers of events or availability that took nothing, and were let go.
pub const SLOW_READERS: &str = "holdfast_slow_readers_total";
/// Audits of this node's replicas, by shard.
pub const AUDITS: &str = "holdfast_audits_total";
/// What they found broken, by shard.
pub const AUDIT_BREACHES: &str = "holdfast_audit_breaches_total";
/// How long an audit took, by shard.
pub const AUDIT_TOOK: &str = "holdfast_audit_seconds";
/// Whether an audit has halted the shard: 1 or 0.
pub const HALTED: &str = "holdfast_shard_halted";
/// Alerts on abnormal corrections of the books, by shard and rule; each replica of a shard tells the same.
pub const ALERTS: &str = "holdfast_alerts_total";
/// Attempts to call endpoints for orders' steps, by endpoint and by what came of them: done, refused, nothing, fallback or withdrawn.
pub const CALLS: &str = "holdfast_endpoint_calls_total";
/// Whether this node leaves the endpoint alone: 1 or 0.
pub const BREAKER_OPEN: &str = "holdfast_endpoint_breaker_open";
/// Bytes that are free on the disk of this node's data.
pub const DISK_FREE: &str = "holdfast_disk_free_bytes";
/// Whether this node is ready: 1 or 0.
pub const READY: &str = "holdfast_ready";

/// The handles of one shard.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    entries: Counter,
    commands: Counter,
    entry_bytes: Counter,
    applied: Histogram,
}

impl ShardMetrics {
    pub(crate) fn new(shard: u32) -> Self {
        let shard = shard.to_string();
        Self {
            entries: metrics::counter!(ENTRIES, "shard" => shard.clone()),
            commands: metrics::counter!(COMMANDS, "shard" => shard.clone()),
            entry_bytes: metrics::counter!(ENTRY_BYTES, "shard" => shard.clone()),
            applied: metrics::histogram!(APPLIED, "shard" => shard),
        }
    }

    pub(crate) fn entry(&self, bytes: usize, commands: usize) {
        self.entries.increment(1);
        self.commands.increment(commands as u64);
        self.entry_bytes.increment(bytes as u64);
    }

    pub(crate) fn applied(&self, after: Duration) {
        self.applied.record(after.as_secs_f64());
    }
}

pub(crate) fn actor_restarted(shard: u32) {
    metrics::counter!(ACTOR_RESTARTS, "shard" => shard.to_string()).increment(1);
}

pub(crate) fn sold_out_unrecorded(shard: u32) {
    metrics::counter!(SOLD_OUT_UNRECORDED, "shard" => shard.to_string()).increment(1);
}

pub(crate) fn audited(shard: u32, took: Duration, breaches: u64) {
    let shard = shard.to_string();
    metrics::counter!(AUDITS, "shard" => shard.clone()).increment(1);
    metrics::counter!(AUDIT_BREACHES, "shard" => shard.clone()).increment(breaches);
    metrics::histogram!(AUDIT_TOOK, "shard" => shard).record(took.as_secs_f64());
}

pub(crate) fn alerted(shard: u32, rule: &'static str) {
    metrics::counter!(ALERTS, "shard" => shard.to_string(), "rule" => rule).increment(1);
}

pub(crate) fn called(endpoint: &EndpointId, outcome: &'static str) {
    metrics::counter!(CALLS, "endpoint" => endpoint.as_str().to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn breaker_is_open(endpoint: &EndpointId, is_open: bool) {
    metrics::gauge!(BREAKER_OPEN, "endpoint" => endpoint.as_str().to_owned()).set(f64::from(u8::from(is_open)));
}

pub(crate) fn disk_free(bytes: u64) {
    metrics::gauge!(DISK_FREE).set(bytes as f64);
}

pub(crate) fn clock_offset(offset_ms: i64) {
    metrics::gauge!(CLOCK_OFFSET_MS).set(offset_ms as f64);
}

/// What is looked at when somebody asks for the metrics.
pub(crate) fn observe(core: &Core) {
    metrics::gauge!(READY).set(if core.not_ready().is_empty() { 1.0 } else { 0.0 });
    for group in core.groups() {
        let status = group.status();
        let name = group.id().0.to_string();
        metrics::gauge!(LEADS, "group" => name.clone()).set(if group.is_leader() { 1.0 } else { 0.0 });
        for (kind, index) in [
            ("last", status.last_log_index),
            ("committed", status.committed_index),
            ("applied", status.applied_index),
            ("checkpointed", status.checkpointed_index),
            ("purged", status.purged_index),
        ] {
            metrics::gauge!(LOG_INDEX, "group" => name.clone(), "kind" => kind).set(index as f64);
        }
    }
    for shard in core.shards().iter() {
        let name = shard.shard().to_string();
        metrics::gauge!(WAITING, "shard" => name.clone()).set(shard.waiting().0 as f64);
        let look = |shard: &Inventory| (shard.counts(), result_window_ms(shard), shard.halt().is_some());
        let Some((counts, window_ms, is_halted)) = shard.group().read_shard(look) else {
            continue;
        };
        metrics::gauge!(RESULT_WINDOW_MS, "shard" => name.clone()).set(window_ms as f64);
        for (kind, count) in [
            ("items", counts.items),
            ("live_reservations", counts.live_reservations),
            ("ended_reservations", counts.ended_reservations),
            ("results", counts.results),
        ] {
            metrics::gauge!(RECORDS, "shard" => name.clone(), "kind" => kind).set(count as f64);
        }
        metrics::gauge!(HALTED, "shard" => name.clone()).set(if is_halted { 1.0 } else { 0.0 });
    }
}

/// How far back a shard remembers results, in milliseconds of log time.
pub(crate) fn result_window_ms(shard: &Inventory) -> u64 {
    shard.result_window().oldest_decided_at.map_or(0, |oldest| shard.now().0.saturating_sub(oldest.0))
}
