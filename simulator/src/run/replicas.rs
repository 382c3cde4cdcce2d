//! The judgement of the replicas after a run: each of a shard's replicas verifies itself, and equal positions of the log
//! must mean equal digests.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_client::Client;
use holdfast_proto::v1::{GetReplicaRequest, GetReplicaResponse, ShardTotals};
use tokio::time::Instant;

/// How long replicas may take to come to the same position once nothing is asked of them any more.
const SETTLE: Duration = Duration::from_secs(60);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What the replicas of all shards say.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    /// The sums over all shards, by any replica.
    pub totals: ShardTotals,
    /// Everything that is not as it must be.
    pub findings: Vec<String>,
}

/// Asks every node for its replica of every shard until they stand at the same position, then judges them.
pub(super) async fn judge(client: Client, nodes: Vec<u64>, shards: u32) -> Verdict {
    let mut verdict = Verdict::default();
    for shard in 0..shards {
        match at_one_position(&client, &nodes, shard).await {
            Err(finding) => verdict.findings.push(format!("shard {shard}: {finding}")),
            Ok(replicas) => verdict.take_shard(shard, &replicas),
        }
    }
    verdict
}

async fn at_one_position(
    client: &Client,
    nodes: &[u64],
    shard: u32,
) -> Result<BTreeMap<u64, GetReplicaResponse>, String> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let mut replicas = BTreeMap::new();
        let mut failure = None;
        for node in nodes {
            let question = GetReplicaRequest { shard, at_least_index: 0, verify: true };
            match client.replica(*node, question, ASK_TIMEOUT).await {
                Ok(replica) => drop(replicas.insert(*node, replica)),
                Err(error) => failure = Some(format!("node {node}: {error}")),
            }
        }
        let positions: Vec<u64> = replicas.values().map(|replica| replica.applied_index).collect();
        if failure.is_none() && positions.iter().all(|position| *position == positions[0]) {
            return Ok(replicas);
        }
        if Instant::now() > deadline {
            return Err(failure.unwrap_or_else(|| format!("the replicas stay at the positions {positions:?}")));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

impl Verdict {
    fn take_shard(&mut self, shard: u32, replicas: &BTreeMap<u64, GetReplicaResponse>) {
        let Some(first) = replicas.values().next() else { return };
        for (node, replica) in replicas {
            if replica.digest != first.digest || replica.change_log_hash != first.change_log_hash {
                self.findings.push(format!(
                    "shard {shard}: node {node} differs from the others at position {}",
                    replica.applied_index
                ));
            }
            for breach in &replica.breaches {
                self.findings.push(format!("shard {shard}: node {node} breaches {breach}"));
            }
        }
        let Some(totals) = &first.totals else {
            self.findings.push(format!("shard {shard}: no totals"));
            return;
        };
        self.conserve(shard, totals);
        self.totals.on_hand += totals.on_hand;
        self.totals.received += totals.received;
        self.totals.reserved += totals.reserved;
        self.totals.committed += totals.committed;
        self.totals.fulfilled += totals.fulfilled;
        self.totals.sold += totals.sold;
        self.totals.commands += totals.commands;
        self.totals.reservations += totals.reservations;
    }

    /// H-QTY and H-CONSERVE over the sums of a shard.
    fn conserve(&mut self, shard: u32, totals: &ShardTotals) {
        let parts = totals.free + totals.reserved + totals.committed + totals.damaged + totals.quality_control;
        if totals.on_hand != parts {
            self.findings.push(format!("shard {shard}: H-QTY: {} on hand, {parts} in its parts", totals.on_hand));
        }
        let came = i128::from(totals.received) + i128::from(totals.adjusted) + i128::from(totals.returned);
        let left = i128::from(totals.on_hand) + i128::from(totals.fulfilled);
        if came != left {
            self.findings.push(format!("shard {shard}: H-CONSERVE: {came} units came, {left} are there or left"));
        }
        if totals.unbalanced != 0 {
            self.findings.push(format!("shard {shard}: {} SKUs do not balance", totals.unbalanced));
        }
    }
}
