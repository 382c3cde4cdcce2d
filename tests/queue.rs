//! A waiting room over real processes: a lottery that is committed to, drawn and can be checked, tokens that hold once, through a kill
//! of all nodes between each two steps; and a queue whose places move on.

mod cluster;

use std::process::Command;
use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{
    Client, CommandKey, CommitDraw, Consistency, Draw, Error, ExecuteOptions, Grant, JoinQueue, PutItem, Receive,
    Reserve, Room, v1,
};
use holdfast_proto::v1::ErrorReason;
use serde_json::Value;

const SHARDS: u32 = 4;
const HOUR_MS: u64 = 3_600_000;
const MINUTE: Duration = Duration::from_secs(60);
const SKU: &str = "LIP-ROUGE-01";

/// Ten units of one item, of which the campaign `drop` has some, and sells from that instant on.
async fn open_drop(client: &Client, admission: v1::CampaignAdmission, units: u32, starts_at_ms: u64) {
    let item = v1::Item { sku: SKU.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of(SKU, 10)).await.expect("units are received");
    let campaign = v1::Campaign {
        campaign_id: "drop".to_owned(),
        starts_at_ms,
        ends_at_ms: starts_at_ms + HOUR_MS,
        admission: admission.into(),
        ..v1::Campaign::default()
    };
    client.open_campaign(campaign).await.expect("a campaign is opened");
    client.execute(Grant::of("drop", SKU, units)).await.expect("units are granted");
}

async fn join(client: &Client, customer: &str) -> Result<u32, Error> {
    client.execute(JoinQueue::of("drop", customer)).await.map(|done| done.ticket)
}

async fn admit(client: &Client, most: u32) -> u32 {
    let admit = client.admission("drop", most, MINUTE).await.expect("the room and the stock are read");
    client.execute(admit).await.expect("the next are let in").admitted
}

async fn room(client: &Client) -> Room {
    client.reader(Consistency::Linearizable).room("drop").await.expect("the room is read")
}

async fn token(client: &Client, customer: &str) -> String {
    let reader = client.reader(Consistency::Linearizable);
    reader.admission("drop", customer).await.expect("the admission is read").token
}

/// One unit in the campaign.
fn buy(customer: &str, token: &str) -> Reserve {
    Reserve::new().line(SKU, 1).ttl(MINUTE * 60).campaign("drop").customer(customer).admission_token(token)
}

fn why(refused: Result<holdfast_client::Success, Error>) -> String {
    let refused = refused.expect_err("it is refused");
    assert_eq!(refused.reason(), ErrorReason::AdmissionTokenInvalid, "{refused}");
    refused.failure().metadata["why"].clone()
}

async fn kill_all(cluster: &mut Cluster) {
    cluster.restart_all().await;
}

/// What the command line says, and whether it succeeds.
fn holdfast(cluster: &Cluster, arguments: &[&str]) -> (bool, Value, String) {
    let addresses = cluster.addresses().join(",");
    let said = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(arguments)
        .args(["-o", "json", "--addr", &addresses])
        .output()
        .expect("holdfast runs");
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    (said.status.success(), serde_json::from_slice(&said.stdout).unwrap_or(Value::Null), complaint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lottery_is_drawn_as_it_was_committed_to_and_its_tokens_hold_once_through_kills_of_all_nodes() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    // The sale has to begin after the commitment.
    let starts_at = client.cluster_time_ms() + 15_000;
    open_drop(&client, v1::CampaignAdmission::Lottery, 3, starts_at).await;
    let seed = [7; 32];
    let early = join(&client, "customer-0").await.expect_err("the list opens with the commitment");
    assert_eq!(early.reason(), ErrorReason::DrawNotCommitted);
    let commitment = *blake3::hash(&seed).as_bytes();
    client.execute(CommitDraw::of("drop", commitment)).await.expect("the draw is committed to");
    for number in 0..12 {
        let ticket = join(&client, &format!("customer-{number}")).await.expect("a customer joins");
        assert_eq!(ticket, number + 1);
    }
    assert_eq!(join(&client, "customer-3").await, Ok(4), "who has a ticket keeps it");

    kill_all(&mut cluster).await;
    let other = client.execute(Draw::of("drop", [8; 32])).await.expect_err("it is another seed");
    assert_eq!(other.reason(), ErrorReason::DrawSeedMismatch);
    let (holds, _, complaint) = holdfast(&cluster, &["queue", "verify", "drop"]);
    assert!(!holds && complaint.contains("not drawn yet"), "{complaint}");
    client.execute(Draw::of("drop", seed)).await.expect("the lottery is drawn");
    let late = join(&client, "customer-99").await.expect_err("the list is closed");
    assert_eq!((late.reason(), late.failure().metadata["why"].as_str()), (ErrorReason::QueueClosed, "drawn"));

    kill_all(&mut cluster).await;
    while client.cluster_time_ms() < starts_at {
        cluster::pause().await;
        room(&client).await;
    }
    assert_eq!(admit(&client, 512).await, 3, "as many as there are units");
    assert_eq!(admit(&client, 512).await, 0);
    let (holds, verified, complaint) = holdfast(&cluster, &["queue", "verify", "drop"]);
    assert!(holds, "{complaint}");
    assert_eq!((verified["holds"].as_bool(), verified["tickets"].as_u64()), (Some(true), Some(12)));
    // Who was let in are the first three of an order that anybody can compute.
    let let_in: Vec<&str> =
        verified["order"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(let_in, [vec!["admitted"; 3], vec!["waiting"; 9]].concat());

    kill_all(&mut cluster).await;
    let mut winners = Vec::new();
    for number in 0..12 {
        let customer = format!("customer-{number}");
        let token = token(&client, &customer).await;
        if !token.is_empty() {
            winners.push((customer, token));
        }
    }
    assert_eq!(winners.len(), 3);
    let (first, token_of_first) = winners[0].clone();
    assert_eq!(why(client.reserve(Reserve::new().line(SKU, 1).campaign("drop").customer(&first)).await), "missing");
    assert_eq!(why(client.reserve(buy("customer-99", &token_of_first)).await), "other_customer");
    let (rest, last) = token_of_first.split_at(token_of_first.len() - 1);
    let forged = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(why(client.reserve(buy(&first, &forged)).await), "forged");
    // The same command asked again holds once; another one with the same token does not hold at all.
    let key = CommandKey::Own(holdfast_client::ids::CommandId::of_key("order-1"));
    let options = || ExecuteOptions { key, ..ExecuteOptions::default() };
    let held = client.execute_with(buy(&first, &token_of_first), options()).await.expect("the first one buys");
    kill_all(&mut cluster).await;
    let again = client.execute_with(buy(&first, &token_of_first), options()).await.expect("it is the same");
    assert!(again.replayed && again.reservation_id == held.reservation_id);
    assert_eq!(why(client.reserve(buy(&first, &token_of_first)).await), "spent");
    for (customer, token) in &winners[1..] {
        client.reserve(buy(customer, token)).await.expect("a winner buys");
    }
    assert_eq!(admit(&client, 512).await, 0, "nothing is left");
    let room = room(&client).await;
    assert_eq!((room.spent, room.admitted, room.waiting), (3, 0, 9));
    // A hold that is given back is for the next of the order.
    client.release(held.reservation_id.expect("a reservation")).await.expect("it is given back");
    assert_eq!(admit(&client, 512).await, 1);
    let (holds, _, complaint) = holdfast(&cluster, &["queue", "verify", "drop"]);
    assert!(holds, "{complaint}");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_lets_in_who_came_first_and_the_command_line_does_all_of_it() {
    let cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    open_drop(&client, v1::CampaignAdmission::Queue, 2, client.cluster_time_ms() - 1_000).await;
    for (number, customer) in ["ann", "bob", "cid"].into_iter().enumerate() {
        let (done, joined, complaint) = holdfast(&cluster, &["queue", "join", "drop", "--customer", customer]);
        assert!(done, "{complaint}");
        assert_eq!(joined["ticket"], number + 1);
    }
    let refused = client.execute(CommitDraw::of("drop", [1; 32])).await.expect_err("it is no lottery");
    assert_eq!(refused.reason(), ErrorReason::QueueClosed);
    let (done, _, complaint) = holdfast(&cluster, &["queue", "token", "drop", "--customer", "ann"]);
    assert!(!done && complaint.contains("not let in"), "{complaint}");
    let (done, admitted, complaint) = holdfast(&cluster, &["queue", "admit", "drop", "--most", "1"]);
    assert!(done, "{complaint}");
    assert_eq!(admitted["admitted"], 1);
    let (_, shown, _) = holdfast(&cluster, &["queue", "token", "drop", "--customer", "ann"]);
    let token = shown["token"].as_str().expect("ann came first");
    let reserve = ["reserve", SKU, "--campaign", "drop", "--customer", "ann", "--token", token];
    let (done, held, complaint) = holdfast(&cluster, &reserve);
    assert!(done, "{complaint}");
    assert_eq!(held["state"], "held");
    let (done, _, complaint) = holdfast(&cluster, &reserve);
    assert!(!done && complaint.contains("ADMISSION_TOKEN_INVALID"), "{complaint}");
    // One unit is left, so that one of the two that wait is let in, however often somebody asks.
    let again = ["queue", "admit", "drop", "--every", "1", "--times", "3"];
    let (done, admitted, complaint) = holdfast(&cluster, &again);
    assert!(done, "{complaint}");
    assert_eq!(admitted["admitted"], 1, "one line, for the one time that anybody was let in: {admitted}");
    let (_, status, _) = holdfast(&cluster, &["queue", "status", "drop", "--tickets"]);
    let counts = ["tickets", "waiting", "admitted", "spent"].map(|name| status[name].as_u64().unwrap());
    assert_eq!(counts, [3, 1, 1, 1], "{status}");
    let states: Vec<&str> = status["list"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["spent", "admitted", "waiting"]);
    cluster.replicas_agree().await;
}
