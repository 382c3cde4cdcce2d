//! What is looked at when somebody asks for the metrics: positions, counts and states that somebody else keeps.

use holdfast_inventory::Inventory;
use holdfast_raft::host::{Group, ScrubStatus};

use super::table::*;
use crate::core::Core;
use crate::shard::ShardHandle;

fn yes(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// Sets what is so now. Never waits.
pub(crate) fn observe(core: &Core) {
    let version = env!("CARGO_PKG_VERSION");
    metrics::gauge!(BUILD_INFO, "version" => version, "node" => core.config.node_id.to_string()).set(1.0);
    metrics::gauge!(READY).set(yes(core.not_ready().is_empty()));
    metrics::gauge!(WARNINGS).set(core.warnings().len() as f64);
    metrics::gauge!(UPTIME).set(core.started_at.elapsed().as_secs_f64());
    if let Ok(disk) = rustix::fs::statvfs(core.config.node_dir()) {
        metrics::gauge!(DISK_FREE).set(disk.f_bavail as f64 * disk.f_frsize as f64);
        metrics::gauge!(DISK_SIZE).set(disk.f_blocks as f64 * disk.f_frsize as f64);
    }
    if let Some(bytes) = holdfast_world::resident_bytes() {
        metrics::gauge!(RESIDENT).set(bytes as f64);
    }
    core.groups().iter().for_each(|group| observe_group(core, group));
    core.shards().iter().for_each(|shard| observe_shard(core, shard));
    for (stage, total) in core.host.stages().totals() {
        metrics::counter!(STAGE_PASSED, "stage" => stage.name()).absolute(total.count);
    }
    observe_scrub(&core.host.scrub_status());
    let spans = core.world.tracer.counts();
    for (outcome, count) in [("sent", spans.sent), ("queue_full", spans.queue_full), ("not_taken", spans.not_taken)] {
        metrics::counter!(TRACE_SPANS, "outcome" => outcome).absolute(count);
    }
}

/// The times of the stages, as they are exposed: a counter of the exporter has whole numbers only.
pub(crate) fn stage_times(core: &Core) -> String {
    let help = METRICS.iter().find(|metric| metric.name == STAGE_TIME).map_or("", |metric| metric.help);
    let mut text = format!("# HELP {STAGE_TIME} {help}\n# TYPE {STAGE_TIME} counter\n");
    for (stage, total) in core.host.stages().totals() {
        let seconds = total.total_us as f64 / 1e6;
        text += &format!("{STAGE_TIME}{{stage=\"{}\"}} {seconds}\n", stage.name());
    }
    text
}

fn observe_group(core: &Core, group: &Group) {
    let status = group.status();
    let name = group.id().0.to_string();
    metrics::gauge!(HAS_LEADER, "group" => name.clone()).set(yes(core.confirmed_leader(group).is_some()));
    metrics::gauge!(LEADS, "group" => name.clone()).set(yes(group.is_leader()));
    metrics::gauge!(CORE_ALIVE, "group" => name.clone()).set(yes(group.core_fault().is_none()));
    let lag = status.committed_index.saturating_sub(status.applied_index);
    metrics::gauge!(APPLY_LAG, "group" => name.clone()).set(lag as f64);
    if let Some(age) = group.age() {
        metrics::gauge!(STALENESS, "group" => name.clone()).set(age.as_secs_f64());
    }
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

fn observe_shard(core: &Core, shard: &ShardHandle) {
    let name = shard.shard().to_string();
    let (waiting, capacity) = shard.waiting();
    metrics::gauge!(WAITING, "shard" => name.clone()).set(waiting as f64);
    metrics::gauge!(WAITING_CAPACITY, "shard" => name.clone()).set(capacity as f64);
    let look = |shard: &Inventory| (shard.counts(), result_window_ms(shard), shard.halt().is_some(), shard.now());
    let Some((counts, window_ms, is_halted, now)) = shard.group().read_shard(look) else {
        return;
    };
    metrics::gauge!(RESULT_WINDOW, "shard" => name.clone()).set(window_ms as f64 / 1_000.0);
    for (kind, count) in [
        ("items", counts.items),
        ("live_reservations", counts.live_reservations),
        ("ended_reservations", counts.ended_reservations),
        ("results", counts.results),
    ] {
        metrics::gauge!(RECORDS, "shard" => name.clone(), "kind" => kind).set(count as f64);
    }
    metrics::gauge!(HALTED, "shard" => name.clone()).set(yes(is_halted));
    let Some(survey) = core.surveys.of(shard.shard()) else { return };
    let enough = survey.skus.saturating_sub(survey.skus_low).saturating_sub(survey.skus_out);
    for (availability, skus) in [("out", survey.skus_out), ("low", survey.skus_low), ("enough", enough)] {
        metrics::gauge!(SKUS, "shard" => name.clone(), "availability" => availability).set(skus as f64);
    }
    metrics::gauge!(NEAR_REMOVAL, "shard" => name.clone()).set(survey.units_near_removal as f64);
    metrics::gauge!(OPEN_COUNTS, "shard" => name.clone()).set(survey.open_counts as f64);
    let oldest_ms = survey.oldest_count_opened_at.map_or(0, |at| now.0.saturating_sub(at.0));
    metrics::gauge!(OLDEST_COUNT, "shard" => name.clone()).set(oldest_ms as f64 / 1_000.0);
    for (state, orders) in [("open", survey.open_orders), ("stuck", survey.stuck_orders)] {
        metrics::gauge!(ORDERS, "shard" => name.clone(), "state" => state).set(orders as f64);
    }
}

fn observe_scrub(status: &ScrubStatus) {
    for (kind, rotten, mended) in [
        ("entries", status.rotten_entries, status.mended_entries),
        ("segments", status.rotten_segments, status.mended_segments),
        ("chunks", status.rotten_chunks, status.mended_chunks),
    ] {
        metrics::counter!(ROTTEN, "kind" => kind).absolute(rotten);
        metrics::counter!(MENDED, "kind" => kind).absolute(mended);
    }
    metrics::counter!(SCRUB_FAILED).absolute(status.failed_reads);
}

/// How far back a shard remembers results, in milliseconds of log time.
pub(crate) fn result_window_ms(shard: &Inventory) -> u64 {
    shard.result_window().oldest_decided_at.map_or(0, |oldest| shard.now().0.saturating_sub(oldest.0))
}
