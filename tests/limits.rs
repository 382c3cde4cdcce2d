//! Limits per customer, over real processes: several clients reach for the same SKU in one customer's name at once, every node is
//! killed in between, and nobody has more than the limit.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Client, Fulfil, Grant, PutItem, PutLimit, Receive, Reserve, Return, v1};
use holdfast_proto::v1::ErrorReason;

const SKU: &str = "DROP";
const CUSTOMER: &str = "anna@example.org";

async fn item(client: &Client, sku: &str) {
    client
        .execute(PutItem::new(v1::Item { sku: sku.to_owned(), ..v1::Item::default() }))
        .await
        .expect("an item is put");
    client.receive(Receive::of(sku, 100)).await.expect("units are received");
}

fn hold(sku: &str, units: u32, customer: &str) -> Reserve {
    Reserve::new().line(sku, units).customer(customer).ttl(Duration::from_secs(600))
}

/// Units held, bought and left under the SKU's only limit.
async fn count(client: &Client, sku: &str, customer: &str) -> (u64, u64, u64) {
    let limits = client.reader(Default::default()).limits(sku, customer).await.expect("limits are read").value;
    let count = limits[0].count.expect("a customer was named");
    (count.held, count.bought, count.remaining)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_in_a_customers_name_gets_no_more_than_the_limit_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    item(&client, SKU).await;
    client.execute(PutLimit::of("two each", SKU, 2)).await.expect("a limit is put");

    let unnamed = client.reserve(Reserve::new().line(SKU, 1)).await.expect_err("a customer is needed");
    assert_eq!((unnamed.reason(), unnamed.failure().field.as_str()), (ErrorReason::CustomerRequired, "customer"));
    let asked = (0..8).map(|_| client.reserve(hold(SKU, 1, CUSTOMER)));
    let told = futures_util::future::join_all(asked).await;
    let held: Vec<_> = told.iter().flatten().filter_map(|success| success.reservation_id).collect();
    assert_eq!(held.len(), 2, "{told:?}");
    for refused in told.iter().filter_map(|told| told.as_ref().err()) {
        assert_eq!(
            (refused.reason(), refused.failure().field.as_str()),
            (ErrorReason::CustomerLimitExceeded, "lines[0].units")
        );
        assert_eq!(refused.failure().metadata["limit_id"], "two each");
    }
    client.reserve(hold(SKU, 2, "berta")).await.expect("another customer has a count of her own");

    client.commit(held[0]).await.expect("one is bought");
    client.release(held[1]).await.expect("the other is given back");
    cluster.restart_all().await;
    assert_eq!(count(&client, SKU, CUSTOMER).await, (0, 1, 1));
    let refused = client.reserve(hold(SKU, 2, CUSTOMER)).await.expect_err("one is left");
    assert_eq!(refused.failure().metadata["remaining"], "1");
    client.reserve(hold(SKU, 1, CUSTOMER)).await.expect("the last one");
    assert_eq!(count(&client, SKU, CUSTOMER).await, (1, 1, 0));
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_over_two_shards_is_held_whole_within_the_limits_of_both() {
    let cluster = Cluster::of_shards(4).await;
    let client = Shop::client(&cluster).await;
    let skus: Vec<String> = (0..100).map(|number| format!("SKU-{number}")).collect();
    let other = skus.iter().find(|sku| client.shard_of(sku) != client.shard_of(SKU)).expect("a SKU of another shard");
    item(&client, SKU).await;
    item(&client, other).await;
    client.execute(PutLimit::of("two each", SKU, 2)).await.expect("a limit is put");
    client.execute(PutLimit::of("one each", other.as_str(), 1)).await.expect("a limit is put");

    let cart = |units, of_other| hold(SKU, units, CUSTOMER).line(other.as_str(), of_other);
    let refused = client.reserve(cart(1, 2)).await.expect_err("more than the other shard's limit");
    assert_eq!(
        (refused.reason(), refused.failure().field.as_str()),
        (ErrorReason::CustomerLimitExceeded, "lines[1].units")
    );
    assert_eq!(count(&client, SKU, CUSTOMER).await, (0, 0, 2), "of a refused cart nothing is counted");
    let held = client.reserve(cart(2, 1)).await.expect("within both").reservation_id.expect("a reservation");
    assert_eq!(count(&client, other, CUSTOMER).await, (1, 0, 0));
    client.release(held).await.expect("the cart is given back");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while count(&client, other, CUSTOMER).await != (0, 0, 1) {
        assert!(tokio::time::Instant::now() < deadline, "the other shard counts what was given back");
        cluster::pause().await;
    }
    client.reserve(cart(2, 1)).await.expect("as before");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_a_campaign_counts_what_is_held_and_bought_in_it_alone_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    item(&client, SKU).await;
    let limit = || PutLimit::of("two each", SKU, 2).in_campaign("drop");
    let unknown = client.execute(limit()).await.expect_err("there is no such campaign");
    assert_eq!(unknown.reason(), ErrorReason::UnknownCampaign);
    let now = client.cluster_time_ms();
    let campaign = v1::Campaign {
        campaign_id: "drop".to_owned(),
        starts_at_ms: now - 1_000,
        ends_at_ms: now + 3_600_000,
        ..v1::Campaign::default()
    };
    client.open_campaign(campaign).await.expect("a campaign is opened");
    client.execute(Grant::of("drop", SKU, 20)).await.expect("units are granted");
    let both = client.execute(limit().within_s(60)).await.expect_err("one of them");
    assert_eq!((both.reason(), both.failure().field.as_str()), (ErrorReason::InvalidArgument, "window_s"));
    client.execute(limit()).await.expect("a limit is put");
    let moved = client.execute(PutLimit::of("two each", SKU, 2)).await.expect_err("its window does not change");
    assert_eq!(moved.failure().field, "window");

    client.reserve(Reserve::new().line(SKU, 5)).await.expect("outside of it nobody is asked who she is");
    client.reserve(hold(SKU, 5, CUSTOMER)).await.expect("nor counted");
    let unnamed = client.reserve(Reserve::new().line(SKU, 1).campaign("drop")).await.expect_err("in it she is");
    assert_eq!(unnamed.reason(), ErrorReason::CustomerRequired);
    let asked = (0..6).map(|_| client.reserve(hold(SKU, 1, CUSTOMER).campaign("drop")));
    let told = futures_util::future::join_all(asked).await;
    let held: Vec<_> = told.iter().flatten().filter_map(|success| success.reservation_id).collect();
    assert_eq!(held.len(), 2, "{told:?}");
    client.commit(held[0]).await.expect("one is bought");

    cluster.restart_all().await;
    assert_eq!(count(&client, SKU, CUSTOMER).await, (1, 1, 0));
    let limits = client.reader(Default::default()).limits(SKU, CUSTOMER).await.expect("limits are read").value;
    assert_eq!(limits[0].campaign_id, "drop");
    let refused = client.reserve(hold(SKU, 1, CUSTOMER).campaign("drop")).await.expect_err("she has two");
    assert_eq!(refused.reason(), ErrorReason::CustomerLimitExceeded);
    client.reserve(hold(SKU, 1, CUSTOMER)).await.expect("outside of it she is as free as before");
    client.close_campaign("drop").await.expect("it is closed");
    client.reserve(hold(SKU, 9, CUSTOMER)).await.expect("and when it is over");
    cluster.replicas_agree().await;
}

/// Two SKUs on different shards, and a limit over both.
async fn shared(cluster: &Cluster, client: &Client, units: u32, returns_restore: bool) -> [String; 2] {
    let skus: Vec<String> = (0..100).map(|number| format!("SKU-{number}")).collect();
    let other = skus.iter().find(|sku| client.shard_of(sku) != client.shard_of(SKU)).expect("a SKU of another shard");
    let skus = [SKU.to_owned(), other.clone()];
    for sku in &skus {
        item(client, sku).await;
    }
    let limit = v1::SharedLimit {
        limit_id: "make-up".to_owned(),
        skus: skus.to_vec(),
        units,
        returns_restore,
        ..v1::SharedLimit::default()
    };
    let put = client.put_shared_limit(limit).await.expect("a limit over both is put");
    assert_eq!(put.revision, 1);
    cluster.wait_ready().await;
    skus
}

/// Holds one unit as soon as the customer may have it: what is given back reaches the counter's shard a moment later.
async fn hold_soon(client: &Client, sku: &str, units: u32, customer: &str) -> holdfast_client::ids::ReservationId {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match client.reserve(hold(sku, units, customer)).await {
            Ok(held) => return held.reservation_id.expect("a reservation"),
            Err(refused) => {
                assert!(tokio::time::Instant::now() < deadline, "what was given back is counted: {refused}")
            }
        }
        cluster::pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_skus_of_several_shards_nobody_gets_more_than_the_limit_of_all_together_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_shards(4).await;
    let client = Shop::client(&cluster).await;
    let skus = shared(&cluster, &client, 3, false).await;

    let unnamed = client.reserve(Reserve::new().line(SKU, 1)).await.expect_err("a customer is needed");
    assert_eq!((unnamed.reason(), unnamed.failure().field.as_str()), (ErrorReason::CustomerRequired, "customer"));
    let asked = (0..10).map(|number| client.reserve(hold(&skus[number % 2], 1, CUSTOMER)));
    let told = futures_util::future::join_all(asked).await;
    let held: Vec<_> = told.iter().flatten().filter_map(|success| success.reservation_id).collect();
    assert_eq!(held.len(), 3, "{told:?}");
    for refused in told.iter().filter_map(|told| told.as_ref().err()) {
        assert_eq!(
            (refused.reason(), refused.failure().field.as_str()),
            (ErrorReason::CustomerLimitExceeded, "lines[0].units")
        );
        assert_eq!(refused.failure().metadata["limit_id"], "make-up");
    }
    let cart = hold(SKU, 2, "berta").line(skus[1].as_str(), 1);
    let of_berta = client.reserve(cart).await.expect("another customer has a counter of her own");
    let shown = client.reader(Default::default()).reservation(of_berta.reservation_id.expect("a reservation")).await;
    assert_eq!(shown.expect("it is read").value.lines.len(), 2, "a counter is no line");

    client.commit(held[0]).await.expect("one is bought");
    client.release(held[1]).await.expect("another is given back");
    cluster.restart_all().await;
    hold_soon(&client, &skus[1], 1, CUSTOMER).await;
    for sku in &skus {
        let refused = client.reserve(hold(sku, 1, CUSTOMER)).await.expect_err("there is none left");
        assert_eq!(refused.failure().metadata["remaining"], "0");
    }
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_or_comes_back_may_be_had_again_of_another_sku_under_the_limit() {
    let cluster = Cluster::of_shards(4).await;
    let client = Shop::client(&cluster).await;
    let skus = shared(&cluster, &client, 2, true).await;

    client.reserve(hold(SKU, 2, CUSTOMER).ttl(Duration::from_secs(1))).await.expect("two are held");
    let bought = hold_soon(&client, &skus[1], 2, CUSTOMER).await;
    client.commit(bought).await.expect("they are bought");
    client.fulfil(Fulfil::of(bought)).await.expect("and shipped");
    let refused = client.reserve(hold(SKU, 1, CUSTOMER)).await.expect_err("they count still");
    assert_eq!(refused.reason(), ErrorReason::CustomerLimitExceeded);
    client.execute(Return::of(bought).line(0, 1)).await.expect("one comes back");
    hold_soon(&client, SKU, 1, CUSTOMER).await;

    let known = client.shared_limits().await.expect("limits are listed");
    assert_eq!((known.len(), known[0].units, known[0].revision), (1, 2, 1));
    let narrower = v1::SharedLimit { units: 1, ..known[0].clone() };
    assert_eq!(client.put_shared_limit(narrower.clone()).await.expect("it is changed").revision, 2);
    let refused = client.put_shared_limit(v1::SharedLimit { window_s: 60, ..narrower.clone() }).await;
    assert_eq!(refused.expect_err("its window does not change").reason(), ErrorReason::InvalidArgument);
    let inactive = v1::SharedLimit { inactive: true, ..narrower };
    client.put_shared_limit(inactive).await.expect("it is lifted");
    client.reserve(Reserve::new().line(SKU, 5)).await.expect("nobody is asked for now");
    cluster.replicas_agree().await;
}
