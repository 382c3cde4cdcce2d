//! Where a development cluster lies: its folder, its ports, and the cluster.toml that its nodes are started with.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use holdfast_node::config::{NodeConfig, Overrides};

use crate::failure::Failure;
use crate::random::Random;

/// The file that names the nodes.
const FILE: &str = "cluster.toml";
/// From one node's ports to the next one's.
const PORT_STEP: u16 = 10;
/// The first node's client port, if nothing is said.
const PORT_BASE: u16 = 7_400;

/// What the caller asks for. What is left open is as the folder says, or the default of a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How many nodes; 3.
    pub nodes: Option<u16>,
    /// How many shards; 8.
    pub shards: Option<u32>,
    /// The first node's client port; 7400.
    pub port_base: Option<u16>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlace {
    /// Its id, from 1.
    pub id: u64,
    /// `host:port` for clients.
    pub client: String,
    /// `host:port` for peers.
    pub peer: String,
    /// `host:port` for HTTP.
    pub http: String,
    /// Its log file.
    pub log: PathBuf,
}

/// A development cluster on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The cluster.toml of its nodes.
    pub config: PathBuf,
    /// Its folder.
    pub data: PathBuf,
    /// Its nodes by id.
    pub nodes: Vec<NodePlace>,
    /// How many shards it was founded with.
    pub shards: u32,
    /// The cluster's name.
    pub cluster_id: String,
}

impl Layout {
    /// Opens the folder, or founds a new cluster in it. One that is there is taken as it is: flags that say otherwise are
    /// refused.
    pub fn open_or_found(data: &Path, wanted: Wanted) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::usage(format!("{} cannot be used: {error}", data.display()));
        fs::create_dir_all(data).map_err(failed)?;
        let data = data.canonicalize().map_err(failed)?;
        let config = data.join(FILE);
        match fs::read_to_string(&config) {
            Ok(text) => Self::read(&data, &text, wanted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = found(&data, wanted)?;
                let layout = Self::read(&data, &text, wanted)?;
                fs::write(&config, text).map_err(failed)?;
                Ok(layout)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn read(data: &Path, text: &str, wanted: Wanted) -> Result<Self, Failure> {
        let config = data.join(FILE);
        let read = NodeConfig::from_text(text, &Overrides { node_id: Some(1), ..Overrides::default() })
            .map_err(|error| Failure::usage(error.to_string()).hint(error.hint()).about(config.display()))?;
        let nodes: Vec<NodePlace> = read
            .nodes
            .iter()
            .map(|node| NodePlace {
                id: node.id,
                client: node.client.clone(),
                peer: node.peer.clone(),
                http: node.http.clone().unwrap_or_default(),
                log: data.join(format!("node-{}.log", node.id)),
            })
            .collect();
        let base = nodes.first().and_then(|node| port_of(&node.client));
        refuse_other("--nodes", wanted.nodes.map(usize::from), nodes.len(), data)?;
        refuse_other("--shards", wanted.shards, read.shards, data)?;
        if let Some(base) = base {
            refuse_other("--port-base", wanted.port_base, base, data)?;
        }
        Ok(Self { config, data: data.to_owned(), nodes, shards: read.shards, cluster_id: read.cluster_id })
    }

    /// Says which port is busy before any node is started.
    pub fn check_ports(&self) -> Result<(), Failure> {
        for node in &self.nodes {
            for address in [&node.client, &node.peer, &node.http] {
                let Some(port) = port_of(address) else { continue };
                if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                    return Err(Failure::usage(format!("port {port} of node {} cannot be used: {error}", node.id))
                        .hint("choose others with `--port-base`, in a `--data` folder of their own, or stop what uses them"));
                }
            }
        }
        Ok(())
    }

    /// Where clients reach the nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.client.clone()).collect()
    }
}

/// The default port base if all ports of so many nodes are free there now, else another one where they are.
pub fn port_base_for(nodes: u16) -> Result<u16, Failure> {
    let is_free = |base: u16| {
        (0..nodes)
            .flat_map(|node| (0..3).map(move |kind| base + node * PORT_STEP + kind))
            .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
    };
    let mut random = Random::seeded(Random::fresh_seed());
    let others = (0..200).map(|_| 20_000 + u16::try_from(random.below(1_000)).expect("below 1 000") * 10);
    if let Some(base) = std::iter::once(PORT_BASE).chain(others).find(|&base| is_free(base)) {
        return Ok(base);
    }
    Err(Failure::unavailable("no free ports were found on this machine").hint("name some with `--port-base`"))
}

fn found(data: &Path, wanted: Wanted) -> Result<String, Failure> {
    let nodes = wanted.nodes.unwrap_or(3);
    let base = wanted.port_base.unwrap_or(PORT_BASE);
    if nodes == 0 || nodes > 9 {
        return Err(Failure::usage(format!("{nodes} nodes cannot be")).hint("choose 1 to 9 with `--nodes`; 3 is usual"));
    }
    if base == 0 || base.checked_add(nodes * PORT_STEP).is_none() {
        return Err(Failure::usage(format!("{base} leaves no room for the ports of {nodes} nodes"))
            .hint("choose a lower one with `--port-base`"));
    }
    let shards = wanted.shards.unwrap_or(8);
    let id = Random::fresh_seed();
    let folder = toml::Value::String(data.join("node-{id}").to_string_lossy().into_owned());
    let mut text = format!(
        "# A development cluster: `holdfast up` made it and starts it again. To be rid of it, remove the folder.\n\
         cluster_id = \"development-{id:016x}\"\nshards = {shards}\ndata_dir = {folder}\n"
    );
    for node in 0..nodes {
        let port = base + node * PORT_STEP;
        text += &format!(
            "\n[[nodes]]\nid = {}\nclient = \"127.0.0.1:{port}\"\npeer = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:{}\"\n",
            node + 1,
            port + 1,
            port + 2
        );
    }
    Ok(text)
}

fn refuse_other<T: PartialEq + std::fmt::Display>(
    flag: &str,
    wanted: Option<T>,
    there: T,
    data: &Path,
) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if wanted != there => {
            Err(Failure::usage(format!("{flag} says {wanted}, but the cluster in {} has {there}", data.display()))
                .hint(format!("leave {flag} out to start it again, or give another folder with `--data`")))
        }
        _ => Ok(()),
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_opened_again_as_it_was_founded() {
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = Wanted { nodes: Some(2), shards: Some(4), port_base: Some(21_000) };
        let founded = Layout::open_or_found(folder.path(), wanted).expect("a new cluster");
        assert_eq!(Layout::open_or_found(folder.path(), Wanted::default()).expect("the same"), founded);
        assert_eq!(founded.addresses(), ["127.0.0.1:21000", "127.0.0.1:21010"]);
        assert_eq!(
            (founded.nodes[1].peer.as_str(), founded.nodes[1].http.as_str()),
            ("127.0.0.1:21011", "127.0.0.1:21012")
        );
    }

    #[test]
    fn a_flag_that_does_not_fit_the_cluster_that_is_there_is_refused_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        Layout::open_or_found(folder.path(), Wanted::default()).expect("a new cluster");
        let other = Wanted { shards: Some(16), ..Wanted::default() };
        let failure = Layout::open_or_found(folder.path(), other).expect_err("16 are not 8");
        assert!(failure.to_string().contains("--shards says 16") && failure.exit() == 2, "{failure}");
    }

    #[test]
    fn a_busy_port_is_an_error_that_names_the_flag() {
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let port = busy.local_addr().expect("it is bound").port();
        let folder = tempfile::tempdir().expect("a folder");
        let wanted = Wanted { nodes: Some(1), port_base: Some(port.saturating_sub(2)), ..Wanted::default() };
        let layout = Layout::open_or_found(folder.path(), wanted).expect("a new cluster");
        let failure = layout.check_ports().expect_err("the port is busy").to_string();
        assert!(failure.contains("--port-base"), "{failure}");
    }
}
