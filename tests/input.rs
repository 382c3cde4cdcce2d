//! Bad input of every kind that the table of errors names, sent by hand: refused before it reaches the log, with the reason and the
//! field, and without harm to anybody. And what a caller finds who knows nothing but an address.

mod cluster;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Raw, pause, put_item, receive, reserve};
use holdfast_client::ids::{CommandId, ReservationId};
use holdfast_client::{Reserve, v1};
use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::{CommandError, Effect, ErrorReason, Line};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response::MessageResponse};

const SKU: &str = "SKU";

/// A cluster of one node and two shards: what is refused here never leaves its node.
async fn cluster_of_one() -> Cluster {
    let mut cluster = Cluster::prepared(1, &[]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster
}

async fn applied(cluster: &Cluster) -> Vec<u64> {
    let status = cluster.status(1).await.expect("the node answers");
    status.replicas.iter().map(|replica| replica.applied_index).collect()
}

fn with_ttl(mut operation: Operation, ttl_s: u32) -> Operation {
    if let Operation::Reserve(it) = &mut operation {
        it.ttl_s = ttl_s;
    }
    operation
}

fn item(change: impl FnOnce(&mut v1::Item)) -> Operation {
    let mut item = v1::Item { sku: SKU.to_owned(), name: "Item".to_owned(), ..v1::Item::default() };
    change(&mut item);
    Operation::PutItem(v1::PutItem { item: Some(item), ..v1::PutItem::default() })
}

/// Units of a lot that was made in 2027.
fn receive_of_lot(best_before: &str) -> Operation {
    let (manufactured_on, best_before) = ("2027-01-31".to_owned(), best_before.to_owned());
    let lot = Some(v1::LotSpec { manufactured_on, best_before, ..Default::default() });
    Operation::Receive(v1::Receive { sku: SKU.to_owned(), units: 1, lot_id: "A".to_owned(), lot, ..Default::default() })
}

fn bad_operations(raw: &Raw<'_>) -> Vec<(&'static str, Operation)> {
    let id = raw.reservation(SKU);
    let long = "L".repeat(65);
    let lines = |count: usize| reserve(id, &vec![(SKU, 1); count]);
    let line_at = |location: &str| {
        let line = Line { sku: SKU.to_owned(), location_id: location.to_owned(), units: 1, ..Line::default() };
        Operation::Reserve(v1::Reserve { reservation_id: Some(id.into()), lines: vec![line], ..v1::Reserve::default() })
    };
    let some = Some(v1::Id::from(id));
    vec![
        ("sku", receive("", 1)),
        ("sku", receive(&long, 1)),
        ("sku", receive("A\u{7}B", 1)),
        ("item.sku", item(|it| it.sku = String::new())),
        ("item.sku", item(|it| it.sku = "A\nB".to_owned())),
        ("item", Operation::PutItem(v1::PutItem::default())),
        ("item.status", item(|it| it.status = 77)),
        ("item.attributes_json", item(|it| it.attributes_json = format!("{{\"a\":\"{}\"}}", "x".repeat(16 * 1_024)))),
        ("item.attributes_json", item(|it| it.attributes_json = "[1]".to_owned())),
        ("item.max_hold_s", item(|it| it.max_hold_s = 14_401)),
        ("name", item(|it| it.name = "n".repeat(256))),
        ("units", receive(SKU, 0)),
        ("units", receive(SKU, 2_000_000_001)),
        (
            "location_id",
            Operation::Receive(v1::Receive {
                sku: SKU.to_owned(),
                location_id: long.clone(),
                units: 1,
                ..Default::default()
            }),
        ),
        ("lot.best_before", receive_of_lot("31.05.2027")),
        ("best_before", receive_of_lot("1999-01-01")),
        ("lot_id", Operation::Recall(v1::Recall { sku: SKU.to_owned(), lot_id: String::new() })),
        ("status", Operation::BlockLot(v1::BlockLot { sku: SKU.to_owned(), lot_id: "A".to_owned(), status: 4 })),
        ("delta", Operation::Adjust(v1::Adjust { sku: SKU.to_owned(), delta: 0, ..Default::default() })),
        ("delta", Operation::Adjust(v1::Adjust { sku: SKU.to_owned(), delta: -2_000_000_001, ..Default::default() })),
        (
            "condition",
            Operation::Adjust(v1::Adjust { sku: SKU.to_owned(), delta: 1, condition: 9, ..Default::default() }),
        ),
        (
            "on_hand",
            Operation::Set(v1::Set {
                sku: SKU.to_owned(),
                on_hand: 2_000_000_001,
                if_revision: 1,
                ..Default::default()
            }),
        ),
        ("lines", lines(0)),
        ("lines", lines(101)),
        ("lines[1].sku", reserve(id, &[(SKU, 1), ("", 1)])),
        ("lines[1].units", reserve(id, &[(SKU, 1), (SKU, 0)])),
        ("lines[0].units", reserve(id, &[(SKU, 2_000_000_001)])),
        ("lines[0].location_id", line_at("\u{1b}[2J")),
        ("ttl_s", with_ttl(lines(1), 14_401)),
        ("reservation_id", Operation::Release(v1::Release::default())),
        ("reservation_id", reserve(ReservationId(0), &[(SKU, 1)])),
        // Of the version of a command's id, and of another slot than the first line's.
        ("reservation_id", reserve(ReservationId(CommandId::mint(1, 5).0), &[(SKU, 1)])),
        ("reservation_id", reserve(ReservationId(id.0 ^ (1 << 48)), &[(SKU, 1)])),
        ("ttl_s", Operation::Extend(v1::Extend { reservation_id: some, ttl_s: 14_401 })),
        ("if_expired", Operation::Commit(v1::Commit { reservation_id: some, if_expired: 5, ..Default::default() })),
        ("condition", Operation::Return(v1::Return { reservation_id: some, condition: 17, ..Default::default() })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_field_is_refused_by_its_name_before_the_log() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    let before = cluster.replica(1, raw.client.shard_of(SKU), 0).await;
    for (field, operation) in bad_operations(&raw) {
        let said = format!("{operation:?}");
        let said = said.get(..said.len().min(200)).unwrap_or_default();
        let error = raw.ask(1, raw.command(operation)).await.expect_err(said);
        assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InvalidArgument, field), "{said}: {error:?}");
        assert_eq!(error.effect(), Effect::None, "{said}");
        assert!(error.message.contains(field), "{said}: {}", error.message);
    }
    let after = cluster.replica(1, raw.client.shard_of(SKU), 0).await;
    assert_eq!((before.totals, before.change_log_seq), (after.totals, after.change_log_seq), "nothing was decided");
    raw.ask(1, raw.command(receive(SKU, 2_000_000_000))).await.expect("the bound itself is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_its_parts_is_refused_by_the_part() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    let without = |field: &'static str, strip: fn(&mut v1::Command)| {
        let mut command = raw.command(receive(SKU, 1));
        strip(&mut command);
        (field, command)
    };
    let commands = [
        without("operation", |it| it.operation = None),
        without("command_id", |it| it.command_id = None),
        without("minted_at_ms", |it| it.minted_at_ms = 0),
        without("minted_at_ms", |it| it.own_key = true),
        without("linked", |it| it.linked = true),
        without("cause.actor", |it| it.cause = Some(v1::Cause { actor: "a".repeat(256), ..v1::Cause::default() })),
    ];
    for (field, command) in commands {
        let error = raw.ask(1, command).await.expect_err(field);
        assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InvalidArgument, field), "{error:?}");
    }
    let status = raw.inventory(1).execute(v1::ExecuteRequest::default()).await.expect_err("no command at all");
    assert_eq!((status.code(), CommandError::from(&status).field.as_str()), (tonic::Code::InvalidArgument, "command"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_from_the_future_is_refused_by_name() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    let mut command = raw.command(put_item(SKU));
    command.minted_at_ms += 3_600_000;
    command.command_id = Some(CommandId::mint(command.minted_at_ms, 77).into());
    let error = raw.ask(1, command).await.unwrap_err();
    assert_eq!(error.reason(), ErrorReason::IdFromFuture, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_and_chains_over_shards_are_refused_by_name() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    let (here, there) = (raw.sku_of(0), raw.sku_of(1));
    let elsewhere = reserve(raw.reservation(&there), &[(&here, 1), (&here, 1)]);
    let error = raw.ask(1, raw.command(elsewhere)).await.unwrap_err();
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InvalidArgument, "reservation_id"), "{error:?}");
    let spanning = || reserve(raw.reservation(&here), &[(&here, 1), (&here, 1), (&there, 1)]);
    let Operation::Reserve(v1::Reserve { reservation_id, lines, .. }) = spanning() else { unreachable!() };
    let held = Operation::Reserve(v1::Reserve { reservation_id, lines: lines[..1].to_vec(), ..v1::Reserve::default() });
    raw.ask(1, raw.command(put_item(&here))).await.expect("an item is put");
    let received = v1::Receive { sku: here.clone(), units: 3, ..v1::Receive::default() };
    raw.ask(1, raw.command(Operation::Receive(received))).await.expect("units are received");
    raw.ask(1, raw.command(held)).await.expect("a unit is held");
    let amend = Operation::Amend(v1::Amend { reservation_id, lines: lines[1..].to_vec() });
    let error = raw.ask(1, raw.command(amend)).await.unwrap_err();
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::LinesSpanShards, "lines[1].sku"), "{error:?}");

    let mut chain = vec![raw.command(spanning()), raw.command(put_item(&here))];
    chain[0].linked = true;
    for result in raw.ask_batch(1, chain).await.expect("each command has its own result") {
        assert_eq!(Raw::refusal(&result).map(CommandError::reason), Some(ErrorReason::ChainSpansShards));
    }
    let mut chain = vec![raw.command(put_item(&here)), raw.command(put_item(&there))];
    chain[0].linked = true;
    for result in raw.ask_batch(1, chain).await.expect("each command has its own result") {
        assert_eq!(Raw::refusal(&result).map(CommandError::reason), Some(ErrorReason::ChainSpansShards));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_chains_that_are_too_large_are_refused_whole() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    let batch = |count: usize| -> Vec<v1::Command> { (0..count).map(|_| raw.command(receive(SKU, 1))).collect() };

    let error = raw.ask_batch(1, batch(8_193)).await.unwrap_err();
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::BatchTooLarge, "commands"), "{error:?}");
    let error = raw.ask_batch(1, Vec::new()).await.unwrap_err();
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InvalidArgument, "commands"), "{error:?}");

    let attributes = format!("{{\"note\":\"{}\"}}", "x".repeat(16_000));
    let large = (0..70).map(|_| raw.command(item(|it| it.attributes_json.clone_from(&attributes)))).collect();
    let error = raw.ask_batch(1, large).await.unwrap_err();
    assert_eq!(error.reason(), ErrorReason::BatchTooLarge, "{error:?}");

    let mut chain = batch(257);
    chain.iter_mut().take(256).for_each(|command| command.linked = true);
    for result in raw.ask_batch(1, chain).await.expect("each command has its own result") {
        assert_eq!(Raw::refusal(&result).map(CommandError::reason), Some(ErrorReason::BatchTooLarge));
    }

    let mut chain = batch(256);
    chain.iter_mut().take(255).for_each(|command| command.linked = true);
    let done = raw.ask_batch(1, chain).await.expect("the longest chain");
    assert!(done.iter().all(|result| Raw::refusal(result).is_none()));
    let stock = raw.client.stock(SKU, None).await.expect("stock is read").value;
    assert_eq!(stock.levels[0].on_hand, 256, "only the longest chain was done");
}

/// An `ExecuteRequest` whose command is any bytes.
#[derive(Clone, PartialEq, Message)]
struct AnyRequest {
    #[prost(bytes = "vec", tag = "1")]
    command: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_utf8_no_message_or_no_http_is_refused_without_harm() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    let before = applied(&cluster).await;
    let valid = raw.command(receive(SKU, 1)).encode_to_vec();
    let at = valid.windows(SKU.len()).position(|it| it == SKU.as_bytes()).expect("the SKU is in the message");
    let mut not_text = valid.clone();
    not_text[at] = 0xff;
    for command in [not_text, vec![0xff; 64], valid[..valid.len() - 1].to_vec(), vec![0; 3 << 20]] {
        let mut grpc = tonic::client::Grpc::new(cluster.channel(1));
        grpc.ready().await.expect("the node is reached");
        let path = PathAndQuery::from_static("/holdfast.v1.InventoryService/Execute");
        let codec = tonic_prost::ProstCodec::<AnyRequest, v1::ExecuteResponse>::default();
        let answer = grpc.unary(tonic::Request::new(AnyRequest { command }), path, codec).await;
        let status = answer.expect_err("it is no request");
        assert_ne!(status.code(), tonic::Code::Ok);
    }
    for noise in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4_096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00"]
    {
        let mut stream = std::net::TcpStream::connect(&cluster.nodes[0].client).expect("the node listens");
        stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket has a limit");
        let _ = stream.write_all(noise);
        // Whatever it answers, if anything: it is the node that must stay well.
        let _ = stream.read(&mut [0; 1_024]);
    }
    assert_eq!(applied(&cluster).await.len(), before.len());
    raw.ask(1, raw.command(receive(SKU, 1))).await.expect("a good request is served as before");
    let stock = raw.client.stock(SKU, None).await.expect("stock is read").value;
    assert_eq!(stock.levels[0].on_hand, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_lead_names_the_one_that_does() {
    let cluster = Cluster::of_three().await;
    cluster.wait_spread().await;
    let raw = Raw::of(&cluster).await;
    let sku = raw.sku_of(1);
    let command = raw.command(put_item(&sku));
    let deadline = Instant::now() + PATIENCE;
    // A node that has just followed a leader away may not know the next one yet; then it names none.
    let (leader, error) = loop {
        let leader = raw.leader(1).await;
        let other = (1..=3).find(|id| *id != leader).expect("another node");
        let error = raw.ask(other, command.clone()).await.unwrap_err();
        assert_eq!(error.reason(), ErrorReason::NotLeader, "{error:?}");
        if error.metadata.get("leader_node_id") == Some(&leader.to_string()) {
            break (leader, error);
        }
        assert!(Instant::now() < deadline, "node {other} does not name node {leader}: {error:?}");
        pause().await;
    };
    let address = &cluster.nodes.iter().find(|node| node.id == leader).expect("a node of the cluster").client;
    assert_eq!(error.metadata.get("leader"), Some(address));
    raw.ask(leader, command).await.expect("the named node does it, under the same id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_its_health_and_describes_its_services() {
    let cluster = cluster_of_one().await;
    let mut health = HealthClient::new(cluster.channel(1));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
        let answer = health.check(request).await.expect("health is told").into_inner();
        if answer.status() == ServingStatus::Serving {
            break;
        }
        assert!(Instant::now() < deadline, "a node that is ready does not serve: {answer:?}");
        pause().await;
    }

    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(cluster.channel(1));
    let answers = reflection.server_reflection_info(futures_util::stream::iter([question])).await;
    let mut answers = answers.expect("reflection answers").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list of services: {answer:?}");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["holdfast.v1.InventoryService", "holdfast.v1.ClusterService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_a_location_that_is_not_there_is_refused_by_name() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    let error = raw.client.stock(SKU, Some("nowhere")).await.unwrap_err();
    assert_eq!(error.reason(), ErrorReason::UnknownLocation, "{error}");
    assert_eq!(error.failure().field, "location_id");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_whose_time_was_over_are_shown_as_expired_and_not_as_released() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    raw.ask(1, raw.command(receive(SKU, 5))).await.expect("units are received");
    let hold = Reserve::new().line(SKU, 2).ttl(Duration::from_secs(1));
    let id = raw.client.reserve(hold).await.expect("units are held").reservation_id.expect("a reservation");
    let deadline = Instant::now() + PATIENCE;
    let reservation = loop {
        let reservation = raw.client.reservation(id).await.expect("it is there").value;
        if reservation.state() != v1::ReservationState::Held {
            break reservation;
        }
        assert!(Instant::now() < deadline, "the hold does not end: {reservation:?}");
        pause().await;
    };
    let line = &reservation.lines[0];
    assert_eq!((reservation.state(), line.expired, line.released), (v1::ReservationState::Expired, 2, 0));
    assert!(reservation.ended_at_ms >= reservation.expires_at_ms.max(reservation.created_at_ms + 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_that_are_not_there_are_not_written_off_and_no_line_is_blamed() {
    let cluster = cluster_of_one().await;
    let raw = Raw::of(&cluster).await;
    raw.ask(1, raw.command(put_item(SKU))).await.expect("an item is put");
    raw.ask(1, raw.command(receive(SKU, 3))).await.expect("units are received");
    let adjust = v1::Adjust { sku: SKU.to_owned(), delta: -4, ..v1::Adjust::default() };
    let error = raw.ask(1, raw.command(Operation::Adjust(adjust))).await.unwrap_err();
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InsufficientStock, ""), "{error:?}");
    assert_eq!(error.metadata.get("available").map(String::as_str), Some("3"));
    let (exit, _, said) = cluster.holdfast(&["stock", "adjust", SKU, "--by", "-4"]).await;
    assert_eq!(exit, 5, "{said}");
    assert!(said.starts_with("error: only 3 units can be written off [INSUFFICIENT_STOCK]\nhint: "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_that_cannot_be_is_refused_by_its_flag_with_the_way_out() {
    let cluster = cluster_of_one().await;
    let node = &cluster.nodes[0];
    // Nobody listens at the one; at the other a node does, but not to its peers.
    for address in ["127.0.0.1:1", &node.client] {
        let (exit, _, said) = cluster.holdfast(&["cluster", "replace", "2", "--with", address]).await;
        assert_eq!(exit, 2, "{said}");
        let problem =
            format!("error: --with is {address}, where no node answers as a peer\nhint: start the fresh node");
        assert!(said.contains(&problem), "{said}");
    }
}
