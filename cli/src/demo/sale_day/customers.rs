//! The customers: each wants one unit in the sale, and pays for it by a step of an order. Some payments never answer.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, CommandKey, OrderStep, Reserve, StartOrder};

use super::shop::Shop;
use super::{Plan, script};
use crate::certain::{Outcome, ask_until_certain};
use crate::connect;
use crate::failure::Failure;
use crate::random::Random;

const IN_FLIGHT: usize = 128;
const WITHIN: Duration = Duration::from_secs(60);
/// The payment of every so manyth customer never answers.
const ONE_SILENT_OF: u32 = 40;

/// One order.
pub(super) struct Order {
    pub(super) sku: String,
    /// Its payment never answers.
    pub(super) is_silent: bool,
}

/// What the customers know.
#[derive(Default)]
pub(super) struct Book {
    pub(super) orders: BTreeMap<ReservationId, Order>,
    pub(super) refused: u64,
    /// Who asked, as `sale verify --customers` wants them.
    pub(super) customers: Vec<String>,
}

/// All of them, as fast as they come.
pub(super) async fn buy(client: &Client, shop: &Shop, sale: &str, plan: Plan) -> Result<Book, Failure> {
    // They come over two thirds of the time: what they began is paid for before it is over.
    let over = plan.lasts * 2 / 3;
    let made = futures_util::stream::iter(0..plan.customers)
        .map(|number| buy_one(client, shop, sale, number, Random::stream(plan.seed, number.into()), over))
        .buffer_unordered(IN_FLIGHT.max(plan.customers as usize))
        .try_collect::<Vec<_>>()
        .await?;
    let mut book = Book::default();
    for (customer, order) in made {
        book.customers.push(customer);
        match order {
            Some((id, order)) => drop(book.orders.insert(id, order)),
            None => book.refused += 1,
        }
    }
    Ok(book)
}

async fn buy_one(
    client: &Client,
    shop: &Shop,
    sale: &str,
    number: u32,
    mut random: Random,
    over: Duration,
) -> Result<(String, Option<(ReservationId, Order)>), Failure> {
    let customer = format!("customer-{number}");
    let is_silent = number.is_multiple_of(ONE_SILENT_OF);
    // They come first, and so get what they want: of a payment that never answers something is to be seen.
    let over = if is_silent { Duration::ZERO } else { over };
    let over_ms = u64::try_from(over.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(Duration::from_millis(random.below(over_ms.max(1)))).await;
    let sku = shop.skus[usize::try_from(random.below(shop.skus.len() as u64)).expect("a small shop")].clone();
    let id = connect::mint_reservation(slot_of(&sku), &mut random);
    let hold = Reserve::new().id(id).campaign(sale).customer(&customer).line(&sku, 1).ttl(Duration::from_secs(600));
    if let Outcome::Refused(_) = ask_until_certain(client, hold.into(), CommandKey::Minted, WITHIN).await? {
        return Ok((customer, None));
    }
    let endpoint = if is_silent { script::SILENT } else { script::PAYMENTS };
    let within = if is_silent { Duration::from_secs(4) } else { Duration::from_secs(60) };
    let pay = OrderStep::call("pay", endpoint).within(within).attempts(if is_silent { 3 } else { 20 });
    let pay = pay.undone_by(script::REFUNDS).undone_within(Duration::from_secs(60));
    let start = StartOrder::of(id).step(pay).into();
    match ask_until_certain(client, start, CommandKey::Minted, WITHIN).await? {
        Outcome::Done => Ok((customer, Some((id, Order { sku, is_silent })))),
        Outcome::Refused(told) => Err(Failure::from_client(&told).about(id)),
    }
}
