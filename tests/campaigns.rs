//! A campaign over real processes: what it has nobody else gets, over several shards, and what it has not sold is on sale again when it
//! is over; through a kill of all nodes in the middle of it.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use futures_util::future::join_all;
use holdfast_client::{Allocations, Client, Consistency, Grant, PutItem, PutKit, Receive, Reserve, Revoke, v1};
use holdfast_proto::v1::ErrorReason;

const SHARDS: u32 = 4;
const HOUR_MS: u64 = 3_600_000;

/// One item of each of two shards, with 10 units each.
async fn open_shop(client: &Client) -> Vec<String> {
    let mut skus: Vec<String> = Vec::new();
    for sku in (0..1_000).map(|number| format!("SKU-{number}")) {
        if skus.len() < 2 && skus.iter().all(|other| client.shard_of(other) != client.shard_of(&sku)) {
            let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
            client.execute(PutItem::new(item)).await.expect("an item is put");
            client.receive(Receive::of(sku.as_str(), 10)).await.expect("units are received");
            skus.push(sku);
        }
    }
    skus
}

async fn announce(client: &Client, id: &str, starts_at_ms: u64, ends_at_ms: u64) -> v1::Campaign {
    let campaign = v1::Campaign { campaign_id: id.to_owned(), starts_at_ms, ends_at_ms, ..v1::Campaign::default() };
    client.open_campaign(campaign).await.expect("a campaign is opened")
}

fn cart(skus: &[String], units: u32) -> Reserve {
    let cart = skus.iter().fold(Reserve::new(), |cart, sku| cart.line(sku.as_str(), units));
    cart.ttl(Duration::from_secs(3_600))
}

/// What may be promised, and what campaigns have of it.
async fn promised(client: &Client, sku: &str) -> (u64, u64) {
    let stock = client.stock(sku, None).await.expect("stock is read").value;
    (stock.atp, stock.levels.iter().map(|level| level.allocated).sum())
}

/// Granted, held and sold, of each SKU in their order.
async fn allocations(client: &Client, id: &str) -> Vec<(u64, u64, u64)> {
    let which = Allocations { campaign_id: Some(id.to_owned()), sku: None };
    let reader = client.reader(Consistency::Linearizable);
    let found = reader.allocations(which).take(usize::MAX).await.expect("allocations are read");
    found.iter().map(|of| (of.granted, of.held, of.sold)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_campaign_has_is_its_own_through_a_kill_of_all_nodes_and_goes_back_to_sale() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client).await;
    let now = client.cluster_time_ms();
    announce(&client, "drop", now - 1_000, now + HOUR_MS).await;
    for sku in &skus {
        client.execute(Grant::of("drop", sku.as_str(), 4)).await.expect("units are granted");
    }
    assert_eq!((promised(&client, &skus[0]).await, promised(&client, &skus[1]).await), ((6, 4), (6, 4)));
    let outside = client.reserve(cart(&skus, 7)).await.expect_err("4 are the campaign's");
    assert_eq!(outside.failure().reason, ErrorReason::InsufficientStock);
    let first = client.reserve(cart(&skus, 1).campaign("drop")).await.expect("the campaign sells");
    let first = first.reservation_id.expect("a reservation");

    cluster.restart_all().await;
    assert_eq!(allocations(&client, "drop").await, [(4, 1, 0), (4, 1, 0)]);
    // Many want the 3 carts that are left, over both shards.
    let race = join_all((0..8).map(|_| client.reserve(cart(&skus, 1).campaign("drop")))).await;
    let mut held = race.iter().filter(|answer| answer.is_ok()).count();
    for refused in race.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.reason(), ErrorReason::AllocationExhausted, "{refused}");
    }
    // Who lost a race gave back what it held for a moment.
    while held < 3 {
        held += usize::from(client.reserve(cart(&skus, 1).campaign("drop")).await.is_ok());
    }
    assert_eq!(held, 3);
    client.reserve(cart(&skus, 6)).await.expect("the rest is everybody's");
    client.commit(first).await.expect("a hold is sold");

    client.receive(Receive::of(skus[0].as_str(), 2)).await.expect("units are received");
    let too_many = client.execute(Grant::of("drop", skus[0].as_str(), 3)).await.expect_err("there are 2");
    assert_eq!(too_many.failure().metadata.get("available").map(String::as_str), Some("2"));
    client.execute(Grant::of("drop", skus[0].as_str(), 2)).await.expect("units are granted");
    client.execute(Revoke::of("drop", skus[0].as_str(), 1)).await.expect("units are revoked");
    assert_eq!(promised(&client, &skus[0]).await, (1, 1));

    let closed = client.close_campaign("drop").await.expect("the campaign is closed");
    assert!(closed.closed);
    assert_eq!(promised(&client, &skus[0]).await, (2, 0));
    let over = client.reserve(cart(&skus[..1], 1).campaign("drop")).await.expect_err("it is over");
    assert_eq!(over.failure().reason, ErrorReason::SaleEnded);
    client.reserve(cart(&skus[..1], 2)).await.expect("what was not sold is on sale again");

    cluster.restart_all().await;
    let over = client.reserve(cart(&skus[..1], 1).campaign("drop")).await.expect_err("it is over");
    assert_eq!(over.failure().reason, ErrorReason::SaleEnded);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clusters_records_are_read_from_a_node_that_leads_them_for_sure() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let now = client.cluster_time_ms();
    announce(&client, "drop", now - 1_000, now + HOUR_MS).await;
    let (mut lists, mut refused) = (0, 0);
    for node in 1..=3 {
        let request = v1::ListCampaignsRequest { campaign_id: "drop".to_owned(), stale: false };
        match cluster.cluster_service(node).list_campaigns(request).await {
            Ok(answer) => lists += answer.into_inner().campaigns.len(),
            Err(status) => {
                assert_eq!(v1::CommandError::from(&status).reason(), ErrorReason::NotLeader, "{status}");
                refused += 1;
            }
        }
    }
    assert_eq!((lists, refused), (1, 2), "a copy that lags might know nothing of it yet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_sells_in_its_window_and_ends_by_itself() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client).await;
    let unknown = client.reserve(cart(&skus, 1).campaign("drop")).await.expect_err("there is none");
    assert_eq!(unknown.failure().reason, ErrorReason::UnknownCampaign);
    let now = client.cluster_time_ms();
    announce(&client, "later", now + HOUR_MS, now + 2 * HOUR_MS).await;
    client.execute(Grant::of("later", skus[0].as_str(), 3)).await.expect("units are granted");
    let early = client.reserve(cart(&skus, 1).campaign("later")).await.expect_err("it has not begun");
    let starts_at = (now + HOUR_MS).to_string();
    assert_eq!(early.failure().reason, ErrorReason::SaleNotStarted);
    assert_eq!(early.failure().metadata.get("starts_at_ms"), Some(&starts_at));

    // A campaign that sells a kit is given its components.
    let kit = PutKit::of("SET").component(skus[0].as_str(), 1).component(skus[1].as_str(), 2);
    client.execute(kit).await.expect("a kit is put");
    announce(&client, "sets", now - 1, now + HOUR_MS).await;
    let set = || Reserve::new().line("SET", 1).campaign("sets");
    let refused = client.reserve(set()).await.expect_err("it was given nothing");
    assert_eq!(refused.failure().reason, ErrorReason::AllocationExhausted);
    client.execute(Grant::of("sets", skus[0].as_str(), 1)).await.expect("units are granted");
    client.execute(Grant::of("sets", skus[1].as_str(), 2)).await.expect("units are granted");
    let held = client.reserve(set()).await.expect("a kit is held of what the campaign has");
    client.release(held.reservation_id.expect("a reservation")).await.expect("it is given back");
    assert!(client.close_campaign("sets").await.expect("it is closed").closed);

    announce(&client, "short", now - 1, client.cluster_time_ms() + 2_000).await;
    client.execute(Grant::of("short", skus[0].as_str(), 7)).await.expect("units are granted");
    assert_eq!(promised(&client, &skus[0]).await.0, 0);
    // Nobody asks for anything, and yet it is over.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while promised(&client, &skus[0]).await != (7, 3) {
        assert!(tokio::time::Instant::now() < deadline, "what was not sold is on sale again");
        cluster::pause().await;
    }
    let over = client.reserve(cart(&skus, 1).campaign("short")).await.expect_err("it is over");
    assert_eq!(over.failure().reason, ErrorReason::SaleEnded);
    let known: Vec<String> =
        client.campaigns(None).await.expect("campaigns are read").into_iter().map(|it| it.campaign_id).collect();
    assert_eq!(known, ["later", "sets", "short"]);
    let other = v1::Campaign { campaign_id: "later".to_owned(), starts_at_ms: 5, ends_at_ms: 6, ..Default::default() };
    let refused = client.open_campaign(other).await.expect_err("it is there with another window");
    assert_eq!(refused.reason(), ErrorReason::InvalidArgument);
    cluster.replicas_agree().await;
}
