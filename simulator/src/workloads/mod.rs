//! What customers do in a run, a small file a workload. Each has SKUs of its own, so that what one of them asks can be
//! judged without the others; each run draws some of them from its seed.

mod backorders;
mod campaigns;
mod carts;
mod chains;
mod counts;
mod disputes;
mod expiries;
mod hot;
mod kits;
mod limits;
mod lots;
mod orders;
mod parts;
mod provider;
mod reads;
mod recalls;
mod retries;
mod rooms;
mod sagas;
mod shared_limits;
mod shop;
mod shopper;
mod sources;
mod stocktakes;
mod strangers;
mod transfers;
mod translate;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use holdfast_client::Client;

pub use provider::Books;
pub use shop::{Shop, connect};
pub use shopper::Shopper;
pub(crate) use shopper::ask_again;
pub(crate) use strangers::{Complaints, ask_and_not_read, flood};
pub(crate) use translate::{level, name_of, order, reservation};

use crate::Dice;
use crate::history::Request;

/// How many workloads one run has.
const IN_A_RUN: usize = 3;

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// Many want the units of one SKU.
    Hot,
    /// Reservations of several SKUs.
    Carts,
    /// Something happens at the instant at which a hold expires.
    Expiries,
    /// Several customers commit, release, prolong and cancel one reservation.
    Disputes,
    /// Many count one SKU and set what they counted.
    Counts,
    /// Everything is asked again under its id, by others too, and sometimes with another body.
    Retries,
    /// Linked commands, done all or none.
    Chains,
    /// Reads of every freshness beside writes.
    Reads,
    /// Stock by lot, some of which is blocked beneath holds and orders.
    Lots,
    /// Stock on its way between two places, and what suppliers are expected to send.
    Transfers,
    /// Reservations of SKUs of several shards.
    Orders,
    /// A SKU of which each customer may have few.
    Limits,
    /// Stock by lot that is counted while it is sold.
    Stocktakes,
    /// Units promised without stock, and filled as more arrives.
    Backorders,
    /// Reservations whose locations a channel chooses.
    Sources,
    /// Kits over several shards that share components.
    Kits,
    /// Reservations over several shards of which units are sold, shipped, given back and returned line by line.
    Parts,
    /// Campaigns that have units which nobody else gets.
    Campaigns,
    /// Orders that somebody outside decides: one who declines, keeps silent or fails.
    Sagas,
    /// Campaigns that let in who has the turn.
    Rooms,
    /// SKUs of several shards of which each customer may have few together.
    SharedLimits,
    /// Lots that are recalled while they are sold, picked and shipped, in kits too.
    Recalls,
}

/// Units of a SKU that are on the shelf when the shop opens.
pub(crate) type Shelf = (String, u32);

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no workload has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no workload '{name}'; there are {}", Workload::ALL.map(Workload::name).join(", "))]
pub struct UnknownWorkload {
    /// What was asked for.
    pub name: String,
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        let found = Self::ALL.into_iter().find(|workload| workload.name() == name);
        found.ok_or_else(|| UnknownWorkload { name: name.to_owned() })
    }
}

impl Workload {
    const ALL: [Self; 22] = [
        Self::Hot,
        Self::Carts,
        Self::Expiries,
        Self::Disputes,
        Self::Counts,
        Self::Retries,
        Self::Chains,
        Self::Reads,
        Self::Lots,
        Self::Transfers,
        Self::Orders,
        Self::Limits,
        Self::Stocktakes,
        Self::Backorders,
        Self::Sources,
        Self::Kits,
        Self::Parts,
        Self::Campaigns,
        Self::Sagas,
        Self::Rooms,
        Self::SharedLimits,
        Self::Recalls,
    ];

    /// Those of one run.
    #[must_use]
    pub fn draw(dice: &mut Dice) -> Vec<Self> {
        let mut left = Self::ALL.to_vec();
        let mut drawn: Vec<Self> =
            (0..IN_A_RUN).map(|_| left.swap_remove(dice.below(left.len() as u64) as usize)).collect();
        drawn.sort_unstable();
        drawn
    }

    /// Those of a seed's run.
    #[must_use]
    pub fn of_seed(seed: u64) -> Vec<Self> {
        Self::draw(&mut Dice::of(seed, "workloads", 0))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Carts => "carts",
            Self::Expiries => "expiries",
            Self::Disputes => "disputes",
            Self::Counts => "counts",
            Self::Retries => "retries",
            Self::Chains => "chains",
            Self::Reads => "reads",
            Self::Lots => "lots",
            Self::Transfers => "transfers",
            Self::Orders => "orders",
            Self::Limits => "limits",
            Self::Stocktakes => "stocktakes",
            Self::Backorders => "backorders",
            Self::Sources => "sources",
            Self::Kits => "kits",
            Self::Parts => "parts",
            Self::Campaigns => "campaigns",
            Self::Sagas => "sagas",
            Self::Rooms => "rooms",
            Self::SharedLimits => "shared-limits",
            Self::Recalls => "recalls",
        }
    }

    /// What is on the shelves of a season.
    fn shelves(self, client: &Client, season: &str) -> Vec<Shelf> {
        let shelves = match self {
            Self::Carts => return carts::shelves(client, &in_season(carts::NAME, season)),
            Self::Orders => return orders::shelves(client, &in_season(orders::NAME, season)),
            Self::Hot => hot::shelves(),
            Self::Expiries => expiries::shelves(),
            Self::Disputes => disputes::shelves(),
            Self::Counts => counts::shelves(),
            Self::Retries => retries::shelves(),
            Self::Chains => chains::shelves(),
            Self::Reads => reads::shelves(),
            Self::Sagas => sagas::shelves(),
            // Their shelves are filled otherwise: lot by lot, place by place, or with kits too.
            Self::Lots
            | Self::Transfers
            | Self::Limits
            | Self::Stocktakes
            | Self::Backorders
            | Self::Sources
            | Self::Kits
            | Self::Parts
            | Self::Campaigns
            | Self::Rooms
            | Self::SharedLimits
            | Self::Recalls => Vec::new(),
        };
        shelves.into_iter().map(|(sku, units)| (in_season(&sku, season), units)).collect()
    }

    /// Makes what its opening needs. False: that cannot be had.
    async fn prepare(self, client: &Client, season: &str) -> bool {
        match self {
            Self::Transfers => transfers::make_place(client, &in_season(transfers::SKU, season)).await,
            Self::Sources => sources::make_channels(client).await,
            Self::Campaigns => campaigns::announce(client, &in_season(campaigns::NAME, season)).await,
            Self::Sagas => sagas::make_endpoint(client).await,
            Self::Rooms => rooms::announce(client, &in_season(rooms::NAME, season)).await,
            Self::SharedLimits => shared_limits::make_limit(client, &in_season(shared_limits::NAME, season)).await,
            _ => true,
        }
    }

    /// What the keeper asks for before the shop opens.
    fn opening(self, client: &Client, season: &str) -> Vec<Request> {
        let named = |name: &str| in_season(name, season);
        match self {
            Self::Limits => limits::opening(&named(limits::SKU)),
            Self::Lots => lots::opening(&named(lots::SKU)),
            Self::Stocktakes => stocktakes::opening(&named(stocktakes::SKU)),
            Self::Transfers => transfers::opening(&named(transfers::SKU)),
            Self::Backorders => backorders::opening(&named(backorders::SKU), &named(backorders::NOT_OUT)),
            Self::Sources => sources::opening(client, &named(sources::NAME)),
            Self::Kits => kits::opening(client, named),
            Self::Parts => parts::opening(client, &named(parts::NAME)),
            Self::Campaigns => campaigns::opening(named),
            Self::Rooms => rooms::opening(&named(rooms::NAME)),
            Self::SharedLimits => shared_limits::opening(client, &named(shared_limits::NAME)),
            Self::Recalls => recalls::opening(client, named),
            _ => {
                let put =
                    |(sku, units): Shelf| [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units }];
                self.shelves(client, season).into_iter().flat_map(put).collect()
            }
        }
    }

    /// One round of one customer.
    async fn order(self, shopper: &mut Shopper) {
        match self {
            Self::Hot => hot::order(shopper).await,
            Self::Carts => carts::order(shopper).await,
            Self::Expiries => expiries::order(shopper).await,
            Self::Disputes => disputes::order(shopper).await,
            Self::Counts => counts::order(shopper).await,
            Self::Retries => retries::order(shopper).await,
            Self::Chains => chains::order(shopper).await,
            Self::Reads => reads::order(shopper).await,
            Self::Lots => lots::order(shopper).await,
            Self::Transfers => transfers::order(shopper).await,
            Self::Orders => orders::order(shopper).await,
            Self::Limits => limits::order(shopper).await,
            Self::Stocktakes => stocktakes::order(shopper).await,
            Self::Backorders => backorders::order(shopper).await,
            Self::Sources => sources::order(shopper).await,
            Self::Kits => kits::order(shopper).await,
            Self::Parts => parts::order(shopper).await,
            Self::Campaigns => campaigns::order(shopper).await,
            Self::Sagas => sagas::order(shopper).await,
            Self::Rooms => rooms::order(shopper).await,
            Self::SharedLimits => shared_limits::order(shopper).await,
            Self::Recalls => recalls::order(shopper).await,
        }
    }
}

/// What a season calls a SKU: each has SKUs of its own, so that its history can be judged without the others. The only
/// season of a simulated run has no name.
fn in_season(name: &str, season: &str) -> String {
    if season.is_empty() { name.to_owned() } else { format!("{name}.{season}") }
}

/// The first `count` SKUs, by their names with numbers, that one shard decides.
fn skus_of_one_shard(client: &Client, name: &str, count: usize) -> Vec<String> {
    let mut by_shard: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for number in 0..10_000_u32 {
        let sku = format!("{name}-{number}");
        let skus = by_shard.entry(client.shard_of(&sku)).or_default();
        skus.push(sku);
        if skus.len() == count {
            return std::mem::take(skus);
        }
    }
    Vec::new()
}
