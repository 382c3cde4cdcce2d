//! The day, hour by hour.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Orders};
use holdfast_proto::v1::OrderState;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::Plan;
use super::commands::{Commands, number};
use super::customers::{self, Book};
use super::payments::Provider;
use super::shop::{PER_CUSTOMER, Shop};
use crate::connect::failure_of;
use crate::dates;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::output;

/// The endpoints.
pub(super) const PAYMENTS: &str = "payments";
pub(super) const REFUNDS: &str = "refunds";
pub(super) const SILENT: &str = "silent";
/// The sale.
const SALE: &str = "sale-day";
/// From when it is opened until it sells.
const BEFORE: Duration = Duration::from_secs(3);
/// Units that the count during the sale finds missing, and that the file of counts after it does.
const MISSING_IN_COUNT: u64 = 3;
const MISSING_IN_FILE: u64 = 2;
/// How long orders may take to end once the sale is over.
const ENDED_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The sale as it was opened.
pub(super) struct Opened {
    /// `sale plan` said that it can be.
    pub(super) planned: bool,
    id: String,
    starts_at_ms: u64,
}

/// What happened while it sold.
pub(super) struct During {
    pub(super) written_off: u64,
    pub(super) kills: u32,
}

/// What stood when it was over.
pub(super) struct Closed {
    pub(super) orders: BTreeMap<ReservationId, OrderState>,
    pub(super) listed_as_stuck: usize,
    pub(super) still_stuck: usize,
}

/// What a file of counts was held against.
pub(super) struct Reconciled {
    pub(super) differing: u64,
    pub(super) mended: u64,
    pub(super) left: u64,
}

/// What the audit said.
pub(super) struct Proved {
    pub(super) audit: bool,
    pub(super) proof: bool,
}

/// What the sale's own check said.
pub(super) struct Verified {
    pub(super) is_sound: bool,
    pub(super) granted: u64,
    pub(super) sold: u64,
}

pub(super) async fn put_endpoints(commands: &Commands, provider: &Provider) -> Result<(), Failure> {
    let (url, silent) = (provider.url(), provider.silent_url());
    for (id, url) in [(PAYMENTS, &url), (REFUNDS, &url)] {
        commands.give(&["endpoint", "put", id, "--url", url]).await?;
    }
    commands.give(&["endpoint", "put", SILENT, "--url", &silent, "--timeout-ms", "500"]).await?;
    Ok(())
}

/// Plans it, and opens it.
pub(super) async fn open_sale(commands: &Commands, shop: &Shop, now_ms: u64, plan: Plan) -> Result<Opened, Failure> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let starts_at_ms = now_ms + ms(BEFORE);
    let ends_at_ms = starts_at_ms + ms(plan.lasts);
    let mut text = format!(
        "[sale]\nid = \"{SALE}\"\nstarts_at = \"{}\"\nends_at = \"{}\"\n",
        dates::instant_text(starts_at_ms),
        dates::instant_text(ends_at_ms)
    );
    for sku in &shop.skus {
        text += &format!("\n[[line]]\nsku = \"{sku}\"\nunits = {}\nper_customer = {PER_CUSTOMER}\n", shop.granted);
    }
    let file = commands.write("sale.toml", &text)?;
    let planned = commands.give(&["sale", "plan", &file]).await?;
    commands.give(&["sale", "open", &file]).await?;
    Ok(Opened { planned: planned["ready"] == true, id: SALE.to_owned(), starts_at_ms })
}

/// Lets the customers in; meanwhile a node is killed and brought back, and one SKU is counted.
pub(super) async fn sell(
    cluster: &mut DevelopmentCluster,
    client: &Client,
    commands: &Commands,
    shop: &Shop,
    sale: &Opened,
    plan: Plan,
) -> Result<(Book, During), Failure> {
    let now = client.cluster_time_ms();
    sleep(Duration::from_millis(sale.starts_at_ms.saturating_sub(now))).await;
    let began = Instant::now();
    output::say(&format!("the sale sells: {} customers come", plan.customers));
    let during = async {
        let written_off = count(commands, shop).await?;
        sleep(plan.lasts / 4).await;
        let victim = cluster.leader_of(client.shard_of(&shop.skus[0])).await?;
        cluster.kill(victim).await?;
        output::say(&format!("node {victim}, which leads the shard of a SKU, is killed (SIGKILL)"));
        sleep(plan.lasts / 4).await;
        cluster.bring_back(victim)?;
        Ok::<_, Failure>(During { written_off, kills: 1 })
    };
    let (book, during) = tokio::join!(customers::buy(client, shop, &sale.id, plan), during);
    sleep(plan.lasts.saturating_sub(began.elapsed())).await;
    Ok((book?, during?))
}

/// Counts the last SKU while it is sold: somebody finds fewer than the books have.
async fn count(commands: &Commands, shop: &Shop) -> Result<u64, Failure> {
    let sku = shop.skus.last().map_or("", String::as_str);
    let opened = commands.give(&["count", "open", sku, "--stocktake", "during the sale"]).await?;
    let count = first(&opened)["count"].as_str().unwrap_or_default().to_owned();
    // Nothing is shipped yet, so that everything that was received should lie there.
    let found = (u64::from(shop.received) - MISSING_IN_COUNT).to_string();
    commands.give(&["count", "record", &count, "--line", &found]).await?;
    let applied = commands.give(&["count", "apply", &count, "--reason", "counted"]).await?;
    let lines = first(&applied)["lines"].as_array().cloned().unwrap_or_default();
    Ok(lines.iter().map(|line| number(line, "written_off")).sum())
}

/// The record, or the first of the list of them.
fn first(answer: &Value) -> &Value {
    answer.get(0).unwrap_or(answer)
}

/// Closes it, waits until its orders have ended or are stuck, and decides those by hand.
pub(super) async fn close_sale(
    client: &Client,
    commands: &Commands,
    sale: &Opened,
    book: &Book,
) -> Result<Closed, Failure> {
    commands.give(&["sale", "close", &sale.id]).await?;
    let waiting = output::spinner("waiting until every order has ended, or is stuck");
    let deadline = Instant::now() + ENDED_WITHIN;
    while !ids(&list(client, Orders { open_only: true, stuck_only: false }).await?, |state| {
        matches!(state, OrderState::Running | OrderState::Compensating)
    })
    .is_empty()
    {
        if Instant::now() >= deadline {
            return Err(Failure::check("orders neither end nor get stuck"));
        }
        sleep(LOOK_AGAIN).await;
    }
    waiting.finish_and_clear();
    let stuck = commands.give(&["order", "list", "--stuck", "--limit", "100000"]).await?;
    let stuck: Vec<String> = stuck.as_array().into_iter().flatten().filter_map(id_of).collect();
    for id in &stuck {
        commands.give(&["order", "resolve", id, "--abort", "--reason", "the bank has no such payment"]).await?;
    }
    let orders = list(client, Orders::default()).await?;
    let still_stuck = orders.values().filter(|state| **state == OrderState::Stuck).count();
    let silent = book.orders.iter().filter(|(_, order)| order.is_silent);
    let listed = silent.filter(|(id, _)| stuck.contains(&id.to_string())).count();
    Ok(Closed { orders, listed_as_stuck: listed, still_stuck })
}

fn id_of(row: &Value) -> Option<String> {
    row["reservation"].as_str().map(str::to_owned)
}

async fn list(client: &Client, which: Orders) -> Result<BTreeMap<ReservationId, OrderState>, Failure> {
    let orders = client.reader(Default::default()).orders(which).take(1_000_000).await.map_err(failure_of)?;
    let of = |order: holdfast_proto::v1::Order| {
        let state = order.state();
        order.reservation_id.map(|id| (ReservationId::from(id), state))
    };
    Ok(orders.into_iter().filter_map(of).collect())
}

fn ids(orders: &BTreeMap<ReservationId, OrderState>, is: impl Fn(OrderState) -> bool) -> Vec<ReservationId> {
    orders.iter().filter(|(_, state)| is(**state)).map(|(id, _)| *id).collect()
}

/// Holds the books against a file of counts in which one SKU has fewer than they say.
pub(super) async fn reconcile(commands: &Commands, shop: &Shop) -> Result<Reconciled, Failure> {
    let mut text = "sku,on_hand\n".to_owned();
    for (place, sku) in shop.skus.iter().enumerate() {
        let missing = match place {
            0 => MISSING_IN_FILE,
            _ if place + 1 == shop.skus.len() => MISSING_IN_COUNT,
            _ => 0,
        };
        text += &format!("{sku},{}\n", u64::from(shop.received) - missing);
    }
    let file = commands.write("counts.csv", &text)?;
    let first = commands.ask(&["reconcile", &file, "--apply"]).await?.answer;
    let again = commands.ask(&["reconcile", &file]).await?.answer;
    Ok(Reconciled {
        differing: number(&first, "differing"),
        mended: number(&first, "mended"),
        left: number(&again, "differing"),
    })
}

/// Keeps the heads, has an event proved, checks the proof offline, and every replica's history.
pub(super) async fn prove(commands: &Commands, shop: &Shop) -> Result<Proved, Failure> {
    let heads = commands.give(&["audit", "head"]).await?;
    let kept = commands.write("heads.json", &heads.to_string())?;
    let events = commands.give(&["audit", "query", "--sku", &shop.skus[0], "--limit", "1"]).await?;
    let event = first(&events);
    let named = format!("{}:{}", number(event, "shard"), number(event, "seq"));
    let proof = commands.give(&["audit", "prove", &named, "--head", &kept]).await?;
    let proof = commands.write("proof.json", &proof.to_string())?;
    let checked = commands.ask(&["audit", "check", &proof, "--head", &kept]).await?;
    let audited = commands.ask(&["audit", "verify", "--head", &kept]).await?;
    Ok(Proved { audit: audited.is_good, proof: checked.is_good && checked.answer["holds"] == true })
}

/// Has the sale checked, with the limits of everybody who came; and reported.
pub(super) async fn verify_sale(commands: &Commands, sale: &Opened, book: &Book) -> Result<Verified, Failure> {
    let customers = commands.write("customers.txt", &(book.customers.join("\n") + "\n"))?;
    let verified = commands.ask(&["sale", "verify", &sale.id, "--customers", &customers]).await?;
    let report = commands.give(&["sale", "report", &sale.id]).await?;
    Ok(Verified { is_sound: verified.is_good, granted: number(&report, "granted"), sold: number(&report, "sold") })
}
