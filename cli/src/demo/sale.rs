//! The sale itself: all customers at once, nodes killed in the middle and brought back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_client::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use super::customer::{Hall, shop_until_closing};
use super::records::Record;
use super::shop::Shop;
use super::view::View;
use super::{Plan, Scenario};
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::random::Random;

/// Running counts, for the view and the report.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Commands that were decided.
    pub(super) commands: AtomicU64,
    /// Units held, released, sold.
    pub(super) held: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) sold: AtomicU64,
    /// The same of the hot lipstick.
    pub(super) hot_held: AtomicU64,
    pub(super) hot_sold: AtomicU64,
    /// Holds refused for lack of stock.
    pub(super) refused: AtomicU64,
    /// Commands that surely never reached the log.
    pub(super) not_admitted: AtomicU64,
    /// Commands whose outcome was unknown at first.
    pub(super) unknown: AtomicU64,
}

impl Counts {
    /// Adds to one of its counts.
    #[allow(clippy::unused_self)] // the count is one of this set
    pub(super) fn add(&self, count: &AtomicU64, units: u32) {
        count.fetch_add(units.into(), Ordering::Relaxed);
    }

    /// The present value of one of its counts.
    pub(super) fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// What a sale leaves behind.
pub(super) struct Sale {
    pub(super) records: Vec<Record>,
    pub(super) counts: Arc<Counts>,
    pub(super) latency: Arc<Latency>,
    pub(super) kills: u32,
    pub(super) seconds: f64,
}

/// Holds the sale.
pub(super) async fn hold(
    cluster: &mut DevelopmentCluster,
    client: &Client,
    shop: &Arc<Shop>,
    plan: Plan,
) -> Result<Sale, Failure> {
    let kills = kills_of(plan.scenario);
    let opened = Instant::now();
    let hall = Arc::new(Hall {
        client: client.clone(),
        shop: Arc::clone(shop),
        counts: Arc::default(),
        latency: Arc::default(),
        closes: opened + plan.lasts,
    });
    let mut customers = JoinSet::new();
    for number in 0..plan.customers {
        customers.spawn(shop_until_closing(Arc::clone(&hall), Random::stream(plan.seed, number.into())));
    }
    let view = View::open(plan, shop.items[0].stock, cluster.layout().nodes.len());
    let kills = watch(cluster, &hall, &view, kills, opened, plan.lasts).await?;
    let mut records = Vec::new();
    while let Some(ended) = customers.join_next().await {
        let of_one = ended.map_err(|error| Failure::check(format!("a customer's task has ended: {error}")))?;
        records.extend(of_one);
    }
    view.close(&hall.counts, opened.elapsed());
    let seconds = opened.elapsed().as_secs_f64();
    Ok(Sale { records, counts: Arc::clone(&hall.counts), latency: Arc::clone(&hall.latency), kills, seconds })
}

/// When a node is killed and when it is brought back, in fifths of the sale.
type Kill = (u32, u32);

/// One node at a time: with two of three down nothing would be sold.
const fn kills_of(scenario: Scenario) -> &'static [Kill] {
    match scenario {
        // A drop has rounds of its own.
        Scenario::FlashSale | Scenario::Drop => &[(2, 3)],
        Scenario::GiftSets => &[(1, 2), (3, 4)],
    }
}

/// Shows the sale, kills the busiest node again and again, and brings it back. Returns the number of kills.
async fn watch(
    cluster: &mut DevelopmentCluster,
    hall: &Hall,
    view: &View,
    kills: &[Kill],
    opened: Instant,
    lasts: Duration,
) -> Result<u32, Failure> {
    let at = |fifth: u32| opened + lasts * fifth / 5;
    let mut ticks = interval(View::EVERY);
    let mut coming = kills.iter();
    let (mut next, mut down, mut killed) = (coming.next(), None, 0);
    while Instant::now() < hall.closes {
        let (kill_at, back_at) = next.map_or((hall.closes, hall.closes), |(kill, back)| (at(*kill), at(*back)));
        tokio::select! {
            biased;
            () = sleep_until(kill_at), if next.is_some() && down.is_none() => {
                let victim = busiest(cluster).await?;
                cluster.kill(victim).await?;
                down = Some(victim);
                killed += 1;
                view.tell(opened.elapsed(), &format!("node {victim}, which leads the most shards, is killed (SIGKILL)"));
            }
            () = sleep_until(back_at), if down.is_some() => {
                if let Some(victim) = down.take() {
                    cluster.bring_back(victim)?;
                    view.tell(opened.elapsed(), &format!("node {victim} is started again"));
                }
                next = coming.next();
            }
            () = sleep_until(hall.closes) => break,
            _ = ticks.tick() => {
                cluster.complain_of_ended()?;
                view.show(&hall.counts, opened.elapsed(), down);
            }
        }
    }
    if let Some(victim) = down {
        cluster.bring_back(victim)?;
    }
    Ok(killed)
}

/// The node that leads the most shards.
pub(super) async fn busiest(cluster: &DevelopmentCluster) -> Result<u64, Failure> {
    let routing = cluster.members().routing().await?;
    let leads = |node: u64| routing.shards.iter().filter(|shard| shard.leader_node_id == node).count();
    let nodes = cluster.layout().nodes.iter().map(|node| node.id);
    nodes.max_by_key(|&node| leads(node)).ok_or_else(|| Failure::usage("the cluster has no nodes"))
}
