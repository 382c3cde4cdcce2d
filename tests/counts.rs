//! Counting while selling, over real processes: orders go on during a count, every node is killed between what was counted and its
//! use, and the books have in the end what lies there.

mod cluster;

use cluster::{Cluster, Shop};
use holdfast_client::ids::{CommandId, CountId, ReservationId};
use holdfast_client::{
    ApplyCount, Client, Command, CommandKey, Commit, Documents, Fulfil, OpenCount, PutItem, Receive, RecordCount,
    Reserve, v1,
};
use holdfast_proto::v1::{Condition, CountState, ErrorReason};

const SKU: &str = "CREAM";

async fn open_shop(client: &Client) {
    let item = v1::Item { sku: SKU.to_owned(), lot_tracked: true, ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    for (lot, units) in [("A", 6), ("B", 6)] {
        client.receive(Receive::of(SKU, units).lot(lot)).await.expect("units are received");
    }
}

async fn order(client: &Client, units: u32) -> ReservationId {
    let held = client.reserve(Reserve::new().line(SKU, units).order_ref("web 7")).await.expect("units are held");
    let id = held.reservation_id.expect("a reservation");
    client.execute(Commit::of(id)).await.expect("they are sold");
    id
}

async fn count(client: &Client, id: CountId) -> v1::Count {
    client.reader(Default::default()).count(id).await.expect("the count is read").value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_while_units_are_counted_and_all_nodes_are_killed_and_the_books_are_right_in_the_end() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let early = order(&client, 2).await;

    let opened = client.execute(OpenCount::of(SKU).reference("spring")).await.expect("a count is opened");
    let id = opened.count_id.expect("a count");
    let refused = client.execute(OpenCount::of(SKU)).await.expect_err("it is being counted");
    assert_eq!(refused.failure().reason, ErrorReason::CountInProgress);
    assert_eq!(refused.failure().metadata.get("count_id"), Some(&id.to_string()));
    // Of lot A two units of six are not there; of lot B a seventh is, and one of them is broken.
    client.execute(RecordCount::of(id).units_of_lot(4, "A")).await.expect("lot A is counted");
    client.execute(Fulfil::of(early)).await.expect("two units of it are shipped");
    let lot_b = RecordCount::of(id).units_of_lot(6, "B").line("B", Condition::Damaged, 1);
    client.execute(lot_b).await.expect("lot B is counted");
    let late = order(&client, 3).await;

    cluster.restart_all().await;
    let key = CommandKey::Own(CommandId::of_key("count of spring"));
    let apply = || Command::from(ApplyCount::of(id)).with_key(key);
    client.execute(apply()).await.expect("the count is applied");
    assert!(client.execute(apply()).await.expect("the same again is answered").replayed);
    let again = client.execute(ApplyCount::of(id)).await.expect_err("a count is applied once");
    assert_eq!(again.failure().reason, ErrorReason::AlreadyEnded);

    let level = client.stock(SKU, None).await.expect("stock is read").value.levels.remove(0);
    assert_eq!((level.on_hand, level.damaged, level.adjusted, level.fulfilled), (9, 1, -1, 2));
    assert_eq!((level.committed, level.short, level.atp), (3, 0, 5));
    let shown = count(&client, id).await;
    assert_eq!((shown.state(), shown.reference.as_str(), shown.short_reservations), (CountState::Applied, "spring", 0));
    let lines: Vec<_> = shown.lines.iter().map(|line| (line.lot_id.as_str(), line.found, line.written_off)).collect();
    assert_eq!(lines, [("A", 0, 2), ("B", 0, 0), ("B", 1, 0)]);
    client.execute(Fulfil::of(late)).await.expect("the order gets what it was sold");
    let open = Documents { open_only: true, ..Documents::default() };
    assert_eq!(client.reader(Default::default()).counts(open).take(9).await.expect("counts are listed"), []);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lacks_what_was_not_found_is_named() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let paid = order(&client, 10).await;
    let held = client.reserve(Reserve::new().line(SKU, 2)).await.expect("units are held");
    let opened = client.execute(OpenCount::of(SKU)).await.expect("a count is opened");
    let id = opened.count_id.expect("a count");
    let counted = RecordCount::of(id).units_of_lot(6, "A").units_of_lot(3, "B");
    client.execute(counted).await.expect("both lots are counted");
    client.execute(ApplyCount::of(id)).await.expect("the count is applied");
    let shown = count(&client, id).await;
    let short = |id: ReservationId, order_ref: &str, held, sold| {
        let order_ref = order_ref.to_owned();
        v1::ShortReservation { reservation_id: Some(id.into()), order_ref, held, sold }
    };
    let held = held.reservation_id.expect("a reservation");
    assert_eq!(shown.short, [short(held, "", 2, 0), short(paid, "web 7", 0, 1)]);
    let refused = client.execute(Commit::of(held)).await.expect_err("what is not there is not sold");
    assert_eq!(refused.failure().reason, ErrorReason::HoldShort);
    cluster.replicas_agree().await;
}
