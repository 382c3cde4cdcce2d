//! What a trace is told of a command's way through its shard. The leader alone knows: the log has no place for it.
//!
//! An entry has commands of many callers, and those of them that are in a trace each get spans of their own, with the entry's times: a
//! trace is then whole in itself, for whoever reads it and whatever shows it. Spans of the entry that the traces only link to would be of
//! no trace, and would be kept or dropped by nobody's decision. What tells that two traces shared an entry is its index.

use std::borrow::Cow;

use holdfast_raft::stages::Passage;
use holdfast_world::traces::{Fact, Span, SpanKind, TraceContext, Tracer};
use tokio::time::Instant;

/// One entry's way: of which shard, with what, from when to when.
pub(super) struct Way<'a> {
    pub(super) shard: u32,
    /// Where it lies in the log; `None`: it was not applied.
    pub(super) index: Option<u64>,
    /// How many commands it has, of all callers.
    pub(super) commands: usize,
    pub(super) proposed_at: Instant,
    pub(super) ended_at: Instant,
    /// What is known of its stages.
    pub(super) passage: &'a Passage,
    /// Why it was not applied, or nobody knows whether it was.
    pub(super) failure: Option<String>,
}

impl Way<'_> {
    /// Tells the spans of one caller's commands, which waited since then.
    pub(super) fn tell(&self, tracer: &Tracer, parent: TraceContext, submitted_at: Instant) {
        let applied = self.passage.applied();
        let appended = self.passage.appended();
        let committed_at = applied.map_or(self.ended_at, |(began, _)| began);
        self.tell_one(tracer, parent, "shard queue", submitted_at, self.proposed_at);
        let commit = self.tell_one(tracer, parent, "raft commit", self.proposed_at, committed_at);
        if let Some(((began, ended), commit)) = appended.zip(commit) {
            // Where a majority of the others was faster it ends with the commit, for which it is not waited.
            self.tell_one(tracer, commit, "raft append", began, ended.unwrap_or(committed_at));
        }
        if let Some((began, ended)) = applied {
            self.tell_one(tracer, parent, "apply", began, ended);
        }
    }

    fn tell_one(
        &self,
        tracer: &Tracer,
        parent: TraceContext,
        name: &'static str,
        began: Instant,
        ended: Instant,
    ) -> Option<TraceContext> {
        let context = tracer.place_within(parent)?;
        let mut facts: Vec<(&'static str, Fact)> = vec![("holdfast.shard", u64::from(self.shard).into())];
        facts.extend(self.index.map(|index| ("holdfast.log.index", index.into())));
        facts.push(("holdfast.entry.commands", (self.commands as u64).into()));
        // The wait was no failure.
        let failure = self.failure.clone().filter(|_| name == "raft commit").map(Cow::from);
        let (parent, name, kind) = (Some(parent.span_id), name.into(), SpanKind::Internal);
        tracer.tell(Span { context, parent, name, kind, began, ended, facts, failure });
        Some(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use holdfast_world::RealEntropy;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_entry_that_was_not_applied_has_a_commit_that_failed_and_no_apply() {
        let (tracer, mut queue) = Tracer::queued(Arc::new(RealEntropy), 0.0);
        let parent = TraceContext::begun(&RealEntropy, true);
        let submitted_at = Instant::now();
        let way = Way {
            shard: 3,
            index: None,
            commands: 2,
            proposed_at: submitted_at + Duration::from_millis(1),
            ended_at: submitted_at + Duration::from_millis(5),
            passage: &Passage::default(),
            failure: Some("no leader".to_owned()),
        };
        way.tell(&tracer, parent, submitted_at);
        let spans: Vec<Span> = std::iter::from_fn(|| queue.try_next()).collect();
        let told: Vec<_> =
            spans.iter().map(|span| (span.name.as_ref(), span.ended - span.began, span.failure.as_deref())).collect();
        let ms = Duration::from_millis;
        assert_eq!(told, [("shard queue", ms(1), None), ("raft commit", ms(4), Some("no leader"))]);
        assert!(spans.iter().all(|span| span.parent == Some(parent.span_id)));
    }
}
