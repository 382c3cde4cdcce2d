//! What the loop asks for, and what must be on the shelves for it.

use std::collections::BTreeMap;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Command, CommandKey, PutItem, PutKit, Receive, Reserve};
use holdfast_proto::v1::Item;

use super::Plan;
use crate::certain::{Outcome, ask_until_certain};
use crate::connect;
use crate::demand::Demand;
use crate::failure::Failure;
use crate::output;
use crate::random::Random;

/// Units of each SKU: more than any run can hold.
const STOCK: u32 = 2_000_000_000;
const SET_UP_IN_FLIGHT: usize = 512;
/// Lines of a cart.
const CART: usize = 10;
/// How many kits there are. Each has the first SKU in it, and two others.
const KITS: usize = 100;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Hold one unit of a SKU.
    Reserve,
    /// Hold 10 SKUs over all shards, drawn evenly; with `--hot` one of them is the same for all.
    Carts,
    /// Hold one of 100 kits of three SKUs, one of which is in all of them.
    Kits,
}

impl Workload {
    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Carts => "carts",
            Self::Kits => "kits",
        }
    }
}

/// What is on the shelves.
pub(super) struct Shelves {
    workload: Workload,
    hot: bool,
    skus: Vec<String>,
    /// The numbers of each shard's SKUs, in order.
    by_shard: Vec<Vec<usize>>,
    kits: Vec<String>,
    /// Of SKUs, or of kits.
    demand: Demand,
}

impl Shelves {
    /// Those of a plan, on shards that say which SKU is theirs.
    ///
    /// # Errors
    ///
    /// There are too few SKUs.
    pub(super) fn of(plan: &Plan, shard_of: impl Fn(&str) -> u32) -> Result<Self, Failure> {
        let skus: Vec<String> = (0..plan.skus.max(1)).map(|n| format!("BENCH-{n:07}")).collect();
        let mut by_shard: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (number, sku) in skus.iter().enumerate() {
            by_shard.entry(shard_of(sku)).or_default().push(number);
        }
        let by_shard: Vec<Vec<usize>> = by_shard.into_values().collect();
        let is_enough = match plan.workload {
            Workload::Reserve => true,
            Workload::Carts => by_shard.iter().all(|skus| skus.len() >= CART.div_ceil(by_shard.len())),
            Workload::Kits => skus.len() >= 3,
        };
        if !is_enough {
            let few = format!("{} SKUs are too few for --workload {}", skus.len(), plan.workload.name());
            return Err(Failure::usage(few).hint("give more with --skus"));
        }
        let kits = if plan.workload == Workload::Kits { KITS } else { 0 };
        let kits: Vec<String> = (0..kits).map(|n| format!("BENCH-KIT-{n:03}")).collect();
        let wanted = if plan.workload == Workload::Kits { kits.len() } else { skus.len() };
        let demand = Demand::zipf(if plan.hot { 1 } else { wanted }, 1.0);
        Ok(Self { workload: plan.workload, hot: plan.hot, skus, by_shard, kits, demand })
    }

    /// Puts everything there; what is there already is right too.
    ///
    /// # Errors
    ///
    /// Something is refused, or stays uncertain.
    pub(super) async fn fill(&self, client: &Client) -> Result<(), Failure> {
        let bar = output::bar("stocking", (self.skus.len() + self.kits.len()) as u64);
        let stocked = futures_util::stream::iter(&self.skus)
            .map(|sku| async move {
                let item = Item { sku: sku.clone(), ..Item::default() };
                ask_until_certain(client, PutItem::new(item).if_absent().into(), CommandKey::Minted, super::WITHIN)
                    .await?;
                be_done(client, Receive::of(sku.clone(), STOCK).into(), sku).await
            })
            .buffer_unordered(SET_UP_IN_FLIGHT)
            .inspect(|_| bar.inc(1))
            .try_collect::<Vec<()>>();
        stocked.await?;
        let put = futures_util::stream::iter(self.kits.iter().enumerate())
            .map(|(number, kit)| async move {
                let put = self.recipe(number).into_iter().fold(PutKit::of(kit), |put, sku| put.component(sku, 1));
                be_done(client, put.into(), kit).await
            })
            .buffer_unordered(SET_UP_IN_FLIGHT)
            .inspect(|_| bar.inc(1))
            .try_collect::<Vec<()>>();
        let put = put.await;
        bar.finish_and_clear();
        put.map(drop)
    }

    /// The first SKU, and two that follow from the kit's number.
    fn recipe(&self, kit: usize) -> [&str; 3] {
        let others = self.skus.len() - 1;
        [0, 1 + 2 * kit % others, 1 + (2 * kit + 1) % others].map(|number| self.skus[number].as_str())
    }

    /// What a client asks for next.
    pub(super) fn reserve(&self, random: &mut Random) -> Command {
        match self.workload {
            Workload::Reserve => of_one(&self.skus[self.demand.draw(random)], random),
            Workload::Kits => of_one(&self.kits[self.demand.draw(random)], random),
            Workload::Carts => {
                let skus = self.cart(random);
                let id: ReservationId = connect::mint_reservation(slot_of(skus[0]), random);
                skus.into_iter().fold(Reserve::new().id(id), |cart, sku| cart.line(sku, 1)).into()
            }
        }
    }

    /// Ten SKUs, on as many shards as there are.
    fn cart(&self, random: &mut Random) -> Vec<&str> {
        let shards = self.by_shard.len();
        let hot = self.by_shard.iter().position(|skus| skus[0] == 0).filter(|_| self.hot);
        let first = hot.unwrap_or_else(|| random.below(shards as u64) as usize);
        let mut offsets: Vec<usize> =
            self.by_shard.iter().map(|skus| random.below(skus.len() as u64) as usize).collect();
        if let Some(shard) = hot {
            offsets[shard] = 0;
        }
        let sku = |line: usize| {
            let shard = (first + line) % shards;
            let skus = &self.by_shard[shard];
            self.skus[skus[(offsets[shard] + line / shards) % skus.len()]].as_str()
        };
        (0..CART).map(sku).collect()
    }
}

fn of_one(sku: &str, random: &mut Random) -> Command {
    let id: ReservationId = connect::mint_reservation(slot_of(sku), random);
    Reserve::new().id(id).line(sku, 1).into()
}

async fn be_done(client: &Client, command: Command, about: &str) -> Result<(), Failure> {
    match ask_until_certain(client, command, CommandKey::Minted, super::WITHIN).await? {
        Outcome::Done => Ok(()),
        Outcome::Refused(told) => Err(Failure::from_client(&told).about(about)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn shelves(workload: Workload, skus: usize, hot: bool) -> Result<Shelves, Failure> {
        let plan = Plan {
            workload,
            clients: 1,
            batch: 1,
            unary: false,
            skus,
            hot,
            lasts: Duration::ZERO,
            warm_up: Duration::ZERO,
        };
        Shelves::of(&plan, |sku| u32::from(slot_of(sku)) % 8)
    }

    #[test]
    fn a_cart_is_of_ten_skus_over_all_shards() {
        for hot in [false, true] {
            let shelves = shelves(Workload::Carts, 200, hot).unwrap();
            let mut random = Random::seeded(7);
            for _ in 0..500 {
                let cart = shelves.cart(&mut random);
                let skus: BTreeSet<&str> = cart.iter().copied().collect();
                let shards: BTreeSet<u16> = cart.iter().map(|sku| slot_of(sku) % 8).collect();
                assert_eq!((skus.len(), shards.len()), (10, 8));
                assert!(!hot || cart[0] == "BENCH-0000000");
            }
        }
    }

    #[test]
    fn each_kit_is_of_three_skus_and_all_have_one_of_them() {
        for skus in [3, 4, 5, 1_000] {
            let shelves = shelves(Workload::Kits, skus, false).unwrap();
            assert_eq!(shelves.kits.len(), KITS);
            for kit in 0..KITS {
                let recipe = shelves.recipe(kit);
                assert_eq!((recipe[0], BTreeSet::from(recipe).len()), ("BENCH-0000000", 3), "{skus} SKUs, kit {kit}");
            }
        }
    }

    #[test]
    fn too_few_skus_are_refused() {
        assert!(shelves(Workload::Carts, 9, false).is_err());
        assert!(shelves(Workload::Kits, 2, false).is_err());
        assert!(shelves(Workload::Reserve, 1, false).is_ok());
    }
}
