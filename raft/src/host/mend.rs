//! Mending entries that rotted on this node with copies from its peers: before a group's Raft is built, and while it runs.
//!
//! Logs match: the entry of a peer with the same term, leader and index is the same entry, whether the peer leads or not, and
//! whether its own Raft runs or not; and the log takes a copy only if it is what was written here. Rot is never cut off: the
//! entries behind it have been acknowledged. A group that runs is silent until it is whole (the transport sees to that), its
//! Raft waits where it reads what is rotten.
//!
//! What no peer has any more, since all have purged it, is behind a checkpoint there. So it is here, or can be: then the entry
//! is needed no more, and goes as any other does.

use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::{Host, Inner};
use crate::log::{GroupId, LogId};

/// Between two rounds over the peers that gave nothing: the first pause, which doubles, and the longest.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(10);

/// Rounds that gave nothing before a running group's rot is named among the warnings. It is asked for on, at the longest pause.
const ROUNDS: u32 = 6;

/// Entries asked for at once.
const IDS_AT_ONCE: usize = 256;

/// How long the checkpoint may take that makes rotten entries needless.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(60);

/// How often it is looked whether the host is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MOST)
}

/// Mends what rots of the groups that run, while the host lives.
pub(super) async fn keep_whole(host: Weak<Inner>) {
    let (mut pause, mut rounds) = (PAUSE_LEAST, 0);
    loop {
        let Some(found) = host.upgrade().map(|inner| inner.log.rot_found()) else { return };
        let Some(living) = living(&host) else { return };
        let damaged = living.inner.log.to_be_mended();
        if damaged.is_empty() {
            drop(living);
            (pause, rounds) = (PAUSE_LEAST, 0);
            // What was found since the look has left its word.
            let _is_found = tokio::time::timeout(LOOK_EVERY, found.notified()).await.is_ok();
            continue;
        }
        let mut mended = 0;
        for &group in &damaged {
            let mut given = living.mend_round(group).await;
            if given == 0 {
                given = living.make_needless(group).await;
            }
            mended += given;
        }
        if mended > 0 {
            (pause, rounds) = (PAUSE_LEAST, 0);
            continue;
        }
        rounds += 1;
        if rounds == ROUNDS {
            for group in damaged {
                living.warn(format!(
                    "group {group} has rotten entries that no other member gives: it is silent until they do"
                ));
            }
        }
        drop(living);
        let _is_more = tokio::time::timeout(pause, found.notified()).await.is_ok();
        pause = longer(pause);
    }
}

/// The host, unless it is gone or being stopped.
pub(super) fn living(host: &Weak<Inner>) -> Option<Host> {
    host.upgrade().filter(|inner| !inner.stopping.load(Relaxed)).map(|inner| Host { inner })
}

impl Host {
    /// Fetches what is lost of a group's log, if that would mend it, before its Raft is built. Ready when the log is whole, or
    /// the peers have given nothing for a while: another start tries again.
    pub(super) async fn mend(&self, group: GroupId) {
        if !self.inner.log.is_mendable(group) {
            return;
        }
        let deadline = Instant::now() + self.inner.options.mend_patience;
        let mut pause = PAUSE_LEAST;
        let mut mended = 0;
        while self.inner.log.is_mendable(group) && !self.inner.stopping.load(Relaxed) {
            let given = self.mend_round(group).await;
            mended += given;
            if given > 0 {
                pause = PAUSE_LEAST;
                continue;
            }
            if self.purge_behind_checkpoint(group).await {
                break;
            }
            if Instant::now() + pause > deadline {
                self.warn_once(format!("group {group} has rotten entries that no other member gives yet"));
                break;
            }
            tokio::time::sleep(pause).await;
            pause = longer(pause);
        }
        if mended > 0 && !self.inner.log.is_damaged(group) {
            self.warn(format!(
                "{mended} rotten entries of group {group} were mended with copies from its other members"
            ));
        }
    }

    /// Asks every peer once for what is lost, one after the other; gives the number of entries that were mended.
    async fn mend_round(&self, group: GroupId) -> usize {
        let mut mended = 0;
        for (node, address) in self.peers_of(group) {
            let lost = self.lost(group);
            if lost.is_empty() || self.inner.stopping.load(Relaxed) {
                break;
            }
            let copies = match self.inner.transport.fetch_entries(node, &address, group, &lost).await {
                Ok(copies) => copies,
                Err(error) => {
                    tracing::warn!(%group, node, %error, "a peer did not give its copies of rotten entries");
                    continue;
                }
            };
            match self.inner.log.repair(group, copies).await {
                Ok(answer) => {
                    mended += answer.mended.len();
                    if !answer.refused.is_empty() {
                        self.warn_once(format!(
                            "node {node} gave copies of entries of group {group} that are not what was written here: \
                             they are refused"
                        ));
                    }
                }
                Err(error) => {
                    tracing::error!(%group, %error, "the log does not take copies of rotten entries");
                    break;
                }
            }
        }
        if mended > 0 {
            tracing::warn!(%group, mended, "rotten entries were mended with copies from other members");
        }
        mended
    }

    fn lost(&self, group: GroupId) -> Vec<LogId> {
        let damage = self.inner.log.damage(group).filter(crate::log::Damage::is_repairable);
        damage.map(|damage| damage.lost.into_iter().take(IDS_AT_ONCE).collect()).unwrap_or_default()
    }

    /// Purges rotten entries that this node's own checkpoint holds the outcome of; says whether that was all that was wrong.
    async fn purge_behind_checkpoint(&self, group: GroupId) -> bool {
        let applied = self.inner.control.read(|state| state.groups.get(&group)?.checkpoint.as_ref()?.applied);
        let last = self.inner.log.damage(group).and_then(|damage| damage.lost.last().copied());
        let (Some(last), Some(applied)) = (last, applied) else { return false };
        let is_loaded = matches!(Self::lock(&self.inner.loaded).get(&group), Some(super::Loaded::Whole { .. }));
        if last.index > applied.index || !is_loaded {
            return false;
        }
        match self.inner.log.purge(group, last).await {
            Ok(()) => {
                self.warn(format!("rotten entries of group {group} were purged: a checkpoint holds their outcome"));
                !self.inner.log.is_damaged(group)
            }
            Err(error) => {
                tracing::warn!(%group, %error, "rotten entries behind a checkpoint were not purged");
                false
            }
        }
    }

    /// Takes a checkpoint of a running group that holds the outcome of its rotten entries, and purges them; gives their number.
    async fn make_needless(&self, id: GroupId) -> usize {
        let Some(group) = self.group(id) else { return 0 };
        let lost = self.inner.log.damage(id).map(|damage| damage.lost).unwrap_or_default();
        if lost.last().is_none_or(|last| last.index > group.applied_index()) {
            return 0;
        }
        {
            let _writing = self.inner.checkpointing.lock().await;
            if let Err(error) = group.checkpoint(0, Instant::now() + CHECKPOINT_WAIT).await {
                tracing::warn!(group = %id, %error, "no checkpoint was taken that would make rotten entries needless");
                return 0;
            }
        }
        // The purge is openraft's to do, a little later.
        let purged = tokio::time::timeout(CHECKPOINT_WAIT, self.inner.log.is_mended(id)).await;
        if !purged.unwrap_or(false) {
            return 0;
        }
        self.warn(format!("rotten entries of group {id} were purged: a checkpoint holds their outcome"));
        lost.len()
    }
}
