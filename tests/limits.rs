//! Limits per customer, over real processes: several clients reach for the same SKU in one customer's name at once, every node is
//! killed in between, and nobody has more than the limit.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Client, PutItem, PutLimit, Receive, Reserve, v1};
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
    cluster.kill_all();
    cluster.start_all();
    cluster.wait_ready().await;
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
