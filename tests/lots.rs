//! Stock by lot over real processes: from the day that a caller names to the lot that is picked, through a kill of all nodes; and
//! a recall that names whoever has units of the lot.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{BlockLot, Client, Fulfil, PutItem, Recall, Receive, Reserve, v1};
use holdfast_proto::v1::ErrorReason;

const SKU: &str = "CREAM";

async fn put_location(client: &Client, id: &str, time_zone: &str) {
    let location =
        v1::Location { location_id: id.to_owned(), time_zone: time_zone.to_owned(), ..v1::Location::default() };
    client.put_location(location).await.expect("a location is put");
}

async fn put_item(client: &Client, removal_days: u32) {
    let item = v1::Item { sku: SKU.to_owned(), lot_tracked: true, removal_days, ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
}

async fn receive(client: &Client, lot: &str, best_before: &str, units: u32) {
    let spec = v1::LotSpec { best_before: best_before.to_owned(), ..v1::LotSpec::default() };
    client.receive(Receive::of(SKU, units).at("PAR").lot(lot).lot_spec(spec)).await.expect("units are received");
}

fn hold(units: u32) -> Reserve {
    Reserve::new().line_at(SKU, "PAR", units).ttl(Duration::from_secs(14_400))
}

async fn atp(client: &Client) -> u64 {
    client.stock(SKU, None).await.expect("stock is read").value.atp
}

fn sold_by_lot(reservation: &v1::Reservation) -> Vec<(String, u64)> {
    let lots = reservation.lines.iter().flat_map(|line| &line.lots);
    lots.filter(|lot| lot.committed > 0).map(|lot| (lot.lot_id.clone(), lot.committed)).collect()
}

fn lots(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(lot, units)| ((*lot).to_owned(), *units)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_sale_first_is_sold_first_also_after_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    put_location(&client, "PAR", "Europe/Paris").await;
    put_item(&client, 30).await;
    receive(&client, "LATE", "2099-06-15", 5).await;
    receive(&client, "EARLY", "2099-03", 2).await;
    let early = client.reader(Default::default()).lot(SKU, "EARLY").await.expect("the lot is read").value;
    // The end of 2099-03-31 in Paris, and thirty days before.
    assert_eq!((early.best_before_ms, early.removal_at_ms), (4_078_677_599_999, 4_076_085_599_999));

    let held = client.reserve(hold(3)).await.expect("units are held").reservation_id.expect("a reservation");
    cluster.restart_all().await;
    client.commit(held).await.expect("what was held is sold");
    let sold = client.reservation(held).await.expect("the reservation is read").value;
    assert_eq!(sold_by_lot(&sold), lots(&[("EARLY", 2), ("LATE", 1)]));
    assert_eq!(atp(&client).await, 4);

    // The picker took another unit of the late lot in place of one of the early.
    client.fulfil(Fulfil::of(held).line_of_lot(0, 1, "LATE")).await.expect("units are shipped");
    assert_eq!(atp(&client).await, 4);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recall_takes_a_lot_out_of_sale_and_names_everybody_who_has_units_of_it() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    put_location(&client, "PAR", "").await;
    put_item(&client, 0).await;
    receive(&client, "A", "2099-03-31", 4).await;
    receive(&client, "B", "2099-06-30", 3).await;
    let mut orders = Vec::new();
    for number in 0..3 {
        let order = hold(2).order_ref(format!("web-{number}"));
        orders.push(client.reserve(order).await.expect("units are held").reservation_id.expect("a reservation"));
    }
    for order in &orders[..2] {
        client.commit(*order).await.expect("what is held is sold");
    }
    client.fulfil(Fulfil::of(orders[0])).await.expect("units are shipped");

    client.execute(BlockLot::of(SKU, "A")).await.expect("the lot is blocked");
    // One order's two units are of the other lot now; of that one unit is left for the hold, which lacks one.
    let order = client.reservation(orders[1]).await.expect("the reservation is read").value;
    assert_eq!(sold_by_lot(&order), lots(&[("B", 2)]));
    let refused = client.commit(orders[2]).await.expect_err("a hold that is short is not sold");
    let told = refused.failure();
    assert_eq!((told.reason, told.metadata.get("units").map(String::as_str)), (ErrorReason::HoldShort, Some("1")));

    client.execute(Recall::of(SKU, "A")).await.expect("the lot is recalled");
    let unblocked = client.execute(holdfast_client::UnblockLot::of(SKU, "A")).await;
    assert_eq!(unblocked.expect_err("it stays recalled").failure().reason, ErrorReason::LotBlocked);
    let reader = client.reader(Default::default());
    let (traced, next) = reader.trace_lot(SKU, "A", "").await.expect("the lot is traced");
    let of_lot = |reservation: &v1::Reservation| {
        let bound = reservation.lines.iter().flat_map(|line| &line.lots).filter(|lot| lot.lot_id == "A");
        (reservation.order_ref.clone(), bound.map(|lot| lot.committed + lot.fulfilled).sum::<u64>())
    };
    let named: Vec<(String, u64)> = traced.iter().map(of_lot).collect();
    assert_eq!((named, next), (lots(&[("web-0", 2), ("web-1", 0)]), String::new()));
    cluster.replicas_agree().await;
}
