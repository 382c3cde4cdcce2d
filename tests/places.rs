//! Stock between places, over real processes: what is sent is counted once, sold nowhere and lost by nobody, also where every node is
//! killed between the sending and the arrival; and what a supplier is expected to send.

mod cluster;

use cluster::{Cluster, Shop};
use holdfast_client::ids::CommandId;
use holdfast_client::{
    CancelTransfer, Client, CloseReceipt, Command, CommandKey, CreateTransfer, Documents, ExpectReceipt, LoseTransfer,
    MoveUnits, PutItem, Receive, ReceiveTransfer, Reserve, SetSafetyStock, v1,
};
use holdfast_proto::v1::{Condition, ErrorReason, TransferState};

const SKU: &str = "CREAM";

async fn open_shop(client: &Client) {
    for id in ["PAR", "LYO"] {
        let location = v1::Location { location_id: id.to_owned(), ..v1::Location::default() };
        client.put_location(location).await.expect("a location is put");
    }
    let item = v1::Item { sku: SKU.to_owned(), lot_tracked: true, ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    for (lot, units) in [("A", 4), ("B", 6)] {
        client.receive(Receive::of(SKU, units).at("PAR").lot(lot)).await.expect("units are received");
    }
}

async fn level(client: &Client, location: &str) -> v1::StockLevel {
    let stock = client.stock(SKU, Some(location)).await.expect("stock is read").value;
    stock.levels.into_iter().next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_survives_a_kill_of_all_nodes_and_arrives_once() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    client.reserve(Reserve::new().line_at(SKU, "PAR", 3)).await.expect("units are held");

    let send =
        |units| CreateTransfer::of(SKU, "LYO").from_location("PAR").units_of_lot(units, "A").units_of_lot(5, "B");
    let refused = client.execute(send(3)).await.expect_err("promised units are not sent");
    assert_eq!(
        (refused.failure().reason, refused.failure().field.as_str()),
        (ErrorReason::InsufficientStock, "lines[1].units")
    );
    let sent = client.execute(send(2)).await.expect("free units are sent");
    let transfer = sent.transfer_id.expect("a transfer");
    let (from, to) = (level(&client, "PAR").await, level(&client, "LYO").await);
    assert_eq!((from.on_hand, from.sent, from.atp), (3, 7, 0));
    assert_eq!((to.on_hand, to.in_transit, to.atp), (0, 7, 0));

    cluster.restart_all().await;
    let key = CommandKey::Own(CommandId::of_key("van 7, door 2"));
    let receive = || {
        let receive = ReceiveTransfer::of(transfer).line(0, 1, Condition::Damaged).line(1, 5, Condition::Resellable);
        Command::from(receive).with_key(key)
    };
    client.execute(receive()).await.expect("units arrive");
    assert!(client.execute(receive()).await.expect("the same again is answered").replayed);
    let to = level(&client, "LYO").await;
    assert_eq!((to.on_hand, to.damaged, to.in_transit, to.atp, to.arrived), (6, 1, 1, 5, 6));
    client.execute(LoseTransfer::of(transfer).line(0, 1)).await.expect("what did not come is lost");
    let shown = client.reader(Default::default()).transfer(transfer).await.expect("the transfer is read").value;
    assert_eq!((shown.state(), shown.lines[0].lost, shown.lines[1].received), (TransferState::Received, 1, 5));
    let ended = client.execute(CancelTransfer::of(transfer)).await.expect_err("nothing is in transit");
    assert_eq!(ended.failure().reason, ErrorReason::AlreadyEnded);

    client
        .execute(MoveUnits::of(SKU, 1, Condition::Resellable).from_condition(Condition::Damaged).at("LYO").lot("A"))
        .await
        .expect("a unit is whole again");
    assert_eq!(level(&client, "LYO").await.atp, 6);
    let open = Documents { open_only: true, sku: Some(SKU.to_owned()), ..Documents::default() };
    let listed = client.reader(Default::default()).transfers(open).take(9).await.expect("transfers are listed");
    assert!(listed.is_empty(), "{listed:?}");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_expected_is_not_sold_before_it_is_here_nor_expected_after_its_receipt_is_closed() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let expect = ExpectReceipt::of(SKU).at("PAR").units(5).units_of_lot(3, "C").expected_at_ms(4_078_677_599_999);
    let receipt = client.execute(expect).await.expect("units are expected").receipt_id.expect("a receipt");
    assert_eq!((level(&client, "PAR").await.incoming, level(&client, "PAR").await.atp), (8, 10));
    client.receive(Receive::of(SKU, 4).at("PAR").lot("C").receipt(receipt)).await.expect("units are received");
    assert_eq!((level(&client, "PAR").await.incoming, level(&client, "PAR").await.atp), (4, 14));
    client.execute(CloseReceipt::of(receipt)).await.expect("the receipt is closed");
    let shown = client.reader(Default::default()).receipt(receipt).await.expect("the receipt is read").value;
    let arrived: Vec<u64> = shown.lines.iter().map(|line| line.arrived).collect();
    assert_eq!((arrived, shown.closed_at_ms > 0, level(&client, "PAR").await.incoming), (vec![1, 3], true, 0));
    let late = client.receive(Receive::of(SKU, 1).at("PAR").lot("C").receipt(receipt)).await;
    assert_eq!(late.expect_err("it is closed").failure().reason, ErrorReason::AlreadyEnded);

    client.execute(SetSafetyStock::of(SKU, 12).at("PAR")).await.expect("units are kept back");
    let here = level(&client, "PAR").await;
    assert_eq!((here.safety_stock, here.free, here.atp), (12, 14, 2));
    let refused = client.reserve(Reserve::new().line_at(SKU, "PAR", 3)).await.expect_err("they are not promised");
    assert_eq!(refused.failure().reason, ErrorReason::InsufficientStock);
    cluster.replicas_agree().await;
}
