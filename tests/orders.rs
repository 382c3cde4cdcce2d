//! Reservations over several shards, over real processes: held, sold, given back and ended whole, wherever nodes are killed.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Amend, Client, Command, CommandKey, Commit, Fulfil, PutItem, Receive, Reserve, Return, v1};
use holdfast_proto::ids::{CommandId, ReservationId};
use holdfast_proto::v1::ErrorReason;

const SHARDS: u32 = 4;

/// One item of each shard.
async fn stock_of_all_shards(client: &Client, units: u32) -> Vec<String> {
    let mut skus: Vec<String> = Vec::new();
    for sku in (0..1_000).map(|number| format!("SKU-{number}")) {
        if skus.iter().all(|other| client.shard_of(other) != client.shard_of(&sku)) {
            let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
            client.execute(PutItem::new(item)).await.expect("an item is put");
            client.receive(Receive::of(sku.as_str(), units)).await.expect("units are received");
            skus.push(sku);
        }
        if skus.len() == SHARDS as usize {
            break;
        }
    }
    assert_eq!(skus.len(), SHARDS as usize, "a SKU of each shard is found");
    skus
}

fn cart(skus: &[String], units: u32) -> Reserve {
    let cart = skus.iter().fold(Reserve::new(), |cart, sku| cart.line(sku.as_str(), units));
    cart.ttl(Duration::from_secs(600))
}

/// Waits until the quantities of each item are those.
async fn until_stock_is(client: &Client, skus: &[String], is_it: impl Fn(&v1::StockLevel) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    for sku in skus {
        loop {
            let stock = client.stock(sku, None).await.expect("stock is read").value;
            let counts = stock.levels[0].clone();
            if is_it(&counts) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{sku}: {counts:?}");
            cluster::pause().await;
        }
    }
}

async fn state_of(client: &Client, id: ReservationId) -> v1::ReservationState {
    client.reservation(id).await.expect("the reservation is read").value.state()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_over_all_shards_is_sold_and_shipped_whole_through_a_kill_of_all_nodes_at_each_step() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = stock_of_all_shards(&client, 5).await;
    let held = client.reserve(cart(&skus, 2)).await.expect("the cart is held").reservation_id.expect("a reservation");
    until_stock_is(&client, &skus, |counts| counts.reserved == 2).await;
    cluster.restart_all().await;
    assert_eq!(state_of(&client, held).await, v1::ReservationState::Held);

    client.commit(held).await.expect("the cart is sold");
    cluster.restart_all().await;
    assert_eq!(state_of(&client, held).await, v1::ReservationState::Committed);
    until_stock_is(&client, &skus, |counts| (counts.reserved, counts.committed) == (0, 2)).await;

    client.fulfil(Fulfil::of(held)).await.expect("the cart is shipped");
    cluster.restart_all().await;
    until_stock_is(&client, &skus, |counts| (counts.on_hand, counts.committed) == (3, 0)).await;
    let shipped = client.reservation(held).await.expect("the reservation is read").value;
    assert_eq!(shipped.state(), v1::ReservationState::Fulfilled);
    let skus_of: Vec<&str> = shipped.lines.iter().map(|line| line.sku.as_str()).collect();
    assert_eq!(skus_of, skus, "the lines are in the order they were asked for");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_of_which_one_shard_has_too_little_holds_nothing_anywhere() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = stock_of_all_shards(&client, 3).await;
    let held = client.reserve(Reserve::new().line(skus[2].as_str(), 2)).await.expect("a unit is held");
    let refused = client.reserve(cart(&skus, 2)).await.expect_err("the cart is refused");
    let told = refused.failure();
    assert_eq!((told.reason, told.field.as_str()), (ErrorReason::InsufficientStock, "lines[2].units"));
    let others: Vec<String> = skus.iter().filter(|sku| **sku != skus[2]).cloned().collect();
    until_stock_is(&client, &others, |counts| counts.reserved == 0).await;
    assert_eq!(client.stock(&skus[2], None).await.expect("stock is read").value.atp, 1);

    // What is optional is left out, and the rest is held.
    let partly = client.reserve(cart(&skus, 2).partial_ok()).await.expect("the rest is held");
    let asked = [2, 2, 0, 2];
    assert_eq!(partly.held, asked.to_vec());
    client.release(partly.reservation_id.expect("a reservation")).await.expect("it is given back");
    client.release(held.reservation_id.expect("a reservation")).await.expect("it is given back");
    until_stock_is(&client, &skus, |counts| counts.reserved == 0).await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_ends_on_all_shards_when_its_time_is_over_and_is_decided_once_under_its_key() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = stock_of_all_shards(&client, 3).await;
    let key = CommandKey::Own(CommandId::of_key("cart-1"));
    let ask = || Command::from(cart(&skus, 2).ttl(Duration::from_secs(3))).with_key(key);
    let held = client.execute(ask()).await.expect("the cart is held").reservation_id.expect("a reservation");
    assert_eq!(client.execute(ask()).await.expect("it is answered as it was").reservation_id, Some(held));
    assert_eq!(client.stock(&skus[3], None).await.expect("stock is read").value.atp, 1);
    until_stock_is(&client, &skus, |counts| counts.reserved == 0).await;
    assert_eq!(state_of(&client, held).await, v1::ReservationState::Expired);
    let refused = client.commit(held).await.expect_err("its time is over");
    assert_eq!(refused.failure().reason, ErrorReason::ReservationExpired);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_lines_of_all_shards_are_amended_sold_shipped_and_returned_through_a_kill_of_all_nodes_at_each_step() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = stock_of_all_shards(&client, 5).await;
    let held = client.reserve(cart(&skus, 3)).await.expect("the cart is held").reservation_id.expect("a reservation");

    // One less of another shard's line, one more of the deciding shard's own; more of another's is refused, and all stands.
    client.amend(Amend::of(held).line(skus[0].as_str(), 4).line(skus[1].as_str(), 2)).await.expect("it is amended");
    let more = client.amend(Amend::of(held).line(skus[0].as_str(), 1).line(skus[2].as_str(), 4)).await;
    assert_eq!(more.expect_err("that is a new hold").reason(), ErrorReason::LinesSpanShards);
    cluster.restart_all().await;
    until_stock_is(&client, &skus[..1], |counts| counts.reserved == 4).await;
    until_stock_is(&client, &skus[1..2], |counts| counts.reserved == 2).await;
    until_stock_is(&client, &skus[2..], |counts| counts.reserved == 3).await;

    // Two of each of two lines are sold, and the rest is held still.
    client.execute(Commit::of(held).line(0, 2).line(2, 2)).await.expect("some are sold");
    cluster.restart_all().await;
    until_stock_is(&client, &skus[..1], |counts| (counts.reserved, counts.committed) == (2, 2)).await;
    until_stock_is(&client, &skus[2..3], |counts| (counts.reserved, counts.committed) == (1, 2)).await;
    until_stock_is(&client, &skus[3..], |counts| (counts.reserved, counts.committed) == (3, 0)).await;
    client.execute(Commit::of(held).line(3, 1).and_release_the_rest()).await.expect("the last is sold");
    until_stock_is(&client, &skus[1..2], |counts| (counts.reserved, counts.committed) == (0, 0)).await;
    until_stock_is(&client, &skus[3..], |counts| (counts.reserved, counts.committed) == (0, 1)).await;

    client.fulfil(Fulfil::of(held).line(2, 2)).await.expect("one line is shipped");
    assert_eq!(state_of(&client, held).await, v1::ReservationState::PartiallyFulfilled);
    cluster.restart_all().await;
    until_stock_is(&client, &skus[2..3], |counts| (counts.on_hand, counts.committed) == (3, 0)).await;

    // What comes back is decided by the shard that shipped it, once, whatever happens to the first answer.
    let key = CommandKey::Own(CommandId::of_key("parcel-1"));
    let resellable = v1::Condition::Resellable;
    let back = || Command::from(Return::of(held).line(2, 1).condition(resellable)).with_key(key);
    assert!(!client.execute(back()).await.expect("a unit comes back").replayed);
    cluster.restart_all().await;
    assert!(client.execute(back()).await.expect("it is answered as it was").replayed);
    until_stock_is(&client, &skus[2..3], |counts| (counts.on_hand, counts.returned) == (4, 1)).await;
    let too_many = client.execute(Return::of(held).line(2, 2)).await.expect_err("one is left");
    let told = too_many.failure();
    assert_eq!((told.reason, told.field.as_str()), (ErrorReason::ExceedsFulfilled, "lines[2].units"));
    let of_two = client.execute(Return::of(held).line(0, 1).line(2, 1)).await.expect_err("they are of two shards");
    assert_eq!(of_two.reason(), ErrorReason::LinesSpanShards);

    // The rest is cancelled, and the reservation says what has become of every unit.
    client.cancel(held).await.expect("the rest is cancelled");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let seen = client.reservation(held).await.expect("the reservation is read").value;
        let units: Vec<_> =
            seen.lines.iter().map(|it| (it.fulfilled, it.cancelled, it.released, it.returned)).collect();
        if units == [(0, 2, 2, 0), (0, 0, 3, 0), (2, 0, 1, 1), (0, 1, 2, 0)] {
            assert_eq!(seen.state(), v1::ReservationState::Fulfilled);
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{units:?}");
        cluster::pause().await;
    }
    until_stock_is(&client, &skus, |counts| (counts.reserved, counts.committed) == (0, 0)).await;
    cluster.replicas_agree().await;
}
