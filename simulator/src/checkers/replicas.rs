//! The replicas of a shard are one: equal positions of the log mean equal states and equal change logs, during the run and
//! in the end, and each replica keeps every invariant.

use std::collections::BTreeMap;

use holdfast_proto::v1::{GetReplicaResponse, ShardTotals};

use super::Finding;

const NAME: &str = "replicas";

/// Positions that are remembered of a group while it runs.
const REMEMBERED: usize = 4_096;

/// The states that were seen at the positions of each group's log, while the run goes on.
#[derive(Debug, Default)]
pub struct Positions {
    digests: BTreeMap<u64, BTreeMap<u64, (u64, Vec<u8>)>>,
    findings: Vec<Finding>,
}

impl Positions {
    /// A replica of a group was seen at a position.
    pub fn see(&mut self, group: u64, node: u64, index: u64, digest: &[u8]) {
        let digests = self.digests.entry(group).or_default();
        match digests.get(&index) {
            None => {
                digests.insert(index, (node, digest.to_vec()));
                if digests.len() > REMEMBERED {
                    digests.pop_first();
                }
            }
            Some((_, first)) if first == digest => {}
            Some((other, _)) => {
                let what = format!("group {group}: nodes {other} and {node} differ at position {index}");
                if self.findings.len() < REMEMBERED {
                    self.findings.push(Finding::new(NAME, what));
                }
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// Judges what the nodes say of their replicas of a shard, all at one position.
#[must_use]
pub fn check(shard: u32, replicas: &BTreeMap<u64, GetReplicaResponse>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(NAME, format!("shard {shard}: {what}")));
    let Some((first_node, first)) = replicas.first_key_value() else {
        find("no replica".to_owned());
        return findings;
    };
    for (node, replica) in replicas {
        if replica.applied_index != first.applied_index {
            find(format!("node {node} is at {}, node {first_node} at {}", replica.applied_index, first.applied_index));
            continue;
        }
        let of = |replica: &GetReplicaResponse| {
            (replica.digest.clone(), replica.change_log_hash.clone(), replica.change_log_seq, replica.log_time_ms)
        };
        if of(replica) != of(first) || replica.totals != first.totals {
            find(format!("node {node} differs from node {first_node} at position {}", replica.applied_index));
        }
        for breach in &replica.breaches {
            find(format!("node {node} breaches {breach}"));
        }
        if !replica.halted.is_empty() {
            find(format!("it takes no commands, as node {node} has it: {}", replica.halted));
        }
    }
    match &first.totals {
        None => find("no totals".to_owned()),
        Some(totals) => conserve(totals, &mut find),
    }
    findings
}

/// H-QTY and H-CONSERVE over the sums of a shard.
fn conserve(totals: &ShardTotals, find: &mut impl FnMut(String)) {
    let parts = totals.free + totals.reserved + totals.committed + totals.damaged + totals.quality_control;
    if totals.on_hand != parts {
        find(format!("H-QTY: {} on hand, {parts} in its parts", totals.on_hand));
    }
    let came = i128::from(totals.received) + i128::from(totals.adjusted) + i128::from(totals.returned);
    let left = i128::from(totals.on_hand) + i128::from(totals.fulfilled) + i128::from(totals.in_transit);
    if i128::from(totals.sent) != i128::from(totals.arrived) + i128::from(totals.in_transit) {
        find(format!(
            "H-CONSERVE: {} units were sent, {} arrived and {} are in transit",
            totals.sent, totals.arrived, totals.in_transit
        ));
    }
    if came != left {
        find(format!("H-CONSERVE: {came} units came, {left} are there or left"));
    }
    if i128::from(totals.sold) > came {
        find(format!("{} units are sold of {came} that came", totals.sold));
    }
    if totals.unbalanced != 0 {
        find(format!("{} SKUs do not balance", totals.unbalanced));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica() -> GetReplicaResponse {
        let totals =
            ShardTotals { on_hand: 7, free: 4, committed: 3, received: 9, fulfilled: 2, sold: 5, ..Default::default() };
        GetReplicaResponse { applied_index: 9, digest: vec![1], totals: Some(totals), ..Default::default() }
    }

    fn findings(other: GetReplicaResponse) -> usize {
        check(0, &BTreeMap::from([(1, replica()), (2, other)])).len()
    }

    #[test]
    fn equal_replicas_are_good() {
        assert_eq!(findings(replica()), 0);
    }

    #[test]
    fn replicas_that_differ_are_found() {
        assert_eq!(findings(GetReplicaResponse { digest: vec![2], ..replica() }), 1);
        assert_eq!(findings(GetReplicaResponse { change_log_hash: vec![2], ..replica() }), 1);
        assert_eq!(findings(GetReplicaResponse { change_log_seq: 2, ..replica() }), 1);
        assert_eq!(findings(GetReplicaResponse { applied_index: 8, ..replica() }), 1);
    }

    #[test]
    fn breaches_and_sums_that_do_not_add_up_are_found() {
        assert_eq!(findings(GetReplicaResponse { breaches: vec!["H-ATP".to_owned()], ..replica() }), 1);
        assert_eq!(findings(GetReplicaResponse { halted: "[H-ATP] nothing".to_owned(), ..replica() }), 1);
        let lost = |totals: ShardTotals| {
            let replica = GetReplicaResponse { totals: Some(totals), ..replica() };
            check(0, &BTreeMap::from([(1, replica)])).len()
        };
        let totals = replica().totals.unwrap_or_default();
        assert_eq!(lost(totals), 0);
        assert_eq!(lost(ShardTotals { free: 5, ..totals }), 1);
        assert_eq!(lost(ShardTotals { received: 8, ..totals }), 1);
        assert_eq!(lost(ShardTotals { sold: 10, ..totals }), 1);
        assert_eq!(lost(ShardTotals { sent: 1, ..totals }), 1);
    }

    #[test]
    fn two_states_at_one_position_of_a_running_group_are_found() {
        let mut positions = Positions::default();
        positions.see(1, 1, 5, &[1]);
        positions.see(1, 2, 5, &[1]);
        positions.see(2, 2, 5, &[2]);
        assert_eq!(positions.findings(), []);
        positions.see(1, 3, 5, &[2]);
        assert_eq!(positions.findings().len(), 1);
    }
}
