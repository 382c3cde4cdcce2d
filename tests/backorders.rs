//! Units promised without stock, over real processes: within the cap, filled in order as units arrive, shipped when they are there and
//! out, also where every node is killed in between and where the lines lie on several shards.

mod cluster;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster::{Cluster, Shop};
use holdfast_client::{Backorders, Client, Fulfil, PutItem, Receive, Reserve, v1};
use holdfast_proto::ids::ReservationId;
use holdfast_proto::v1::{ErrorReason, ReservationState};

const SKU: &str = "SERUM";

async fn put(client: &Client, sku: &str, terms: impl Fn(PutItem) -> PutItem) {
    let item = v1::Item { sku: sku.to_owned(), ..v1::Item::default() };
    client.execute(terms(PutItem::new(item))).await.expect("an item is put");
}

async fn level(client: &Client, sku: &str) -> v1::StockLevel {
    client.stock(sku, None).await.expect("stock is read").value.levels[0].clone()
}

async fn line(client: &Client, id: ReservationId) -> v1::ReservationLine {
    client.reservation(id).await.expect("the reservation is read").value.lines[0].clone()
}

async fn reserve(client: &Client, units: u32) -> ReservationId {
    let held = client.reserve(Reserve::new().line(SKU, units)).await.expect("units are promised");
    held.reservation_id.expect("a reservation")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_promised_without_stock_survives_a_kill_of_all_nodes_and_is_filled_in_order() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    put(&client, SKU, |put| put.backorder(6)).await;
    client.receive(Receive::of(SKU, 1)).await.expect("a unit is received");

    let first = client.reserve(Reserve::new().line(SKU, 3)).await.expect("units are promised");
    assert_eq!((first.held, first.backordered), (vec![1], vec![2]));
    let first = first.reservation_id.expect("a reservation");
    let refused = client.reserve(Reserve::new().line_in_stock(SKU, 1)).await.expect_err("nothing is there");
    assert_eq!(refused.reason(), ErrorReason::InsufficientStock);
    let (second, third) = (reserve(&client, 2).await, reserve(&client, 2).await);
    let refused = client.reserve(Reserve::new().line(SKU, 1)).await.expect_err("the cap is reached");
    assert_eq!(refused.reason(), ErrorReason::BackorderCapExceeded);
    assert_eq!(refused.failure().metadata.get("available").map(String::as_str), Some("0"));
    client.commit(third).await.expect("an order is paid that is not there");
    let refused = client.fulfil(Fulfil::of(third)).await.expect_err("nothing of it is there");
    assert_eq!(refused.reason(), ErrorReason::ExceedsHeldQuantity);

    cluster.restart_all().await;
    let waiting = client.reader(Default::default()).backorders(Backorders { sku: Some(SKU.into()), location_id: None });
    let waiting: Vec<(ReservationId, u64, bool)> = (waiting.take(9).await.expect("backorders are listed").iter())
        .map(|entry| (entry.reservation_id.expect("an id").into(), entry.units, entry.sold))
        .collect();
    assert_eq!(waiting, [(third, 2, true), (first, 2, false), (second, 2, false)]);
    assert_eq!((level(&client, SKU).await.backordered, level(&client, SKU).await.atp), (6, 0));

    client.receive(Receive::of(SKU, 3)).await.expect("units are received");
    cluster.restart_all().await;
    let paid = line(&client, third).await;
    assert_eq!((paid.committed, paid.backordered_sold), (2, 0));
    let unpaid = (line(&client, first).await, line(&client, second).await);
    assert_eq!((unpaid.0.held, unpaid.0.backordered, unpaid.1.backordered), (2, 1, 2));
    client.fulfil(Fulfil::of(third)).await.expect("the order is shipped");
    client.release(first).await.expect("a hold is given back");
    assert_eq!((line(&client, second).await.held, level(&client, SKU).await.backordered), (2, 0));
    let level = level(&client, SKU).await;
    assert_eq!((level.on_hand, level.reserved, level.fulfilled, level.atp), (2, 2, 2, 0));
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_over_several_shards_waits_for_what_each_of_them_lacks_and_is_shipped_once_all_is_out() {
    const SHARDS: u32 = 2;
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let (mut near, mut far) = (None, None);
    for sku in (0..100).map(|number| format!("SKU-{number}")) {
        let of_shard = if client.shard_of(&sku) == 0 { &mut near } else { &mut far };
        *of_shard = Some(sku);
    }
    let (near, far) = (near.expect("a SKU of the first shard"), far.expect("a SKU of the second"));
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64;
    let release_at = now_ms + 20_000;
    put(&client, &near, |put| put.backorder(5)).await;
    put(&client, &far, |put| put.preorder(release_at, 5)).await;
    client.receive(Receive::of(far.as_str(), 1)).await.expect("a unit is received");

    let cart = Reserve::new().line(near.as_str(), 2).line(far.as_str(), 3).ttl(Duration::from_secs(3_600));
    let held = client.reserve(cart).await.expect("the cart is promised");
    assert_eq!((held.held, held.backordered), (vec![0, 1], vec![2, 2]));
    let id = held.reservation_id.expect("a reservation");
    client.commit(id).await.expect("the cart is paid");
    client.receive(Receive::of(near.as_str(), 2)).await.expect("units are received");
    client.receive(Receive::of(far.as_str(), 4)).await.expect("units are received");
    cluster.restart_all().await;

    // The deciding shard learns what the other has got since.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let whole = client.reservation(id).await.expect("the cart is read").value;
        if whole.lines.iter().map(|line| line.committed).eq([2, 3]) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{whole:?}");
        cluster::pause().await;
    }
    loop {
        match client.fulfil(Fulfil::of(id)).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error.reason(), ErrorReason::NotReleased),
        }
        assert!(tokio::time::Instant::now() < deadline, "it is out and not shipped");
        cluster::pause().await;
    }
    let shipped_ms = client.reader(Default::default()).reservation(id).await.expect("the cart is read");
    assert!(shipped_ms.freshness.log_time_ms >= release_at, "nothing is shipped before it is out");
    assert_eq!(shipped_ms.value.state(), ReservationState::Fulfilled);
    loop {
        let there = level(&client, &far).await;
        if (there.on_hand, there.fulfilled, there.backordered, there.atp) == (2, 3, 0, 2) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{there:?}");
        cluster::pause().await;
    }
    cluster.replicas_agree().await;
}
