//! Is a sale what it must be? Nothing sold that it was not given, nobody more than they may have, and the replicas sound.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_client::{Client, Consistency};
use holdfast_proto::v1::{self, GetReplicaRequest};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::report::reservations_of;
use super::{allocations, campaign, limit_of};
use crate::connect::failure_of;
use crate::failure::Failure;
use crate::members::Members;

/// How long parts of reservations may take to follow on their shards, while the sale goes on.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verified {
    pub sale: String,
    pub sound: bool,
    pub granted: u64,
    pub held: u64,
    pub sold: u64,
    /// Reservations that were added up.
    pub reservations: u64,
    /// Customers whose counts were compared with the limits.
    pub customers: u64,
    /// Replicas whose invariants were recomputed and whose change logs were read back.
    pub replicas: u64,
    pub breaches: Vec<String>,
}

/// Units held and sold, by SKU and location.
type Sums = BTreeMap<(String, String), (u64, u64)>;

/// Looks. `customers`: those whose counts are compared with the limits of the sale.
pub async fn verify(
    client: &Client,
    members: &Members,
    id: &str,
    customers: &BTreeSet<String>,
) -> Result<Verified, Failure> {
    campaign(client, id).await?;
    let deadline = Instant::now() + SETTLED_WITHIN;
    let (found, reservations, mut breaches) = loop {
        let before = allocations(client, id).await?;
        let reservations = reservations_of(client, id).await?;
        let after = allocations(client, id).await?;
        let breaches = compare(&after, &sums_of(&reservations));
        if breaches.is_empty() && before == after {
            break (after, reservations, breaches);
        }
        if Instant::now() >= deadline {
            // While it sells on, what was read in between moves; what was given to it does not.
            let is_moving = before != after;
            let only_taken = compare(&after, &Sums::new());
            break (after, reservations, if is_moving { only_taken } else { breaches });
        }
        sleep(LOOK_AGAIN).await;
    };
    let skus: BTreeSet<&str> = found.iter().map(|of| of.sku.as_str()).collect();
    for sku in &skus {
        breaches.extend(over_limit(client, id, sku, customers).await?);
    }
    let shards: BTreeSet<u32> = skus.iter().map(|sku| client.shard_of(sku)).collect();
    let mut replicas = 0;
    for shard in shards {
        let (read, broken) = read_back(members, shard).await;
        replicas += read;
        breaches.extend(broken);
    }
    let sum = |of: fn(&v1::Allocation) -> u64| found.iter().map(of).sum::<u64>();
    Ok(Verified {
        sale: id.to_owned(),
        sound: breaches.is_empty(),
        granted: sum(|of| of.granted),
        held: sum(|of| of.held),
        sold: sum(|of| of.sold),
        reservations: reservations.len() as u64,
        customers: customers.len() as u64,
        replicas,
        breaches,
    })
}

fn sums_of(reservations: &[v1::Reservation]) -> Sums {
    let mut sums = Sums::new();
    for line in reservations.iter().flat_map(|reservation| &reservation.lines) {
        let sum = sums.entry((line.sku.clone(), line.location_id.clone())).or_default();
        sum.0 += line.held + line.backordered + line.short;
        sum.1 += line.committed + line.backordered_sold + line.short_sold + line.fulfilled;
    }
    sums
}

/// What a sale has against what it was given, and against its reservations: those that ended long ago are not remembered, so that
/// more may be sold than they say, but never less.
fn compare(found: &[v1::Allocation], sums: &Sums) -> Vec<String> {
    let mut breaches = Vec::new();
    for of in found {
        let v1::Allocation { sku, location_id, granted, held, sold, .. } = of;
        if held + sold > *granted {
            breaches.push(format!("{sku} at {location_id}: {held} held and {sold} sold of {granted}"));
        }
        let (of_lines, sold_by_lines) = sums.get(&(sku.clone(), location_id.clone())).copied().unwrap_or_default();
        if of_lines > *held || sold_by_lines > *sold {
            breaches.push(format!(
                "{sku} at {location_id}: its reservations hold {of_lines} and have bought {sold_by_lines}, it counts {held} and {sold}"
            ));
        }
    }
    let known: BTreeSet<(&str, &str)> = found.iter().map(|of| (of.sku.as_str(), of.location_id.as_str())).collect();
    for ((sku, location), (held, sold)) in sums {
        if held + sold > 0 && !known.contains(&(sku.as_str(), location.as_str())) {
            breaches.push(format!("{sku} at {location}: {held} held and {sold} sold, and nothing was granted"));
        }
    }
    breaches
}

/// Customers who have more than the sale's limit of a SKU.
async fn over_limit(
    client: &Client,
    id: &str,
    sku: &str,
    customers: &BTreeSet<String>,
) -> Result<Vec<String>, Failure> {
    let ours = limit_of(id, sku);
    let mut breaches = Vec::new();
    for customer in customers {
        let limits = client.reader(Consistency::Linearizable).limits(sku, customer).await.map_err(failure_of)?.value;
        for limit in limits.iter().filter(|limit| limit.limit_id == ours) {
            let has = limit.count.as_ref().map_or(0, |count| count.held + count.bought);
            if has > u64::from(limit.units) {
                breaches.push(format!("{sku}: {customer} has {has} of {} allowed", limit.units));
            }
        }
    }
    Ok(breaches)
}

/// Has every replica of a shard read its change log back and recompute its invariants; how many did, and what is broken.
async fn read_back(members: &Members, shard: u32) -> (u64, Vec<String>) {
    let question = GetReplicaRequest { shard, verify: true, verify_change_log: true, ..GetReplicaRequest::default() };
    let (mut read, mut broken) = (0, Vec::new());
    for (node, _) in members.nodes() {
        match members.replica(node, question).await {
            Ok(replica) => {
                read += 1;
                broken.extend(replica.breaches.iter().map(|breach| format!("shard {shard} on node {node}: {breach}")));
            }
            Err(failure) => broken.push(format!("shard {shard} could not be read back: {failure}")),
        }
    }
    (read, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(granted: u64, held: u64, sold: u64) -> v1::Allocation {
        v1::Allocation {
            sku: "LIP".to_owned(),
            location_id: "main".to_owned(),
            granted,
            held,
            sold,
            ..v1::Allocation::default()
        }
    }

    fn sums(held: u64, sold: u64) -> Sums {
        [(("LIP".to_owned(), "main".to_owned()), (held, sold))].into()
    }

    #[test]
    fn a_sale_is_sound_where_its_reservations_have_what_it_counts_or_less() {
        assert_eq!(compare(&[allocation(10, 2, 8)], &sums(2, 8)), Vec::<String>::new());
        assert_eq!(compare(&[allocation(10, 0, 8)], &sums(0, 3)), Vec::<String>::new(), "5 were forgotten since");
    }

    #[test]
    fn units_beyond_what_was_granted_or_counted_are_breaches() {
        assert_eq!(compare(&[allocation(10, 3, 8)], &sums(3, 8)).len(), 1);
        assert_eq!(compare(&[allocation(10, 1, 8)], &sums(2, 8)).len(), 1);
        assert_eq!(compare(&[allocation(10, 2, 7)], &sums(2, 8)).len(), 1);
        assert_eq!(compare(&[], &sums(0, 1)).len(), 1);
    }
}
