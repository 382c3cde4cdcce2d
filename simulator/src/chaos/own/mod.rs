//! A cluster of the harness's own: three `holdfast start` processes in a folder, each behind a proxy or in a network namespace, and
//! what is done to them.
//!
//! Behind proxies the cluster is founded while the nodes listen at the addresses that everybody is to know. Then they are moved behind the
//! proxies: a node's own addresses in its file change, while the cluster's records keep those it was founded with.

mod clock;
mod drive;
mod faults;
mod namespaces;
mod ports;
mod process;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_world::World;
use tempfile::TempDir;
use tokio::time::Instant;

use super::proxy::{Dialers, Proxies};
use super::serving::{self, SERVES_WITHIN};
use clock::Clocks;
use drive::SmallDrive;
use namespaces::Namespaces;
use process::{NodeProcess, Start};

pub use faults::Undo;

const NODES: u64 = 3;
/// Where a node in a namespace listens for clients and for its peers.
const CLIENT_PORT: u16 = 7_400;
const PEER_PORT: u16 = 7_401;
/// Enough that routing matters, few enough that each is asked all the time.
const SHARDS: u32 = 3;
/// The configuration that the cluster is founded with.
const FOUNDING: &str = "founding.toml";
/// How long a node has to stop by itself.
const STOPS_WITHIN: Duration = Duration::from_secs(20);
/// What is noted of the machine.
const MOST_NOTES: usize = 100;
/// A node that writes to a drive that was full may notice a little later.
const NOTICES_WITHIN: Duration = Duration::from_secs(5);

/// Why a cluster could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The folder, the ports or the binary.
    #[error("{what}: {error}")]
    Machine {
        /// What was wanted of the machine.
        what: String,
        /// The system's error.
        error: io::Error,
    },
    /// The nodes run, and do not serve.
    #[error("the cluster does not serve {when}: {lacks}\n{last_words}")]
    DoesNotServe {
        /// At which step.
        when: &'static str,
        /// What is missing.
        lacks: String,
        /// The last messages of its nodes.
        last_words: String,
    },
}

fn machine(what: impl Into<String>) -> impl FnOnce(io::Error) -> OwnError {
    |error| OwnError::Machine { what: what.into(), error }
}

/// What a cluster of one's own is made of.
#[derive(Clone, Debug)]
pub struct OwnOptions {
    /// The `holdfast` binary.
    pub binary: PathBuf,
    /// A library that fakes the wall clock, where there is one.
    pub faketime: Option<PathBuf>,
    /// What lies between its nodes.
    pub links: Links,
    /// The faults that are wanted: some need preparation.
    pub kinds: Vec<String>,
}

/// What lies between the nodes, and between them and the customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// A proxy before every address: needs no rights.
    #[default]
    Proxies,
    /// The system's own network, each node in a namespace of its own: needs root.
    Namespaces,
}

/// The cluster.
#[derive(Debug)]
pub struct OwnCluster {
    binary: PathBuf,
    nodes: Vec<NodeProcess>,
    proxies: Arc<Proxies>,
    namespaces: Option<Namespaces>,
    clocks: Option<Clocks>,
    greatest_skew_ms: u64,
    /// With the place of the node whose folder lies on it.
    small_drive: Option<(usize, SmallDrive)>,
    is_full: bool,
    /// Nodes that are down on purpose, once for each fault that has it so.
    held_down: Vec<usize>,
    /// Until then the node on the small drive may end by itself.
    excused_until: Option<Instant>,
    /// Kinds that this machine does not allow, with the reason.
    skipped: Vec<(String, String)>,
    /// What was seen of the machine.
    notes: Vec<String>,
    folder: TempDir,
}

impl OwnCluster {
    /// Founds a cluster that serves through its proxies.
    ///
    /// # Errors
    /// The machine does not give what it takes, or the nodes do not come up.
    pub async fn found(options: &OwnOptions, world: &World) -> Result<Self, OwnError> {
        let folder = tempfile::Builder::new().prefix("holdfast-chaos-").tempdir();
        let folder = folder.map_err(machine("no temporary folder"))?;
        let namespaces = match options.links {
            Links::Proxies => None,
            Links::Namespaces => {
                let ids: Vec<u64> = (1..=NODES).collect();
                Some(Namespaces::make(&ids).await.map_err(machine("no network namespaces"))?)
            }
        };
        let addresses = match &namespaces {
            None => ports::free_addresses(4 * NODES as usize).map_err(machine("no addresses"))?,
            Some(namespaces) => {
                let of_node =
                    |id| [CLIENT_PORT, PEER_PORT, CLIENT_PORT, PEER_PORT].map(|port| namespaces.address(id, port));
                (1..=NODES).flat_map(of_node).collect()
            }
        };
        let nodes: Vec<NodeProcess> = (1..=NODES)
            .zip(addresses.chunks_exact(4))
            .map(|(id, of_node)| {
                let of_node = of_node.to_vec();
                let pair = |at: usize| [of_node[at].clone(), of_node[at + 1].clone()];
                NodeProcess::new(id, pair(0), pair(2), folder.path())
            })
            .collect();
        for node in &nodes {
            fs::create_dir(node_folder(folder.path(), node.id)).map_err(machine("no folder for a node"))?;
        }
        let mut cluster = Self {
            binary: options.binary.clone(),
            nodes,
            proxies: Arc::default(),
            namespaces,
            clocks: None,
            greatest_skew_ms: 0,
            small_drive: None,
            is_full: false,
            held_down: Vec::new(),
            excused_until: None,
            skipped: Vec::new(),
            notes: Vec::new(),
            folder,
        };
        cluster.prepare(options);
        cluster.write_configs().map_err(machine("no configuration"))?;
        cluster.open_at_public_addresses(world).await?;
        if cluster.namespaces.is_none() {
            cluster.move_behind_proxies(world).await?;
        }
        Ok(cluster)
    }

    /// Gets ready what some faults need, or notes why it is not to be had.
    fn prepare(&mut self, options: &OwnOptions) {
        let is_wanted = |kind: &str| options.kinds.iter().any(|wanted| wanted == kind);
        if is_wanted("disk-full") {
            let last = self.nodes.len() - 1;
            match SmallDrive::mount(&node_folder(self.folder.path(), self.nodes[last].id)) {
                Ok(drive) => self.small_drive = Some((last, drive)),
                Err(why) => self.skipped.push(("disk-full".to_owned(), why)),
            }
        }
        if let Some(namespaces) = &self.namespaces {
            let of_proxies = "it is done by the proxies, and these nodes have none (--links proxies)";
            self.skipped.extend(["cut", "half-open"].map(|kind| (kind.to_owned(), of_proxies.to_owned())));
            if !namespaces.delays() {
                self.skipped.push(("delay".to_owned(), "this kernel has no netem".to_owned()));
            }
            self.skipped.retain(|(kind, _)| options.kinds.contains(kind));
        }
        if is_wanted("clock") {
            match &options.faketime {
                None => {
                    let why =
                        "no library for it: the system has one wall clock for all; name libfaketime with --faketime";
                    self.skipped.push(("clock".to_owned(), why.to_owned()));
                }
                Some(library) => match Clocks::right(library, self.folder.path(), &self.node_ids()) {
                    Ok(clocks) => self.clocks = Some(clocks),
                    Err(error) => self.skipped.push(("clock".to_owned(), error.to_string())),
                },
            }
        }
    }

    /// One file to found the cluster with, and one for each node behind its proxy.
    fn write_configs(&self) -> io::Result<()> {
        fs::write(self.folder.path().join(FOUNDING), self.config(None))?;
        for node in &self.nodes {
            fs::write(self.folder.path().join(config_name(node.id)), self.config(Some(node.id)))?;
        }
        Ok(())
    }

    fn config(&self, behind: Option<u64>) -> String {
        let data = self.folder.path().join("node-{id}").join("data");
        let mut text = format!(
            "cluster_id = \"{}\"\nshards = {SHARDS}\ndata_dir = {}\n\
             [log]\nfilter = \"info,openraft=warn\"\n\
             # Small, so that segments and checkpoints change all the time.\n\
             [limits]\nsegment_bytes = 1048576\nmin_free_bytes = 0\ncheckpoint_bytes = 1048576\n",
            // No other run's nodes are taken for its own.
            self.folder.path().file_name().unwrap_or_default().to_string_lossy(),
            toml::Value::String(data.to_string_lossy().into_owned())
        );
        for node in &self.nodes {
            let [client, peer] = if behind == Some(node.id) { &node.behind } else { &node.public };
            text += &format!("[[nodes]]\nid = {}\nclient = \"{client}\"\npeer = \"{peer}\"\n", node.id);
        }
        text
    }

    async fn open_at_public_addresses(&mut self, world: &World) -> Result<(), OwnError> {
        for at in 0..self.nodes.len() {
            self.start_with(at, FOUNDING).map_err(machine(format!("{} does not start", self.binary.display())))?;
        }
        self.serves("when it is founded", world).await?;
        if self.namespaces.is_some() {
            return Ok(());
        }
        for node in &mut self.nodes {
            node.signal(rustix::process::Signal::TERM);
        }
        for node in &mut self.nodes {
            node.stop(STOPS_WITHIN).await;
        }
        Ok(())
    }

    async fn move_behind_proxies(&mut self, world: &World) -> Result<(), OwnError> {
        let mut proxies = Proxies::default();
        for node in &self.nodes {
            for (dialers, at) in [(Dialers::Clients, 0), (Dialers::Nodes, 1)] {
                let behind: SocketAddr = node.behind[at].parse().expect("an address that was given out");
                let added = proxies.add(&node.public[at], dialers, node.id, behind).await;
                added.map_err(machine(format!("a proxy cannot listen on {}", node.public[at])))?;
            }
        }
        self.proxies = Arc::new(proxies);
        for at in 0..self.nodes.len() {
            self.start(at).map_err(machine("a node does not start"))?;
        }
        self.serves("behind its proxies", world).await
    }

    async fn serves(&mut self, when: &'static str, world: &World) -> Result<(), OwnError> {
        let served = serving::wait(self.addresses(), &self.node_ids(), world, 2 * SERVES_WITHIN).await;
        served.map(drop).map_err(|lacks| OwnError::DoesNotServe { when, lacks, last_words: self.last_words() })
    }

    fn last_words(&self) -> String {
        let words = self.nodes.iter().map(|node| format!("--- node {}:\n{}", node.id, node.last_words()));
        words.collect::<Vec<_>>().join("\n")
    }

    fn start(&mut self, at: usize) -> io::Result<()> {
        self.start_with(at, &config_name(self.nodes[at].id))
    }

    fn start_with(&mut self, at: usize, config: &str) -> io::Result<()> {
        let id = self.nodes[at].id;
        let environment = self.clocks.as_ref().map(|clocks| clocks.environment(id)).unwrap_or_default();
        let config = self.folder.path().join(config);
        let prefix = self.namespaces.as_ref().map(|namespaces| namespaces.prefix(id)).transpose()?.unwrap_or_default();
        let start = Start { prefix: &prefix, binary: &self.binary, config: &config, environment: &environment };
        if let Some(process) = self.nodes[at].start(&start)? {
            self.proxies.processes().is(id, process);
        }
        Ok(())
    }

    /// The ids of its nodes.
    #[must_use]
    pub fn node_ids(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// Where clients find it.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.public[0].clone()).collect()
    }

    /// The faults that this machine does not allow, with the reasons.
    #[must_use]
    pub fn skipped(&self) -> &[(String, String)] {
        &self.skipped
    }

    /// What was seen of the machine.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let unknown = self.proxies.of_unknown_nodes();
        if unknown > 0 {
            notes.push(format!("of {unknown} connections between nodes it was not found out which node dialled"));
        }
        notes
    }

    /// By how much a wall clock was ever off.
    #[must_use]
    pub const fn greatest_skew_ms(&self) -> u64 {
        self.greatest_skew_ms
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the nodes that have ended by themselves, as a supervisor does; what none of them should have done is told.
    pub fn look_after(&mut self) -> Vec<String> {
        let mut findings = Vec::new();
        let small = self.small_drive.as_ref().map(|(at, _)| *at);
        let is_excused = self.is_full || self.excused_until.is_some_and(|until| Instant::now() < until);
        for at in 0..self.nodes.len() {
            if let Some(status) = self.nodes[at].ended() {
                let (id, words) = (self.nodes[at].id, self.nodes[at].last_words());
                if small == Some(at) && is_excused {
                    self.note(format!("node {id} ended ({status}) while its drive was full"));
                } else {
                    findings.push(format!("node {id} ended by itself ({status}); its last words:\n{words}"));
                }
            }
        }
        findings
    }

    /// Starts what is not running and is not meant to be down.
    pub fn start_all(&mut self) {
        for at in 0..self.nodes.len() {
            let has_no_room = self.is_full && self.small_drive.as_ref().is_some_and(|(small, _)| *small == at);
            if !has_no_room
                && !self.held_down.contains(&at)
                && self.nodes[at].may_start()
                && let Err(error) = self.start(at)
            {
                self.note(format!("node {} cannot be started: {error}", self.nodes[at].id));
            }
        }
    }

    fn note(&mut self, what: String) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(what);
        }
    }

    /// Ends all nodes. With `keep` the folder stays, and its path is given.
    pub async fn close(mut self, keep: bool) -> Option<PathBuf> {
        for node in &mut self.nodes {
            node.kill();
        }
        for node in &mut self.nodes {
            node.buried().await;
        }
        if let Some((_, drive)) = &self.small_drive
            && keep
        {
            // What is on it is lost otherwise; the messages of the nodes lie beside it.
            let _ = drive.keep();
        }
        self.small_drive = None;
        keep.then(|| self.folder.keep())
    }
}

fn node_folder(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("node-{id}"))
}

fn config_name(id: u64) -> String {
    format!("node-{id}.toml")
}
