//! `holdfast count` and `holdfast reconcile` against real processes: what another system says is held against the books, mended where
//! it is asked for, and never twice.

mod cluster;

use std::path::Path;

use cluster::{Cluster, Shop};
use holdfast_client::{Adjust, Client, Commit, Fulfil, PutItem, Receive, Reserve, v1};
use serde_json::Value;

async fn open_shop(client: &Client, skus: &[&str]) {
    for sku in skus {
        let item = v1::Item { sku: (*sku).to_owned(), ..v1::Item::default() };
        client.execute(PutItem::new(item)).await.expect("an item is put");
        client.receive(Receive::of(*sku, 10)).await.expect("units are received");
    }
}

async fn level(client: &Client, sku: &str) -> v1::StockLevel {
    client.stock(sku, None).await.expect("stock is read").value.levels.remove(0)
}

/// Its exit code, and what it says.
async fn reconcile(cluster: &Cluster, file: &Path, kind: &str, more: &[&str]) -> (i32, Value) {
    let file = file.display().to_string();
    let arguments = [&["reconcile", &file, "--kind", kind][..], more].concat();
    let (code, stdout, stderr) = cluster.holdfast(&arguments).await;
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}")))
}

/// By row: its line, what the difference is, what is proposed, and what came of it.
fn told(report: &Value) -> Vec<(u64, &str, &str, &str)> {
    let rows = report["discrepancies"].as_array().expect("rows").iter();
    rows.map(|row| {
        (row["line"].as_u64().unwrap_or(0), text(row, "discrepancy"), text(row, "proposal"), text(row, "outcome"))
    })
    .collect()
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_another_system_are_told_apart_and_applied_once() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["SAME", "FEWER", "MORE", "BY-HAND"]).await;
    client.execute(Adjust::of("BY-HAND", -3)).await.expect("somebody writes units off");
    client.reserve(Reserve::new().line("FEWER", 9)).await.expect("units are held");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("counts.csv");
    std::fs::write(&file, "sku,on_hand\nSAME,10\nFEWER,8\nMORE,12\nBY-HAND,10\n").expect("a file is written");

    let (code, report) = reconcile(&cluster, &file, "counts", &[]).await;
    let look = (5, "manual_override", "", "somebody has to look");
    let proposed = [(3, "drift", "write off 2", "proposed"), (4, "drift", "find 2", "proposed"), look];
    assert_eq!((code, told(&report)), (1, proposed.to_vec()));
    assert_eq!((level(&client, "FEWER").await.on_hand, level(&client, "MORE").await.on_hand), (10, 10));

    let (code, report) = reconcile(&cluster, &file, "counts", &["--apply", "--actor", "ann"]).await;
    let applied = [(3, "drift", "write off 2", "applied"), (4, "drift", "find 2", "applied"), look];
    assert_eq!((code, told(&report)), (1, applied.to_vec()));
    let fewer = level(&client, "FEWER").await;
    assert_eq!((fewer.on_hand, fewer.short, level(&client, "MORE").await.on_hand), (8, 1, 12));
    // The file is older than what has come since: the row was seen to, and is not once more.
    client.receive(Receive::of("MORE", 5)).await.expect("units are received");
    let (_, report) = reconcile(&cluster, &file, "counts", &["--apply"]).await;
    let before = (4, "drift", "write off 5", "seen to before: not applied again");
    assert_eq!(told(&report), [before, look]);
    assert_eq!((level(&client, "FEWER").await.on_hand, level(&client, "MORE").await.on_hand), (8, 17));
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_of_another_system_are_found_taken_in_and_not_taken_in_twice() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP", "NAIL"]).await;
    let hold = |order: &str, units| Reserve::new().line("LIP", units).order_ref(order);
    let sold = client.reserve(hold("web 1", 2)).await.expect("units are held").reservation_id.expect("a reservation");
    client.execute(Commit::of(sold)).await.expect("they are sold");
    client.reserve(hold("web 2", 3)).await.expect("units are held");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sales.csv");
    let rows = "order_ref,sku,quantity\nweb 1,LIP,2\nweb 2,LIP,3\nweb 3,NAIL,1\nweb 3,NAIL,1\nweb 4,NAIL,99\n";
    std::fs::write(&file, rows).expect("a file is written");

    let (code, report) = reconcile(&cluster, &file, "sales", &["--apply"]).await;
    let outcomes: Vec<(u64, &str, &str)> =
        told(&report).into_iter().map(|(line, what, _, outcome)| (line, what, outcome)).collect();
    assert_eq!((code, outcomes.len()), (1, 3), "{report}");
    assert_eq!(outcomes[..2], [(3, "missing_sale", "applied"), (4, "missing_sale", "applied")]);
    assert!(outcomes[2].2.starts_with("refused: "), "{outcomes:?}");
    let (lip, nail) = (level(&client, "LIP").await, level(&client, "NAIL").await);
    assert_eq!((lip.committed, lip.reserved, nail.committed, nail.atp), (5, 0, 2, 8));
    let (code, report) = reconcile(&cluster, &file, "sales", &["--apply"]).await;
    assert_eq!((code, told(&report).len(), level(&client, "NAIL").await.committed), (1, 1, 2));

    std::fs::write(&file, "order_ref,sku,quantity\nweb 1,LIP,two\n").expect("a file is written");
    let path = file.display().to_string();
    let (code, _, stderr) = cluster.holdfast(&["reconcile", &path, "--kind", "sales", "--apply"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("line 2: column quantity"), "{stderr}");
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shipments_of_another_system_are_told_apart_and_applied_once() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP"]).await;
    let mut sold = Vec::new();
    for order in ["untold", "twice", "less"] {
        let hold = Reserve::new().line("LIP", 2).order_ref(order);
        let id = client.reserve(hold).await.expect("units are held").reservation_id.expect("a reservation");
        client.execute(Commit::of(id)).await.expect("they are sold");
        sold.push(id);
    }
    for id in &sold[1..] {
        client.execute(Fulfil::of(*id)).await.expect("they are shipped");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shipments.csv");
    std::fs::write(&file, "order_ref,sku,quantity\nuntold,LIP,2\ntwice,LIP,4\nless,LIP,1\n")
        .expect("a file is written");
    let (code, report) = reconcile(&cluster, &file, "shipments", &["--apply"]).await;
    let ship = format!("ship 2 of line 0 of {}", sold[0]);
    let expected = [
        (2, "drift", ship.as_str(), "applied"),
        (3, "double_shipment", "write off 2", "applied"),
        (4, "double_shipment", "", "somebody has to look"),
    ];
    assert_eq!((code, told(&report)), (1, expected.to_vec()));
    let lip = level(&client, "LIP").await;
    assert_eq!((lip.on_hand, lip.fulfilled, lip.adjusted, lip.committed), (2, 6, -2, 0));
    let (_, report) = reconcile(&cluster, &file, "shipments", &["--apply"]).await;
    assert_eq!(told(&report)[0], (3, "double_shipment", "write off 2", "applied before"));
    assert_eq!(level(&client, "LIP").await.on_hand, 2);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stocktake_of_several_skus_goes_by_one_name_on_the_command_line() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP", "NAIL"]).await;
    let json = |(code, stdout, stderr): (i32, String, String)| -> Value {
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).expect("JSON")
    };
    let open = ["count", "open", "LIP", "NAIL", "--stocktake", "spring", "--id", "spring"];
    let opened = json(cluster.holdfast(&open).await);
    assert_eq!(json(cluster.holdfast(&open).await), opened, "the same again is answered the same");
    let id = opened[0]["count"].as_str().expect("an id");
    assert_eq!((opened[0]["sku"].as_str(), opened[0]["lines"][0]["at_opening"].as_u64()), (Some("LIP"), Some(10)));
    json(cluster.holdfast(&["count", "record", id, "--line", "7", "--line", "1::damaged"]).await);
    let listed = json(cluster.holdfast(&["count", "list", "--open", "--stocktake", "spring"]).await);
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let applied = json(cluster.holdfast(&["count", "apply", "--stocktake", "spring"]).await);
    assert_eq!(applied.as_array().map(Vec::len), Some(2));
    let lip = level(&client, "LIP").await;
    assert_eq!((lip.on_hand, lip.damaged, lip.atp, level(&client, "NAIL").await.on_hand), (8, 1, 7, 10));
    let (code, _, stderr) = cluster.holdfast(&["count", "apply", "--stocktake", "spring"]).await;
    assert_eq!(code, 2, "{stderr}");
    cluster.replicas_agree().await;
}
