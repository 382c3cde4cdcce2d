//! Who is in a group, and who has a vote there: one change at a time, and nobody who cannot read what the group has written.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use tokio::time::Instant;

use super::group::{Group, GroupError, next_change, not_leader};
use crate::types::{NodeId, Types};

/// How long a leader may take to apply what is committed before it judges a node that shall be added.
const ADMISSION_WAIT: Duration = Duration::from_secs(5);

impl Group {
    /// Adds a node that follows without a vote.
    ///
    /// # Errors
    ///
    /// This node does not lead, another change is under way, or the node's version cannot read what the group has written.
    pub async fn add_learner(&self, id: NodeId, address: String) -> Result<(), GroupError> {
        self.admit(id, &address).await?;
        let added = self.raft.add_learner(id, BasicNode { addr: address }, false).await;
        if added.is_err() {
            self.gate.forget(id);
        }
        added.map(drop).map_err(change_error)
    }

    /// Refuses a node that cannot read what the group has written; one that is taken counts as a member from here on.
    async fn admit(&self, id: NodeId, address: &str) -> Result<(), GroupError> {
        if !self.gate.has_choice() || self.member_addresses().contains_key(&id) {
            return Ok(());
        }
        // All that leaders before this one have written is applied here then.
        let written = self.read_index().await?;
        self.wait_applied(written, Instant::now() + ADMISSION_WAIT).await?;
        if let Err(error) = self.transport.handshake(address).await {
            // It counts as it told before, or as one of the oldest version.
            tracing::warn!(group = %self.id, node = id, %error, "a node that shall be added does not say what it understands");
        }
        self.gate.admit(id, self.machine.schemas()).map_err(|why| GroupError::Refused { why })
    }

    /// Waits until a node has acknowledged everything that is in this leader's log now. openraft's own waiting is content with a
    /// node that lags by thousands of entries, hence in a small group with one that has nothing.
    ///
    /// # Errors
    ///
    /// This node does not lead, or the deadline passed.
    pub async fn wait_for_learner(&self, id: NodeId, deadline: Instant) -> Result<(), GroupError> {
        let mut metrics = self.raft.metrics();
        let wanted = metrics.borrow_watched().last_log_index;
        loop {
            {
                let now = metrics.borrow_watched();
                let Some(replication) = now.replication.as_ref() else {
                    return Err(GroupError::NotLeader { leader: now.current_leader });
                };
                let matched = replication.get(&id).and_then(Option::as_ref).map(|log_id| log_id.index);
                if matched >= wanted {
                    return Ok(());
                }
            }
            next_change(&mut metrics, deadline).await?;
        }
    }

    /// Gives these nodes the vote, and takes it from all others, which are then no members any more.
    ///
    /// # Errors
    ///
    /// This node does not lead, another change is under way, or a node is no learner.
    pub async fn set_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), GroupError> {
        let members = voters.clone();
        let changed = self.raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), false).await;
        if changed.is_ok() {
            self.gate.keep(&members);
        }
        changed.map(drop).map_err(change_error)
    }
}

fn change_error(error: RaftError<Types, ClientWriteError<Types>>) -> GroupError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => not_leader(&forward),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(other))) => {
            GroupError::InProgress { why: other.to_string() }
        }
        RaftError::APIError(error) => GroupError::Refused { why: error.to_string() },
        RaftError::Fatal(fatal) => GroupError::Stopped { why: fatal.to_string() },
    }
}
