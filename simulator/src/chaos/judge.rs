//! The judgement of a season: the simulator's checkers, with what the nodes were seen to hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_proto::v1::GetReplicaResponse;

use crate::checkers::healed::Promise;
use crate::checkers::{Finding, Inventory, LogTimeBound, check_history, conservation, exactly_once, healed, replicas};
use crate::history::{Asked, History, StockSeen};

/// What a cluster that is whole again owes its clients.
const ANSWERS_WITHIN: Duration = Duration::from_secs(8);

/// What is known of a season.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What its customers saw.
    pub history: &'a History,
    /// How log time stands to the history's time.
    pub bound: LogTimeBound,
    /// What stands in the end; of the whole cluster. `None`: it could not be read.
    pub inventory: Option<&'a Inventory>,
    /// By shard, its replicas at one position.
    pub replicas: &'a BTreeMap<u32, BTreeMap<u64, GetReplicaResponse>>,
    /// From when on every operation must be answered, and well.
    pub serves_from_us: u64,
    /// When the customers had left.
    pub closed_us: u64,
}

/// Judges a season.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Evidence { history, bound, .. } = evidence;
    let mut findings = Vec::new();
    for (shard, of_shard) in evidence.replicas {
        findings.extend(replicas::check(*shard, of_shard));
    }
    findings.extend(check_history(history, bound));
    if history.dropped > 0 {
        // What is not in the history would be missed by the rest too.
        return findings;
    }
    let promise = Promise { grace: Duration::ZERO, answer: ANSWERS_WITHIN };
    // What was read of everything later on took as long as there is much of it.
    let of_customers = history.records.iter().filter(|record| record.call_us < evidence.closed_us);
    let of_customers = History { records: of_customers.cloned().collect(), dropped: 0 };
    findings.extend(healed::check(&of_customers, evidence.serves_from_us, evidence.closed_us, &promise));
    if let Some(inventory) = evidence.inventory {
        let inventory = of_season(inventory, history);
        findings.extend(exactly_once::check_effects(history, &inventory));
        findings.extend(conservation::check(history, &inventory));
    }
    findings
}

/// The SKUs that a history is about.
#[must_use]
pub fn skus(history: &History) -> BTreeSet<&str> {
    let commands = history.records.iter().filter_map(|record| match &record.asked {
        Asked::Commands(commands) => Some(commands),
        Asked::Read(..) => None,
    });
    commands.flatten().flat_map(|command| command.request.skus()).collect()
}

/// What of the cluster's stock is a season's: its SKUs, and the reservations of them.
fn of_season(inventory: &Inventory, history: &History) -> Inventory {
    let skus = skus(history);
    let stocks = inventory.stocks.iter().filter(|(sku, _)| skus.contains(sku.as_str()));
    let is_ours = |lines: &[crate::history::LineSeen]| lines.iter().any(|line| skus.contains(line.sku.as_str()));
    let reservations = inventory.reservations.iter().filter(|(_, seen)| is_ours(&seen.lines));
    Inventory {
        stocks: stocks.map(|(sku, stock)| (sku.clone(), *stock)).collect(),
        // Nobody outside is called by these nodes: `sagas` judges simulated runs.
        orders: BTreeMap::new(),
        reservations: reservations.map(|(id, seen)| (*id, seen.clone())).collect(),
    }
}

/// What earlier seasons have left, which no later one may change: holds may still expire, but what was sold, shipped, received
/// or counted stays.
#[derive(Debug, Default)]
pub struct Kept(BTreeMap<String, [u64; 3]>);

impl Kept {
    /// Compares what stands with what was there, and keeps what a season adds.
    pub fn check(&mut self, inventory: &Inventory, season: &History) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (sku, kept) in &self.0 {
            let now = inventory.stocks.get(sku).map(left);
            if now != Some(*kept) {
                let what = format!("{sku} had {kept:?} units received, sold and shipped after its season, now {now:?}");
                findings.push(Finding::new("kept", what));
            }
        }
        for sku in skus(season) {
            if let Some(stock) = inventory.stocks.get(sku) {
                self.0.insert(sku.to_owned(), left(stock));
            }
        }
        findings
    }
}

fn left(stock: &StockSeen) -> [u64; 3] {
    [stock.received, stock.committed, stock.fulfilled]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{BOUND, Story, commit, done, phase, receive, stock};
    use crate::history::{Id, LineSeen, Phase, ReservationSeen};

    fn sold_three() -> Story {
        Story::stocked().held(2, 10, 12, 3, 7).command(3, 20, 22, commit(2), phase(2, 7, Phase::Committed))
    }

    fn inventory() -> Inventory {
        let line = LineSeen { sku: "A".to_owned(), committed: 3, ..LineSeen::default() };
        let seen = ReservationSeen { phase: Phase::Committed, expires_at_ms: 0, revision: 2, lines: vec![line] };
        let other = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines: Vec::new() };
        Inventory {
            stocks: BTreeMap::from([("A".to_owned(), stock(0, 3, 3)), ("OTHER".to_owned(), stock(2, 2, 9))]),
            reservations: BTreeMap::from([(Id(2), seen), (Id(99), other)]),
            ..Inventory::default()
        }
    }

    fn judged(history: &History) -> Vec<Finding> {
        let (replicas, inventory) = (BTreeMap::new(), inventory());
        let (inventory, replicas) = (Some(&inventory), &replicas);
        judge(&Evidence { history, bound: BOUND, inventory, replicas, serves_from_us: 0, closed_us: 1_000_000 })
    }

    #[test]
    fn a_season_is_judged_by_its_own_stock() {
        assert_eq!(judged(&sold_three().0), []);
    }

    #[test]
    fn an_acknowledgement_that_the_cluster_never_had_is_found() {
        let lie = sold_three().command(9, 30, 32, receive("A", 4), done(4, 11));
        let found: Vec<&str> = judged(&lie.0).iter().map(|finding| finding.checker).collect();
        assert!(found.contains(&"conservation"), "{found:?}");
    }

    #[test]
    fn what_an_earlier_season_has_left_must_stay() {
        let mut kept = Kept::default();
        assert_eq!(kept.check(&inventory(), &sold_three().0), []);
        assert_eq!(kept.check(&inventory(), &History::default()), []);
        let mut changed = inventory();
        changed.stocks.insert("A".to_owned(), stock(0, 0, 3));
        assert_eq!(kept.check(&changed, &History::default()).len(), 1);
        assert_eq!(kept.check(&Inventory::default(), &History::default()).len(), 1);
    }
}
