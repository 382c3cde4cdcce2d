//! Audits: a node recomputes the invariants of the replicas that it follows, now and then, beside the work.
//!
//! Responsible for when a replica is audited, for what was found last, and for what follows from a breach: it is told (a log line, a
//! metric, a warning of the node, `holdfast shard list`), and the shard is halted by a command in its own log. Promises that apply waits
//! for a view of the records only, which copies none, and that one audit runs at a time. Leaves the invariants to `inventory`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_inventory::commands::{HaltShard, MAX_FINDING_BYTES};
use holdfast_inventory::invariants::{Breach, Invariant};
use holdfast_inventory::{AuditReport, AuditView, Operation};
use holdfast_mutation::{Mutation, is_on};
use holdfast_raft::host::Group;
use holdfast_world::World;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::core::Core;
use crate::metrics;
use crate::orders::carry_to_shard;
use crate::shard::ShardHandle;

/// Audits that may wait for their turn.
const WAITING: usize = 4;
/// A node that has just started is left alone for so long.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// Breaches of one audit that get a log line each.
const LOGGED: usize = 10;
/// How long the shard's leader is asked to halt it. Where that comes to nothing the next audit finds the breach again.
const HALTED_WITHIN: Duration = Duration::from_secs(10);

/// One audit of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Audited {
    /// The last entry applied in what was looked at.
    pub(crate) applied_index: u64,
    pub(crate) report: AuditReport,
    /// By this node's wall clock, when it was over.
    pub(crate) audited_at_ms: u64,
    /// How long it took in all, and how long apply may have waited for the view.
    pub(crate) took: Duration,
    pub(crate) view_took: Duration,
}

struct Work {
    view: AuditView,
    report_to: oneshot::Sender<AuditReport>,
}

/// The auditor of a node, and what it found last.
#[derive(Debug)]
pub(crate) struct Audits {
    work: mpsc::Sender<Work>,
    /// By shard, how many audits there were, and the last.
    last: Mutex<BTreeMap<u32, (u64, Audited)>>,
}

impl Audits {
    /// Starts the thread that audits. It ends when the node is gone.
    pub(crate) fn start(world: &World) -> Self {
        let (work, mut waiting) = mpsc::channel::<Work>(WAITING);
        let audit = async move {
            while let Some(Work { view, report_to }) = waiting.recv().await {
                let mut report = view.check();
                if is_on(Mutation::AuditFalseAlarm) && report.counts.live_reservations > 0 {
                    let breach = Breach { invariant: Invariant::Holds, finding: "nothing at all".to_owned() };
                    (report.breaches, report.breaches_in_all) = (vec![breach], 1);
                }
                let _asker_left = report_to.send(report);
            }
        };
        world.threads.dedicated("audit", Box::pin(audit));
        Self { work, last: Mutex::default() }
    }

    /// How often this node's replica of the shard was audited since the start, and what the last audit found.
    pub(crate) fn last(&self, shard: u32) -> Option<(u64, Audited)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }

    fn note(&self, shard: u32, audited: &Audited) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let audits = last.get(&shard).map_or(0, |(audits, _)| *audits);
        last.insert(shard, (audits + 1, audited.clone()));
    }
}

/// Until the node stops: audits the replicas that it follows.
pub(crate) async fn audit_replicas(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    let interval = Duration::from_secs(core.config.audit.interval_s);
    if interval.is_zero() {
        return;
    }
    let mut wait = first_after(interval, core.config.node_id);
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(wait) => wait = interval,
        }
        for shard in core.shards().iter().filter(|shard| is_audited_here(shard.group())) {
            if *stopping.borrow() {
                return;
            }
            if let Err(why) = audit_now(&core, shard).await {
                tracing::warn!(shard = shard.shard(), why, "a replica was not audited");
            }
        }
    }
}

/// How long after its start a node audits first: soon, for until then nobody knows, but not while it is starting, nor all nodes at once.
fn first_after(interval: Duration, node: u64) -> Duration {
    let share = u32::try_from(1 + node % 4).unwrap_or(1);
    (interval / 60 * share).max(FIRST_AFTER).min(interval)
}

/// The leader has enough to do, where somebody else has the same records.
fn is_audited_here(group: &Group) -> bool {
    !group.is_leader() || group.status().voters.len() < 2
}

/// Audits this node's replica of a shard, and does what follows from a breach.
///
/// # Errors
///
/// The replica has no state, or the node is ending.
pub(crate) async fn audit_now(core: &Core, shard: &ShardHandle) -> Result<Audited, &'static str> {
    let begun = Instant::now();
    let view = shard.group().read_shard_at(|shard, applied| (shard.audit_view(), applied));
    let (view, applied) = view.ok_or("its replica here has no state")?;
    let view_took = begun.elapsed();
    let (report_to, report) = oneshot::channel();
    core.audits.work.send(Work { view, report_to }).await.map_err(|_| "the auditor is gone")?;
    let report = report.await.map_err(|_| "the auditor is gone")?;
    let applied_index = applied.map_or(0, |id| id.index);
    let audited_at_ms = core.world.clock.wall_ms();
    let audited = Audited { applied_index, report, audited_at_ms, took: begun.elapsed(), view_took };
    core.audits.note(shard.shard(), &audited);
    metrics::audited(shard.shard(), audited.took, audited.report.breaches_in_all, audited.report.oversold_units);
    if let Some(first) = audited.report.breaches.first() {
        raise(core, shard, &audited, first).await;
    }
    Ok(audited)
}

/// Tells of a breach, and has the shard halted.
async fn raise(core: &Core, shard: &ShardHandle, audited: &Audited, first: &Breach) {
    let (number, node) = (shard.shard(), core.config.node_id);
    let Audited { applied_index, report, .. } = audited;
    for Breach { invariant, finding } in report.breaches.iter().take(LOGGED) {
        let invariant = invariant.id();
        tracing::error!(shard = number, node, applied_index, invariant, finding, "an audit found a broken invariant");
    }
    if report.breaches_in_all > LOGGED as u64 {
        tracing::error!(shard = number, node, breaches = report.breaches_in_all, "an audit found more than is told");
    }
    let is_halted = shard.group().read_shard(|shard| shard.halt().is_some()) == Some(true);
    if is_halted || !core.config.audit.halts_writes {
        return;
    }
    let halt = HaltShard {
        invariant: first.invariant,
        finding: bounded(&first.finding),
        node,
        seen_seq: report.change_log_seq,
    };
    let halt = Operation::HaltShard(Box::new(halt));
    match carry_to_shard(core, number, halt, None, Instant::now() + HALTED_WITHIN).await {
        Ok(Ok(_)) => {
            let resume = format!("holdfast shard resume {number} --reason …");
            tracing::error!(shard = number, resume, "the shard takes no commands of callers until somebody has looked");
        }
        Ok(Err(refusal)) => tracing::error!(shard = number, %refusal, "the shard is not halted"),
        Err(why) => tracing::error!(shard = number, why, "the shard is not halted; the next audit tries again"),
    }
}

fn bounded(finding: &str) -> String {
    let mut end = finding.len().min(MAX_FINDING_BYTES);
    while !finding.is_char_boundary(end) {
        end -= 1;
    }
    finding[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_audits_soon_after_its_start_and_not_at_the_same_time_as_the_others() {
        let after = |interval_s, node| first_after(Duration::from_secs(interval_s), node).as_secs();
        assert_eq!([1, 2, 3, 4].map(|node| after(300, node)), [10, 15, 20, 5]);
        assert_eq!((after(3, 1), after(30, 1), after(60, 3)), (3, 5, 5));
        assert_eq!(first_after(Duration::from_secs(u64::MAX), u64::MAX), Duration::from_secs(u64::MAX) / 60 * 4);
    }

    #[test]
    fn a_long_finding_is_cut_between_two_characters() {
        let long = format!("x{}", "é".repeat(MAX_FINDING_BYTES));
        let cut = bounded(&long);
        assert_eq!((cut.len(), long.starts_with(&cut)), (MAX_FINDING_BYTES - 1, true));
        assert_eq!(bounded("rouge"), "rouge");
    }
}
