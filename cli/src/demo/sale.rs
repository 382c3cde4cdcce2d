//! The sale itself: all customers at once, one node killed in the middle and brought back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_client::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use super::Plan;
use super::customer::{Hall, shop_until_closing};
use super::records::Record;
use super::shop::Shop;
use super::view::View;
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
    let victim = busiest(cluster).await?;
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
    let view = View::open(plan, shop.wares[0].stock, cluster.layout().nodes.len());
    let kills = watch(cluster, &hall, &view, victim, opened, plan.lasts).await?;
    let mut records = Vec::new();
    while let Some(ended) = customers.join_next().await {
        let of_one = ended.map_err(|error| Failure::check(format!("a customer's task has ended: {error}")))?;
        records.extend(of_one);
    }
    view.close(&hall.counts, opened.elapsed());
    let seconds = opened.elapsed().as_secs_f64();
    Ok(Sale { records, counts: Arc::clone(&hall.counts), latency: Arc::clone(&hall.latency), kills, seconds })
}

/// Shows the sale, kills the node at two fifths of it, and brings it back at three fifths. Returns the number of kills.
async fn watch(
    cluster: &mut DevelopmentCluster,
    hall: &Hall,
    view: &View,
    victim: u64,
    opened: Instant,
    lasts: Duration,
) -> Result<u32, Failure> {
    let (kill_at, back_at) = (opened + lasts * 2 / 5, opened + lasts * 3 / 5);
    let mut ticks = interval(View::EVERY);
    let (mut killed, mut back) = (false, false);
    while Instant::now() < hall.closes {
        tokio::select! {
            biased;
            () = sleep_until(kill_at), if !killed => {
                cluster.kill(victim).await?;
                killed = true;
                view.tell(opened.elapsed(), &format!("node {victim}, which leads the most shards, is killed (SIGKILL)"));
            }
            () = sleep_until(back_at), if killed && !back => {
                cluster.bring_back(victim)?;
                back = true;
                view.tell(opened.elapsed(), &format!("node {victim} is started again"));
            }
            () = sleep_until(hall.closes) => break,
            _ = ticks.tick() => {
                cluster.complain_of_ended()?;
                view.show(&hall.counts, opened.elapsed(), (killed && !back).then_some(victim));
            }
        }
    }
    if killed && !back {
        cluster.bring_back(victim)?;
    }
    Ok(u32::from(killed))
}

/// The node that leads the most shards.
async fn busiest(cluster: &DevelopmentCluster) -> Result<u64, Failure> {
    let routing = cluster.members().routing().await?;
    let leads = |node: u64| routing.shards.iter().filter(|shard| shard.leader_node_id == node).count();
    let nodes = cluster.layout().nodes.iter().map(|node| node.id);
    nodes.max_by_key(|&node| leads(node)).ok_or_else(|| Failure::usage("the cluster has no nodes"))
}
