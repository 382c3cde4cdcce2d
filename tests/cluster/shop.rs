//! A small shop that sells over a test's cluster while nodes die, and keeps its own books: what was acknowledged must be in the
//! ledger, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use holdfast_client::{Client, ClientOptions, Command, CommandKey, Commit, Error, PutItem, Receive, Release, Reserve};
use holdfast_client::{ids::CommandId, ids::ReservationId, v1};
use tokio::task::JoinSet;

use super::Cluster;

/// Units of each SKU that a shop begins with.
const STOCK: u32 = 1_000_000;

/// The reservation a success was about.
pub fn reservation_id(success: &holdfast_client::Success) -> ReservationId {
    success.reservation_id.expect("a reserve has a reservation")
}

/// What a customer knows of one hold.
#[derive(Clone, Debug)]
struct Hold {
    sku: String,
    units: u32,
    reservation: ReservationId,
    reserved: CommandId,
    was_acknowledged: bool,
    /// The commit or release that followed, and whether it was acknowledged.
    then: Option<(Then, CommandId, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Committed,
    Released,
}

/// What customers and their watcher share.
#[derive(Debug, Default)]
struct Floor {
    is_closing: AtomicBool,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
}

impl Floor {
    fn count(&self, was_acknowledged: bool) {
        let counter = if was_acknowledged { &self.acknowledged } else { &self.unknown };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The shop.
pub struct Shop {
    pub client: Client,
    skus: Vec<String>,
    floor: Arc<Floor>,
    customers: JoinSet<Vec<Hold>>,
}

impl Shop {
    /// A campaign that runs.
    pub async fn open_sale(client: &Client, campaign: &str) {
        let now = client.cluster_time_ms();
        let campaign = v1::Campaign {
            campaign_id: campaign.to_owned(),
            starts_at_ms: now,
            ends_at_ms: now + 3_600_000,
            ..v1::Campaign::default()
        };
        client.open_campaign(campaign).await.expect("a campaign is opened");
    }

    /// A client of the cluster.
    pub async fn client(cluster: &Cluster) -> Client {
        let mut options = ClientOptions::new(cluster.addresses());
        options.deadline = Duration::from_secs(60);
        Client::connect(options).await.expect("the cluster is found")
    }

    /// Puts `skus` items with plentiful stock, and lets `customers` buy until [`Shop::close`].
    pub async fn open(cluster: &Cluster, skus: u32, customers: u32) -> Self {
        let client = Self::client(cluster).await;
        let skus: Vec<String> = (0..skus).map(|number| format!("SKU-{number}")).collect();
        for sku in &skus {
            let item = v1::Item { sku: sku.clone(), name: format!("Item {sku}"), ..Default::default() };
            client.execute(PutItem::new(item)).await.expect("an item is put");
            client.execute(Receive::of(sku.as_str(), STOCK)).await.expect("stock is received");
        }
        let mut shop = Self { client, skus, floor: Arc::default(), customers: JoinSet::new() };
        for number in 0..customers {
            let (client, skus) = (shop.client.clone(), shop.skus.clone());
            let floor = shop.floor.clone();
            shop.customers.spawn(async move { buy(&client, &skus, number as usize, &floor).await });
        }
        shop
    }

    /// Waits until customers have had so many more answers.
    pub async fn sells(&self, more: u64) {
        let goal = self.floor.acknowledged.load(Ordering::Relaxed) + more;
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while self.floor.acknowledged.load(Ordering::Relaxed) < goal {
            assert!(std::time::Instant::now() < deadline, "the shop sells nothing");
            super::pause().await;
        }
    }

    /// Answers so far that say that nobody knows.
    pub fn unknown(&self) -> u64 {
        self.floor.unknown.load(Ordering::Relaxed)
    }

    /// Sends the customers home, settles what is unknown by asking again with the same ids, and compares the books with the
    /// ledger: nothing acknowledged is lost, nothing was done twice, nothing is left over.
    pub async fn close_and_compare(mut self, cluster: &Cluster) {
        self.floor.is_closing.store(true, Ordering::Relaxed);
        let mut holds = Vec::new();
        while let Some(books) = self.customers.join_next().await {
            holds.extend(books.expect("a customer goes home"));
        }
        assert!(!holds.is_empty(), "the shop sold nothing");
        let mut expected: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let settled = stream::iter(&holds).for_each_concurrent(64, |hold| settle(&self.client, hold));
        settled.await;
        for hold in &holds {
            let (reserved, committed) = expected.entry(hold.sku.as_str()).or_default();
            match hold.then {
                None => *reserved += u64::from(hold.units),
                Some((Then::Committed, ..)) => *committed += u64::from(hold.units),
                Some((Then::Released, ..)) => {}
            }
        }
        cluster.replicas_agree().await;
        for sku in &self.skus {
            let stock = self.client.stock(sku.as_str(), None).await.expect("stock is read");
            let (reserved, committed) = expected.get(sku.as_str()).copied().unwrap_or_default();
            let sum = |of: fn(&v1::StockLevel) -> u64| stock.value.levels.iter().map(of).sum::<u64>();
            let ledger = (sum(|level| level.reserved), sum(|level| level.committed), sum(|level| level.on_hand));
            assert_eq!(ledger, (reserved, committed, u64::from(STOCK)), "{sku}: reserved, committed, on hand");
        }
    }
}

/// Reserves again and again, and commits, releases or keeps what it holds, by turns. A hold whose outcome is not known is settled
/// at the end.
async fn buy(client: &Client, skus: &[String], number: usize, floor: &Floor) -> Vec<Hold> {
    let mut holds = Vec::new();
    for turn in number.. {
        if floor.is_closing.load(Ordering::Relaxed) {
            break;
        }
        let sku = &skus[turn % skus.len()];
        let units = 1 + (turn % 3) as u32;
        let asked = Reserve::new().line(sku.as_str(), units).ttl(Duration::from_secs(14_400));
        let (reservation, reserved, was_acknowledged) = match client.execute(asked).await {
            Ok(success) => (reservation_id(&success), success.command_id, true),
            Err(Error::Unknown(failure)) => {
                let ids = failure.reservation_id.zip(failure.command_id);
                let (reservation, reserved) = ids.expect("an unknown outcome names its ids");
                (reservation, reserved, false)
            }
            Err(Error::NotAdmitted(_)) => continue,
            Err(Error::Refused(failure)) => panic!("plentiful stock was refused: {failure:?}"),
        };
        floor.count(was_acknowledged);
        let mut hold = Hold { sku: sku.clone(), units, reservation, reserved, was_acknowledged, then: None };
        let (then, command) = match turn % 4 {
            0 | 1 => (Then::Committed, Command::from(Commit::of(reservation))),
            2 => (Then::Released, Command::from(Release::of(reservation))),
            _ => {
                holds.push(hold);
                continue;
            }
        };
        match client.execute(command).await {
            Ok(success) => {
                floor.count(true);
                hold.then = Some((then, success.command_id, true));
            }
            Err(Error::Unknown(failure)) => {
                floor.count(false);
                hold.then = Some((then, failure.command_id.expect("an unknown outcome names its id"), false));
            }
            // The reserve before it may have been unknown and undone: settled at the end.
            Err(Error::NotAdmitted(_) | Error::Refused(_)) => {}
        }
        holds.push(hold);
    }
    holds
}

/// Asks everything again with the same ids. What was acknowledged must be answered as decided before; what was unknown is decided
/// now, once.
async fn settle(client: &Client, hold: &Hold) {
    let again =
        Reserve::new().id(hold.reservation).line(hold.sku.as_str(), hold.units).ttl(Duration::from_secs(14_400));
    let again = Command::from(again).with_key(CommandKey::Id(hold.reserved));
    let answer = client.execute(again).await.expect("a reserve that may have been done is done, once");
    assert!(answer.replayed || !hold.was_acknowledged, "acknowledged and lost: {:?}", hold.reservation);
    let Some((then, id, was_acknowledged)) = hold.then else { return };
    let again = match then {
        Then::Committed => Command::from(Commit::of(hold.reservation)),
        Then::Released => Command::from(Release::of(hold.reservation)),
    };
    let answer = client.execute(again.with_key(CommandKey::Id(id))).await.expect("what was held can be ended, once");
    assert!(answer.replayed || !was_acknowledged, "acknowledged and lost: {then:?} {id:?} of {:?}", hold.reservation);
}
