//! What the cluster itself says happened: the stock and the reservations of every shard, read from every replica and
//! compared.
//!
//! Promises to judge only replicas that stand at the same position of the log. Leaves to its callers what should be there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_proto::v1::{
    Consistency, ConsistencyToken, GetReplicaRequest, GetReplicaResponse, ListReservationsRequest, ListStockRequest,
    Reservation, StockLevel, consistency::Level,
};
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::members::Members;

/// How long the replicas of a shard have to stand at the same position.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
const PAGE: u32 = 1_000;
/// Breaches kept to be shown.
const MAX_SHOWN: usize = 20;

/// What was found on all replicas of all shards.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// All replicas of each shard have the same digest, change log and stock at the same position.
    pub identical: bool,
    /// SKUs whose quantities do not add up on some replica.
    pub unbalanced: BTreeSet<String>,
    /// Units promised or shipped beyond what ever came in, over all SKUs.
    pub oversold: u64,
    /// What is wrong, in words; bounded.
    pub breaches: Vec<String>,
    /// The levels of each SKU at each location.
    pub levels: BTreeMap<(String, String), StockLevel>,
    /// Commands that the shards have decided, over their life.
    pub commands: u64,
}

impl Findings {
    fn breach(&mut self, words: String) {
        if self.breaches.len() < MAX_SHOWN {
            self.breaches.push(words);
        }
    }
}

/// Reads and compares every replica of every shard. The cluster should be at rest.
pub async fn inspect(members: &Members, shards: u32) -> Result<Findings, Failure> {
    let mut findings = Findings { identical: true, ..Findings::default() };
    for shard in 0..shards {
        let settled = settle(members, shard).await?;
        compare(shard, &settled, &mut findings);
        let mut first: Option<Vec<StockLevel>> = None;
        for &node in settled.keys() {
            let levels = levels_of(members, node, shard).await?;
            for level in &levels {
                check_balance(node, level, &mut findings);
            }
            match &first {
                None => first = Some(levels),
                Some(other) if *other == levels => {}
                Some(_) => {
                    findings.identical = false;
                    findings.breach(format!("shard {shard}: the stock on node {node} differs"));
                }
            }
        }
        for level in first.unwrap_or_default() {
            findings.oversold += oversold(&level);
            findings.levels.insert((level.sku.clone(), level.location_id.clone()), level);
        }
    }
    Ok(findings)
}

/// The replicas of a shard at one common position.
async fn settle(members: &Members, shard: u32) -> Result<BTreeMap<u64, GetReplicaResponse>, Failure> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let mut replicas = BTreeMap::new();
        let mut failure = None;
        let mut at_least_index = 0;
        for (node, _) in members.nodes() {
            match members
                .replica(
                    node,
                    GetReplicaRequest {
                        shard,
                        at_least_index,
                        verify: true,
                        verify_change_log: true,
                        chain_at: 0,
                        root_at: 0,
                    },
                )
                .await
            {
                Ok(replica) => {
                    at_least_index = at_least_index.max(replica.applied_index);
                    replicas.insert(node, replica);
                }
                Err(error) => failure = Some(error),
            }
        }
        let mut positions = replicas.values().map(|replica| replica.applied_index);
        let first = positions.next();
        if failure.is_none() && positions.all(|position| Some(position) == first) {
            return Ok(replicas);
        }
        if Instant::now() > deadline {
            return Err(failure.unwrap_or_else(|| {
                Failure::unavailable(format!("the replicas of shard {shard} do not come to rest at one position"))
            }));
        }
        sleep(POLL).await;
    }
}

fn compare(shard: u32, replicas: &BTreeMap<u64, GetReplicaResponse>, findings: &mut Findings) {
    let Some(first) = replicas.values().next() else { return };
    let decided = first.totals.as_ref().map_or(0, |totals| totals.commands);
    findings.commands += decided;
    for (node, replica) in replicas {
        let same = replica.digest == first.digest
            && replica.change_log_seq == first.change_log_seq
            && replica.change_log_hash == first.change_log_hash
            && replica.totals == first.totals;
        if !same {
            findings.identical = false;
            findings.breach(format!("shard {shard}: node {node} differs at index {}", replica.applied_index));
        }
        for breach in &replica.breaches {
            findings.breach(format!("shard {shard} on node {node}: {breach}"));
        }
    }
}

async fn levels_of(members: &Members, node: u64, shard: u32) -> Result<Vec<StockLevel>, Failure> {
    let mut levels = Vec::new();
    let mut after_sku = String::new();
    loop {
        let request = ListStockRequest { shard, after_sku, limit: PAGE, consistency: Some(stale()) };
        let page = members.stock(node, request).await?;
        levels.extend(page.levels);
        if !page.more {
            return Ok(levels);
        }
        after_sku = page.last_sku;
    }
}

/// Every reservation of every shard, as one node has it, oldest first within a shard. Call after [`inspect`].
pub async fn reservations(members: &Members, shards: u32) -> Result<Vec<Reservation>, Failure> {
    let (node, _) = members.nodes().next().ok_or_else(|| Failure::usage("the cluster has no nodes"))?;
    let mut reservations = Vec::new();
    for shard in 0..shards {
        let mut page_token = String::new();
        loop {
            let request = ListReservationsRequest {
                shard,
                page_token,
                limit: PAGE,
                consistency: Some(stale()),
                ..ListReservationsRequest::default()
            };
            let page = members.reservations(node, request).await?;
            reservations.extend(page.reservations);
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
    }
    Ok(reservations)
}

/// This very node's replica, as it stands.
const fn stale() -> Consistency {
    Consistency { level: Some(Level::Stale(true)) }
}

/// `shard:index`, as `--consistency at-least:…` and replies write it.
pub fn token_text(token: &ConsistencyToken) -> String {
    format!("{}:{}", token.shard, token.applied_index)
}

fn check_balance(node: u64, level: &StockLevel, findings: &mut Findings) {
    if !is_balanced(level) {
        findings.unbalanced.insert(level.sku.clone());
        findings.breach(format!("node {node}: the quantities of {} do not add up: {level:?}", level.sku));
    }
}

/// Everything that came to a place, less what was sent on to another.
fn came_in(level: &StockLevel) -> i128 {
    let came = i128::from(level.received) + i128::from(level.adjusted) + i128::from(level.returned);
    came + i128::from(level.arrived) - i128::from(level.sent)
}

/// What came in is on hand or gone out, and what is on hand is free or spoken for.
fn is_balanced(level: &StockLevel) -> bool {
    let parts = [level.free, level.reserved, level.committed, level.damaged, level.quality_control];
    let spoken_for: u128 = parts.into_iter().map(u128::from).sum();
    came_in(level) == i128::from(level.on_hand) + i128::from(level.fulfilled) && u128::from(level.on_hand) == spoken_for
}

/// Units held, sold or shipped beyond what ever came in.
fn oversold(level: &StockLevel) -> u64 {
    let promised = i128::from(level.reserved) + i128::from(level.committed) + i128::from(level.fulfilled);
    u64::try_from(promised - came_in(level)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level() -> StockLevel {
        StockLevel {
            sku: "A".into(),
            on_hand: 7,
            reserved: 1,
            committed: 2,
            damaged: 1,
            free: 3,
            received: 10,
            adjusted: -1,
            fulfilled: 3,
            returned: 1,
            ..StockLevel::default()
        }
    }

    #[test]
    fn quantities_that_add_up_are_balanced_and_each_unit_too_many_is_not() {
        assert!(is_balanced(&level()));
        assert!(!is_balanced(&StockLevel { free: 4, ..level() }));
        assert!(!is_balanced(&StockLevel { fulfilled: 4, ..level() }));
        assert!(is_balanced(&StockLevel { arrived: 5, sent: 5, ..level() }));
        assert!(!is_balanced(&StockLevel { sent: 1, ..level() }));
    }

    #[test]
    fn what_is_promised_beyond_what_came_in_is_oversold() {
        assert_eq!(oversold(&level()), 0);
        assert_eq!(oversold(&StockLevel { committed: 9, ..level() }), 3);
    }
}
