//! Channels over real processes: what one keeps back stays on the shelves whoever races for it, a line that was split is one line, and
//! a retry is answered as it was, through a kill of all nodes between the hold and the sale.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use futures_util::future::join_all;
use holdfast_client::ids::CommandId;
use holdfast_client::{Client, Command, CommandKey, Fulfil, PutItem, Receive, Reserve, v1};
use holdfast_proto::v1::{ErrorReason, ReservationState, SourcingStrategy};

const SHARDS: u32 = 4;
const LOCATIONS: [&str; 2] = ["PAR", "LYO"];

/// One item of each of the first shards, with so many units at each location, and the channel `web` that keeps `buffer` back.
async fn open_shop(client: &Client, items: usize, units: [u32; 2], buffer: u32) -> Vec<String> {
    for id in LOCATIONS {
        let location = v1::Location { location_id: id.to_owned(), ..v1::Location::default() };
        client.put_location(location).await.expect("a location is put");
    }
    let location_ids = LOCATIONS.map(str::to_owned).to_vec();
    let channel = v1::Channel { channel_id: "web".to_owned(), location_ids, buffer, ..v1::Channel::default() };
    client.put_channel(channel).await.expect("a channel is put");
    let mut skus: Vec<String> = Vec::new();
    for sku in (0..1_000).map(|number| format!("SKU-{number}")) {
        if skus.len() < items && skus.iter().all(|other| client.shard_of(other) != client.shard_of(&sku)) {
            let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
            client.execute(PutItem::new(item)).await.expect("an item is put");
            for (location, units) in LOCATIONS.iter().zip(units).filter(|(_, units)| *units > 0) {
                client.receive(Receive::of(sku.as_str(), units).at(*location)).await.expect("units are received");
            }
            skus.push(sku);
        }
    }
    assert_eq!(skus.len(), items, "a SKU of each shard is found");
    skus
}

fn cart(skus: &[String], units: u32, strategy: SourcingStrategy) -> Reserve {
    let cart = skus.iter().fold(Reserve::new(), |cart, sku| cart.line(sku.as_str(), units));
    cart.sourced("web", strategy).ttl(Duration::from_secs(600))
}

async fn level(client: &Client, sku: &str, location: &str) -> v1::StockLevel {
    let stock = client.stock(sku, Some(location)).await.expect("stock is read").value;
    stock.levels.into_iter().next().unwrap_or_default()
}

/// Waits until that much of each item is free at each location.
async fn until_free(client: &Client, skus: &[String], free: [u64; 2]) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    for sku in skus {
        for (location, free) in LOCATIONS.iter().zip(free) {
            loop {
                let level = level(client, sku, location).await;
                if level.free == free {
                    break;
                }
                assert!(tokio::time::Instant::now() < deadline, "{sku} at {location}: {level:?}");
                cluster::pause().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_channel_keeps_back_stays_on_the_shelves_of_all_shards_whoever_races_for_it() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client, 2, [5, 4], 2).await;
    // 3 and 2 units may be sold through the channel: of each location by others than the first.
    let race = join_all((0..12).map(|_| client.reserve(cart(&skus, 1, SourcingStrategy::Priority)))).await;
    let mut held = race.iter().filter(|answer| answer.is_ok()).count();
    for refused in race.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.reason(), ErrorReason::InsufficientStock, "{refused}");
    }
    assert!((1..=5).contains(&held), "{held} carts are held");
    // Who lost every race is refused for good; whoever comes after the race gets what is left.
    let refused = loop {
        match client.reserve(cart(&skus, 1, SourcingStrategy::MostStock)).await {
            Ok(_) => held += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(held, 5, "all that may be sold is held");
    let told = refused.failure();
    assert_eq!(told.reason, ErrorReason::InsufficientStock);
    assert_eq!(told.metadata.get("available").map(String::as_str), Some("0"));
    until_free(&client, &skus, [2, 2]).await;
    // What is not sold through the channel may have the rest.
    client.reserve(Reserve::new().line_at(skus[0].as_str(), "PAR", 2)).await.expect("the buffer is the channel's");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_split_over_two_locations_is_one_through_a_kill_of_all_nodes_before_and_after_the_sale() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client, 2, [4, 3], 1).await;
    let key = CommandKey::Own(CommandId::of_key("cart-1"));
    let whole = client.reserve(cart(&skus, 4, SourcingStrategy::FewestSplits)).await.expect_err("no location has 4");
    assert_eq!(whole.failure().metadata.get("available").map(String::as_str), Some("3"));
    let ask = || Command::from(cart(&skus, 4, SourcingStrategy::Priority).allow_split()).with_key(key);
    let held = client.execute(ask()).await.expect("the cart is held").reservation_id.expect("a reservation");
    let shown = client.reservation(held).await.expect("the reservation is read").value;
    let lines: Vec<(&str, &str, u64, u32)> =
        shown.lines.iter().map(|line| (line.sku.as_str(), line.location_id.as_str(), line.held, line.of)).collect();
    let (first, second) = (skus[0].as_str(), skus[1].as_str());
    let expected = [(first, "PAR", 3, 0), (first, "LYO", 1, 0), (second, "PAR", 3, 1), (second, "LYO", 1, 1)];
    assert_eq!(lines, expected);
    let asked: Vec<(&str, u32)> = shown.asked.iter().map(|asked| (asked.sku.as_str(), asked.units)).collect();
    assert_eq!((asked, shown.channel_id.as_str()), (vec![(first, 4), (second, 4)], "web"));

    cluster.restart_all().await;
    // The stock has moved, and the channel too: the same request is answered as it was.
    client.receive(Receive::of(first, 9).at("LYO")).await.expect("units are received");
    let channel = v1::Channel { channel_id: "web".into(), location_ids: vec!["LYO".into()], ..Default::default() };
    client.put_channel(channel).await.expect("a channel is put");
    let again = client.execute(ask()).await.expect("it is answered as it was");
    assert_eq!((again.replayed, again.reservation_id), (true, Some(held)));
    let other = Command::from(cart(&skus, 3, SourcingStrategy::Priority).allow_split()).with_key(key);
    let refused = client.execute(other).await.expect_err("it is another request");
    assert_eq!(refused.reason(), ErrorReason::ExistsWithDifferent);

    client.commit(held).await.expect("the cart is sold");
    cluster.restart_all().await;
    client.fulfil(Fulfil::of(held)).await.expect("the cart is shipped");
    let shipped = client.reservation(held).await.expect("the reservation is read").value;
    let units: Vec<u64> = shipped.lines.iter().map(|line| line.fulfilled).collect();
    assert_eq!((shipped.state(), units), (ReservationState::Fulfilled, vec![3, 1, 3, 1]));
    until_free(&client, &skus[1..], [1, 2]).await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_fewer_will_do_a_channel_gives_as_many_as_its_locations_have() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client, 2, [4, 3], 1).await;
    // 3 and 2 units of each may be sold through the channel.
    let cart = |units, least| {
        let of = |cart: Reserve, sku: &String| cart.line_at_least(sku.as_str(), units, least);
        skus.iter().fold(Reserve::new(), of).sourced("web", SourcingStrategy::FewestSplits)
    };
    let refused = client.reserve(cart(9, 6).allow_split()).await.expect_err("they have five");
    assert_eq!(refused.failure().metadata.get("available").map(String::as_str), Some("5"));
    let at_one = client.reserve(cart(9, 2)).await.expect("three at one location will do");
    assert_eq!(at_one.held, [3, 3]);
    until_free(&client, &skus, [1, 3]).await;
    let shown = client.reservation(at_one.reservation_id.expect("a reservation")).await.expect("it is read").value;
    assert_eq!(shown.asked.iter().map(|it| it.units).collect::<Vec<_>>(), [3, 3], "it says how many are held");
    client.release(at_one.reservation_id.expect("a reservation")).await.expect("it is given back");
    until_free(&client, &skus, [4, 3]).await;
    let at_both = client.reserve(cart(9, 4).allow_split()).await.expect("five at both will do");
    assert_eq!(at_both.held, [5, 5]);
    until_free(&client, &skus, [1, 1]).await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_put_read_and_asked_to_choose_by_name_and_what_is_wrong_is_told() {
    let cluster = Cluster::of_shards(1).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client, 1, [5, 0], 0).await;
    let known = client.channels(Some("web")).await.expect("the channel is read");
    assert_eq!((known.len(), known[0].revision, known[0].location_ids.join(",")), (1, 1, "PAR,LYO".to_owned()));
    let unknown = client.channels(Some("till")).await.expect_err("there is none");
    assert_eq!(unknown.reason(), ErrorReason::UnknownChannel);
    let channel = v1::Channel { channel_id: "web".into(), location_ids: vec!["NIC".into()], ..Default::default() };
    let refused = client.put_channel(channel).await.expect_err("there is no such location");
    assert_eq!(
        (refused.reason(), refused.failure().field.as_str()),
        (ErrorReason::UnknownLocation, "channel.location_ids[0]")
    );
    let near = |ids: &[&str]| Reserve::new().line(skus[0].as_str(), 1).sourced_nearest("web", ids.to_vec());
    let lacking = client.reserve(near(&["LYO"])).await.expect_err("nothing lies there");
    assert_eq!(lacking.reason(), ErrorReason::InsufficientStock);
    let nowhere = client.reserve(near(&["NIC"])).await.expect_err("it is none of the channel's");
    assert_eq!(nowhere.failure().field, "sourcing.nearest");
    let held = client.reserve(near(&["LYO", "PAR"])).await.expect("the second one has it");
    let shown = client.reservation(held.reservation_id.expect("a reservation")).await.expect("it is read").value;
    assert_eq!(shown.lines[0].location_id, "PAR");
    let both = Reserve::new().line_at(skus[0].as_str(), "PAR", 1).sourced("web", SourcingStrategy::Priority);
    let refused = client.reserve(both).await.expect_err("the line names its location");
    assert_eq!(refused.failure().field, "lines[0].location_id");
}
