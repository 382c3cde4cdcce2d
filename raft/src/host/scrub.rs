//! The scrubber: reads what lies on the disk, slowly and in turn, and has what rotted mended before somebody needs it.
//!
//! One pass goes over the log's segments in use, then over the checkpoints of the groups that run; then it rests. It is never
//! off. A rotten entry is written anew from memory, or its group counts as damaged until a peer has given a copy (`mend`). A
//! segment in which a batch does not say any more what it holds is left behind: its groups are checkpointed and purged past it,
//! so that no start has to read it. Rotten chunks of a state go into the next checkpoint, which is taken at once.
//!
//! What the system still holds in its caches is read from there: rot beneath is found once they have let go of it.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;

use super::mend::living;
use super::{Group, Host, Inner};
use crate::checkpoint::StoredSnapshot;
use crate::log::{Rot, Scrub};
use crate::machine::ChunkKey;

/// What a scrubber may read at once before it looks whether it goes too fast.
const PIECE: u64 = 256 << 10;

/// What reading a small value costs, in bytes: a pass over many of them is bounded too.
const LEAST_COST: usize = 4 << 10;

/// How long a checkpoint may take that writes rotten chunks anew, or lets a segment go.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(120);

/// How often it is looked whether such a checkpoint is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the log may take to purge, and to free a segment, after a checkpoint.
const LEAVING_WAIT: Duration = Duration::from_secs(5);

/// Checkpoints that are tried in one pass before a segment's end is left to the next.
const LEAVING_TRIES: u32 = 3;

/// Segments remembered, so that what is wrong with each is said once.
const NAMED_SEGMENTS: usize = 1_024;

/// How what has rotted was found, as the log lines about it say.
const BY_SCRUBBER: &str = "by the scrubber";

/// What the scrubber has done since the node started, and what was found and mended, by it or else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Passes that are over.
    pub passes: u64,
    /// Bytes of the log that were read.
    pub log_bytes: u64,
    /// Bytes of checkpoints that were read.
    pub state_bytes: u64,
    /// Entries of the log found rotten, when the node started or since, and those of them that have new copies.
    pub rotten_entries: u64,
    /// See `rotten_entries`.
    pub mended_entries: u64,
    /// Segments in which a batch was found that does not say what it holds, and those of them that are out of use.
    pub rotten_segments: u64,
    /// See `rotten_segments`.
    pub mended_segments: u64,
    /// Chunks of checkpoints found rotten, manifests too, and those of them that were written anew.
    pub rotten_chunks: u64,
    /// See `rotten_chunks`.
    pub mended_chunks: u64,
    /// Reads that failed: the disk gave nothing.
    pub failed_reads: u64,
}

/// Scrubs while the host lives.
pub(super) async fn scrub(host: Weak<Inner>) {
    let Some(options) = host.upgrade().map(|inner| inner.options.clone()) else { return };
    let mut pass = Pass { host, rate: options.scrub_bytes_per_s.max(PIECE), unpaid: 0, named: BTreeSet::new() };
    loop {
        // A start has just read everything.
        tokio::time::sleep(options.scrub_pause).await;
        if pass.log().await.is_none() || pass.states().await.is_none() {
            return;
        }
        let Some(host) = living(&pass.host) else { return };
        host.note_scrub(|status| status.passes += 1);
    }
}

/// A pass over everything; its parts give `None` when the host is gone.
struct Pass {
    host: Weak<Inner>,
    rate: u64,
    /// Bytes read that were not waited for yet.
    unpaid: u64,
    /// Segments with a rotten batch that were named.
    named: BTreeSet<u64>,
}

impl Pass {
    /// Waits for as long as reading so many bytes may take.
    async fn pay(&mut self, bytes: usize) {
        self.unpaid += bytes as u64;
        if self.unpaid >= PIECE {
            let paid = std::mem::take(&mut self.unpaid);
            tokio::time::sleep(Duration::from_secs_f64(paid as f64 / self.rate as f64)).await;
        } else {
            // The disk is read on the runtime's threads: others get their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn log(&mut self) -> Option<()> {
        let mut walk = Scrub::default();
        let mut rotten = BTreeSet::new();
        loop {
            let host = living(&self.host)?;
            let bytes = match host.inner.log.scrub(&mut walk).await {
                Ok(None) => break,
                Ok(Some(step)) => {
                    host.note_scrub(|status| status.log_bytes += step.bytes as u64);
                    for rot in step.found {
                        match rot {
                            Rot::Mended { group, id } => {
                                tracing::warn!(
                                    rot = BY_SCRUBBER, %group, %id,
                                    "an entry had rotted on the disk; it was written anew from memory"
                                );
                            }
                            // It is being mended.
                            Rot::Entry { group, id } => {
                                tracing::error!(rot = BY_SCRUBBER, %group, %id, "an entry of the log has rotted on the disk");
                            }
                            Rot::Batch { generation } => {
                                rotten.insert(generation);
                            }
                        }
                    }
                    step.bytes
                }
                Err(error) => {
                    host.note_scrub(|status| status.failed_reads += 1);
                    host.warn_once(format!("the scrubber cannot read a segment of the log: {error}"));
                    0
                }
            };
            drop(host);
            self.pay(bytes).await;
        }
        for generation in rotten {
            self.leave_segment(generation).await?;
        }
        Some(())
    }

    /// Has a segment go out of use, whose groups' entries are all in checkpoints by then.
    async fn leave_segment(&mut self, generation: u64) -> Option<()> {
        let host = living(&self.host)?;
        if self.named.insert(generation) {
            host.note_scrub(|status| status.rotten_segments += 1);
            host.warn_of_rot(BY_SCRUBBER, format!(
                "a batch in segment {generation} of the log has rotted so that it does not say what it holds: the segment is left \
                 behind; until that is said to be done, do not stop this node"
            ));
            while self.named.len() > NAMED_SEGMENTS {
                self.named.pop_first();
            }
        }
        for _ in 0..LEAVING_TRIES {
            let pinning = match host.inner.log.leave_behind(generation).await {
                Ok(pinning) => pinning,
                Err(error) => {
                    tracing::warn!(generation, %error, "a segment of the log is not left behind");
                    return Some(());
                }
            };
            for group in pinning.into_iter().filter_map(|id| host.group(id)) {
                let _writing = host.inner.checkpointing.lock().await;
                if let Err(error) = group.checkpoint(0, Instant::now() + CHECKPOINT_WAIT).await {
                    tracing::warn!(group = %group.id(), %error, "a rotten segment is not left behind yet");
                }
            }
            let deadline = Instant::now() + LEAVING_WAIT;
            while host.inner.log.has_segment(generation) && Instant::now() < deadline {
                living(&self.host)?;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if !host.inner.log.has_segment(generation) {
                host.note_scrub(|status| status.mended_segments += 1);
                host.warn(format!("segment {generation} of the log, in which a batch had rotted, is out of use"));
                break;
            }
        }
        Some(())
    }

    async fn states(&mut self) -> Option<()> {
        for group in living(&self.host)?.groups() {
            let Some(stored) = group.stored_snapshot() else { continue };
            let mut rotten = Vec::new();
            for key in stored.chunk_keys() {
                let host = living(&self.host)?;
                let bytes = match stored.is_whole(&key).await {
                    Ok((bytes, is_whole)) => {
                        host.note_scrub(|status| status.state_bytes += bytes as u64);
                        if !is_whole {
                            rotten.push(key);
                        }
                        bytes
                    }
                    Err(error) => host.not_read(&group, &error)?,
                };
                drop(host);
                self.pay(bytes.max(LEAST_COST)).await;
            }
            let host = living(&self.host)?;
            let is_listed = match stored.is_manifest_whole().await {
                Ok(is_whole) => is_whole,
                Err(error) => {
                    host.not_read(&group, &error)?;
                    true
                }
            };
            if !rotten.is_empty() || !is_listed {
                host.rewrite(&group, &stored, &rotten, is_listed).await?;
            }
        }
        Some(())
    }
}

impl Host {
    /// What the scrubber has done, and what was found rotten and mended since the start.
    #[must_use]
    pub fn scrub_status(&self) -> ScrubStatus {
        let entries = self.inner.log.rot_counts();
        let scrubbed = *Self::lock(&self.inner.scrubbed);
        ScrubStatus { rotten_entries: entries.found, mended_entries: entries.mended, ..scrubbed }
    }

    fn note_scrub(&self, note: impl FnOnce(&mut ScrubStatus)) {
        note(&mut Self::lock(&self.inner.scrubbed));
    }

    /// The store failed, which is `None` where the host is being stopped.
    fn not_read(&self, group: &Group, error: &std::io::Error) -> Option<usize> {
        if self.inner.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        self.note_scrub(|status| status.failed_reads += 1);
        self.warn_once(format!("the scrubber cannot read the checkpoint of group {}: {error}", group.id()));
        Some(0)
    }

    /// Has chunks, or the manifest, that rotted in a checkpoint written anew: the state in memory is whole. The next checkpoint
    /// holds them, under new keys. `None`: the host is being stopped.
    async fn rewrite(
        &self,
        group: &Group,
        stored: &StoredSnapshot,
        rotten: &[ChunkKey],
        is_listed: bool,
    ) -> Option<()> {
        if self.inner.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        let rotted = rotten.len() as u64 + u64::from(!is_listed);
        // Another checkpoint may have taken this one's place meanwhile.
        if !is_rotten_still(group, stored, rotten, is_listed) {
            return Some(());
        }
        self.note_scrub(|status| status.rotten_chunks += rotted);
        self.warn_of_rot(
            BY_SCRUBBER,
            format!(
                "{rotted} parts of the checkpoint of group {} have rotted: they are written anew from memory",
                group.id()
            ),
        );
        group.mark_changed(rotten);
        let _writing = self.inner.checkpointing.lock().await;
        let deadline = Instant::now() + CHECKPOINT_WAIT;
        while is_rotten_still(group, stored, rotten, is_listed) {
            if Instant::now() > deadline || self.inner.stopping.load(std::sync::atomic::Ordering::Relaxed) {
                tracing::warn!(group = %group.id(), "what rotted in a checkpoint is not written anew yet");
                return Some(());
            }
            // While one is being built, another is not begun: asked again, it is.
            if group.raft().trigger().snapshot().await.is_err() {
                return Some(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.note_scrub(|status| status.mended_chunks += rotted);
        tracing::warn!(group = %group.id(), rotted, "what had rotted in a checkpoint was written anew");
        Some(())
    }
}

/// Whether the group's present checkpoint still consists of what was found rotten in `stored`.
fn is_rotten_still(group: &Group, stored: &StoredSnapshot, rotten: &[ChunkKey], is_listed: bool) -> bool {
    let Some(present) = group.stored_snapshot() else { return false };
    let is_same =
        |key: &ChunkKey| present.written_by(key).is_some() && present.written_by(key) == stored.written_by(key);
    rotten.iter().any(is_same) || (!is_listed && present.record.generation == stored.record.generation)
}
