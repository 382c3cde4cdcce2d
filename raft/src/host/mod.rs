//! What a node hosts: the log, the control file and the state store that its groups share, and the groups.
//!
//! Opening judges what is on disk before anything speaks: a folder of another node, a lost control file, a rotten log or a
//! damaged checkpoint is named here, and keeps the groups it concerns out of their quorums. Nothing is reset silently.

mod beat;
mod fill;
mod group;
mod heard;
mod members;
mod mend;
mod open;
mod options;
mod policy;
mod registry;
mod schemas;
mod scrub;
mod standing;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_world::{StateStore, World};

use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::control::{Control, ControlError};
use crate::log::{Damage, GroupId, Log, Recovered};
use crate::machine::{Machine, MachineKind};
use crate::stages::Stages;
use crate::store::{Changes, LogStore, MachineStore};
use crate::transport::{GroupRaft, HandshakeError, NodeFacts, Transport};
use crate::types::NodeId;

pub use group::{Group, GroupError, GroupStatus, Proposal, ProposeError, Role};
pub use options::HostOptions;
use schemas::{Gate, Schemas};
pub use scrub::ScrubStatus;

/// Why a host could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// Another process has the folder.
    #[error("the folder {} is in use by another process", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder belongs to another node or cluster.
    #[error("the folder {} belongs to node {found} of another cluster or to another node", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
        /// Whose it is.
        found: NodeId,
    },
    /// The control file is gone or damaged while the log is there.
    #[error("the folder {} holds a log, but its control file is lost: {error}", dir.display())]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        error: ControlError,
    },
    /// The control file failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] crate::log::OpenError),
    /// The options do not fit together.
    #[error("the options of the groups: {0}")]
    Options(String),
    /// The disk failed.
    #[error("opening {}: {error}", dir.display())]
    Io {
        /// What was opened.
        dir: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl HostError {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "stop the other process, or give this node a folder of its own",
            Self::Foreign { .. } => "start it with the folder that is its own",
            Self::Lost { .. } => {
                "this node may not vote under its id any more; replace it with `holdfast cluster replace`"
            }
            Self::Control(error) => error.hint(),
            Self::Log(_) | Self::Options(_) => "look at the node's configuration",
            Self::Io { .. } => "look at the disk and its permissions",
        }
    }
}

/// Why a group was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartGroupError {
    /// Its log is damaged: it may take part in no quorum.
    #[error("{group} is kept out of its quorum: {what}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// What is damaged and what to do.
        what: String,
        /// Copies from the other members would mend it: to be tried again.
        is_mendable: bool,
    },
    /// Its state could not be opened.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its change log could not be opened.
    #[error(transparent)]
    Changes(#[from] crate::change_log::ChangeLogError),
    /// openraft did not start.
    #[error("{group} did not start: {why}")]
    Raft {
        /// The group.
        group: GroupId,
        /// What openraft said.
        why: String,
    },
}

/// A node's groups and what they share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    options: HostOptions,
    config: Arc<openraft::Config>,
    control: Control,
    log: Log,
    recovered: Recovered,
    store: Arc<dyn StateStore>,
    /// Loaded when the host was opened, until the group is started.
    loaded: Mutex<BTreeMap<GroupId, Loaded>>,
    groups: Mutex<BTreeMap<GroupId, Group>>,
    warnings: Mutex<Vec<String>>,
    /// What each node understands of the log.
    schemas: Arc<Schemas>,
    /// The peers that are not believed, and why.
    refused: Mutex<BTreeMap<NodeId, String>>,
    /// What the peers think of this node.
    standing: standing::Standing,
    /// A group has started.
    started: Arc<tokio::sync::Notify>,
    /// False while this node shall lead nothing. Changed, and told to the groups, only under the lock of `groups`.
    may_lead: AtomicBool,
    /// Checkpoints are written one after the other: they share a disk with the log.
    checkpointing: tokio::sync::Mutex<()>,
    scrubbed: Mutex<ScrubStatus>,
    /// The host is being stopped: nothing is mended or scrubbed any more.
    stopping: AtomicBool,
    transport: Transport,
    /// Gives up the folder's lock when it is dropped.
    folder_lock: Mutex<Option<Box<dyn std::any::Any + Send + Sync>>>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole { .. } => "Whole",
            Self::MustBeFilled { .. } => "MustBeFilled",
        })
    }
}

/// What was found of a group's state.
enum Loaded {
    /// Its last checkpoint.
    Whole { checkpoints: Arc<Checkpoints>, machine: Box<Machine> },
    /// Its last checkpoint is damaged or gone; a peer's takes its place before the group starts.
    MustBeFilled { checkpoints: Arc<Checkpoints> },
}

impl Host {
    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who this node is.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.inner.options.node_id
    }

    /// How it was opened.
    #[must_use]
    pub fn options(&self) -> &HostOptions {
        &self.inner.options
    }

    /// The present life of the node.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.inner.control.read(|state| state.incarnation.counter)
    }

    /// Whether no group of this node has ever been initialised, and nothing of one is in its log.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let initialised = self.inner.control.read(|state| state.groups.values().any(|group| group.initialised));
        let in_log = |log: &crate::log::GroupLogState| log.last.is_some() || log.vote.is_some();
        !initialised && !self.inner.recovered.groups.values().any(in_log) && self.damage().is_empty()
    }

    /// The groups that the control file or the log knows.
    #[must_use]
    pub fn known_groups(&self) -> Vec<GroupId> {
        let mut known: Vec<GroupId> = self.inner.control.read(|state| state.groups.keys().copied().collect());
        known.extend(self.inner.recovered.groups.keys());
        known.sort_unstable();
        known.dedup();
        known
    }

    /// What is damaged on this node: the group (`None`: all of them), and what it is with what to do.
    #[must_use]
    pub fn damage(&self) -> Vec<(Option<GroupId>, String)> {
        let recovered = &self.inner.recovered;
        let whole = recovered.node_damage.iter().chain(&recovered.strangers_damage).map(|damage| (None, told(damage)));
        let groups = recovered.groups.keys().chain(recovered.damaged.keys()).collect::<std::collections::BTreeSet<_>>();
        let of_groups =
            groups.into_iter().filter_map(|group| Some((Some(*group), told(&self.inner.log.damage(*group)?))));
        whole.chain(of_groups).collect()
    }

    /// Whether copies from peers would mend all that is wrong with a group.
    #[must_use]
    pub fn is_mendable(&self, group: GroupId) -> bool {
        self.inner.log.is_mendable(group)
    }

    /// The latest life of a peer that this node has seen and noted durably; 0: none.
    #[must_use]
    pub fn seen_life_of(&self, peer: NodeId) -> u64 {
        self.inner.control.read(|state| state.peers.get(&peer).map_or(0, |mark| mark.incarnation.counter))
    }

    /// The peers that refuse this node, as each said when it answered last, and why: an older copy of a folder has no voice.
    #[must_use]
    pub fn refused_by(&self) -> BTreeMap<NodeId, String> {
        self.inner.standing.refused_by()
    }

    /// What an operator should look at, gathered since the start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        Self::lock(&self.inner.warnings).clone()
    }

    fn warn(&self, warning: String) {
        tracing::error!("{warning}");
        self.keep_warning(warning);
    }

    /// Warns of something that has rotted or is lost, and says how it was found.
    fn warn_of_rot(&self, found: &'static str, warning: String) {
        tracing::error!(rot = found, "{warning}");
        self.keep_warning(warning);
    }

    fn keep_warning(&self, warning: String) {
        let mut warnings = Self::lock(&self.inner.warnings);
        // Only the latest: a list that grows is no list to look at.
        if warnings.len() >= 64 {
            warnings.remove(0);
        }
        warnings.push(warning);
    }

    /// What answers the other nodes; to be served at this node's peer address, and asked for once.
    #[must_use]
    pub fn peer_routes(&self) -> tonic::service::Routes {
        let registry = registry::Registry { host: Arc::downgrade(&self.inner), node: self.node_id() };
        self.inner.transport.routes(Arc::new(registry))
    }

    /// Asks the node at `address` who it is, and tells it who this one is.
    ///
    /// # Errors
    ///
    /// It does not answer, or one refuses the other.
    pub async fn handshake(&self, address: &str) -> Result<NodeFacts, HandshakeError> {
        self.inner.transport.handshake(address).await
    }

    /// A group that was started.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<Group> {
        Self::lock(&self.inner.groups).get(&id).cloned()
    }

    /// The groups that were started, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        Self::lock(&self.inner.groups).values().cloned().collect()
    }

    /// Where the time of commands goes on this node.
    #[must_use]
    pub fn stages(&self) -> &Stages {
        &self.inner.options.log.stages
    }

    /// Whether this node may lead groups, those that are started later too. Where it may not it stands for no election and
    /// takes no leadership that is handed to it; what it leads already it is to hand over. It votes and follows as before.
    pub fn let_lead(&self, may_lead: bool) {
        let groups = Self::lock(&self.inner.groups);
        self.inner.may_lead.store(may_lead, Relaxed);
        for group in groups.values() {
            group.raft().runtime_config().elect(may_lead);
        }
    }

    /// Builds and starts a group: its state from the last checkpoint, then what the log holds after it. Where the checkpoint is
    /// lost it waits for a peer's.
    ///
    /// # Errors
    ///
    /// The group's log is damaged, or what it needs cannot be opened.
    pub async fn start_group(&self, id: GroupId, kind: MachineKind) -> Result<Group, StartGroupError> {
        if let Some(group) = self.group(id) {
            return Ok(group);
        }
        self.mend(id).await;
        if let Some((_, what)) = self.damage().into_iter().find(|(group, _)| group.is_none_or(|group| group == id)) {
            let is_mendable = self.inner.log.is_mendable(id);
            return Err(StartGroupError::Damaged { group: id, what, is_mendable });
        }
        let inner = &self.inner;
        // From here on what rots is mended while the group runs.
        inner.log.attend(id);
        let loaded = Self::lock(&inner.loaded).remove(&id);
        let (checkpoints, machine) = match loaded {
            Some(Loaded::Whole { checkpoints, machine }) => (checkpoints, *machine),
            Some(Loaded::MustBeFilled { checkpoints }) => {
                let machine = self.fill(id, &kind, &checkpoints).await?;
                (checkpoints, machine)
            }
            None => {
                let checkpoints =
                    Arc::new(Checkpoints::new(&inner.world, id, inner.store.clone(), &inner.control, &inner.log));
                let machine = checkpoints.load(&kind).await?;
                (checkpoints, machine)
            }
        };
        let changes = match &kind {
            MachineKind::Meta => None,
            MachineKind::Shard(_) => Some(self.open_changes(id, &machine).await?),
        };
        let raft_error = |why: String| StartGroupError::Raft { group: id, why };
        let store =
            MachineStore::new(&inner.world, id, kind, machine, checkpoints.clone(), changes, self.stages().clone())
                .map_err(|error| raft_error(error.to_string()))?
                .reading_up_to(inner.options.schema);
        let shared = store.machine();
        let log_store = LogStore::new(inner.log.clone(), id);
        let factory = inner.transport.factory(id);
        let raft = GroupRaft::new(self.node_id(), inner.config.clone(), factory, log_store, store)
            .await
            .map_err(|fatal| raft_error(fatal.to_string()))?;
        let group = Group::new(
            id,
            Gate::new(id, inner.schemas.clone()),
            raft,
            shared,
            checkpoints,
            inner.log.clone(),
            inner.transport.clone(),
        );
        {
            let mut groups = Self::lock(&inner.groups);
            group.raft().runtime_config().elect(inner.may_lead.load(Relaxed));
            groups.insert(id, group.clone());
        }
        inner.started.notify_one();
        self.watch(&group);
        Ok(group)
    }

    async fn open_changes(&self, id: GroupId, machine: &Machine) -> Result<Changes, crate::change_log::ChangeLogError> {
        let inner = &self.inner;
        let dir = inner.options.dir.join("changes").join(format!("group-{}", id.0));
        let identity = inner.control.read(|state| state.identity.log);
        Changes::open(&inner.world, dir, id, identity, inner.options.changes.clone(), machine.history()).await
    }

    /// Notes that a group has a history: it is never initialised again.
    ///
    /// # Errors
    ///
    /// The control file failed.
    pub async fn mark_initialised(&self, id: GroupId) -> Result<(), ControlError> {
        if self.inner.control.read(|state| state.groups.get(&id).is_some_and(|group| group.initialised)) {
            return Ok(());
        }
        self.inner.control.update(move |state| state.group_mut(id).initialised = true).await
    }

    /// Stops the groups, then the log and the state store. What was acknowledged is durable before and after.
    pub async fn stop(&self) {
        self.inner.stopping.store(true, Relaxed);
        // A group that waits for a copy of a rotten entry would not stop.
        self.inner.log.attend_none();
        for group in self.groups() {
            if let Err(error) = group.raft().shutdown().await {
                tracing::warn!(group = %group.id(), %error, "a group did not stop cleanly");
            }
        }
        Self::lock(&self.inner.groups).clear();
        self.inner.transport.close();
        self.inner.log.close().await;
        if let Err(error) = self.inner.store.close().await {
            tracing::warn!(%error, "the state store did not close cleanly");
        }
        Self::lock(&self.inner.folder_lock).take();
    }
}

/// Damage and what to do about it, for an operator.
fn told(damage: &Damage) -> String {
    let causes: Vec<String> = damage.causes.iter().map(ToString::to_string).collect();
    format!("{}; {}", causes.join("; "), damage.hint())
}
