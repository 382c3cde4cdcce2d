//! Orders with external steps, over real processes: a payment is reported once and counts once, also where every node is killed between
//! the call and its report; what never answers is taken back and listed until somebody has looked.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::ids::{CommandId, ReservationId};
use holdfast_client::{
    Client, Command, CommandKey, Commit, OrderStep, Orders, PutItem, Receive, ReportStep, Reserve, ResolveOrder,
    StartOrder, v1,
};
use holdfast_proto::v1::{ErrorReason, OrderState, ReservationState, StepState};

const SKU: &str = "CREAM";
const UNITS: u32 = 10;

async fn open_shop(client: &Client) {
    let item = v1::Item { sku: SKU.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of(SKU, UNITS)).await.expect("units are received");
}

async fn held(client: &Client) -> ReservationId {
    let held = client.reserve(Reserve::new().line(SKU, 2)).await.expect("units are held");
    held.reservation_id.expect("a reservation")
}

async fn order(client: &Client, id: ReservationId) -> v1::Order {
    client.reader(Default::default()).order(id).await.expect("the order is read").value
}

async fn state(client: &Client, id: ReservationId) -> ReservationState {
    client.reservation(id).await.expect("the reservation is read").value.state()
}

async fn atp(client: &Client) -> u64 {
    client.stock(SKU, None).await.expect("stock is read").value.levels.iter().map(|level| level.atp).sum()
}

/// Waits until an order stands there.
async fn wait_for(client: &Client, id: ReservationId, wanted: OrderState) -> v1::Order {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = order(client, id).await;
        if found.state() == wanted {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "the order does not become {wanted:?}: {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn stuck(client: &Client) -> Vec<ReservationId> {
    let which = Orders { open_only: false, stuck_only: true };
    let listed = client.reader(Default::default()).orders(which).take(9).await.expect("orders are listed");
    listed.into_iter().filter_map(|order| order.reservation_id.map(ReservationId::from)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_goes_on_where_it_was_when_every_node_was_killed_and_sells_with_its_last_step() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let id = held(&client).await;
    let steps = StartOrder::of(id).step(OrderStep::awaited("pay").undo_awaited()).step(OrderStep::awaited("fraud"));
    client.execute(steps).await.expect("the order starts");
    let refused = client.execute(Commit::of(id)).await.expect_err("its steps decide");
    assert_eq!(refused.failure().reason, ErrorReason::OrderOpen);

    let key = CommandKey::Own(CommandId::of_key("webhook 17"));
    let paid = || Command::from(ReportStep::done(id, "pay", "P-17")).with_key(key);
    client.execute(paid()).await.expect("the payment is reported");
    cluster.restart_all().await;
    assert!(client.execute(paid()).await.expect("the same again is answered").replayed);
    client.execute(ReportStep::done(id, "pay", "P-18")).await.expect("told anew, it changes nothing");
    let found = order(&client, id).await;
    assert_eq!((found.state(), found.steps[0].answer.as_slice()), (OrderState::Running, b"P-17".as_slice()));
    assert_eq!(state(&client, id).await, ReservationState::Held);

    client.execute(ReportStep::done(id, "fraud", "")).await.expect("the last step is reported");
    assert_eq!(order(&client, id).await.state(), OrderState::Confirmed);
    assert_eq!((state(&client, id).await, atp(&client).await), (ReservationState::Committed, 8));
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_answers_is_taken_back_and_stays_listed_until_somebody_has_looked() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let (late, lost) = (held(&client).await, held(&client).await);
    for id in [late, lost] {
        let pay = OrderStep::awaited("pay").within(Duration::from_millis(300)).undo_awaited();
        client.execute(StartOrder::of(id).step(pay)).await.expect("the order starts");
    }
    for id in [late, lost] {
        wait_for(&client, id, OrderState::Compensating).await;
    }
    assert_eq!(atp(&client).await, 10, "what is not paid for is for sale again");
    for id in [late, lost] {
        client.execute(ReportStep::done(id, "pay", "").of_compensation()).await.expect("it is taken back");
    }
    // The payment comes after all.
    client.execute(ReportStep::done(late, "pay", "P-9")).await.expect("what comes late is noted");
    cluster.restart_all().await;
    let mut listed = stuck(&client).await;
    listed.sort_unstable();
    let mut expected = vec![late, lost];
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let found = order(&client, late).await;
    assert_eq!((found.steps[0].state(), found.steps[0].is_late), (StepState::Compensated, true));

    client.execute(ResolveOrder::confirm(late, "seen in the bank")).await.expect("its units are still there");
    client.execute(ResolveOrder::abort(lost, "the customer gave up")).await.expect("it is over");
    assert_eq!(stuck(&client).await, []);
    assert_eq!(
        (state(&client, late).await, state(&client, lost).await),
        (ReservationState::Committed, ReservationState::Expired)
    );
    assert_eq!(atp(&client).await, 8);
    let refused = client.execute(ResolveOrder::confirm(lost, "no, yes")).await.expect_err("it has ended");
    assert_eq!(refused.failure().reason, ErrorReason::OrderEnded);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_over_several_shards_sells_all_of_it_or_nothing() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    let skus: Vec<String> = (0..6).map(|at| format!("CREAM-{at}")).collect();
    for sku in &skus {
        let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
        client.execute(PutItem::new(item)).await.expect("an item is put");
        client.receive(Receive::of(sku.as_str(), 5)).await.expect("units are received");
    }
    let cart = || skus.iter().fold(Reserve::new(), |cart, sku| cart.line(sku.as_str(), 1));
    let pay = || OrderStep::awaited("pay").undo_awaited();
    let mut made = Vec::new();
    for _ in 0..2 {
        let id = client.reserve(cart()).await.expect("units are held").reservation_id.expect("a reservation");
        client.execute(StartOrder::of(id).step(pay())).await.expect("the order starts");
        made.push(id);
    }
    client.execute(ReportStep::done(made[0], "pay", "P-1")).await.expect("one is paid");
    client.execute(ReportStep::failed(made[1], "pay", "declined")).await.expect("one is not");
    assert_eq!(wait_for(&client, made[0], OrderState::Confirmed).await.steps.len(), 1);
    assert_eq!(wait_for(&client, made[1], OrderState::Aborted).await.why, "step pay: declined");
    assert_eq!(state(&client, made[0]).await, ReservationState::Committed);
    assert_eq!(state(&client, made[1]).await, ReservationState::Released);
    for sku in &skus {
        // The other shards follow the deciding one moments later.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let level = client.stock(sku.as_str(), None).await.expect("stock is read").value.levels.remove(0);
            let is = (level.committed, level.reserved, level.atp);
            if is == (1, 0, 4) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{sku}: {is:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    cluster.replicas_agree().await;
}
