//! Opening a node's folder: whose it is, what is in it, and whether it can be believed.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_world::World;
use xxhash_rust::xxh3::xxh3_128;

use super::schemas::Schemas;
use super::{Host, HostError, HostOptions, Inner, stores};
use crate::control::{Control, ControlError};
use crate::log::Log;
use crate::transport::{Transport, TransportOptions};

/// The folder of the log, below the node's.
const LOG: &str = "log";

/// How what has rotted was found, as the log lines about it say.
const AT_START: &str = "at start";

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
        let found = stores::load_all(&world, &dir, &control, &log, &mut warnings).await.map_err(failed)?;
        let transport = Transport::new(
            &world,
            TransportOptions {
                heartbeat_timeout: Duration::from_millis(options.heartbeat_ms * 3 / 4),
                ..TransportOptions::new(options.node_id, options.cluster_id.clone())
            },
        );
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
