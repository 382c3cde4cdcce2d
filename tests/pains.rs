//! What users of today's systems suffer from, each by name: first the design that suffers, as small as it can be said, which must show
//! the pain (`pains/naive.rs`); then a cluster of real processes, which must not.

mod cluster;
#[path = "pains/naive.rs"]
mod naive;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Raw, Shop, pause, reservation_id};
use holdfast_client::{
    ApplyCount, Client, Commit, Consistency, Error, Fulfil, OpenCount, PutItem, PutKit, PutLimit, Receive, RecordCount,
    Reservations, Reserve, Stock, v1,
};
use holdfast_proto::v1::ErrorReason;

/// An item with so many units.
async fn stocked(client: &Client, sku: &str, units: u32) {
    let item = v1::Item { sku: sku.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.execute(Receive::of(sku, units)).await.expect("units are received");
}

fn hold(sku: &str, units: u32) -> Reserve {
    Reserve::new().line(sku, units).ttl(Duration::from_secs(14_400))
}

async fn stock(client: &Client, sku: &str) -> Stock {
    client.stock(sku, None).await.expect("stock is read").value
}

fn reserved(stock: &Stock) -> u64 {
    stock.levels.iter().map(|level| level.reserved).sum()
}

/// Two SKUs that different shards decide.
async fn two_shards(client: &Client, units: u32) -> [String; 2] {
    let names: Vec<String> = (0..100).map(|number| format!("PAIR-{number}")).collect();
    let other = names.iter().find(|sku| client.shard_of(sku) != client.shard_of(&names[0])).expect("another shard");
    let skus = [names[0].clone(), other.clone()];
    for sku in &skus {
        stocked(client, sku, units).await;
    }
    skus
}

/// Pain 1: the last unit sold twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_1_the_last_unit_is_sold_twice_under_concurrency() {
    let mut table = naive::ReadThenWrite { units: 1 };
    assert_eq!(table.race(2), 2, "what is read, checked and written back is sold twice");

    let cluster = Cluster::of_three().await;
    let (one, other) = (Shop::client(&cluster).await, Shop::client(&cluster).await);
    for round in 0..100 {
        let sku = format!("LAST-{round}");
        stocked(&one, &sku, 1).await;
        let answers = tokio::join!(one.reserve(hold(&sku, 1)), other.reserve(hold(&sku, 1)));
        let refused = match answers {
            (Ok(_), Err(Error::Refused(refused))) | (Err(Error::Refused(refused)), Ok(_)) => refused,
            other => panic!("round {round}: {other:?}"),
        };
        assert_eq!(refused.reason, ErrorReason::InsufficientStock, "round {round}");
        assert_eq!(refused.metadata.get("available").map(String::as_str), Some("0"), "round {round}");
        let stock = stock(&one, &sku).await;
        assert_eq!((reserved(&stock), stock.atp), (1, 0), "round {round}");
    }
    cluster.replicas_agree().await;
}

/// Pain 2: each of two lines of one SKU passes, and together they are too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_2_the_same_sku_twice_in_one_cart_passes_both_checks() {
    let cart = [("SKU", 2), ("SKU", 2)];
    assert!(naive::is_cart_allowed_line_by_line(&BTreeMap::from([("SKU", 3)]), &cart), "each line passes by itself");

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", 3).await;
    let refused = client.reserve(hold("SKU", 2).line("SKU", 2)).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::InsufficientStock);
    assert_eq!(reserved(&stock(&client, "SKU").await), 0);
    let held = client.reserve(hold("SKU", 2).line("SKU", 1)).await.expect("three of three");
    assert_eq!(reserved(&stock(&client, "SKU").await), 3);
    client.commit(reservation_id(&held)).await.expect("a sale of both lines");
    assert_eq!(stock(&client, "SKU").await.levels[0].committed, 3);
}

/// Pain 3: holds that never leave, or leave twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_3_ghost_reservations_that_never_leave_or_go_negative() {
    let mut ledger = naive::Ledger::default();
    ledger.hold(3);
    // The customer cancels, and so does the job that ends what is old.
    ledger.give_back(3);
    ledger.give_back(3);
    assert_eq!(ledger.reserved(), -3, "what is given back twice goes below nothing");

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", 5).await;
    let brief = client.reserve(Reserve::new().line("SKU", 2).ttl(Duration::from_secs(1))).await.expect("a brief hold");
    let long = client.reserve(hold("SKU", 3)).await.expect("a long hold");
    let deadline = Instant::now() + PATIENCE;
    while reserved(&stock(&client, "SKU").await) != 3 {
        assert!(Instant::now() < deadline, "the brief hold stays");
        pause().await;
    }
    let late = client.commit(reservation_id(&brief)).await.unwrap_err();
    assert_eq!(late.reason(), ErrorReason::ReservationExpired);
    client.release(reservation_id(&long)).await.expect("a first release");
    // Whatever a second release is answered, units come back once.
    let _ = client.release(reservation_id(&long)).await;
    let stock = stock(&client, "SKU").await;
    assert_eq!((reserved(&stock), stock.atp, stock.levels[0].on_hand), (0, 5, 5));
}

/// Pain 4: the counter and the holds part ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_4_the_reserved_counter_drifts_from_the_holds() {
    let mut tables = naive::HoldsAndCounter::default();
    tables.hold(2, false);
    tables.hold(3, true);
    assert_ne!(tables.counter, tables.holds.iter().sum::<u64>(), "a crash between two writes parts them for good");

    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    let skus: Vec<String> = (0..4).map(|number| format!("SKU-{number}")).collect();
    for sku in &skus {
        stocked(&client, sku, 200).await;
    }
    let customer = |number: usize| {
        let (client, skus) = (client.clone(), skus.clone());
        async move {
            for turn in 0..40 {
                let sku = &skus[(number + turn) % skus.len()];
                let Ok(held) = client.reserve(hold(sku, 1 + (turn % 5) as u32)).await else { continue };
                let id = reservation_id(&held);
                let then = match turn % 4 {
                    0 => client.commit(id).await,
                    1 => client.release(id).await,
                    2 => client.execute(Commit::of(id).line(0, 1)).await,
                    _ => continue,
                };
                then.expect("what is held can be ended");
            }
        }
    };
    futures_util::future::join_all((0..12).map(customer)).await;
    cluster.restart_all().await;
    let listing = client.reader(Consistency::Linearizable).reservations(Reservations::default());
    let reservations = listing.take(10_000).await.expect("the reservations are listed");
    assert!(!reservations.is_empty());
    for sku in &skus {
        let lines = reservations.iter().flat_map(|it| &it.lines).filter(|line| line.sku == *sku);
        let sums = lines.fold((0, 0), |(held, committed), line| (held + line.held, committed + line.committed));
        let stock = stock(&client, sku).await;
        let counters = (stock.levels[0].reserved, stock.levels[0].committed);
        assert_eq!(counters, sums, "{sku}: reserved and committed, by the counters and by the holds");
    }
    cluster.replicas_agree().await;
}

/// Carts whose lines lie on several shards, in opposite orders: all of them are answered, and nobody is refused but for stock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_5_deadlocks_and_lock_timeouts_under_load() {
    assert!(naive::carts_wait_in_a_ring(&[["A", "B"], ["B", "A"]]), "rows locked in the order of the lines");

    const ROUNDS: usize = 30;
    let cluster = Cluster::of_shards(4).await;
    let client = Shop::client(&cluster).await;
    let skus = two_shards(&client, 1_000).await;
    let cart = |first: usize| hold(&skus[first], 1).line(skus[1 - first].as_str(), 1);
    let customer = |number: usize| {
        let (client, cart) = (client.clone(), &cart);
        async move {
            for _ in 0..ROUNDS {
                client.reserve(cart(number % 2)).await.expect("a cart is held, in whatever order its lines are");
            }
        }
    };
    futures_util::future::join_all((0..6).map(customer)).await;
    for sku in &skus {
        assert_eq!(reserved(&stock(&client, sku).await), 6 * ROUNDS as u64, "{sku}");
    }
}

/// While one customer's payment is under way for a hold, others hold and buy of the same SKU.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_6_a_payment_call_is_made_inside_the_stock_lock() {
    assert_eq!(naive::wait_behind_payments(20, 2_000), 40_000, "each waits for the payments of those before");

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", 21).await;
    let paying = reservation_id(&client.reserve(hold("SKU", 1)).await.expect("a hold"));
    // The payment of the first customer ends only when all the others have bought.
    for _ in 0..20 {
        let held = client.reserve(hold("SKU", 1)).await.expect("another customer holds meanwhile");
        client.commit(reservation_id(&held)).await.expect("and buys");
    }
    client.commit(paying).await.expect("the payment came through, and the unit is there");
    let level = stock(&client, "SKU").await.levels.remove(0);
    assert_eq!((level.committed, level.reserved, level.atp), (21, 0, 0));
}

/// Two kits share a component of which there is enough for one: whoever comes second takes nothing of the others either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_7_a_kit_is_sold_wrong_or_a_component_is_taken_without_the_rest() {
    let mut shelf = BTreeMap::from([("BAG", 5), ("ROUGE", 1)]);
    let recipe = [("BAG", 1), ("ROUGE", 2)];
    assert_eq!(naive::components_taken(&mut shelf, &recipe), ["BAG"], "one component is gone, and there is no kit");

    let cluster = Cluster::of_shards(4).await;
    let client = Shop::client(&cluster).await;
    let [bag, rouge] = two_shards(&client, 5).await;
    for kit in ["SET-A", "SET-B"] {
        let kit = PutKit::of(kit).component(bag.as_str(), 1).component(rouge.as_str(), 3);
        client.put_kit(kit).await.expect("a kit is put");
    }
    let told = tokio::join!(client.reserve(hold("SET-A", 1)), client.reserve(hold("SET-B", 1)));
    let (held, lacks): (Vec<_>, Vec<_>) = [told.0, told.1].into_iter().partition(Result::is_ok);
    assert!(held.len() <= 1, "three of five are in one kit: {held:?}");
    for refused in lacks.iter().filter_map(|told| told.as_ref().err()) {
        assert_eq!(refused.reason(), ErrorReason::ComponentUnavailable, "{refused:?}");
    }
    if held.is_empty() {
        // Both were in each other's way for a moment.
        client.reserve(hold("SET-A", 1)).await.expect("alone it is held");
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let of = (reserved(&stock(&client, &bag).await), reserved(&stock(&client, &rouge).await));
        if of == (1, 3) {
            break;
        }
        assert!(Instant::now() < deadline, "of the refused kit something stays taken: {of:?}");
        pause().await;
    }
}

/// The lot that expires first leaves first, though it came last; an expired or blocked one never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_8_an_expired_lot_or_the_wrong_one_is_picked() {
    let lots = [("LATE", "2099-12", 5), ("EARLY", "2098-01", 5)];
    assert_eq!(naive::first_in_first_out(&lots), Some("LATE"), "the one that came first is picked");

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    let item = v1::Item { sku: "CREAM".to_owned(), lot_tracked: true, ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    let gone = [("GONE", "2020-01", 5)];
    for (lot, best_before, units) in lots.iter().chain(&gone) {
        let spec = v1::LotSpec { best_before: (*best_before).to_owned(), ..v1::LotSpec::default() };
        client.receive(Receive::of("CREAM", *units).lot(*lot).lot_spec(spec)).await.expect("units are received");
    }
    assert_eq!(stock(&client, "CREAM").await.atp, 10, "an expired lot is not sold");
    let held = reservation_id(&client.reserve(hold("CREAM", 5)).await.expect("a hold"));
    client.commit(held).await.expect("a sale");
    client.execute(Fulfil::of(held)).await.expect("it is shipped");
    let shown = client.reservation(held).await.expect("the reservation is read").value;
    let picked: Vec<(&str, u64)> =
        shown.lines[0].lots.iter().map(|units| (units.lot_id.as_str(), units.fulfilled)).collect();
    assert_eq!(picked, [("EARLY", 5)]);
}

/// Units are sold and shipped between the count and its use: the count is neither refused nor does it bring back what has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_9_a_stocktake_is_refused_or_wrong_while_orders_go_on() {
    assert_eq!(
        naive::on_hand_after_stocktake(9, 4),
        9,
        "what left between the count and the writing is back in the books"
    );

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", 10).await;
    let held = reservation_id(&client.reserve(hold("SKU", 4)).await.expect("a hold"));
    client.commit(held).await.expect("a sale");
    let count = client.execute(OpenCount::of("SKU")).await.expect("a count is opened").count_id.expect("a count");
    client.execute(RecordCount::of(count).units(9)).await.expect("nine of ten are found");
    client.execute(Fulfil::of(held)).await.expect("four of them are shipped meanwhile");
    client.reserve(hold("SKU", 2)).await.expect("others hold meanwhile");
    client.execute(ApplyCount::of(count)).await.expect("the count is applied while orders go on");
    let level = stock(&client, "SKU").await.levels.remove(0);
    assert_eq!((level.on_hand, level.reserved, level.atp), (5, 2, 3), "one is missing, four have left, two are held");
}

/// Pain 10: reads that lag behind holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_10_reads_lag_behind_holds() {
    let mut shop = naive::LaggingIndex { truth: 100, index: 100 };
    shop.truth -= 1;
    assert_ne!(shop.index, shop.truth, "what was just held is still shown as there");

    let cluster = Cluster::of_three().await;
    let (one, other) = (Shop::client(&cluster).await, Shop::client(&cluster).await);
    let raw = Raw::of(&cluster).await;
    stocked(&one, "SKU", 100).await;
    for held in 1..=50 {
        let success = one.reserve(hold("SKU", 1)).await.expect("a hold");
        let seen = stock(&other, "SKU").await;
        assert_eq!((reserved(&seen), seen.atp), (held, 100 - held));
        let token = success.token.expect("an answer has a position");
        for node in 1..=3 {
            let request = v1::GetStockRequest {
                sku: "SKU".to_owned(),
                consistency: Some(v1::Consistency { level: Some(v1::consistency::Level::AtLeast(token)) }),
                ..v1::GetStockRequest::default()
            };
            let answer = raw.inventory(node).get_stock(request).await.expect("any replica answers");
            assert_eq!(answer.into_inner().atp, 100 - held, "node {node}");
        }
    }
}

/// Several devices of one customer at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_11_per_customer_limits_are_missing_or_racy() {
    assert_eq!(naive::orders_of_one_customer(8, 1), 8, "all count before the first inserts");

    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "DROP", 100).await;
    client.execute(PutLimit::of("one each", "DROP", 1)).await.expect("a limit is put");
    let asked = (0..8).map(|_| client.reserve(hold("DROP", 1).customer("anna")));
    let told = futures_util::future::join_all(asked).await;
    assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1);
    let refused = told.iter().filter_map(|told| told.as_ref().err());
    assert!(refused.clone().all(|error| error.reason() == ErrorReason::CustomerLimitExceeded), "{told:?}");
    assert_eq!(reserved(&stock(&client, "DROP").await), 1);
}

/// The node that leads is killed amid a sale: what was acknowledged is held, and no unit beyond the stock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pain_12_stock_and_holds_part_ways_after_a_failover() {
    let mut kept_in_two = naive::CacheAndDatabase::stock(10);
    let before = (0..10).filter(|_| kept_in_two.hold()).count();
    kept_in_two.fail_over();
    let after = (0..10).filter(|_| kept_in_two.hold()).count();
    assert_eq!((before + after, kept_in_two.holds), (20, 20), "what the cache forgot is sold again");

    const UNITS: u32 = 60;
    let mut cluster = Cluster::of_three().await;
    let raw = Raw::of(&cluster).await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", UNITS).await;
    let leader = raw.leader(client.shard_of("SKU")).await;
    let customer = |client: Client| async move {
        let mut held = 0_u64;
        for _ in 0..UNITS {
            match client.reserve(hold("SKU", 1)).await {
                Ok(_) => held += 1,
                Err(error) if error.reason() == ErrorReason::InsufficientStock => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        held
    };
    let sale = futures_util::future::join_all((0..4).map(|_| tokio::spawn(customer(client.clone()))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.kill(leader);
    let held: u64 = sale.await.into_iter().map(|held| held.expect("a customer comes to an end")).sum();
    cluster.start(leader);
    cluster.wait_ready().await;
    let level = stock(&client, "SKU").await.levels.remove(0);
    assert_eq!((held, level.reserved, level.atp), (u64::from(UNITS), u64::from(UNITS), 0));
    cluster.replicas_agree().await;
}
