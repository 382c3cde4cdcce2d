//! Kits, over real processes and several shards: taken apart, held and sold whole, wherever nodes are killed.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Amend, Client, Command, CommandKey, Commit, Fulfil, PutItem, PutKit, Receive, Reserve, v1};
use holdfast_proto::ids::{CommandId, ReservationId};
use holdfast_proto::v1::ErrorReason;

const SHARDS: u32 = 4;

/// SKUs of that name, one of each shard.
fn one_of_each_shard(client: &Client, name: &str) -> Vec<String> {
    let mut skus: Vec<String> = Vec::new();
    for sku in (0..1_000).map(|number| format!("{name}-{number}")) {
        if skus.len() < SHARDS as usize && skus.iter().all(|other| client.shard_of(other) != client.shard_of(&sku)) {
            skus.push(sku);
        }
    }
    assert_eq!(skus.len(), SHARDS as usize, "a SKU of each shard is found");
    skus
}

/// An item of each shard.
async fn items(client: &Client, units: u32) -> Vec<String> {
    let skus = one_of_each_shard(client, "ITEM");
    for sku in &skus {
        let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
        client.put_item(PutItem::new(item)).await.expect("an item is put");
        client.receive(Receive::of(sku.as_str(), units)).await.expect("units are received");
    }
    skus
}

async fn put(client: &Client, sku: &str, components: &[(&str, u32)]) {
    let kit = components.iter().fold(PutKit::of(sku), |kit, (sku, units)| kit.component(*sku, *units));
    client.put_kit(kit).await.expect("a kit is put");
}

async fn level(client: &Client, sku: &str) -> v1::StockLevel {
    client.stock(sku, None).await.expect("stock is read").value.levels[0].clone()
}

/// Waits until so many units of each are reserved and committed.
async fn until_promised(client: &Client, expected: &[(&str, u64, u64)]) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    for (sku, reserved, committed) in expected {
        loop {
            let level = level(client, sku).await;
            if (level.reserved, level.committed) == (*reserved, *committed) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{sku}: {level:?}");
            cluster::pause().await;
        }
    }
}

fn id_of(success: &holdfast_client::Success) -> ReservationId {
    success.reservation_id.expect("a reservation")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kit_is_held_and_sold_by_the_recipe_it_was_held_by_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 10).await;
    let kits = one_of_each_shard(&client, "KIT");
    put(&client, &kits[1], &[(&items[2], 1), (&items[3], 2)]).await;
    put(&client, &kits[0], &[(&kits[1], 2), (&items[1], 1), (&items[2], 1)]).await;

    let key = CommandKey::Own(CommandId::of_key("gift"));
    let ask = || Command::from(Reserve::new().line(kits[0].as_str(), 2).line(items[0].as_str(), 1)).with_key(key);
    let held = id_of(&client.execute(ask()).await.expect("the kit is held"));
    let promised = |held: bool| -> Vec<(&str, u64, u64)> {
        let units = [(&items[0], 1), (&items[1], 2), (&items[2], 6), (&items[3], 8)];
        let of = |units: u64| if held { (units, 0) } else { (0, units) };
        units.iter().map(|(sku, units)| (sku.as_str(), of(*units).0, of(*units).1)).collect()
    };
    until_promised(&client, &promised(true)).await;

    cluster.restart_all().await;
    // The recipe changes, so that there would not be enough for it: what was held stays what it was, and so does the answer.
    put(&client, &kits[0], &[(&items[1], 100)]).await;
    let again = client.execute(ask()).await.expect("it is answered as it was");
    assert_eq!((again.reservation_id, again.replayed), (Some(held), true));
    client.commit(held).await.expect("the kit is sold");
    cluster.restart_all().await;
    until_promised(&client, &promised(false)).await;

    let sold = client.reservation(held).await.expect("the reservation is read").value;
    let asked: Vec<_> = sold.asked.iter().map(|it| (it.sku.as_str(), it.units, it.kit_revision)).collect();
    assert_eq!(asked, [(kits[0].as_str(), 2, 1), (items[0].as_str(), 1, 0)]);
    let lines: Vec<_> = sold.lines.iter().map(|it| (it.sku.as_str(), it.committed, it.of)).collect();
    let of_kit = items[1..].iter().zip([2, 6, 8]).map(|(sku, units)| (sku.as_str(), units, 0));
    let mut expected: Vec<_> = of_kit.collect();
    expected.sort_unstable();
    expected.push((items[0].as_str(), 1, 1));
    assert_eq!(lines, expected);
    client.fulfil(Fulfil::of(held)).await.expect("it is shipped");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_fewer_will_do_as_many_whole_kits_and_units_are_held_as_all_shards_have_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 7).await;
    let kits = one_of_each_shard(&client, "KIT");
    // Of the first component there are seven, which is three kits; of the second what the first cart leaves.
    put(&client, &kits[0], &[(&items[1], 2), (&items[2], 1)]).await;
    let cart = |kits_wanted, least| {
        let item = v1::Line { sku: items[0].clone(), units: 9, min_units: 1, ..v1::Line::default() };
        Reserve::new().line_at_least(kits[0].as_str(), kits_wanted, least).line_of(item)
    };
    let refused = client.reserve(cart(5, 4)).await.expect_err("there are three kits");
    let told = refused.failure();
    assert_eq!((told.reason, told.field.as_str()), (ErrorReason::ComponentUnavailable, "lines[0].units"));
    let success = client.reserve(cart(5, 2)).await.expect("three kits will do");
    assert_eq!(success.held, [3, 7]);
    let held = id_of(&success);
    let [of_item, first, second] = [items[0].as_str(), items[1].as_str(), items[2].as_str()];
    until_promised(&client, &[(of_item, 7, 0), (first, 6, 0), (second, 3, 0)]).await;

    cluster.restart_all().await;
    let seen = client.reservation(held).await.expect("the reservation is read").value;
    let asked: Vec<_> = seen.asked.iter().map(|it| (it.sku.as_str(), it.units)).collect();
    assert_eq!(asked[0], (kits[0].as_str(), 3), "it says how many kits are held");
    client.commit(held).await.expect("what is held is sold");
    client.fulfil(Fulfil::of(held)).await.expect("and shipped");
    until_promised(&client, &[(of_item, 0, 0), (first, 0, 0), (second, 0, 0)]).await;
    let on_hand = [level(&client, of_item).await, level(&client, first).await, level(&client, second).await];
    assert_eq!(on_hand.map(|level| level.on_hand), [0, 1, 4]);

    let amend = v1::Line { sku: first.to_owned(), units: 1, min_units: 1, ..v1::Line::default() };
    let other = client.reserve(Reserve::new().line(second, 1)).await.expect("one is held");
    let refused = client.amend(Amend::of(id_of(&other)).line_of(amend)).await.expect_err("an amend says how many");
    assert_eq!(refused.failure().field, "lines[0].min_units");
    let refused = client.reserve(Reserve::new().line_at_least(second, 2, 3)).await.expect_err("more than asked for");
    assert_eq!(refused.failure().field, "lines[0].min_units");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_carts_that_race_for_the_last_shared_component_one_gets_all_and_the_other_nothing() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 20).await;
    let kits = one_of_each_shard(&client, "KIT");
    put(&client, &kits[2], &[(&items[0], 1), (&items[1], 1)]).await;
    put(&client, &kits[3], &[(&items[0], 2), (&items[3], 1)]).await;
    // Of the shared component two are left.
    client.reserve(Reserve::new().line(items[0].as_str(), 18)).await.expect("units are held");
    for round in 0..5 {
        let (one, other) = tokio::join!(
            client.reserve(Reserve::new().line(kits[2].as_str(), 2)),
            client.reserve(Reserve::new().line(kits[3].as_str(), 1)),
        );
        // Each may find the other's units held for a moment; but not both may have theirs.
        assert!(one.is_err() || other.is_err(), "round {round}");
        let held = (if one.is_ok() { 2 } else { 0 }, u64::from(other.is_ok()));
        let shared = 18 + if held == (0, 0) { 0 } else { 2 };
        until_promised(&client, &[(&items[0], shared, 0), (&items[1], held.0, 0), (&items[3], held.1, 0)]).await;
        for error in [one.as_ref().err(), other.as_ref().err()].into_iter().flatten() {
            let told = error.failure();
            assert_eq!((told.reason, told.field.as_str()), (ErrorReason::ComponentUnavailable, "lines[0].units"));
            assert_eq!(told.metadata["sku"], items[0]);
        }
        for held in [one, other].into_iter().flatten() {
            client.release(id_of(&held)).await.expect("it is given back");
        }
        until_promised(&client, &[(&items[0], 18, 0), (&items[1], 0, 0), (&items[3], 0, 0)]).await;
    }

    // In one cart they are summed: two of the shared one are there, and three are asked for.
    let both = Reserve::new().line(kits[2].as_str(), 1).line(kits[3].as_str(), 1);
    let refused = client.reserve(both).await.expect_err("there is one too few");
    assert_eq!(refused.failure().reason, ErrorReason::ComponentUnavailable);
    until_promised(&client, &[(&items[0], 18, 0), (&items[1], 0, 0), (&items[3], 0, 0)]).await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optional_gift_is_left_out_whole_and_the_rest_is_held() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 3).await;
    let kits = one_of_each_shard(&client, "KIT");
    put(&client, &kits[0], &[(&items[1], 1), (&items[2], 4)]).await;
    let gift = v1::Line { sku: kits[0].clone(), units: 1, optional: true, ..v1::Line::default() };
    for (first, expected) in [(false, [1, 0]), (true, [0, 1])] {
        let cart = Reserve::new();
        let cart = if first { cart.line_of(gift.clone()) } else { cart };
        let cart = cart.line(items[3].as_str(), 1);
        let cart = if first { cart } else { cart.line_of(gift.clone()) };
        let held = client.reserve(cart).await.expect("the rest is held");
        assert_eq!(held.held, expected);
        until_promised(&client, &[(&items[1], 0, 0), (&items[2], 0, 0), (&items[3], 1, 0)]).await;
        client.release(id_of(&held)).await.expect("it is given back");
        until_promised(&client, &[(&items[3], 0, 0)]).await;
    }
    let refused = client.reserve(Reserve::new().line_of(gift)).await.expect_err("nothing else is asked for");
    assert_eq!(refused.failure().reason, ErrorReason::ComponentUnavailable);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kit_is_shown_with_what_it_becomes_and_how_many_could_be_held() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 9).await;
    let kits = one_of_each_shard(&client, "KIT");
    put(&client, &kits[1], &[(&items[1], 1), (&items[2], 2)]).await;
    put(&client, &kits[0], &[(&kits[1], 2), (&items[0], 1)]).await;
    let shown = client.reader(holdfast_client::Consistency::Linearizable).kit(&kits[0], None).await.expect("a kit");
    let mut flattened: Vec<_> = shown.flattened.iter().map(|it| (it.sku.as_str(), it.units)).collect();
    flattened.sort_unstable();
    let mut expected = [(items[0].as_str(), 1), (items[1].as_str(), 2), (items[2].as_str(), 4)];
    expected.sort_unstable();
    assert_eq!(flattened, expected);
    assert_eq!(shown.availability.iter().map(|it| it.available).collect::<Vec<_>>(), [2]);
    assert_eq!(client.stock(&kits[0], None).await.expect("a kit's stock").value.kit_revision, 1);
    assert!(client.item(&kits[0]).await.expect("a kit is listed as an item").value.kit);

    // What it says is what a reserve finds.
    client.reserve(Reserve::new().line(kits[0].as_str(), 3)).await.expect_err("three are too many");
    let held = client.reserve(Reserve::new().kits(kits[0].as_str(), 2, 1)).await.expect("two are there");
    let mut kit = client.reservation(id_of(&held)).await.expect("it is read").value;
    assert_eq!((kit.asked.remove(0).units, kit.lines.len()), (2, 3));

    let mismatch = client.reserve(Reserve::new().kits(kits[1].as_str(), 1, 7)).await.expect_err("another revision");
    assert_eq!(mismatch.failure().reason, ErrorReason::KitRevisionMismatch);
    assert_eq!(mismatch.failure().metadata["actual"], "1");
    put(&client, &kits[1], &[(&kits[0], 1)]).await;
    let cycle = client.reserve(Reserve::new().line(kits[0].as_str(), 1)).await.expect_err("a cycle over shards");
    assert_eq!(cycle.failure().reason, ErrorReason::KitCycle);
    assert_eq!(cycle.failure().metadata["path"], format!("{0} > {1} > {0}", kits[0], kits[1]));
    let refused = client.receive(Receive::of(kits[0].as_str(), 1)).await.expect_err("a kit is not stocked");
    assert_eq!(refused.failure().reason, ErrorReason::SkuIsKit);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_components_are_of_one_shard_whole_kits_are_sold_one_by_one() {
    let cluster = Cluster::of_shards(1).await;
    let client = Shop::client(&cluster).await;
    for sku in ["ROUGE", "BOX"] {
        client.put_item(PutItem::new(v1::Item { sku: sku.to_owned(), ..v1::Item::default() })).await.expect("an item");
        client.receive(Receive::of(sku, 9)).await.expect("units are received");
    }
    put(&client, "SET", &[("ROUGE", 2), ("BOX", 1)]).await;
    // A node that has not seen the kit yet finds out, once and again; a chain too.
    for _ in 0..2 {
        let held = id_of(&client.reserve(Reserve::new().line("SET", 2)).await.expect("kits are held"));
        let box_alone = Commit::of(held).line(0, 1);
        let refused = client.execute(box_alone).await.expect_err("a box alone is no kit");
        assert_eq!(refused.failure().reason, ErrorReason::LinesMoveTogether);
        let one = Commit::of(held).line(0, 1).line(1, 2).and_release_the_rest();
        client.execute(one).await.expect("one kit is sold");
    }
    until_promised(&client, &[("ROUGE", 0, 4), ("BOX", 0, 2)]).await;
    let chain =
        vec![Command::from(Reserve::new().line("SET", 1)).linked(), Command::from(Reserve::new().line("BOX", 1))];
    for result in client.execute_batch(chain).await {
        result.expect("a chain holds a kit");
    }
    until_promised(&client, &[("ROUGE", 2, 4), ("BOX", 2, 2)]).await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kit_waits_for_a_component_where_both_may_be_backordered_and_leaves_whole_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let items = items(&client, 10).await;
    let set = || PutKit::of("SET").component(items[0].as_str(), 1).component(items[1].as_str(), 2);
    client.put_kit(set()).await.expect("a kit is put");
    let item = v1::Item { sku: items[1].clone(), ..v1::Item::default() };
    client.put_item(PutItem::new(item).backorder(4)).await.expect("an item may be promised without stock");
    let six = || Reserve::new().line("SET", 6);
    let refused = client.reserve(six()).await.expect_err("the kit itself may not");
    assert_eq!(refused.reason(), ErrorReason::ComponentUnavailable);
    client.put_kit(set().backorder()).await.expect("now it may");
    let held = client.reserve(six()).await.expect("five kits are there, and one waits");
    assert_eq!((held.held.as_slice(), held.backordered.as_slice()), ([5].as_slice(), [1].as_slice()));
    let held = id_of(&held);
    client.commit(held).await.expect("all are sold");

    cluster.restart_all().await;
    client.fulfil(Fulfil::of(held)).await.expect("what is whole is shipped");
    let shipped = |of: &v1::Reservation| -> Vec<u64> { of.lines.iter().map(|line| line.fulfilled).collect() };
    let after = client.reservation(held).await.expect("the reservation is read").value;
    assert_eq!(shipped(&after).iter().sum::<u64>(), 15, "five of one, and ten of the other: {after:?}");
    let waits = client.fulfil(Fulfil::of(held)).await.expect_err("the sixth lacks a component");
    assert_eq!(waits.reason(), ErrorReason::HoldShort);
    client.receive(Receive::of(items[1].as_str(), 2)).await.expect("units are received");
    cluster.restart_all().await;
    // The shard that decides hears of it a moment later.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while let Err(error) = client.fulfil(Fulfil::of(held)).await {
        assert_eq!(error.reason(), ErrorReason::HoldShort, "{error}");
        assert!(tokio::time::Instant::now() < deadline, "the sixth kit can be shipped");
        cluster::pause().await;
    }
    until_promised(&client, &[(&items[0], 0, 0), (&items[1], 0, 0)]).await;
    assert_eq!((level(&client, &items[0]).await.on_hand, level(&client, &items[1]).await.on_hand), (4, 0));
    cluster.replicas_agree().await;
}
