//! The processes of a development cluster: started, watched until they serve, killed, stopped.
//!
//! Promises that no node outlives this process: each watches its standard input, which closes when this process is gone,
//! and ends itself.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::Layout;
use super::layout::NodePlace;
use crate::failure::Failure;
use crate::members::Members;

/// How long all nodes have to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a node has to stop by itself.
const STOP_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);

/// A cluster whose nodes are children of this process.
pub struct DevelopmentCluster {
    layout: Layout,
    /// In the layout's order; `None`: not running.
    children: Vec<Option<Child>>,
    members: Members,
}

impl DevelopmentCluster {
    /// Starts every node. Call [`DevelopmentCluster::ready`] next.
    pub fn start(layout: Layout) -> Result<Self, Failure> {
        layout.check_ports()?;
        let members = Members::at(layout.nodes.iter().map(|node| (node.id, node.client.clone())))?;
        let mut cluster = Self { children: layout.nodes.iter().map(|_| None).collect(), layout, members };
        for at in 0..cluster.children.len() {
            cluster.spawn(at)?;
        }
        Ok(cluster)
    }

    /// Where it lies.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its nodes, to speak to one by one.
    pub const fn members(&self) -> &Members {
        &self.members
    }

    fn spawn(&mut self, at: usize) -> Result<(), Failure> {
        let node = &self.layout.nodes[at];
        let failed = |error: io::Error| Failure::unavailable(format!("node {} cannot be started: {error}", node.id));
        let program = std::env::current_exe().map_err(failed)?;
        let log = OpenOptions::new().create(true).append(true).open(&node.log).map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg("start")
            .arg("--config")
            .arg(&self.layout.config)
            .arg("--node")
            .arg(node.id.to_string())
            .arg("--end-with-parent")
            // The parent keeps the other end open as long as it lives.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // Ctrl-C in a terminal goes to the parent alone, which stops the nodes in order.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HOLDFAST_")) {
            command.env_remove(name);
        }
        self.children[at] = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    /// Waits until every running node says that it is ready.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.complain_of_ended()?;
            let mut waiting_for = None;
            for (node, child) in self.layout.nodes.iter().zip(&self.children) {
                if child.is_some() && !self.members.is_ready(node.id).await {
                    waiting_for = Some(node);
                    break;
                }
            }
            let Some(node) = waiting_for else { return Ok(()) };
            if Instant::now() > deadline {
                let message = format!("node {} is not ready after {} s", node.id, READY_WITHIN.as_secs());
                return Err(Failure::unavailable(message).hint(format!("its log: {}", node.log.display())));
            }
            sleep(POLL).await;
        }
    }

    /// An error that names the first node that has ended by itself, with the end of its log.
    pub fn complain_of_ended(&mut self) -> Result<(), Failure> {
        for (node, child) in self.layout.nodes.iter().zip(&mut self.children) {
            if let Some(status) = child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                let message =
                    format!("node {} has ended ({status}); the end of its log:\n{}", node.id, last_lines(node));
                return Err(Failure::unavailable(message).hint(format!("the whole log: {}", node.log.display())));
            }
        }
        Ok(())
    }

    /// Is no node left?
    pub fn has_all_ended(&mut self) -> bool {
        self.children
            .iter_mut()
            .all(|child| child.as_mut().is_none_or(|child| child.try_wait().ok().flatten().is_some()))
    }

    /// The node that leads a shard now.
    pub async fn leader_of(&self, shard: u32) -> Result<u64, Failure> {
        let routing = self.members.routing().await?;
        let found = routing.shards.iter().find(|of| of.shard == shard).map(|of| of.leader_node_id);
        found.filter(|node| *node != 0).ok_or_else(|| Failure::unavailable(format!("shard {shard} has no leader")))
    }

    /// Kills a node as a power cut would, as far as a process can be: SIGKILL.
    pub async fn kill(&mut self, id: u64) -> Result<(), Failure> {
        if let Some(mut child) = self.at(id).and_then(|at| self.children[at].take()) {
            child.kill().await.map_err(|error| Failure::unavailable(format!("node {id} cannot be killed: {error}")))?;
        }
        Ok(())
    }

    /// Starts a node that was killed.
    pub fn bring_back(&mut self, id: u64) -> Result<(), Failure> {
        let at = self.at(id).ok_or_else(|| Failure::usage(format!("there is no node {id}")))?;
        self.spawn(at)
    }

    fn at(&self, id: u64) -> Option<usize> {
        self.layout.nodes.iter().position(|node| node.id == id)
    }

    /// Asks every node to stop, waits for them, and kills those that do not.
    pub async fn stop(mut self) {
        for (_, pid) in self.running() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_WITHIN;
        for (node, child) in self.layout.nodes.iter().zip(&mut self.children) {
            let Some(child) = child else { continue };
            let left = deadline.saturating_duration_since(Instant::now());
            if timeout(left, child.wait()).await.is_err() {
                crate::output::say(&format!("node {} did not stop in time and is killed", node.id));
                let _ = child.kill().await;
            }
        }
    }

    /// The nodes that run, with their process ids.
    pub fn running(&self) -> Vec<(u64, Pid)> {
        let pid_of = |child: &Option<Child>| {
            child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
        };
        let nodes = self.layout.nodes.iter().zip(&self.children);
        nodes.filter_map(|(node, child)| Some((node.id, pid_of(child)?))).collect()
    }
}

/// The end of a node's log, bounded.
fn last_lines(node: &NodePlace) -> String {
    const MAX_LINES: usize = 8;
    const MAX_BYTES: u64 = 8 * 1_024;
    let read = || -> io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = File::open(&node.log)?;
        let length = fs::metadata(&node.log)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(MAX_LINES)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
