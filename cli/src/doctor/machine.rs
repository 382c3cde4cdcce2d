//! The machine that a node is to run on: its configuration, folder, disk and ports.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use holdfast_node::config::{NodeConfig, Overrides};
use rustix::fs::{Access, access, statvfs};

use super::Finding;
use crate::members::Members;

/// Below this part of a disk it is told.
const LOW: f64 = 0.10;

/// Looks at what the file says of the node, and at what of it lies on this machine. Gives the client addresses of the cluster too.
pub async fn examine_machine(file: &Path, node: Option<u64>, findings: &mut Vec<Finding>) -> Vec<String> {
    let config = match NodeConfig::load(file, &Overrides { node_id: node, ..Overrides::default() }) {
        Ok(config) => config,
        Err(error) => {
            findings.push(Finding::problem("configuration", error.to_string(), error.hint()));
            return Vec::new();
        }
    };
    let nodes = config.nodes.len();
    findings.push(Finding::ok("configuration", format!("{} is one of {nodes} nodes", config.node_id)));
    if nodes < 3 {
        let what = format!("{nodes} nodes cannot lose one");
        findings.push(Finding::warning(
            "configuration",
            what,
            "add nodes to `nodes` in cluster.toml before the founding",
        ));
    }
    let folder = config.node_dir();
    findings.push(examine_folder(&folder));
    findings.extend(examine_disk(&folder, config.limits.min_free_bytes));
    findings.extend(examine_ports(&config).await);
    config.nodes.into_iter().map(|node| node.client).collect()
}

fn examine_folder(folder: &Path) -> Finding {
    let shown = folder.display();
    if !folder.exists() {
        let parent = there(folder);
        return match access(&parent, Access::WRITE_OK) {
            Ok(()) => Finding::ok("folder", format!("{shown} is not there yet; the node makes it")),
            Err(error) => Finding::problem(
                "folder",
                format!("{shown} cannot be made: {}: {error}", parent.display()),
                format!("sudo install -d -o \"$USER\" {shown}"),
            ),
        };
    }
    if let Err(error) = access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let next = format!("sudo chown -R \"$USER\" {shown}");
        return Finding::problem("folder", format!("{shown} cannot be used: {error}"), next);
    }
    let set_aside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let set_aside = set_aside.filter(|entry| entry.file_name().to_string_lossy().starts_with("state.damaged-")).count();
    if set_aside > 0 {
        let what = format!("{shown} has {set_aside} damaged state stores that were set aside");
        return Finding::warning("folder", what, format!("look at the disk, then: rm -r {shown}/state.damaged-*"));
    }
    Finding::ok("folder", format!("{shown} can be used"))
}

/// The folder, or the nearest above it that is there.
fn there(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|path| path.exists());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn examine_disk(folder: &Path, least: u64) -> Option<Finding> {
    let disk = statvfs(there(folder)).ok()?;
    let (free, size) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    Some(judge_disk(free, size, least, folder))
}

fn judge_disk(free: u64, size: u64, least: u64, folder: &Path) -> Finding {
    let part = free as f64 / size.max(1) as f64;
    let what =
        format!("{:.1} of {:.1} GiB are free", free as f64 / (1_u64 << 30) as f64, size as f64 / (1_u64 << 30) as f64);
    let next = format!("df -h {0}; du -sh {0}/*", folder.display());
    if free < least {
        return Finding::problem("disk", what + ": less than limits.min_free_bytes, the node takes no commands", next);
    }
    if part < LOW { Finding::warning("disk", what, next) } else { Finding::ok("disk", what) }
}

/// Whether the node could listen where it is to, or listens there already.
async fn examine_ports(config: &NodeConfig) -> Vec<Finding> {
    let me = config.me();
    let runs = match Members::at([(me.id, me.client.clone())]) {
        Ok(members) => members.status(me.id).await.ok().map(|status| (status.node_id, status.cluster_id)),
        Err(_) => None,
    };
    if let Some((id, cluster_id)) = runs {
        let where_ = format!("node {id} of {cluster_id} answers at {}", me.client);
        if (id, cluster_id.as_str()) == (config.node_id, config.cluster_id.as_str()) {
            return vec![Finding::ok("ports", where_)];
        }
        let next = "holdfast start --check --node ID: the ids, addresses and cluster_id of cluster.toml must be those of each machine";
        return vec![Finding::problem("ports", format!("{where_}, where node {} is listed", config.node_id), next)];
    }
    let listed = [("client", Some(&me.client)), ("peer", Some(&me.peer)), ("http", me.http.as_ref())];
    let listed = listed.into_iter().filter_map(|(name, address)| Some((name, address?)));
    listed.map(|(name, address)| examine_port(name, address)).collect()
}

fn examine_port(name: &str, address: &str) -> Finding {
    let about = format!("port {name}");
    let port = address.rsplit_once(':').map_or(address, |(_, port)| port);
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(about, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::problem(
            about,
            format!("{address} is taken by another program"),
            format!("ss -ltnp 'sport = :{port}'"),
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Finding::problem(
            about,
            format!("{address} is no address of this machine"),
            "name the node of this machine with --node, or see `ip address`",
        ),
        Err(error) => Finding::problem(
            about,
            format!("{address}: {error}"),
            format!("choose another address in cluster.toml for {name}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_disk_is_low_below_a_tenth_and_a_problem_where_the_node_would_take_no_commands() {
        let state = |free| judge_disk(free, 1_000, 30, Path::new("data/node-1")).state;
        assert_eq!((state(500), state(99), state(20)), (State::Ok, State::Warning, State::Problem));
    }

    #[test]
    fn a_port_that_is_taken_is_told_with_the_command_that_shows_by_whom() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let found = examine_port("peer", &address);
        assert_eq!(found.state, State::Problem);
        assert!(found.what.contains(&address) && found.next.starts_with("ss -ltnp"), "{found:?}");
        drop(taken);
        assert_eq!(examine_port("peer", &address).state, State::Ok);
    }

    #[test]
    fn a_folder_is_looked_at_before_the_node_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(examine_folder(&dir.path().join("data/node-1")).state, State::Ok);
        std::fs::create_dir_all(dir.path().join("state.damaged-1")).unwrap();
        let found = examine_folder(dir.path());
        assert_eq!(found.state, State::Warning);
        assert!(found.next.contains("state.damaged-"), "{found:?}");
    }

    #[tokio::test]
    async fn a_configuration_that_cannot_work_is_one_finding_with_its_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cluster.toml");
        std::fs::write(&file, "cluster_id = \"shop\"\nshard = 4\nnodes = []\n").unwrap();
        let mut findings = Vec::new();
        assert!(examine_machine(&file, Some(1), &mut findings).await.is_empty());
        assert_eq!(findings.len(), 1);
        assert!(findings[0].state == State::Problem && findings[0].next.contains("shards"), "{findings:?}");
    }
}
