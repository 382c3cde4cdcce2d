//! What happens to the cluster while customers shop: a storm of faults after a plan, or round after round of one kind. Either
//! ends with everything healed.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_client::Client;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Undo};
use super::plan::Planned;
use super::serving;
use crate::Dice;

/// How often the nodes are looked after.
const LOOK: Duration = Duration::from_millis(50);
/// How long customers shop before the fault of a round.
const CALM_MS: (u64, u64) = (300, 1_500);
/// A round in which some shard decides nothing for so long has failed.
const ROUND_WITHIN: Duration = Duration::from_secs(60);

/// What has happened.
#[derive(Debug, Default)]
pub struct Happened {
    /// How often each kind of fault has begun.
    pub faults: BTreeMap<String, u64>,
    /// In milliseconds, from the fault of each round on until every shard had decided something again.
    pub recoveries_ms: Vec<u64>,
    /// What must not be.
    pub findings: Vec<String>,
    /// Faults that could not begin.
    pub notes: Vec<String>,
}

impl Happened {
    async fn begin(&mut self, cluster: &mut Cluster, fault: &Planned) -> Option<Undo> {
        match cluster.begin(fault).await {
            Ok(undo) => {
                *self.faults.entry(fault.kind.clone()).or_default() += 1;
                Some(undo)
            }
            Err(why) => {
                self.notes.push(format!("{}: {why}", fault.kind));
                None
            }
        }
    }

    async fn end(&mut self, cluster: &mut Cluster, kind: &str, undo: Undo) {
        if let Err(why) = cluster.end(undo).await {
            self.findings.push(format!("the fault `{kind}` cannot be ended: {why}"));
        }
    }
}

/// Lets the faults of a plan happen, at their times; over when the time is over.
pub async fn storm(cluster: &mut Cluster, plan: &[Planned], time: Duration) -> Happened {
    let begun = Instant::now();
    let mut happened = Happened::default();
    let mut coming = plan.iter().peekable();
    let mut under_way: Vec<(&Planned, Undo)> = Vec::new();
    while begun.elapsed() < time {
        while let Some(fault) = coming.next_if(|fault| begun.elapsed() >= fault.at) {
            under_way.extend(happened.begin(cluster, fault).await.map(|undo| (fault, undo)));
        }
        while let Some(over) = under_way.iter().position(|(fault, _)| begun.elapsed() >= fault.ends()) {
            let (fault, undo) = under_way.remove(over);
            happened.end(cluster, &fault.kind, undo).await;
        }
        happened.findings.extend(cluster.look_after());
        sleep(LOOK).await;
    }
    for (fault, undo) in under_way {
        happened.end(cluster, &fault.kind, undo).await;
    }
    happened.findings.extend(cluster.look_after());
    happened
}

/// Lets a fault begin and end at once, so many times, each time once every shard decides again.
pub async fn rounds(cluster: &mut Cluster, client: &Client, kinds: &[String], count: u64, dice: &mut Dice) -> Happened {
    let mut happened = Happened::default();
    for round in 0..count {
        let calm_ends = Instant::now() + Duration::from_millis(dice.between(CALM_MS.0, CALM_MS.1));
        while Instant::now() < calm_ends {
            happened.findings.extend(cluster.look_after());
            sleep(LOOK).await;
        }
        let kind = kinds.get(dice.below(kinds.len() as u64) as usize).cloned().unwrap_or_default();
        let (node, seed) = (dice.below(cluster.node_ids().len() as u64) as usize, dice.next_u64());
        let fault = Planned { kind, at: Duration::ZERO, lasts: Duration::ZERO, node, seed };
        let begun = Instant::now();
        if let Some(undo) = happened.begin(cluster, &fault).await {
            happened.end(cluster, &fault.kind, undo).await;
        }
        match recovered(cluster, client, begun, &mut happened).await {
            Ok(()) => {
                let took = begun.elapsed().as_millis();
                happened.recoveries_ms.push(u64::try_from(took).unwrap_or(u64::MAX));
            }
            Err(why) => {
                happened.findings.push(format!("round {}: {why} after {} s", round + 1, ROUND_WITHIN.as_secs()));
                break;
            }
        }
    }
    happened
}

/// Waits until every shard decides, and looks after the nodes meanwhile.
async fn recovered(
    cluster: &mut Cluster,
    client: &Client,
    begun: Instant,
    happened: &mut Happened,
) -> Result<(), String> {
    let decided = serving::decide(client, begun + ROUND_WITHIN);
    tokio::pin!(decided);
    loop {
        tokio::select! {
            biased;
            decided = &mut decided => return decided,
            () = sleep(LOOK) => happened.findings.extend(cluster.look_after()),
        }
    }
}
