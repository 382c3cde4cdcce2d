//! The state store at a start: which of its checkpoints can be believed, and what is done about the others.
//!
//! A store in which something is damaged is set aside, so that its evidence is kept, and only once all that could be read of it
//! stands in another one, durably: whatever ends the start before that, the next one finds the store that it found. The other one
//! is made in a folder of its own, whose name it then takes. What the machine has too little of (room on the drive, file
//! descriptors, rights), and a drive that does not answer, say nothing of what the store holds: then the node does not start, and
//! nothing is set aside.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_inventory::Limits;
use holdfast_world::{StateStore, World};

use super::Loaded;
use crate::checkpoint::{CheckpointError, Checkpoints, is_of_the_machine};
use crate::control::Control;
use crate::log::{GroupId, Log};
use crate::machine::MachineKind;

/// The folder of the state store, below the node's.
const STATE: &str = "state";
/// The folder in which another one is made.
const REBUILT: &str = "state.rebuilt";

/// What was found.
pub(super) struct Found {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) loaded: BTreeMap<GroupId, Loaded>,
}

/// The state stores of one node.
struct Stores<'a> {
    world: &'a World,
    control: &'a Control,
    log: &'a Log,
    /// The node's folder.
    dir: &'a Path,
}

/// Loads every checkpoint that the control file names. Those that are not what it says are to be filled from peers when their groups
/// start.
///
/// # Errors
///
/// The store cannot be opened, read or written for a reason that is none of its contents.
pub(super) async fn load_all(
    world: &World,
    dir: &Path,
    control: &Control,
    log: &Log,
    warnings: &mut Vec<String>,
) -> io::Result<Found> {
    let stores = Stores { world, control, log, dir };
    stores.end_exchange().await?;
    let named: Vec<GroupId> = control.read(|state| {
        let named = state.groups.iter().filter(|(_, group)| group.checkpoint.is_some());
        named.map(|(id, _)| *id).collect()
    });
    let existed = world.disk.exists(&stores.path(STATE)).await?;
    let store = match stores.open(STATE).await? {
        Ok(store) => store,
        Err(error) if existed => {
            warnings.push(format!("the state store does not open: {error}"));
            return stores.rebuild(None, BTreeMap::new(), named, warnings).await;
        }
        Err(error) => return Err(error),
    };
    let (mut whole, mut damaged) = (BTreeMap::new(), Vec::new());
    for group in named {
        let checkpoints = stores.checkpoints(group, &store);
        match checkpoints.load(&kind_of(group)).await {
            Ok(machine) => {
                whole.insert(group, Loaded::Whole { checkpoints, machine: Box::new(machine) });
            }
            Err(CheckpointError::Store { error, .. }) if is_of_the_machine(&error) => return Err(unavailable(&error)),
            Err(error @ (CheckpointError::Damaged { .. } | CheckpointError::Store { .. })) => {
                warnings.push(error.to_string());
                damaged.push(group);
            }
        }
    }
    if damaged.is_empty() {
        Ok(Found { store, loaded: whole })
    } else {
        stores.rebuild(Some(store), whole, damaged, warnings).await
    }
}

impl Stores<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn checkpoints(&self, group: GroupId, store: &Arc<dyn StateStore>) -> Arc<Checkpoints> {
        Arc::new(Checkpoints::new(self.world, group, store.clone(), self.control, self.log))
    }

    /// Opens a store, or says why its contents keep it from that; anything else is an error of the start. Its folder's name is durable
    /// when this returns: checkpoints that the control file names lie in it.
    async fn open(&self, name: &str) -> io::Result<Result<Arc<dyn StateStore>, io::Error>> {
        match self.world.states.open(&self.path(name)).await {
            Ok(store) => {
                self.sync_names().await?;
                Ok(Ok(store))
            }
            Err(error) if is_of_the_machine(&error) => Err(unavailable(&error)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Makes the names in the node's folder durable. A failure ends the start: no later sync would say what of it was lost.
    async fn sync_names(&self) -> io::Result<()> {
        self.world.disk.sync_dir(self.dir).await
    }

    /// Renames a folder, durably.
    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.world.disk.rename(&self.path(from), &self.path(to)).await?;
        self.sync_names().await
    }

    /// A start before this one ended when it had set the store aside and not yet put the other one in its place.
    async fn end_exchange(&self) -> io::Result<()> {
        let is_between =
            !self.world.disk.exists(&self.path(STATE)).await? && self.world.disk.exists(&self.path(REBUILT)).await?;
        if is_between { self.rename(REBUILT, STATE).await } else { Ok(()) }
    }

    /// Puts another store in the place of a damaged one: with the checkpoints that are `whole`, and without the others.
    async fn rebuild(
        &self,
        store: Option<Arc<dyn StateStore>>,
        whole: BTreeMap<GroupId, Loaded>,
        damaged: Vec<GroupId>,
        warnings: &mut Vec<String>,
    ) -> io::Result<Found> {
        let rebuilt = self.open_rebuilt().await?;
        let mut rescued = Vec::new();
        for (group, loaded) in whole {
            let Loaded::Whole { checkpoints, machine } = loaded else { continue };
            if let Some(record) = checkpoints.record() {
                self.checkpoints(group, &rebuilt).write_copy(&machine, &record).await?;
            }
            rescued.push(group);
        }
        rebuilt.sync().await?;
        rebuilt.close().await?;
        if let Some(store) = store {
            store.close().await?;
        }
        let aside = format!("{STATE}.damaged-{}", self.control.read(|state| state.incarnation.counter));
        self.rename(STATE, &aside).await?;
        self.rename(REBUILT, STATE).await?;
        warnings.push(format!("the state store was set aside as {aside}; what is damaged in it is filled from peers"));
        let store = self.open(STATE).await??;
        let mut loaded = BTreeMap::new();
        for group in rescued {
            let checkpoints = self.checkpoints(group, &store);
            // Read back: it was written a moment ago.
            let machine = checkpoints.load(&kind_of(group)).await.map_err(io::Error::other)?;
            loaded.insert(group, Loaded::Whole { checkpoints, machine: Box::new(machine) });
        }
        for group in damaged {
            loaded.insert(group, Loaded::MustBeFilled { checkpoints: self.checkpoints(group, &store) });
        }
        Ok(Found { store, loaded })
    }

    /// Opens the store that is to take the damaged one's place. What an earlier start has left in it has no name in what is written
    /// now, or the same one.
    async fn open_rebuilt(&self) -> io::Result<Arc<dyn StateStore>> {
        let existed = self.world.disk.exists(&self.path(REBUILT)).await?;
        match self.open(REBUILT).await? {
            // That start ended while it was made.
            Err(error) if existed => {
                tracing::warn!(%error, "a state store that was not finished does not open");
                let aside = format!("{REBUILT}.damaged-{}", self.control.read(|state| state.incarnation.counter));
                self.rename(REBUILT, &aside).await?;
                self.open(REBUILT).await?
            }
            opened => opened,
        }
    }
}

/// The error of a start that has nothing to do with what the store holds.
fn unavailable(error: &io::Error) -> io::Error {
    let way_out = "mend what the machine lacks and start the node again; if its drive cannot be read for good, remove this folder, and \
                   it is filled from peers";
    io::Error::new(error.kind(), format!("`{STATE}` cannot be read or written: {error}; {way_out}"))
}

/// Which machine a known group runs; a fresh shard's limits play no part in loading.
fn kind_of(group: GroupId) -> MachineKind {
    if group == GroupId::META { MachineKind::Meta } else { MachineKind::Shard(Limits::default()) }
}
