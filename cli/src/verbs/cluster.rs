//! `holdfast cluster`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use holdfast_client::Error;
use holdfast_node::config::is_address;
use holdfast_proto::v1::{GetStatusResponse, ReplicaRole, ScrubStatus};
use serde::Serialize;

use crate::connect::{ClusterFlags, failure_of};
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{self, Answer, Format};

/// All groups are copied to the fresh node meanwhile.
const REPLACE_WITHIN: Duration = Duration::from_secs(3_600);

/// The nodes of a cluster.
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Show each node, and its replica of each group; exit 1 if a node is not ready.
    Status(Status),
    /// Put a fresh node in the place of one that may not vote any more, and wait until it is a member.
    Replace(Replace),
}

/// Show each node, and its replica of each group; exit 1 if a node is not ready.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Put a fresh node in the place of one that may not vote any more, and wait until it is a member.
///
/// Start the fresh node first: an empty folder, and an id that no node of the cluster ever had. It joins as a learner,
/// becomes a voter when it has caught up, and then the old one is taken out: one change at a time, group by group.
#[derive(Debug, Args)]
pub struct Replace {
    /// The id of the node to replace.
    node: u64,
    /// Where peers reach the fresh node: host:port.
    #[arg(long, value_name = "ADDR", value_parser = peer_address)]
    with: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct ReplicaRow {
    /// `meta`, or the shard's number.
    group: String,
    role: &'static str,
    term: u64,
    leader: u64,
    last_log: u64,
    committed: u64,
    applied: u64,
    checkpointed: u64,
    purged: u64,
    waiting: u32,
    detail: String,
}

#[derive(Serialize)]
struct NodeRow {
    node: u64,
    address: String,
    /// `ready`, `not_ready` or `unreachable`.
    state: &'static str,
    version: String,
    uptime_ms: u64,
    leads: usize,
    warnings: Vec<String>,
    replicas: Vec<ReplicaRow>,
    /// What was read back from the disk, found rotten and mended, since the node started.
    scrub: ScrubRow,
}

#[derive(Default, Serialize)]
struct ScrubRow {
    passes: u64,
    log_bytes: u64,
    state_bytes: u64,
    rotten_entries: u64,
    mended_entries: u64,
    rotten_segments: u64,
    mended_segments: u64,
    rotten_chunks: u64,
    mended_chunks: u64,
    failed_reads: u64,
}

#[derive(Serialize)]
struct ClusterAnswer {
    cluster_id: String,
    ready: bool,
    nodes: Vec<NodeRow>,
}

impl Cluster {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Status(Status { cluster }) => status(&cluster, format).await,
            Self::Replace(Replace { node, with, cluster }) => {
                let client = cluster.connect().await?;
                let waiting = output::spinner(&format!("node {node} is being replaced; this copies its data"));
                let replaced = client.replace_node(node, &with, REPLACE_WITHIN).await;
                waiting.finish_and_clear();
                let member = replaced.map_err(not_replaced)?;
                let row = BTreeMap::from([
                    ("node", member.node_id.to_string()),
                    ("client", member.client_address),
                    ("peer", member.peer_address),
                    ("http", member.http_address),
                ]);
                Answer::record(&row).print(format);
                Ok(())
            }
        }
    }
}

fn peer_address(text: &str) -> Result<String, String> {
    if is_address(text) {
        return Ok(text.to_owned());
    }
    Err("write the fresh node's peer address as host:port, such as 10.0.0.4:7501".to_owned())
}

/// What a node says of a field of the request, in the words of the command line.
fn not_replaced(error: Error) -> Failure {
    let told = error.failure();
    let argument = match told.field.as_str() {
        "peer_address" => "--with",
        "node_id" => "NODE",
        _ => return failure_of(error),
    };
    // A node says `FIELD PROBLEM; HINT`.
    match told.message.strip_prefix(&told.field).and_then(|said| said.split_once("; ")) {
        Some((problem, hint)) => Failure::usage(format!("{argument}{problem}")).hint(hint),
        None => failure_of(error),
    }
}

async fn status(cluster: &ClusterFlags, format: Format) -> Result<(), Failure> {
    let members = Members::find(&cluster.addresses()).await?;
    let mut answer = ClusterAnswer { cluster_id: String::new(), ready: true, nodes: Vec::new() };
    for (id, address) in members.nodes() {
        let row = match members.status(id).await {
            Ok(status) => {
                answer.cluster_id.clone_from(&status.cluster_id);
                NodeRow::of(address, status)
            }
            Err(failure) => NodeRow {
                node: id,
                address: address.to_owned(),
                state: "unreachable",
                version: String::new(),
                uptime_ms: 0,
                leads: 0,
                warnings: vec![failure.to_string()],
                replicas: Vec::new(),
                scrub: ScrubRow::default(),
            },
        };
        answer.ready &= row.state == "ready";
        answer.nodes.push(row);
    }
    let rows = answer.nodes.iter().flat_map(NodeRow::table);
    let header =
        ["node", "address", "state", "group", "role", "term", "leader", "last log", "applied", "checkpoint", "waiting"];
    Answer::rows(&answer, header, rows).print(format);
    for node in &answer.nodes {
        let damaged = node.replicas.iter().filter(|replica| !replica.detail.is_empty());
        for line in node.warnings.iter().cloned().chain(damaged.map(|r| format!("{}: {}", r.group, r.detail))) {
            output::say(&format!("node {}: {line}", node.node));
        }
    }
    if answer.ready { Ok(()) } else { Err(Failure::check("not every node is ready")) }
}

impl ScrubRow {
    fn of(status: ScrubStatus) -> Self {
        Self {
            passes: status.passes,
            log_bytes: status.log_bytes,
            state_bytes: status.state_bytes,
            rotten_entries: status.rotten_entries,
            mended_entries: status.mended_entries,
            rotten_segments: status.rotten_segments,
            mended_segments: status.mended_segments,
            rotten_chunks: status.rotten_chunks,
            mended_chunks: status.mended_chunks,
            failed_reads: status.failed_reads,
        }
    }
}

impl NodeRow {
    fn of(address: &str, status: GetStatusResponse) -> Self {
        let replicas: Vec<ReplicaRow> = status
            .replicas
            .into_iter()
            .map(|replica| ReplicaRow {
                group: replica.group.checked_sub(1).map_or("meta".to_owned(), |shard| shard.to_string()),
                role: match replica.role() {
                    ReplicaRole::Unspecified => "unknown",
                    ReplicaRole::Leader => "leader",
                    ReplicaRole::Follower => "follower",
                    ReplicaRole::Candidate => "candidate",
                    ReplicaRole::Learner => "learner",
                    ReplicaRole::Damaged => "damaged",
                },
                term: replica.term,
                leader: replica.leader_node_id,
                last_log: replica.last_log_index,
                committed: replica.committed_index,
                applied: replica.applied_index,
                checkpointed: replica.checkpointed_index,
                purged: replica.purged_index,
                waiting: replica.waiting,
                detail: replica.detail,
            })
            .collect();
        Self {
            node: status.node_id,
            address: address.to_owned(),
            state: if status.ready { "ready" } else { "not_ready" },
            version: status.version,
            uptime_ms: status.uptime_ms,
            leads: replicas.iter().filter(|replica| replica.role == "leader").count(),
            warnings: status.warnings,
            replicas,
            scrub: status.scrub.map(ScrubRow::of).unwrap_or_default(),
        }
    }

    /// A row for each replica; one without replicas where the node tells of none.
    fn table(&self) -> Vec<[String; 11]> {
        let node = [self.node.to_string(), self.address.clone(), self.state.to_owned()];
        let row = |replica: [String; 8]| {
            let mut cells = node.iter().cloned().chain(replica);
            std::array::from_fn(|_| cells.next().unwrap_or_default())
        };
        if self.replicas.is_empty() {
            return vec![row(Default::default())];
        }
        let rows = self.replicas.iter().map(|r| {
            let n = |number: u64| number.to_string();
            let waiting = r.waiting.to_string();
            let role = r.role.to_owned();
            row([
                r.group.clone(),
                role,
                n(r.term),
                n(r.leader),
                n(r.last_log),
                n(r.applied),
                n(r.checkpointed),
                waiting,
            ])
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::{CommandError, ErrorReason};

    use super::*;

    #[test]
    fn what_a_node_says_of_a_field_is_said_of_its_argument_and_all_else_as_it_is() {
        let error = |field: &str, message: &str| {
            not_replaced(CommandError::of(ErrorReason::InvalidArgument, message).at(field).into()).to_string()
        };
        assert_eq!(
            error("node_id", "node_id is 9, which is no member; `holdfast cluster status` lists the members"),
            "error: NODE is 9, which is no member\nhint: `holdfast cluster status` lists the members"
        );
        assert_eq!(
            error("peer_address", "peer_address is a member already; name a fresh node with a new id"),
            "error: --with is a member already\nhint: name a fresh node with a new id"
        );
        let other = error("group", "group of shard 1 is not changed: a change is under way; try again later");
        assert!(other.contains("group of shard 1 is not changed") && other.contains("[INVALID_ARGUMENT]"), "{other}");
    }
}
