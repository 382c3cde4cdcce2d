//! Orders of all kinds, and the book in which stands which of them ever had units of the lot: held of it by name, sold and not shipped,
//! shipped, cancelled, or shipped from another lot than they were sold of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Cancel, Client, Command, CommandKey, Commit, Fulfil, Release, Reserve};
use holdfast_proto::v1::Line;

use super::Plan;
use super::shop::{LATER, RECALLED, Shop};
use crate::certain::{Outcome, ask_until_certain};
use crate::connect::{self, failure_of};
use crate::failure::Failure;
use crate::output;
use crate::random::Random;

const IN_FLIGHT: usize = 128;
const WITHIN: Duration = Duration::from_secs(60);
/// Until after the recall, however slow the machine.
const TTL: Duration = Duration::from_secs(14_400);
/// Of a hundred orders, those that get no unit of the lot, with room.
const OTHERS: u64 = 45;

/// How far an order was brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Held,
    Released,
    Committed,
    Cancelled,
    Fulfilled,
}

/// One order, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Units of each cream, by its place in the shop.
    pub(super) units: Vec<(usize, u32)>,
    pub(super) state: State,
    /// The creams of which it has or had units of the lot.
    pub(super) had: BTreeSet<usize>,
}

/// What a customer asks for.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// A cream of whichever lot.
    Piece(usize),
    /// A cream of the lot, by name.
    OfTheLot(usize),
    /// A set of two creams.
    Set(usize),
}

/// Makes orders until so many as planned have or had units of the lot.
pub(super) async fn make(client: &Client, shop: &Shop, plan: Plan) -> Result<BTreeMap<ReservationId, Order>, Failure> {
    let bar = output::bar("orders are made", plan.orders.into());
    let mut book = BTreeMap::new();
    let mut number = 0_u64;
    let mut with_the_lot = 0;
    while with_the_lot < plan.orders as usize {
        let missing = u64::from(plan.orders) - with_the_lot as u64;
        let more = missing + missing * OTHERS / 100 + 20;
        let made = futures_util::stream::iter(number..number + more)
            .map(|number| make_one(client, shop, Random::stream(plan.seed, number)))
            .buffer_unordered(IN_FLIGHT)
            .inspect(|_| bar.inc(1))
            .try_collect::<Vec<_>>()
            .await;
        book.extend(made?);
        number += more;
        with_the_lot = book.values().filter(|order: &&Order| !order.had.is_empty()).count();
    }
    bar.finish_and_clear();
    Ok(book)
}

async fn make_one(client: &Client, shop: &Shop, mut random: Random) -> Result<(ReservationId, Order), Failure> {
    let random = &mut random;
    let cream = usize::try_from(random.below(shop.mixed())).expect("a small shop");
    let units = if random.chance(0.2) { 2 } else { 1 };
    let wish = match random.below(100) {
        0..20 => Wish::OfTheLot(cream),
        20..35 => Wish::Set(cream),
        _ => Wish::Piece(cream),
    };
    let (sku, reserve, mut order) = begin(shop, wish, units);
    let id = connect::mint_reservation(slot_of(&sku), random);
    be_done(client, reserve.id(id).ttl(TTL).order_ref(format!("web-{id}")).into(), id).await?;
    if random.chance(0.2) {
        if random.chance(0.3) {
            be_done(client, Release::of(id).into(), id).await?;
            order.state = State::Released;
        }
        return Ok((id, order));
    }
    be_done(client, Commit::of(id).into(), id).await?;
    order.state = State::Committed;
    if let Wish::Set(set) = wish {
        // Of which lot another shard's line is, is known from what there was to be had.
        order.had.insert(shop.sets[set].pure);
    }
    note_lots(client, shop, id, &mut order).await?;
    if random.chance(0.5) {
        let is_picked_elsewhere = matches!(wish, Wish::Piece(_)) && random.chance(0.1);
        let fulfil = Fulfil::of(id);
        let fulfil = if is_picked_elsewhere { fulfil.line_of_lot(0, units, LATER) } else { fulfil };
        be_done(client, fulfil.into(), id).await?;
        order.state = State::Fulfilled;
        note_lots(client, shop, id, &mut order).await?;
    } else if !matches!(wish, Wish::Set(_)) && random.chance(0.1) {
        // (What is sold and cancelled at once may come to nothing on another shard before it was given a lot there.)
        be_done(client, Cancel::of(id).into(), id).await?;
        order.state = State::Cancelled;
    }
    Ok((id, order))
}

/// What is reserved by which name, and the order before anything of it is sold.
fn begin(shop: &Shop, wish: Wish, units: u32) -> (String, Reserve, Order) {
    let order = |units| Order { units, state: State::Held, had: BTreeSet::new() };
    match wish {
        Wish::Piece(cream) => {
            let sku = shop.creams[cream].sku.clone();
            (sku.clone(), Reserve::new().line(sku, units), order(vec![(cream, units)]))
        }
        Wish::OfTheLot(cream) => {
            let sku = shop.creams[cream].sku.clone();
            let line = Line { sku: sku.clone(), units, lot_id: RECALLED.into(), ..Line::default() };
            let had = [cream].into();
            (sku, Reserve::new().line_of(line), Order { had, ..order(vec![(cream, units)]) })
        }
        Wish::Set(set) => {
            let set = &shop.sets[set];
            let units_of = vec![(set.mixed, units), (set.pure, units)];
            (set.sku.clone(), Reserve::new().line(set.sku.as_str(), units), order(units_of))
        }
    }
}

/// Reads of which lots the reservation's units are now.
async fn note_lots(client: &Client, shop: &Shop, id: ReservationId, order: &mut Order) -> Result<(), Failure> {
    let read = client.reservation(id).await.map_err(failure_of)?.value;
    for line in &read.lines {
        let has_units = |lot: &holdfast_proto::v1::LotUnits| lot.committed + lot.fulfilled > 0;
        if line.lots.iter().any(|lot| lot.lot_id == RECALLED && has_units(lot)) {
            order.had.extend(shop.creams.iter().position(|cream| cream.sku == line.sku));
        }
    }
    Ok(())
}

async fn be_done(client: &Client, command: Command, id: ReservationId) -> Result<(), Failure> {
    match ask_until_certain(client, command, CommandKey::Minted, WITHIN).await? {
        Outcome::Done => Ok(()),
        Outcome::Refused(told) => Err(Failure::from_client(&told).about(format!("reservation {id}"))),
    }
}
