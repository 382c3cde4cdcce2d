//! Opening a node's folder: whose it is, what is in it, and whether it can be believed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_inventory::Limits;
use holdfast_world::{StateStore, World};
use xxhash_rust::xxh3::xxh3_128;

use super::schemas::Schemas;
use super::{Host, HostError, HostOptions, Inner, Loaded};
use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::control::{Control, ControlError};
use crate::log::{GroupId, Log};
use crate::machine::MachineKind;
use crate::transport::{Transport, TransportOptions};

/// The folder of the log, below the node's.
const LOG: &str = "log";

/// How what has rotted was found, as the log lines about it say.
const AT_START: &str = "at start";
/// The folder of the state store, below the node's.
const STATE: &str = "state";

impl Host {
    /// Takes the folder's lock, opens the control file, the log and the state store, judges them, and begins a new life of the
    /// node. Nothing speaks to anyone yet.
    ///
    /// # Errors
    ///
    /// The folder cannot be this node's, or something could not be opened.
    pub async fn open(world: World, options: HostOptions) -> Result<Self, HostError> {
        let config = options.raft_config().map_err(|error| HostError::Options(error.to_string()))?;
        let dir = options.dir.clone();
        let failed = |error: io::Error| HostError::Io { dir: dir.clone(), error };
        create_durably(&world, &dir).await.map_err(failed)?;
        let lock = world.disk.lock_dir(&dir).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => HostError::InUse { dir: dir.clone() },
            _ => failed(error),
        })?;
        let control = open_control(&world, &options).await?;
        control.begin_incarnation().await?;
        let (log, recovered) = Log::open(&world, &dir.join(LOG), options.log.clone(), &control).await?;
        let mut warnings = Vec::new();
        let found = load_all(&world, &dir.join(STATE), &control, &log, &mut warnings).await.map_err(failed)?;
        let transport = Transport::new(&world, TransportOptions::new(options.node_id, options.cluster_id.clone()));
        let schemas = Arc::new(Schemas::new(options.node_id, options.schema));
        let inner = Inner {
            world,
            options,
            config,
            control,
            log,
            recovered,
            store: found.store,
            loaded: Mutex::new(found.loaded),
            groups: Mutex::default(),
            warnings: Mutex::default(),
            schemas,
            refused: Mutex::default(),
            standing: super::standing::Standing::default(),
            started: Arc::default(),
            may_lead: AtomicBool::new(true),
            checkpointing: tokio::sync::Mutex::new(()),
            scrubbed: Mutex::default(),
            stopping: AtomicBool::new(false),
            transport,
            folder_lock: Mutex::new(Some(lock)),
        };
        let host = Self { inner: Arc::new(inner) };
        tokio::spawn(super::beat::beat(Arc::downgrade(&host.inner)));
        tokio::spawn(super::mend::keep_whole(Arc::downgrade(&host.inner)));
        tokio::spawn(super::scrub::scrub(Arc::downgrade(&host.inner)));
        let (inner, every) = (Arc::downgrade(&host.inner), Duration::from_millis(host.inner.options.heartbeat_ms));
        let groups =
            move || inner.upgrade().map(|inner| Self { inner }.groups().iter().map(|it| it.raft().clone()).collect());
        tokio::spawn(crate::transport::pulse(every, groups));
        for warning in warnings {
            host.warn_of_rot(AT_START, warning);
        }
        for (group, what) in host.damage() {
            let whom = group.map_or("every group".to_owned(), |group| format!("group {group}"));
            host.warn_of_rot(AT_START, format!("{whom} is damaged on this node: {what}"));
        }
        Ok(host)
    }
}

/// Creates the node's folder. Its name, and the names above it that were missing, are durable when this returns: a loss of power
/// must not make a member look like a fresh node.
async fn create_durably(world: &World, dir: &Path) -> io::Result<()> {
    let mut parents = Vec::new();
    for made in dir.ancestors() {
        let Some(parent) = made.parent() else { break };
        // A relative path begins in the working folder.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        parents.push(parent);
        if world.disk.exists(parent).await? {
            break;
        }
    }
    world.disk.create_dir_all(dir).await?;
    for parent in parents.into_iter().rev() {
        world.disk.sync_dir(parent).await?;
    }
    Ok(())
}

/// Opens the state store. Its folder's name is durable when this returns: checkpoints that the control file names lie in it.
async fn open_store(world: &World, dir: &Path) -> io::Result<Arc<dyn StateStore>> {
    let store = world.states.open(dir).await?;
    sync_name(world, dir).await?;
    Ok(store)
}

/// Makes a folder's name durable. A failure ends the start: no later sync would say what of it was lost.
async fn sync_name(world: &World, dir: &Path) -> io::Result<()> {
    match dir.parent() {
        Some(parent) => world.disk.sync_dir(parent).await,
        None => Ok(()),
    }
}

/// The cluster's id in the room the control file has for it.
fn cluster_number(cluster_id: &str) -> u128 {
    xxh3_128(cluster_id.as_bytes())
}

async fn open_control(world: &World, options: &HostOptions) -> Result<Control, HostError> {
    let dir = &options.dir;
    let failed = |error: io::Error| HostError::Io { dir: dir.clone(), error };
    if !Control::exists(world, dir).await? {
        // A log without a control file is a node that has lost its memory, not a fresh one.
        if world.disk.exists(&dir.join(LOG)).await.map_err(failed)? {
            return Err(HostError::Lost { dir: dir.clone(), error: ControlError::Missing });
        }
        return Ok(Control::create(world, dir, cluster_number(&options.cluster_id), options.node_id).await?);
    }
    let control = Control::open(world, dir).await.map_err(|error| match error {
        ControlError::Missing | ControlError::Damaged => HostError::Lost { dir: dir.clone(), error },
        other => HostError::Control(other),
    })?;
    let identity = control.read(|state| state.identity);
    if identity.node != options.node_id || identity.cluster != cluster_number(&options.cluster_id) {
        return Err(HostError::Foreign { dir: dir.clone(), found: identity.node });
    }
    Ok(control)
}

struct Found {
    store: Arc<dyn StateStore>,
    loaded: BTreeMap<GroupId, Loaded>,
}

/// Loads every checkpoint that the control file names. Where one is not what it says, the whole store is set aside: the ones that
/// could be loaded are written anew, the others are filled from peers when their groups start.
async fn load_all(
    world: &World,
    dir: &Path,
    control: &Control,
    log: &Log,
    warnings: &mut Vec<String>,
) -> io::Result<Found> {
    let named: Vec<GroupId> = control.read(|state| {
        let named = state.groups.iter().filter(|(_, group)| group.checkpoint.is_some());
        named.map(|(id, _)| *id).collect()
    });
    let existed = world.disk.exists(dir).await?;
    let store = match world.states.open(dir).await {
        Ok(store) => {
            sync_name(world, dir).await?;
            store
        }
        Err(error) if existed => {
            warnings.push(format!("the state store does not open: {error}"));
            let aside = set_aside(world, dir, control).await?;
            warnings.push(format!("the state store was set aside as {aside}; what it held is filled from peers"));
            let store = open_store(world, dir).await?;
            let empty = |group| Arc::new(Checkpoints::new(world, group, store.clone(), control, log));
            let loaded = named.into_iter().map(|group| (group, Loaded::MustBeFilled { checkpoints: empty(group) }));
            return Ok(Found { loaded: loaded.collect(), store });
        }
        Err(error) => return Err(error),
    };
    let (mut whole, mut damaged) = (BTreeMap::new(), Vec::new());
    for group in named {
        let checkpoints = Arc::new(Checkpoints::new(world, group, store.clone(), control, log));
        match checkpoints.load(&kind_of(group)).await {
            Ok(machine) => {
                whole.insert(group, (checkpoints, machine));
            }
            Err(error @ (CheckpointError::Damaged { .. } | CheckpointError::Store { .. })) => {
                warnings.push(error.to_string());
                damaged.push(group);
            }
        }
    }
    if damaged.is_empty() {
        let loaded = whole
            .into_iter()
            .map(|(group, (checkpoints, machine))| (group, Loaded::Whole { checkpoints, machine: Box::new(machine) }));
        return Ok(Found { store, loaded: loaded.collect() });
    }
    store.close().await?;
    drop(store);
    let mut rescued = Vec::new();
    for (group, (checkpoints, machine)) in whole {
        rescued.push((group, checkpoints.record(), machine));
        drop(checkpoints);
    }
    let aside = set_aside(world, dir, control).await?;
    warnings.push(format!("the state store was set aside as {aside}; what is damaged in it is filled from peers"));
    let store = open_store(world, dir).await?;
    let mut loaded = BTreeMap::new();
    for (group, record, machine) in rescued {
        let checkpoints = Arc::new(Checkpoints::new(world, group, store.clone(), control, log));
        if let Some(record) = record {
            checkpoints.rewrite(&machine, record).await?;
        }
        loaded.insert(group, Loaded::Whole { checkpoints, machine: Box::new(machine) });
    }
    for group in damaged {
        let checkpoints = Arc::new(Checkpoints::new(world, group, store.clone(), control, log));
        loaded.insert(group, Loaded::MustBeFilled { checkpoints });
    }
    Ok(Found { store, loaded })
}

/// Which machine a known group runs; a fresh shard's limits play no part in loading.
fn kind_of(group: GroupId) -> MachineKind {
    if group == GroupId::META { MachineKind::Meta } else { MachineKind::Shard(Limits::default()) }
}

/// Renames a folder so that its evidence is kept, and gives its new name.
async fn set_aside(world: &World, dir: &Path, control: &Control) -> io::Result<String> {
    let incarnation = control.read(|state| state.incarnation.counter);
    let name = format!("{STATE}.damaged-{incarnation}");
    let aside = dir.with_file_name(&name);
    world.disk.rename(dir, &aside).await?;
    sync_name(world, dir).await?;
    Ok(name)
}
