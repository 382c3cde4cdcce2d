//! Orders whose steps call endpoints, over real processes: a payment provider that is slow, declines, keeps silent or is away. It is
//! charged once whatever happens, and what came to nothing is taken back.

mod cluster;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use cluster::{Cluster, PATIENCE, Shop};
use holdfast_client::ids::{CommandId, ReservationId};
use holdfast_client::{
    Client, CommandKey, ExecuteOptions, OrderStep, Orders, PutItem, Receive, ReportStep, Reserve, StartOrder, v1,
};
use holdfast_proto::v1::{EndpointFallback, ErrorReason, OrderState, ReservationState, StepState};
use serde_json::Value;
use tokio::time::{Instant, sleep};

const SKU: &str = "CREAM";

/// Somebody outside, who is asked by HTTP and does everything once under its key.
#[derive(Clone, Default)]
struct Provider(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// What was asked, in order: the key and the body.
    asked: Vec<(String, Value)>,
    /// What was done, by key.
    done: BTreeMap<String, String>,
}

impl Provider {
    /// Listens; gives its address.
    async fn open(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new()
            .route("/do", post(answer))
            .route("/decline", post(|| async { (StatusCode::PAYMENT_REQUIRED, "card declined") }))
            .route("/silence", post(silence))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        address
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.0.lock().expect("nobody panicked").asked.clone()
    }

    fn done(&self) -> BTreeMap<String, String> {
        self.0.lock().expect("nobody panicked").done.clone()
    }

    fn note(&self, headers: &HeaderMap, body: &str) -> String {
        let key = headers["idempotency-key"].to_str().expect("a key").to_owned();
        let body = serde_json::from_str(body).expect("a JSON object");
        self.0.lock().expect("nobody panicked").asked.push((key.clone(), body));
        key
    }
}

/// Takes a second to do what it is asked for, and does it once under its key.
async fn answer(State(provider): State<Provider>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let key = provider.note(&headers, &body);
    sleep(Duration::from_secs(1)).await;
    let mut books = provider.0.lock().expect("nobody panicked");
    let number = books.done.len() + 1;
    (StatusCode::CREATED, books.done.entry(key).or_insert_with(|| format!("P-{number}")).clone())
}

async fn silence(State(provider): State<Provider>, headers: HeaderMap, body: String) -> StatusCode {
    provider.note(&headers, &body);
    std::future::pending().await
}

fn endpoint(id: &str, address: impl std::fmt::Display, path: &str) -> v1::Endpoint {
    let url = format!("http://{address}{path}");
    v1::Endpoint { endpoint_id: id.to_owned(), url, timeout_ms: 5_000, ..v1::Endpoint::default() }
}

async fn open_shop(client: &Client) {
    let item = v1::Item { sku: SKU.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of(SKU, 10)).await.expect("units are received");
}

async fn started(client: &Client, steps: impl IntoIterator<Item = OrderStep>) -> ReservationId {
    let held = client.reserve(Reserve::new().line(SKU, 2)).await.expect("units are held");
    let id = held.reservation_id.expect("a reservation");
    let order = steps.into_iter().fold(StartOrder::of(id), StartOrder::step);
    client.execute(order).await.expect("the order starts");
    id
}

async fn wait_for(client: &Client, id: ReservationId, wanted: OrderState) -> v1::Order {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = client.reader(Default::default()).order(id).await.expect("the order is read").value;
        if found.state() == wanted {
            return found;
        }
        assert!(Instant::now() < deadline, "the order does not become {wanted:?}: {found:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn state(client: &Client, id: ReservationId) -> ReservationState {
    client.reservation(id).await.expect("the reservation is read").value.state()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_made_once_though_every_node_is_killed_while_it_is_made() {
    let (mut cluster, provider) = (Cluster::of_three().await, Provider::default());
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let address = provider.open().await;
    client.put_endpoint(endpoint("payments", address, "/do")).await.expect("an endpoint is put");
    let pay = OrderStep::call("pay", "payments").payload("{\"cents\":900}").within(Duration::from_secs(60));
    let id = started(&client, [pay]).await;
    let told = client.execute(ReportStep::done(id, "pay", "P-99")).await.expect_err("the cluster reports it itself");
    assert_eq!(told.reason(), ErrorReason::StepNotRunning);

    let deadline = Instant::now() + PATIENCE;
    while provider.asked().is_empty() {
        assert!(Instant::now() < deadline, "nobody is asked");
        sleep(Duration::from_millis(10)).await;
    }
    cluster.restart_all().await;
    let order = wait_for(&client, id, OrderState::Confirmed).await;

    assert_eq!((order.steps[0].answer.as_slice(), order.steps[0].is_fallback), (b"P-1".as_slice(), false));
    assert_eq!(state(&client, id).await, ReservationState::Committed);
    let asked = provider.asked();
    assert!(asked.len() > 1, "whoever leads now asks again: {asked:?}");
    assert_eq!(provider.done().len(), 1, "{asked:?}");
    assert_eq!((&asked[0].1["action"], &asked[0].1["payload"]), (&"do".into(), &"{\"cents\":900}".into()));
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_taken_back_when_a_later_step_is_declined() {
    let (cluster, provider) = (Cluster::of_three().await, Provider::default());
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let address = provider.open().await;
    for (id, path) in [("payments", "/do"), ("refunds", "/do"), ("fraud", "/decline")] {
        client.put_endpoint(endpoint(id, address, path)).await.expect("an endpoint is put");
    }
    let steps = [OrderStep::call("pay", "payments").undone_by("refunds"), OrderStep::call("check", "fraud")];
    let id = started(&client, steps).await;
    let order = wait_for(&client, id, OrderState::Aborted).await;
    assert_eq!(order.why, "step check: 402 Payment Required: card declined");
    assert_eq!([order.steps[0].state(), order.steps[1].state()], [StepState::Compensated, StepState::Failed]);
    assert_eq!(state(&client, id).await, ReservationState::Released);
    let asked = provider.asked();
    let refund = &asked.last().expect("somebody was asked").1;
    assert_eq!((&refund["action"], &refund["answer"]), (&"undo".into(), &"P-1".into()), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_never_answers_is_left_alone_and_its_order_is_taken_back_and_listed() {
    let (cluster, provider) = (Cluster::of_three().await, Provider::default());
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let address = provider.open().await;
    let silent = endpoint("payments", address, "/silence");
    let silent = v1::Endpoint { timeout_ms: 100, breaker_failures: 2, breaker_open_ms: 3_600_000, ..silent };
    client.put_endpoint(silent).await.expect("an endpoint is put");
    client.put_endpoint(endpoint("refunds", address, "/do")).await.expect("an endpoint is put");
    let pay = OrderStep::call("pay", "payments").attempts(9).within(Duration::from_secs(3)).undone_by("refunds");
    let id = started(&client, [pay]).await;
    let order = wait_for(&client, id, OrderState::Stuck).await;

    let step = &order.steps[0];
    assert_eq!((step.state(), step.is_uncertain), (StepState::Compensated, true));
    let asked = provider.asked();
    let of = |action: &str| asked.iter().filter(|(_, body)| body["action"] == action).count();
    // By each node that comes to lead the shard; and who takes over may ask once more.
    assert!((2..=6).contains(&of("do")) && of("undo") > 0, "after two attempts it is left alone: {asked:?}");
    assert_eq!(state(&client, id).await, ReservationState::Expired);
    let which = Orders { open_only: false, stuck_only: true };
    let listed = client.reader(Default::default()).orders(which).take(9).await.expect("orders are listed");
    assert_eq!(listed.len(), 1);
    let mut warnings = Vec::new();
    for node in &cluster.nodes {
        warnings.extend(cluster.status(node.id).await.expect("the node answers").warnings);
    }
    assert!(warnings.iter().any(|warning| warning.contains("endpoint payments does not answer")), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_away_has_its_fallback_where_one_is_allowed() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    // Nobody listens there.
    let away = endpoint("scores", "127.0.0.1:9", "/");
    let (fallback, fallback_answer) = (EndpointFallback::Answer.into(), b"score unknown".to_vec());
    client.put_endpoint(v1::Endpoint { fallback, fallback_answer, ..away }).await.expect("an endpoint is put");
    let id = started(&client, [OrderStep::call("score", "scores").attempts(2)]).await;
    let order = wait_for(&client, id, OrderState::Confirmed).await;
    assert_eq!((order.steps[0].answer.as_slice(), order.steps[0].is_fallback), (b"score unknown".as_slice(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_put_shown_and_removed_and_a_step_names_one_that_is_there() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let held = client.reserve(Reserve::new().line(SKU, 2)).await.expect("units are held");
    let id = held.reservation_id.expect("a reservation");
    let order = StartOrder::of(id).step(OrderStep::awaited("sign")).step(OrderStep::call("pay", "payments"));
    let refused = client.execute(order).await.expect_err("nobody would be called");
    assert_eq!(
        (refused.reason(), refused.failure().field.as_str()),
        (ErrorReason::UnknownEndpoint, "steps[1].endpoint")
    );
    let refused = client.put_endpoint(endpoint("payments", "pay.shop", "")).await.map(|put| put.url);
    assert_eq!(refused.expect("a host may stand alone"), "http://pay.shop");
    let tls = v1::Endpoint { url: "https://pay.shop/".to_owned(), ..endpoint("payments", "a", "/") };
    let refused = client.put_endpoint(tls).await.expect_err("no TLS");
    assert_eq!((refused.reason(), refused.failure().field.as_str()), (ErrorReason::InvalidArgument, "endpoint.url"));
    let known = client.endpoints(None).await.expect("endpoints are listed");
    assert_eq!((known.len(), known[0].breaker_failures, known[0].timeout_ms), (1, 5, 5_000));
    let order = StartOrder::of(id).step(OrderStep::awaited("sign")).step(OrderStep::call("pay", "payments"));
    let key = CommandKey::Own(CommandId::of_key("pay once"));
    let options = || ExecuteOptions { key, ..ExecuteOptions::default() };
    let begun = client.execute_with(order.clone(), options()).await.expect("the order begins");
    client.remove_endpoint("payments").await.expect("it is removed");
    let again = client.execute_with(order, options()).await.expect("what was decided stays so");
    assert_eq!((again.reservation_id, again.replayed), (begun.reservation_id, true));
    let refused = client.endpoints(Some("payments")).await.expect_err("it is gone");
    assert_eq!(refused.reason(), ErrorReason::UnknownEndpoint);
}
