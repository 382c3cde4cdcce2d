//! Mending entries that rotted on this node with copies from its peers, before the group's Raft is built.
//!
//! Logs match: the entry of a peer with the same term, leader and index is the same entry, whether the peer leads or not, and
//! whether its own Raft runs or not. Rot is never cut off: the entries behind it have been acknowledged.

use std::time::Duration;

use super::Host;
use crate::log::{GroupId, LogId};

/// Between two rounds over the peers.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Rounds over the peers without any entry before it is given up; another start tries again.
const ROUNDS: u32 = 40;

/// Entries asked for at once.
const IDS_AT_ONCE: usize = 256;

impl Host {
    /// Fetches what is lost of a group's log, if that would mend it. Ready when the log is whole, or the peers have given
    /// nothing for a while.
    pub(super) async fn mend(&self, group: GroupId) {
        let peers = self.peers_of(group);
        let mut rounds_left = ROUNDS;
        let mut mended = 0_usize;
        while rounds_left > 0 {
            let Some(damage) = self.inner.log.damage(group).filter(crate::log::Damage::is_repairable) else { break };
            let lost: Vec<LogId> = damage.lost.iter().copied().take(IDS_AT_ONCE).collect();
            let mut given = 0;
            for (node, address) in &peers {
                let copies = match self.inner.transport.fetch_entries(address, group, &lost).await {
                    Ok(copies) => copies,
                    Err(error) => {
                        tracing::warn!(%group, node, %error, "a peer did not give its copies of rotten entries");
                        continue;
                    }
                };
                let asked: Vec<_> = copies.into_iter().filter(|copy| lost.contains(&copy.id())).collect();
                given += asked.len();
                if let Err(error) = self.inner.log.repair(group, asked).await {
                    tracing::error!(%group, %error, "the log does not take copies of rotten entries");
                    return;
                }
            }
            mended += given;
            if given == 0 {
                rounds_left -= 1;
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        if mended > 0 && !self.inner.log.is_damaged(group) {
            self.warn(format!(
                "{mended} rotten entries of group {group} were mended with copies from its other members"
            ));
        }
    }
}
