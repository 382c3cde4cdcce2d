//! The recall itself: SKU after SKU the lot is withdrawn and traced; after the first one a node is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Recall};
use tokio::time::Instant;

use super::super::shop::be_done;
use super::shop::{RECALLED, Shop};
use crate::connect::trace_lot;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::output;

/// What the recall told.
pub(super) struct Found {
    /// Who was named, for which cream by its place in the shop.
    pub(super) named: BTreeSet<(usize, ReservationId)>,
    pub(super) took: Duration,
    pub(super) kills: u32,
}

/// Withdraws the lot of every cream and names whoever had units of it.
pub(super) async fn withdraw(cluster: &mut DevelopmentCluster, client: &Client, shop: &Shop) -> Result<Found, Failure> {
    let victim = cluster.leader_of(shop.creams[1].shard).await?;
    let began = Instant::now();
    let mut named = BTreeSet::new();
    let mut kills = 0;
    for (place, cream) in shop.creams.iter().enumerate() {
        if place == 1 {
            cluster.kill(victim).await?;
            kills += 1;
            output::say(&format!("node {victim}, which leads the shard of the next SKU, is killed (SIGKILL)"));
        }
        be_done(client, Recall::of(cream.sku.as_str(), RECALLED).into(), &cream.sku).await?;
        let traced = trace_lot(&client.reader(Default::default()), &cream.sku, RECALLED).await?;
        named.extend(traced.iter().filter_map(|found| found.reservation_id).map(|id| (place, id.into())));
    }
    let took = began.elapsed();
    output::say(&format!("lot {RECALLED} of {} SKUs is recalled and traced", shop.creams.len()));
    cluster.bring_back(victim)?;
    Ok(Found { named, took, kills })
}
