//! One group of this node, as the rest of the node uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_inventory::{Event, EventHash, InclusionProof, Inventory, LogTime};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{BasicNode, Instant as _, RaftMetrics, ReadPolicy, ServerState};
use tokio::time::Instant;

use super::heard::Heard;
use super::schemas::Gate;
use crate::checkpoint::{Checkpoints, StoredSnapshot};
use crate::log::{GroupId, Log, LogId};
use crate::machine::{ChunkKey, Machine};
use crate::meta::Meta;
use crate::stages::Stages;
use crate::store::{ChangesFault, SharedMachine, to_log_id};
use crate::transport::{GroupRaft, Transport};
use crate::types::{NodeId, Payload, Reply, Types};

/// How long a leader waits for a follower to have everything before it hands over.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at whether an entry's events are written.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// How long a checkpoint is waited for before it is asked for again.
const CHECKPOINT_AGAIN: Duration = Duration::from_millis(500);

/// A group of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) id: GroupId,
    node: NodeId,
    pub(super) raft: GroupRaft,
    pub(super) machine: SharedMachine,
    checkpoints: Arc<Checkpoints>,
    log: Log,
    pub(super) transport: Transport,
    heard: Arc<Mutex<Heard>>,
    pub(super) gate: Arc<Gate>,
}

/// Why a proposal was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It never reached the log: this node does not lead.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// It may or may not have been committed.
    #[error("the outcome is not known: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
    /// The group has stopped on this node; the proposal never reached the log.
    #[error("the group has stopped on this node: {why}")]
    Stopped {
        /// What happened.
        why: String,
    },
}

/// Why a read or a change of the group was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// This node does not lead.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// A majority does not answer.
    #[error("no majority of the group answers: {why}")]
    NoQuorum {
        /// What openraft says.
        why: String,
    },
    /// It took longer than it may.
    #[error("the group did not get there in time")]
    TimedOut,
    /// The group has stopped on this node.
    #[error("the group has stopped on this node: {why}")]
    Stopped {
        /// What happened.
        why: String,
    },
    /// Another change of the members is under way: this one may be asked for again.
    #[error("{why}")]
    InProgress {
        /// What openraft says.
        why: String,
    },
    /// The change is refused.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// A proposal on its way.
#[derive(Debug)]
pub struct Proposal {
    result: tokio::sync::oneshot::Receiver<ClientWriteResult<Types>>,
}

impl Proposal {
    /// The reply, once the entry has been applied on this node.
    ///
    /// # Errors
    ///
    /// It was not applied, or nobody knows.
    pub async fn applied(self) -> Result<Reply, ProposeError> {
        match self.result.await {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id })
            }
            Ok(Err(error)) => Err(ProposeError::Unknown { why: error.to_string() }),
            Err(_) => Err(ProposeError::Unknown { why: "the group stopped meanwhile".to_owned() }),
        }
    }
}

/// Where a group stands on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// What this node is in it.
    pub role: Role,
    /// The present term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// The last entry in the log.
    pub last_log_index: u64,
    /// The last entry known to be committed.
    pub committed_index: u64,
    /// The last entry applied.
    pub applied_index: u64,
    /// The last entry in the last checkpoint.
    pub checkpointed_index: u64,
    /// The last entry purged.
    pub purged_index: u64,
    /// The voters.
    pub voters: BTreeSet<NodeId>,
    /// The learners.
    pub learners: BTreeSet<NodeId>,
    /// How long ago a majority last confirmed the leader, in ms; on a leader only.
    pub since_quorum_ms: Option<u64>,
}

/// What a node is in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It decides.
    Leader,
    /// It follows.
    #[default]
    Follower,
    /// It stands for election.
    Candidate,
    /// It follows without a vote.
    Learner,
}

impl Group {
    pub(super) fn new(
        id: GroupId,
        gate: Gate,
        raft: GroupRaft,
        machine: SharedMachine,
        checkpoints: Arc<Checkpoints>,
        log: Log,
        transport: Transport,
    ) -> Self {
        let (node, gate) = (gate.node(), Arc::new(gate));
        Self { id, node, raft, machine, checkpoints, log, transport, heard: Arc::default(), gate }
    }

    /// Which group it is.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Where the time of commands goes on this node; of all its groups together.
    #[must_use]
    pub fn stages(&self) -> &Stages {
        self.log.stages()
    }

    /// openraft's handle of it.
    #[must_use]
    pub fn raft(&self) -> &GroupRaft {
        &self.raft
    }

    /// Gives a group without history its first members, with their peer addresses. To be called on one node only, or on all with
    /// the same members.
    ///
    /// # Errors
    ///
    /// The group has a history already, or has stopped.
    pub async fn initialize(&self, members: BTreeMap<NodeId, String>) -> Result<(), GroupError> {
        let nodes: BTreeMap<NodeId, BasicNode> =
            members.into_iter().map(|(id, addr)| (id, BasicNode { addr })).collect();
        self.raft.initialize(nodes).await.map_err(|error| GroupError::Refused { why: error.to_string() })
    }

    /// Puts an entry in line: entries are appended in the order of these calls. Ready once it is in line.
    ///
    /// # Errors
    ///
    /// The group has stopped.
    pub async fn propose(&self, payload: Payload) -> Result<Proposal, ProposeError> {
        let (responder, result) = ProgressResponder::complete_only();
        self.raft
            .client_write_ff(payload, Some(responder))
            .await
            .map_err(|fatal| ProposeError::Stopped { why: fatal.to_string() })?;
        Ok(Proposal { result })
    }

    /// Waits until everything acknowledged before the call is applied here, and says up to where.
    ///
    /// # Errors
    ///
    /// This node does not lead, or no majority answers.
    pub async fn read_index(&self) -> Result<u64, GroupError> {
        // The round travels with heartbeats; this one does not wait for those of other groups.
        let _reading = self.transport.reading(self.id);
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(read) => Ok(read.log_id().index),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Err(not_leader(&forward)),
            Err(RaftError::APIError(error)) => Err(GroupError::NoQuorum { why: error.to_string() }),
            Err(RaftError::Fatal(fatal)) => Err(GroupError::Stopped { why: fatal.to_string() }),
        }
    }

    /// Waits until the entry at `index` is applied here.
    ///
    /// # Errors
    ///
    /// The deadline passed, or the group has stopped.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), GroupError> {
        let mut applied = self.machine.applied();
        let reached = applied.wait_for(|applied| applied.is_some_and(|id| id.index >= index));
        match tokio::time::timeout_at(deadline, reached).await {
            Err(_) => Err(GroupError::TimedOut),
            Ok(Err(_)) => Err(GroupError::Stopped { why: "its state machine is gone".to_owned() }),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// The last entry applied here.
    #[must_use]
    pub fn applied(&self) -> Option<LogId> {
        *self.machine.applied().borrow()
    }

    /// The last entry applied here, and when it changes.
    #[must_use]
    pub fn watch_applied(&self) -> tokio::sync::watch::Receiver<Option<LogId>> {
        self.machine.applied()
    }

    /// The index of the last entry applied here; 0 if there was none.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.applied().map_or(0, |id| id.index)
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.raft.metrics().borrow_watched().current_leader
    }

    /// Whether this node leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.node)
    }

    /// Why the group's core has ended on this node; `None`: it runs.
    #[must_use]
    pub fn core_fault(&self) -> Option<String> {
        self.raft.metrics().borrow_watched().running_state.as_ref().err().map(ToString::to_string)
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.raft.metrics().borrow_watched().current_term
    }

    /// The last index in this replica's log, durable or not; 0: it is empty, or its core has not told yet.
    #[must_use]
    pub fn last_log_index(&self) -> u64 {
        self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0)
    }

    /// What a follower has acknowledged to this node as the group's leader.
    #[must_use]
    pub fn acknowledged_by(&self, follower: NodeId) -> Option<LogId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.replication.as_ref()?.get(&follower)?.as_ref().map(to_log_id)
    }

    /// Where the group stands.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: &Option<openraft::type_config::alias::LogIdOf<Types>>| id.as_ref().map_or(0, |id| id.index);
        GroupStatus {
            role: match metrics.state {
                ServerState::Leader => Role::Leader,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Follower | ServerState::Shutdown => Role::Follower,
            },
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: index(&metrics.local_committed),
            applied_index: self.applied_index(),
            checkpointed_index: self.checkpoints.record().and_then(|record| record.applied).map_or(0, |id| id.index),
            purged_index: self.log.log_state(self.id).purged.map_or(0, |id| id.index),
            voters: metrics.membership_config.voter_ids().collect(),
            learners: metrics.membership_config.membership().learner_ids().collect(),
            since_quorum_ms: metrics
                .last_quorum_acked
                .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// A leader was heard: see [`GroupRegistry::heard`](crate::transport::GroupRegistry::heard).
    pub(super) fn hear(&self, term: u64, committed: Option<LogId>, confirmed: Option<Duration>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.hear(term, committed, confirmed, self.applied());
    }

    /// How old what is applied here is, at most: nothing is missing that was acknowledged longer ago than this, but for the way of
    /// a heartbeat. On a leader since a majority last confirmed it, on a follower since it heard from such a leader that it has
    /// everything. `None`: it has heard nothing yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let applied = self.applied();
        let confirmed = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            // What a leader acknowledges it has applied; of the leaders before it once something of its own is applied.
            let leads =
                metrics.state == ServerState::Leader && applied.is_some_and(|id| id.term == metrics.current_term);
            let is_alone = metrics.membership_config.voter_ids().eq([self.node]);
            let confirmed = metrics.last_quorum_acked.map(|at| at.elapsed());
            if is_alone { Some(Duration::ZERO) } else { confirmed }.filter(|_| leads)
        };
        confirmed.or_else(|| self.heard.lock().unwrap_or_else(PoisonError::into_inner).age(applied))
    }

    /// Looks at a shard's stock; `None` for the meta group. Applying waits meanwhile: be brief.
    pub fn read_shard<R>(&self, look: impl FnOnce(&Inventory) -> R) -> Option<R> {
        self.machine.read(|machine| match machine {
            Machine::Shard(inventory) => Some(look(inventory)),
            Machine::Meta(_) => None,
        })
    }

    /// The same, told which entry was applied last.
    pub fn read_shard_at<R>(&self, look: impl FnOnce(&Inventory, Option<LogId>) -> R) -> Option<R> {
        self.machine.read_at(|machine, applied| match machine {
            Machine::Shard(inventory) => Some(look(inventory, applied)),
            Machine::Meta(_) => None,
        })
    }

    /// Looks at the cluster's own records; `None` for a shard.
    pub fn read_meta<R>(&self, look: impl FnOnce(&Meta) -> R) -> Option<R> {
        self.machine.read(|machine| match machine {
            Machine::Meta(meta) => Some(look(meta)),
            Machine::Shard(_) => None,
        })
    }

    /// Its members as this node knows them, learners too, with their peer addresses.
    #[must_use]
    pub fn member_addresses(&self) -> BTreeMap<NodeId, String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.nodes().map(|(id, node)| (*id, node.addr.clone())).collect()
    }

    /// The schema in which this node, as the leader, writes the group's entries now: the latest that all its members understand.
    /// To be asked for anew for each entry, and the entry to be proposed at once.
    #[must_use]
    pub fn schema(&self) -> u32 {
        let applied = self.machine.schemas().latest;
        self.gate.open(applied, || {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.nodes().map(|(id, _)| *id).collect()
        })
    }

    /// The latest schema of the entries that were applied here since the node started; 0: none were.
    #[must_use]
    pub fn applied_schema(&self) -> u32 {
        self.machine.schemas().latest
    }

    /// Why the group has stopped here, if it met an entry that this version cannot read.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        self.machine.unreadable()
    }

    /// Reads this replica's change log back, and checks that its events lead to the shard's last one, (`seq`, `hash`), without a
    /// gap or a change. Gives the first event that is kept. An entry's events are written just after it is applied: they are
    /// waited for.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn verify_changes(&self, seq: u64, hash: EventHash, deadline: Instant) -> Result<u64, ChangesFault> {
        let Some(changes) = self.machine.changes() else { return Ok(seq + 1) };
        loop {
            match changes.verify(seq, hash).await {
                Err(ChangesFault::EndsEarly { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
                verified => return verified,
            }
        }
    }

    /// The hash of an event of its change log; `None`: it is not kept here, or there is none yet.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn change_hash(&self, seq: u64) -> Result<Option<EventHash>, ChangesFault> {
        match self.machine.changes() {
            Some(changes) => changes.hash_of(seq).await,
            None => Ok(None),
        }
    }

    /// Up to `limit` events of its change log from `from` on, in order; from the first that is kept where that is a later one. It is
    /// waited for that those up to `through` are written, which happens just after they are applied.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn events(
        &self,
        from: u64,
        through: u64,
        limit: usize,
        deadline: Instant,
    ) -> Result<Vec<Event>, ChangesFault> {
        let Some(changes) = self.machine.changes() else { return Ok(Vec::new()) };
        let last = || changes.present().last_seq();
        while last() < through {
            if Instant::now() >= deadline {
                return Err(ChangesFault::EndsEarly { seq: through, last: last() });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let mut events = changes.events(from, limit).await?;
        events.retain(|event| event.body.seq <= through);
        Ok(events)
    }

    /// The first event that its change log keeps; one past the last if there is none.
    #[must_use]
    pub fn first_kept_event(&self) -> u64 {
        self.machine.changes().map_or(1, |changes| changes.present().floor())
    }

    /// The first event that is kept of log time `time` or later; one past the last where there is none.
    ///
    /// # Errors
    ///
    /// The change log cannot be read.
    pub async fn first_event_at(&self, time: LogTime) -> Result<u64, ChangesFault> {
        match self.machine.changes() {
            Some(changes) => changes.first_at(time).await,
            None => Ok(1),
        }
    }

    /// The root of the tree of its first `size` events; `None`: some of them are not kept here, or are not there yet.
    ///
    /// # Errors
    ///
    /// The change log cannot be read.
    pub async fn tree_root(&self, size: u64) -> Result<Option<EventHash>, ChangesFault> {
        match self.machine.changes() {
            Some(changes) => changes.root_at(size).await,
            None => Ok(None),
        }
    }

    /// An event with the proof that it is one of the first `size`; `None`: it is not kept here, or there are not so many yet.
    ///
    /// # Errors
    ///
    /// The change log cannot be read.
    pub async fn prove_event(&self, seq: u64, size: u64) -> Result<Option<(Event, InclusionProof)>, ChangesFault> {
        match self.machine.changes() {
            Some(changes) => changes.prove(seq, size).await,
            None => Ok(None),
        }
    }

    /// A reader of its last checkpoint.
    #[must_use]
    pub fn stored_snapshot(&self) -> Option<StoredSnapshot> {
        self.checkpoints.snapshot()
    }

    /// Has the next checkpoint write these chunks anew.
    pub(super) fn mark_changed(&self, chunks: &[ChunkKey]) {
        self.machine.mark_changed(chunks);
    }

    /// Takes a checkpoint of at least what is applied now, purges the log behind it but for `kept` entries, and says where it
    /// stands.
    ///
    /// # Errors
    ///
    /// The deadline passed (the state store takes nothing), or the group has stopped.
    pub async fn checkpoint(&self, kept: u64, deadline: Instant) -> Result<u64, GroupError> {
        let wanted = self.applied();
        let stopped = |fatal: openraft::errors::Fatal<Types>| GroupError::Stopped { why: fatal.to_string() };
        let mut metrics = self.raft.metrics();
        let done = loop {
            // openraft drops the wish while an earlier checkpoint is being written, which may end before what is wanted.
            self.raft.trigger().snapshot().await.map_err(stopped)?;
            let asked_again = deadline.min(Instant::now() + CHECKPOINT_AGAIN);
            match self.checkpointed(&mut metrics, wanted, asked_again).await {
                Err(GroupError::TimedOut) if Instant::now() < deadline => {}
                done => break done?,
            }
        };
        let index = done.map_or(0, |id| id.index);
        if let Some(upto) = index.checked_sub(kept) {
            self.raft.trigger().purge_log(upto).await.map_err(stopped)?;
        }
        Ok(index)
    }

    /// Waits until openraft knows of a checkpoint of at least `wanted`.
    async fn checkpointed(
        &self,
        metrics: &mut WatchReceiverOf<Types, RaftMetrics<Types>>,
        wanted: Option<LogId>,
        deadline: Instant,
    ) -> Result<Option<LogId>, GroupError> {
        loop {
            let done = metrics.borrow_watched().snapshot.as_ref().map(to_log_id);
            if done >= wanted {
                return Ok(done);
            }
            next_change(metrics, deadline).await?;
        }
    }

    /// Hands the leadership to `to`, or to the follower that is furthest. Only a voter that has everything gets it.
    ///
    /// # Errors
    ///
    /// This node does not lead, or no follower caught up in time.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<NodeId, GroupError> {
        self.transfer_leadership_among(|id| to.is_none_or(|to| to == id)).await
    }

    /// Hands the leadership to the follower that is furthest of those that may have it. Only a voter that has everything gets it.
    ///
    /// # Errors
    ///
    /// This node does not lead, or no follower that may lead caught up in time.
    pub async fn transfer_leadership_among(&self, may_lead: impl Fn(NodeId) -> bool) -> Result<NodeId, GroupError> {
        let deadline = Instant::now() + HAND_OVER_WAIT;
        let mut metrics = self.raft.metrics();
        loop {
            let ready = {
                let now = metrics.borrow_watched();
                if now.state != ServerState::Leader {
                    return Err(GroupError::NotLeader { leader: now.current_leader });
                }
                let voters: BTreeSet<NodeId> = now.membership_config.voter_ids().collect();
                let behind = |id: &NodeId| -> Option<u64> {
                    let matched = now.replication.as_ref()?.get(id)?.as_ref().map(|log_id| log_id.index);
                    Some(now.last_log_index.unwrap_or(0).saturating_sub(matched?))
                };
                voters
                    .iter()
                    .filter(|id| **id != self.node && may_lead(**id))
                    .filter_map(|id| Some((behind(id)?, *id)))
                    .min()
                    .filter(|(behind, _)| *behind == 0)
            };
            if let Some((_, id)) = ready {
                let trigger = self.raft.trigger().transfer_leader(id).await;
                trigger.map_err(|fatal| GroupError::Stopped { why: fatal.to_string() })?;
                return Ok(id);
            }
            next_change(&mut metrics, deadline).await?;
        }
    }
}

/// Waits until openraft has something new to tell of the group.
pub(super) async fn next_change(
    metrics: &mut WatchReceiverOf<Types, RaftMetrics<Types>>,
    deadline: Instant,
) -> Result<(), GroupError> {
    match tokio::time::timeout_at(deadline, metrics.changed()).await {
        Err(_) => Err(GroupError::TimedOut),
        Ok(Err(_)) => Err(GroupError::Stopped { why: "its core is gone".to_owned() }),
        Ok(Ok(())) => Ok(()),
    }
}

pub(super) fn not_leader(forward: &ForwardToLeader<Types>) -> GroupError {
    GroupError::NotLeader { leader: forward.leader_id }
}
