//! What stands after a run: what became of the commands that were given up, then every node's replica of every shard, all stocks
//! and all reservations, read at one position of each shard's log.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use holdfast_client::{Client, Consistency, Error, Orders, Reservations};
use holdfast_proto::v1::{GetReplicaRequest, GetReplicaResponse};
use tokio::time::Instant;

use crate::checkers::Inventory;
use crate::history::{
    Asked, Command, Freshness, History, Id, Outcome, Recorder, Seen, SharedHistory, Standing, Subject, operations,
};
use crate::workloads::{ask_again, level, name_of, order, reservation};

/// How long replicas may take to come to the same position once nothing is asked of them any more.
const SETTLE: Duration = Duration::from_secs(60);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// The most entries that are listed.
const MOST_LISTED: usize = 1_000_000;
/// Commands that were given up and are asked again at once.
const ASKED_AT_ONCE: usize = 16;

type Replicas = BTreeMap<u64, GetReplicaResponse>;

/// What was found to stand.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// By shard, the replicas at one position.
    pub replicas: BTreeMap<u32, Replicas>,
    /// Of all shards, at those positions.
    pub inventory: Inventory,
    /// Why it is not whole.
    pub troubles: Vec<String>,
}

/// Asks again, under its ids, whatever nobody knows the outcome of: who does is told what was decided, or has it decided now. With
/// many that may be done at any time, or never, a history is too much to decide. `recorder` gives each a recorder of its own.
pub(crate) async fn ask_unknown_again(client: &Client, history: &SharedHistory, recorder: impl Fn(u64) -> Recorder) {
    let unknown = unknown(&history.lock());
    stream::iter((0..).zip(unknown))
        .map(|(asker, commands)| {
            let recorder = recorder(asker);
            async move { ask_again(client, recorder, &commands).await }
        })
        .buffer_unordered(ASKED_AT_ONCE)
        .for_each(|_| async {})
        .await;
}

fn unknown(history: &History) -> Vec<Vec<Command>> {
    let operations = operations(history);
    let unknown = operations.iter().filter(|operation| operation.standing == Standing::Unknown);
    unknown
        .filter_map(|operation| match operation.asked {
            Asked::Commands(commands) => Some(commands.clone()),
            Asked::Read(..) => None,
        })
        .collect()
}

/// Asks until all replicas of each shard stand at one position, before and after everything was listed.
pub(crate) async fn audit(
    client: &Client,
    recorder: &Recorder,
    history: &SharedHistory,
    nodes: &[u64],
    shards: u32,
) -> Audit {
    let deadline = Instant::now() + SETTLE;
    let mut audit = Audit::default();
    loop {
        audit.troubles.clear();
        let before = audit.settle(client, nodes, shards, false, deadline).await;
        match list(client, recorder, history).await {
            Ok(inventory) => audit.inventory = inventory,
            Err(error) => audit.troubles.push(format!("the stock cannot be listed: {error}")),
        }
        let after = audit.settle(client, nodes, shards, true, deadline).await;
        if before == after && audit.troubles.is_empty() {
            return audit;
        }
        if Instant::now() > deadline {
            let what = format!("the shards do not come to rest: at {before:?}, then at {after:?}");
            audit.troubles.push(what);
            return audit;
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

impl Audit {
    /// The positions of the shards once their replicas agree and no part of a reservation has anything to hear; their change logs are
    /// read back if that is wanted. Waits for that before anything is listed: what is listed stands in the history each time.
    async fn settle(
        &mut self,
        client: &Client,
        nodes: &[u64],
        shards: u32,
        verify_change_log: bool,
        deadline: Instant,
    ) -> Vec<u64> {
        let mut positions = Vec::new();
        for shard in 0..shards {
            let question = GetReplicaRequest {
                shard,
                at_least_index: 0,
                verify: true,
                verify_change_log,
                chain_at: 0,
                root_at: 0,
            };
            match with_settled_parts(client, nodes, &question, deadline).await {
                Err(trouble) => self.troubles.push(format!("shard {shard}: {trouble}")),
                Ok(replicas) => {
                    positions.extend(replicas.values().next().map(|replica| replica.applied_index));
                    self.replicas.insert(shard, replicas);
                }
            }
        }
        positions
    }
}

/// Asks until no part of a reservation has anything to hear on the shard, which may take until log time has come to a deadline.
async fn with_settled_parts(
    client: &Client,
    nodes: &[u64],
    question: &GetReplicaRequest,
    deadline: Instant,
) -> Result<Replicas, String> {
    loop {
        let replicas = at_one_position(client, nodes, question, deadline).await?;
        let unsettled = replicas.values().map(|replica| replica.unsettled_parts).max().unwrap_or(0);
        if unsettled == 0 {
            return Ok(replicas);
        }
        if Instant::now() > deadline {
            return Err(format!("{unsettled} parts of reservations are not settled"));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

async fn at_one_position(
    client: &Client,
    nodes: &[u64],
    question: &GetReplicaRequest,
    deadline: Instant,
) -> Result<Replicas, String> {
    loop {
        let mut replicas = BTreeMap::new();
        let mut failure = None;
        for node in nodes {
            match client.replica(*node, *question, ASK_TIMEOUT).await {
                Ok(replica) => drop(replicas.insert(*node, replica)),
                Err(error) => failure = Some(format!("node {node}: {error}")),
            }
        }
        let positions: Vec<u64> = replicas.values().map(|replica| replica.applied_index).collect();
        if failure.is_none() && positions.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(replicas);
        }
        if Instant::now() > deadline {
            return Err(failure.unwrap_or_else(|| format!("the replicas stay at the positions {positions:?}")));
        }
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

/// Lists everything, and notes it in the history as a linearizable read of each thing that was ever asked for.
async fn list(client: &Client, recorder: &Recorder, history: &SharedHistory) -> Result<Inventory, Error> {
    let subjects = subjects(history);
    let tickets: Vec<_> = subjects
        .into_iter()
        .map(|subject| (recorder.call(Asked::Read(subject.clone(), Freshness::Linearizable)), subject))
        .collect();
    let listed = listed(client).await;
    for (ticket, subject) in tickets {
        let outcome = match &listed {
            Err(error) => Outcome::NotAdmitted(error.reason().name().to_owned()),
            Ok(inventory) => {
                let seen = match subject {
                    Subject::Stock(sku) => Seen::Stock(inventory.stocks.get(&sku).copied()),
                    Subject::Reservation(id) => Seen::Reservation(inventory.reservations.get(&id).cloned()),
                    // Those who count read them, and those who wait.
                    Subject::Count { .. } | Subject::Room(_) | Subject::Trace { .. } => continue,
                };
                Outcome::Seen { seen, position: None, log_time_ms: None }
            }
        };
        recorder.end(ticket, outcome);
    }
    listed
}

async fn listed(client: &Client) -> Result<Inventory, Error> {
    let reader = client.reader(Consistency::Linearizable);
    let levels = reader.stocks().take(MOST_LISTED).await?;
    let reservations = reader.reservations(Reservations::default()).take(MOST_LISTED).await?;
    let orders = reader.orders(Orders::default()).take(MOST_LISTED).await?;
    let id_of = |id: Option<holdfast_proto::v1::Id>| {
        let id = id.unwrap_or_default();
        Id(u128::from(id.high) << 64 | u128::from(id.low))
    };
    Ok(Inventory {
        stocks: levels.iter().map(|each| (name_of(each), level(each))).collect(),
        reservations: reservations
            .iter()
            .filter_map(|each| Some((id_of(each.reservation_id), reservation(each)?)))
            .collect(),
        orders: orders.iter().map(|each| (id_of(each.reservation_id), order(each))).collect(),
    })
}

/// Every SKU and every reservation that anybody asked for.
fn subjects(history: &SharedHistory) -> Vec<Subject> {
    let history = history.lock();
    let commands = history.records.iter().filter_map(|record| match &record.asked {
        Asked::Commands(commands) => Some(commands),
        Asked::Read(..) => None,
    });
    let mut subjects: Vec<Subject> = commands
        .flatten()
        .flat_map(|command| {
            let skus = command.request.skus().map(|sku| Subject::Stock(sku.to_owned()));
            skus.chain(command.request.reservation().map(Subject::Reservation)).collect::<Vec<_>>()
        })
        .collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, refused, unknown as nobody_knows};

    #[test]
    fn what_nobody_knows_the_outcome_of_is_asked_again_and_nothing_else() {
        let story = Story::stocked()
            .command(2, 5, 6, receive("A", 1), nobody_knows())
            .command(3, 7, 8, receive("A", 1), refused("UNKNOWN_SKU", &[]))
            .command(4, 9, 10, receive("A", 1), done(2, 11));
        let ids: Vec<u128> = unknown(&story.0).iter().map(|commands| commands[0].id.0).collect();
        assert_eq!(ids, [2]);
    }
}
