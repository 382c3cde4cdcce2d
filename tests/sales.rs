//! A sale as commands, over real processes: planned from a file, opened twice, sold through a kill of all nodes, watched, verified,
//! reported and closed.

mod cluster;

use std::fs;
use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Error, PutItem, PutKit, Receive, Reserve, v1};
use holdfast_proto::v1::ErrorReason;
use serde_json::Value;

const SHARDS: u32 = 4;

/// Two items on two shards, with 10 units each.
async fn open_shop(client: &Client) -> Vec<String> {
    let mut skus: Vec<String> = Vec::new();
    for sku in (0..1_000).map(|number| format!("SKU-{number:03}")) {
        if skus.len() < 2 && skus.iter().all(|other| client.shard_of(other) != client.shard_of(&sku)) {
            let item = v1::Item { sku: sku.clone(), ..v1::Item::default() };
            client.put_item(PutItem::new(item)).await.expect("an item is put");
            client.receive(Receive::of(sku.as_str(), 10)).await.expect("units are received");
            skus.push(sku);
        }
    }
    skus
}

/// The exit status of a verb of the sale, its answer, and what it said.
async fn sale(cluster: &Cluster, arguments: &[&str]) -> (i32, Value, String) {
    let arguments: Vec<&str> = ["sale"].iter().chain(arguments).copied().collect();
    let (status, answer, said) = cluster.holdfast(&arguments).await;
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null), said)
}

async fn buy(client: &Client, sku: &str, units: u32, customer: &str) -> Result<ReservationId, Error> {
    let reserve = Reserve::new().line(sku, units).customer(customer).campaign("drop").ttl(Duration::from_secs(3_600));
    Ok(client.reserve(reserve).await?.reservation_id.expect("a reservation has an id"))
}

/// Granted, held, sold and left of each line.
fn lines(answer: &Value) -> Vec<[u64; 4]> {
    let number = |line: &Value, name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
    let lines = answer["lines"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    lines.map(|line| ["granted", "held", "sold", "left"].map(|name| number(line, name))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_goes_from_its_plan_to_its_report_through_a_kill_of_all_nodes() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    let skus = open_shop(&client).await;
    let file = cluster.path().join("drop.toml");
    let text = format!(
        "[sale]\nid = \"drop\"\nendpoints = [\"payments\"]\nstarts_at = \"2020-01-01T00:00:00Z\"\nends_at = \"2099-01-01T00:00:00Z\"\n\
         [[line]]\nsku = \"{}\"\nunits = 6\nper_customer = 2\n[[line]]\nsku = \"{}\"\nunits = 8\n\
         [[line]]\nsku = \"SET\"\nunits = 2\n",
        skus[0], skus[1]
    );
    fs::write(&file, text).expect("the sale is written");
    client.execute(PutKit::of("SET").component(skus[1].as_str(), 2)).await.expect("a kit is put");
    let file = file.to_str().expect("a path of text");

    let (status, planned, said) = sale(&cluster, &["plan", file]).await;
    assert_eq!((status, &planned["ready"]), (1, &Value::from(false)), "{planned} {said}");
    assert!(said.contains(&format!("{}: 2 of 12 units are missing", skus[1])), "{said}");
    assert!(said.contains("endpoint payments is not known"), "{said}");
    let payments = v1::Endpoint { url: "http://pay.shop".to_owned(), ..v1::Endpoint::default() };
    let payments = v1::Endpoint { endpoint_id: "payments".to_owned(), ..payments };
    client.put_endpoint(payments).await.expect("an endpoint is put");
    assert!(client.campaigns(None).await.expect("campaigns are read").is_empty(), "a plan changes nothing");
    client.receive(Receive::of(skus[1].as_str(), 2)).await.expect("units are received");
    cluster.kill(2);
    let (status, planned, said) = sale(&cluster, &["plan", file]).await;
    assert_eq!((status, &planned["ready"]), (1, &Value::from(false)), "{planned} {said}");
    assert!(said.contains("missing: node 2 does not answer"), "{said}");
    cluster.start(2);
    cluster.wait_ready().await;
    let (status, planned, said) = sale(&cluster, &["plan", file]).await;
    assert_eq!((status, &planned["ready"]), (0, &Value::from(true)), "{planned} {said}");

    let (status, opened, said) = sale(&cluster, &["open", file]).await;
    assert_eq!(status, 0, "{said}");
    assert_eq!(lines(&opened), [[6, 0, 0, 6], [12, 0, 0, 12]], "{said}");
    let first = buy(&client, &skus[0], 2, "ann").await.expect("the sale sells");
    let third = buy(&client, &skus[0], 1, "ann").await.expect_err("two for each");
    assert_eq!(third.reason(), ErrorReason::CustomerLimitExceeded);
    let set = Reserve::new().line("SET", 1).line(skus[1].as_str(), 3).customer("bob").campaign("drop");
    let set = client.reserve(set.ttl(Duration::from_secs(3_600))).await.expect("the sale sells a kit, which takes two");
    let second = set.reservation_id.expect("a reservation has an id");
    client.commit(first).await.expect("a hold is sold");

    cluster.restart_all().await;
    let (status, again, said) = sale(&cluster, &["open", file]).await;
    assert_eq!((status, lines(&again)), (0, vec![[6, 0, 2, 4], [12, 5, 0, 7]]), "nothing is granted twice: {said}");
    client.commit(second).await.expect("a hold is sold");
    let looks = ["sale", "watch", "drop", "--looks", "2", "--every", "5"];
    let looking = async {
        // Between the two looks, however long the first one takes to come.
        for _ in 0..20 {
            let third = buy(&client, &skus[0], 1, "ann").await.expect_err("two for each");
            assert_eq!(third.reason(), ErrorReason::CustomerLimitExceeded);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let ((status, looks, said), ()) = tokio::join!(cluster.holdfast(&looks), looking);
    assert_eq!(status, 0, "{said}");
    let looks: Vec<Value> = looks.lines().map(|line| serde_json::from_str(line).expect("a look a line")).collect();
    assert_eq!((looks.len(), &looks[1]["sold"], &looks[1]["left"]), (2, &Value::from(7), &Value::from(11)));
    assert!(looks[1]["limit_hits"].as_u64() > Some(0), "{}", looks[1]);

    let customers = cluster.path().join("customers");
    fs::write(&customers, "ann\nbob\n").expect("the customers are written");
    let customers = customers.to_str().expect("a path of text");
    let (status, verified, said) = sale(&cluster, &["verify", "drop", "--customers", customers]).await;
    assert_eq!((status, &verified["sound"]), (0, &Value::from(true)), "{verified} {said}");
    let counts = ["sold", "reservations", "customers", "replicas"].map(|name| verified[name].as_u64());
    assert_eq!(counts, [Some(7), Some(2), Some(2), Some(6)], "{verified}");

    let (status, closed, said) = sale(&cluster, &["close", "drop"]).await;
    assert_eq!((status, &closed["closed"], lines(&closed)[1][3]), (0, &Value::from(true), 0), "{closed} {said}");
    let stock = client.stock(&skus[1], None).await.expect("stock is read").value;
    assert_eq!(stock.atp, 7, "what was not sold is everybody's");
    let more = Reserve::new().line(skus[0].as_str(), 3).customer("ann");
    client.reserve(more).await.expect("the sale's limit counts no more");

    let (status, report, said) = sale(&cluster, &["report", "drop"]).await;
    let told = ["granted", "held", "sold", "unsold", "reservations"].map(|name| report[name].as_u64());
    assert_eq!((status, told), (0, [Some(18), Some(0), Some(7), Some(11), Some(2)]), "{report} {said}");
    assert_eq!(report["limit_hits"], 21, "each third for ann: {report}");
    let curve = report["curve"].as_array().expect("a curve");
    assert_eq!(curve.last().expect("a step")["sold_in_all"], 7, "{report}");
    cluster.replicas_agree().await;
}
