//! `holdfast up`: a whole cluster on this machine.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::development::{DevelopmentCluster, Layout, Wanted};
use crate::failure::Failure;
use crate::output::{self, Answer, Format};

/// Run a whole cluster on this machine for development, each node a process of its own; Ctrl-C stops it, the same folder
/// brings it back.
#[derive(Debug, Args)]
pub struct Up {
    /// How many nodes; 3 for a new cluster.
    #[arg(long)]
    nodes: Option<u16>,
    /// How many shards; 8 for a new cluster.
    #[arg(long)]
    shards: Option<u32>,
    /// The folder of its data and logs. Remove it to be rid of the cluster.
    #[arg(long, value_name = "DIR", default_value = "./holdfast-data")]
    data: PathBuf,
    /// The first node's port for clients, 7400 for a new cluster; its peers use the next one, HTTP the one after. Each
    /// further node's are 10 higher.
    #[arg(long, env = "HOLDFAST_PORT_BASE", value_name = "PORT")]
    port_base: Option<u16>,
}

/// Where a node is.
#[derive(Serialize)]
pub(super) struct NodeRow {
    node: u64,
    client: String,
    peer: String,
    http: String,
    pid: i32,
    log: String,
}

impl Up {
    /// Runs the cluster until it is asked to stop.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let wanted = Wanted { nodes: self.nodes, shards: self.shards, port_base: self.port_base };
        let layout = Layout::open_or_found(&self.data, wanted)?;
        let mut stop = StopRequest::listen()?;
        let mut cluster = DevelopmentCluster::start(layout)?;
        let waiting = output::spinner("the nodes are starting");
        let ready = tokio::select! {
            biased;
            () = stop.asked() => None,
            ready = cluster.ready() => Some(ready),
        };
        waiting.finish_and_clear();
        if let Some(Ok(())) = ready {
            print_nodes(&cluster, format);
            output::say(&format!(
                "the cluster is up, its data in {}; Ctrl-C stops it",
                cluster.layout().data.display()
            ));
            if let Some(first) = cluster.layout().nodes.first() {
                output::say(&format!("the REST API is on http://{0}/v1, its reference on http://{0}/docs", first.http));
            }
            stop.asked_or_ended(&mut cluster).await?;
        }
        output::say("stopping the nodes");
        cluster.stop().await;
        ready.unwrap_or(Ok(()))
    }
}

/// Prints where each node is.
pub(super) fn print_nodes(cluster: &DevelopmentCluster, format: Format) {
    let running = cluster.running();
    let rows: Vec<NodeRow> = cluster
        .layout()
        .nodes
        .iter()
        .map(|node| NodeRow {
            node: node.id,
            client: node.client.clone(),
            peer: node.peer.clone(),
            http: node.http.clone(),
            pid: running.iter().find(|(id, _)| *id == node.id).map_or(0, |(_, pid)| pid.as_raw_nonzero().get()),
            log: node.log.display().to_string(),
        })
        .collect();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.node.to_string(),
                row.client.clone(),
                row.peer.clone(),
                row.http.clone(),
                row.pid.to_string(),
                row.log.clone(),
            ]
        })
        .collect();
    Answer::rows(&rows, ["node", "client", "peer", "http", "pid", "log"], shown).print(format);
}

/// SIGTERM and Ctrl-C.
pub(super) struct StopRequest {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopRequest {
    /// From now on they do not end the process by themselves.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::usage(format!("signals cannot be heard: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns when asked to stop.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when asked to stop; an error when a node ends by itself before.
    pub(super) async fn asked_or_ended(&mut self, cluster: &mut DevelopmentCluster) -> Result<(), Failure> {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(500));
        let mut told = std::collections::BTreeSet::new();
        loop {
            tokio::select! {
                biased;
                () = self.asked() => return Ok(()),
                _ = look.tick() => {
                    // A node killed on purpose leaves the others serving: say it once and go on.
                    if let Err(ended) = cluster.complain_of_ended()
                        && told.insert(ended.to_string())
                    {
                        output::say(&ended.to_string());
                    }
                    if cluster.has_all_ended() {
                        return Err(Failure::unavailable("every node has ended"));
                    }
                }
            }
        }
    }
}
