//! `holdfast audit verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use holdfast_node::heads;
use holdfast_proto::v1::{GetReplicaRequest, GetReplicaResponse, TreeHead};
use serde::Serialize;

use super::files::{self, HeadFile};
use crate::connect::ClusterFlags;
use crate::event_rows::hex;
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{self, Answer, Format};

/// Read every replica's change log back, recompute its hash chain and its invariants, and compare the replicas; exit 1 if
/// anything differs. The cluster may be in use.
#[derive(Debug, Args)]
pub struct Verify {
    /// Only this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// Compare every replica with the heads in this file too, which `holdfast audit head -o json` printed some time ago.
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Debug, Serialize)]
struct ReplicaRow {
    shard: u32,
    node: u64,
    /// The first event that is kept, and the last that was read back.
    from: u64,
    through: u64,
    /// The event at which the replicas of the shard are compared, and its hash; empty where it is not kept here.
    compared_at: u64,
    hash: String,
    /// What is wrong; nothing where all is well.
    breaches: Vec<String>,
}

#[derive(Debug, Serialize)]
struct VerifyAnswer {
    sound: bool,
    events: u64,
    replicas: Vec<ReplicaRow>,
}

impl Verify {
    /// Looks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { shard, head, cluster } = self;
        let kept = head.map(|path| files::read::<HeadFile>(&path, "head")).transpose()?;
        for head in kept.iter().flat_map(|kept| &kept.heads) {
            heads::check(&head.head()?).map_err(|error| {
                Failure::check(error.to_string()).about(format!("the head of shard {}", head.shard))
            })?;
        }
        let members = Members::find(&cluster.addresses()).await?;
        let shards = members.shards().await?;
        let wanted = match shard {
            Some(shard) if shard >= shards => {
                return Err(Failure::usage(format!("there is no shard {shard}"))
                    .hint(format!("shards are 0 to {}", shards - 1)));
            }
            Some(shard) => shard..shard + 1,
            None => 0..shards,
        };
        let mut replicas = Vec::new();
        let reading = output::bar("reading change logs back", wanted.len() as u64);
        for shard in wanted {
            let head = kept.as_ref().and_then(|kept| kept.of_shard(shard).ok());
            replicas.extend(verify(&members, shard, head.as_ref()).await);
            reading.inc(1);
        }
        reading.finish_and_clear();
        let sound = replicas.iter().all(|row| row.breaches.is_empty());
        let mut events: BTreeMap<u32, u64> = BTreeMap::new();
        for row in &replicas {
            let through = events.entry(row.shard).or_default();
            *through = row.through.max(*through);
        }
        let answer = VerifyAnswer { sound, events: events.values().sum(), replicas };
        let rows = answer.replicas.iter().map(|row| {
            let breaches = if row.breaches.is_empty() { "none".to_owned() } else { row.breaches.join("; ") };
            let short: String = row.hash.chars().take(16).collect();
            let n = |number: u64| number.to_string();
            [row.shard.to_string(), n(row.node), n(row.from), n(row.through), n(row.compared_at), short, breaches]
        });
        Answer::rows(&answer, ["shard", "node", "from", "through", "compared at", "hash", "breaches"], rows)
            .print(format);
        if sound { Ok(()) } else { Err(Failure::check("the replicas are not what they should be, or do not agree")) }
    }
}

/// Reads all replicas of a shard back, and compares them at an event that all of them have.
async fn verify(members: &Members, shard: u32, head: Option<&TreeHead>) -> Vec<ReplicaRow> {
    let nodes: Vec<u64> = members.nodes().map(|(node, _)| node).collect();
    // Where the foremost stands: the others are waited for, so that they can be compared there.
    let mut at_least_index = 0;
    for node in &nodes {
        let stands = members.replica(*node, GetReplicaRequest { shard, ..GetReplicaRequest::default() }).await;
        at_least_index = at_least_index.max(stands.map_or(0, |replica| replica.applied_index));
    }
    let root_at = head.map_or(0, |head| head.size);
    let question =
        GetReplicaRequest { shard, at_least_index, verify: true, verify_change_log: true, chain_at: 0, root_at };
    let mut read = BTreeMap::new();
    for node in nodes {
        read.insert(node, members.replica(node, question).await);
    }
    let compared_at = read.values().flatten().map(|replica| replica.change_log_seq).min().unwrap_or(0);
    let mut rows = Vec::new();
    for (node, replica) in read {
        rows.push(match replica {
            Ok(mut replica) => {
                replica.breaches.extend(head.and_then(|head| not_of_head(head, &replica)));
                row_of(members, shard, node, replica, compared_at).await
            }
            Err(failure) => {
                let breaches = vec![format!("it could not be read: {failure}")];
                ReplicaRow { shard, node, from: 0, through: 0, compared_at, hash: String::new(), breaches }
            }
        });
    }
    compare(&mut rows);
    rows
}

/// What a replica has of another history than the head that was kept.
fn not_of_head(head: &TreeHead, replica: &GetReplicaResponse) -> Option<String> {
    let size = head.size;
    match replica.root.as_slice() {
        root if root == head.root => None,
        [] if replica.change_log_seq < size => {
            Some(format!("it has {} events, and the head that was kept has {size}", replica.change_log_seq))
        }
        // What is not kept here cannot be compared here; that is no fault.
        [] => None,
        _ => Some(format!("its first {size} events are others than those of the head that was kept")),
    }
}

async fn row_of(members: &Members, shard: u32, node: u64, replica: GetReplicaResponse, compared_at: u64) -> ReplicaRow {
    let mut breaches = replica.breaches;
    let mut hash = replica.change_log_hash;
    if replica.change_log_seq != compared_at {
        let question = GetReplicaRequest { shard, chain_at: compared_at, ..GetReplicaRequest::default() };
        match members.replica(node, question).await {
            Ok(replica) => {
                breaches.extend(replica.breaches);
                hash = replica.chain_hash;
            }
            Err(failure) => {
                breaches.push(format!("event {compared_at} could not be read: {failure}"));
                hash = Vec::new();
            }
        }
    }
    let (from, through) = (replica.change_log_floor, replica.change_log_seq);
    ReplicaRow { shard, node, from, through, compared_at, hash: hex(&hash), breaches }
}

/// A breach for each replica that has another event than most have there.
fn compare(rows: &mut [ReplicaRow]) {
    let mut votes: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.hash.is_empty()) {
        *votes.entry(row.hash.clone()).or_default() += 1;
    }
    let most = votes.values().copied().max().unwrap_or(0);
    let is_of_most = |hash: &str| votes.get(hash) == Some(&most) && most * 2 > votes.values().sum();
    if votes.len() < 2 {
        return;
    }
    for row in rows.iter_mut().filter(|row| !row.hash.is_empty() && !is_of_most(&row.hash)) {
        row.breaches
            .push(format!("its history differs from that of other replicas at event {} or before", row.compared_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breached(hashes: &[&str]) -> Vec<u64> {
        let row = |(node, hash): (u64, &&str)| ReplicaRow {
            shard: 0,
            node,
            from: 1,
            through: 9,
            compared_at: 9,
            hash: (*hash).to_owned(),
            breaches: Vec::new(),
        };
        let mut rows: Vec<ReplicaRow> = (1..).zip(hashes).map(row).collect();
        compare(&mut rows);
        rows.into_iter().filter(|row| !row.breaches.is_empty()).map(|row| row.node).collect()
    }

    #[test]
    fn a_replica_with_another_history_than_a_kept_head_or_a_shorter_one_is_named() {
        let replica = |root: &[u8], change_log_seq| GetReplicaResponse {
            root: root.to_vec(),
            change_log_seq,
            ..GetReplicaResponse::default()
        };
        let head = TreeHead { size: 9, root: vec![7; 32], ..TreeHead::default() };
        let told = |root: &[u8], seq| not_of_head(&head, &replica(root, seq)).unwrap_or_default();
        assert_eq!(told(&[7; 32], 12), "");
        assert_eq!(told(&[], 12), "", "its first events are not kept here");
        assert!(told(&[8; 32], 12).contains("first 9 events are others"));
        assert!(told(&[], 8).contains("has 8 events"));
    }

    #[test]
    fn the_replica_with_another_history_is_named_and_all_where_no_majority_has_one() {
        assert_eq!(breached(&["aa", "aa", "aa"]), Vec::<u64>::new());
        assert_eq!(breached(&["aa", "bb", "aa"]), [2]);
        assert_eq!(breached(&["aa", "bb"]), [1, 2]);
        assert_eq!(breached(&["aa", "bb", "cc"]), [1, 2, 3]);
        assert_eq!(breached(&["aa", "", "aa"]), Vec::<u64>::new(), "what is not kept is not compared");
    }
}
