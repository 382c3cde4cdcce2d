//! `holdfast count` and `holdfast reconcile` against real processes: what another system says is held against the books, mended where
//! it is asked for, and never twice.

mod cluster;

use std::path::Path;
use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Shop};
use holdfast_client::{Adjust, Client, Commit, Fulfil, PutItem, PutKit, Receive, Reserve, Return, v1};
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

/// An instant so many days ago.
fn days_ago(days: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string()
}

fn yesterday() -> String {
    days_ago(1)
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

    let (code, report) = reconcile(&cluster, &file, "sales", &["--since", &yesterday(), "--apply"]).await;
    let outcomes: Vec<(u64, &str, &str)> =
        told(&report).into_iter().map(|(line, what, _, outcome)| (line, what, outcome)).collect();
    assert_eq!((code, outcomes.len()), (1, 3), "{report}");
    assert_eq!(outcomes[..2], [(3, "missing_sale", "applied"), (4, "missing_sale", "applied")]);
    assert!(outcomes[2].2.starts_with("refused: "), "{outcomes:?}");
    let (lip, nail) = (level(&client, "LIP").await, level(&client, "NAIL").await);
    assert_eq!((lip.committed, lip.reserved, nail.committed, nail.atp), (5, 0, 2, 8));
    let (code, report) = reconcile(&cluster, &file, "sales", &["--since", &yesterday(), "--apply"]).await;
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
    let (code, report) = reconcile(&cluster, &file, "shipments", &["--since", &yesterday(), "--apply"]).await;
    let ship = format!("ship 2 of line 0 of {}", sold[0]);
    let expected = [
        (2, "drift", ship.as_str(), "applied"),
        (3, "double_shipment", "write off 2", "applied"),
        (4, "double_shipment", "", "somebody has to look"),
    ];
    assert_eq!((code, told(&report)), (1, expected.to_vec()));
    let lip = level(&client, "LIP").await;
    assert_eq!((lip.on_hand, lip.fulfilled, lip.adjusted, lip.committed), (2, 6, -2, 0));
    let (_, report) = reconcile(&cluster, &file, "shipments", &["--since", &yesterday(), "--apply"]).await;
    assert_eq!(told(&report)[0], (3, "double_shipment", "write off 2", "applied before"));
    assert_eq!(level(&client, "LIP").await.on_hand, 2);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_the_books_have_or_may_have_forgotten_is_not_sold_again() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP", "NAIL"]).await;
    for location in ["PAR", "LYO"] {
        let location = v1::Location { location_id: location.to_owned(), ..v1::Location::default() };
        client.put_location(location).await.expect("a location is put");
    }
    client.receive(Receive::of("LIP", 9).at("LYO")).await.expect("units are received");
    let later = v1::Item { sku: "LATER".to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(later).backorder(9)).await.expect("an item is put");
    client.put_kit(PutKit::of("GIFT").component("LIP", 1).component("NAIL", 2)).await.expect("a kit is put");
    let sale = async |reserve: Reserve| {
        let id = client.reserve(reserve).await.expect("units are held").reservation_id.expect("a reservation");
        client.execute(Commit::of(id)).await.expect("they are sold");
        id
    };
    sale(Reserve::new().line_at("LIP", "LYO", 2).order_ref("elsewhere")).await;
    sale(Reserve::new().line("LATER", 2).order_ref("paid ahead")).await;
    sale(Reserve::new().line("GIFT", 2).order_ref("a kit")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sales.csv");
    let say = |rows: &str| {
        std::fs::write(&file, format!("order_ref,sku,quantity,sold_at\n{rows}")).expect("a file is written")
    };
    let (today, long_ago) = (days_ago(0), days_ago(30));

    say(&format!("elsewhere,LIP,2,{today}\npaid ahead,LATER,2,{today}\na kit,GIFT,2,{today}\n"));
    let (code, report) = reconcile(&cluster, &file, "sales", &["--apply"]).await;
    assert_eq!((code, told(&report).len()), (0, 0), "{report}");

    say(&format!("old,NAIL,1,{long_ago}\nundated,NAIL,1,\nnew,NAIL,1,{today}\nelsewhere,LIP,3,{long_ago}\n"));
    let (code, report) = reconcile(&cluster, &file, "sales", &["--apply"]).await;
    let too_old = |line| (line, "too_old_to_tell", "", "somebody has to look");
    let expected = [too_old(2), too_old(3), (4, "missing_sale", "sell 1", "applied"), too_old(5)];
    assert_eq!((code, told(&report)), (1, expected.to_vec()));
    let deadline = Instant::now() + PATIENCE;
    // The kits may lie on another shard than the one that decides them, which follows in its own time.
    while (level(&client, "LIP").await.committed, level(&client, "NAIL").await.committed) != (2, 5) {
        assert!(Instant::now() < deadline, "the kits' units are sold, and the new order's, and no more");
        cluster::pause().await;
    }
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_that_came_back_were_shipped_once() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP"]).await;
    let hold = Reserve::new().line("LIP", 2).order_ref("web 1");
    let id = client.reserve(hold).await.expect("units are held").reservation_id.expect("a reservation");
    client.execute(Commit::of(id)).await.expect("they are sold");
    client.execute(Fulfil::of(id)).await.expect("they are shipped");
    client.execute(Return::of(id).line(0, 1)).await.expect("one comes back");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shipments.csv");
    let rows = format!("order_ref,sku,quantity,shipped_at\nweb 1,LIP,2,{}\n", days_ago(0));
    std::fs::write(&file, rows).expect("a file is written");
    let (code, report) = reconcile(&cluster, &file, "shipments", &["--apply"]).await;
    assert_eq!((code, told(&report).len(), level(&client, "LIP").await.on_hand), (0, 0, 9), "{report}");
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
    assert_eq!(code, 3, "there is none any more, and it says so: {stderr}");
    cluster.replicas_agree().await;
}

/// A watcher of a folder, as its own process.
fn watcher(cluster: &Cluster, folder: &Path, more: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .args(["reconcile", "--since", &yesterday(), "--every", "100ms", "--apply", "--inbox"])
        .arg(folder)
        .args(more)
        .args(["-o", "json"]);
    command.env("HOLDFAST_ADDR", cluster.addresses().join(",")).kill_on_drop(true);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    command
}

/// Lets a watcher work what is in the folder: its exit code, and what it says of each file.
async fn work_once(cluster: &Cluster, folder: &Path) -> (i32, Vec<Value>, String) {
    let ended = tokio::time::timeout(PATIENCE, watcher(cluster, folder, &["--once"]).output()).await;
    let output = ended.expect("it ends in time").expect("the binary under test starts");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    (output.status.code().unwrap_or(-1), lines.collect(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_is_killed_after_it_has_applied_a_file_applies_it_no_second_time() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP", "NAIL"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let inbox = folder.path();
    let put = |name: &str, text: &str| std::fs::write(inbox.join(name), text).expect("a file is written");
    let is_there = |name: &str| inbox.join(name).exists();
    let report = |name: &str| std::fs::read_to_string(inbox.join(name)).expect("a report");

    // The report of the first file cannot be written: the watcher waits there, between what it applied and what it says of it.
    std::fs::create_dir(inbox.join("done")).expect("a folder is made");
    let pipe = inbox.join("done/counts-1.csv.report.json.tmp");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    put("counts-1.csv", "sku,on_hand\nLIP,12\nNAIL,10\n");
    put("sales-2.csv", "order_ref,sku,quantity\nweb 1,NAIL,3\n");
    let mut first = watcher(&cluster, inbox, &[]).spawn().expect("the binary under test starts");
    let deadline = Instant::now() + PATIENCE;
    while level(&client, "LIP").await.on_hand != 12 {
        assert!(Instant::now() < deadline, "the file is not applied");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Nobody else has the folder meanwhile.
    let (code, _, stderr) = work_once(&cluster, inbox).await;
    assert!(code == 2 && stderr.contains("another watcher"), "{code} {stderr}");
    first.kill().await.expect("a process of this test is killed");
    assert!(is_there("counts-1.csv") && !is_there("done/counts-1.csv"));
    std::fs::remove_file(&pipe).expect("the pipe is taken away");
    // The books go on.
    client.receive(Receive::of("LIP", 5)).await.expect("units are received");

    let (code, told, stderr) = work_once(&cluster, inbox).await;
    let files: Vec<&str> = told.iter().map(|report| text(report, "file")).collect();
    assert_eq!((code, files), (1, vec!["counts-1.csv", "sales-2.csv"]), "{stderr}");
    assert_eq!(text(&told[0]["discrepancies"][0], "outcome"), "seen to before: not applied again");
    assert_eq!((told[1]["mended"].as_u64(), text(&told[1], "kind")), (Some(1), "sales"));
    let (lip, nail) = (level(&client, "LIP").await, level(&client, "NAIL").await);
    assert_eq!((lip.on_hand, nail.committed), (17, 3));
    assert!(is_there("done/counts-1.csv") && is_there("done/sales-2.csv") && !is_there("sales-2.csv"));

    // As one leaves it who is killed after the report and before the move.
    let before = report("done/sales-2.csv.report.json");
    std::fs::rename(inbox.join("done/sales-2.csv"), inbox.join("sales-2.csv")).expect("it is moved back");
    let (code, told, _) = work_once(&cluster, inbox).await;
    assert_eq!((code, told.len(), told[0]["mended"].as_u64()), (0, 1, Some(1)));
    assert_eq!(report("done/sales-2.csv.report.json"), before);
    assert_eq!(level(&client, "NAIL").await.committed, 3);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_used_goes_to_failed_with_its_reason_and_the_next_is_worked() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP"]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let inbox = folder.path();
    std::fs::write(inbox.join("a.csv"), "order_ref,sku,quantity\nweb 1,LIP,1\n").expect("a file is written");
    std::fs::write(inbox.join("b.csv"), "sku,on_hand\nLIP,ten\n").expect("a file is written");
    std::fs::write(inbox.join("c.csv"), "sku,on_hand\nLIP,9\n").expect("a file is written");
    std::fs::write(inbox.join("d.csv.part"), "sku,on_hand\nLIP,8\n").expect("a file is written");
    let (code, told, stderr) = work_once(&cluster, inbox).await;
    assert_eq!((code, told.len()), (1, 3), "{stderr}");
    assert!(text(&told[0], "failed").contains("sales and of shipments"), "{}", told[0]);
    assert!(text(&told[1], "failed").contains("line 2: column on_hand"), "{}", told[1]);
    assert_eq!((told[2]["mended"].as_u64(), level(&client, "LIP").await.on_hand), (Some(1), 9));
    let written: Value =
        serde_json::from_slice(&std::fs::read(inbox.join("failed/b.csv.report.json")).expect("a report"))
            .expect("JSON");
    assert_eq!(written, told[1]);
    for (name, is_there) in [("failed/a.csv", true), ("failed/b.csv", true), ("done/c.csv", true), ("d.csv.part", true)]
    {
        assert_eq!(inbox.join(name).exists(), is_there, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goods_are_sold_shipped_and_taken_back_by_the_orders_reference() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client, &["LIP"]).await;
    let hold = |order: &str| Reserve::new().line("LIP", 2).order_ref(order);
    client.reserve(hold("web 1")).await.expect("units are held");
    for arguments in [vec!["commit"], vec!["fulfil"], vec!["return", "--line", "0=1"]] {
        let (code, _, stderr) = cluster.holdfast(&[&arguments[..], &["--order-ref", "web 1"]].concat()).await;
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
    }
    let lip = level(&client, "LIP").await;
    assert_eq!((lip.fulfilled, lip.returned, lip.on_hand), (2, 1, 9));

    let mut ids = Vec::new();
    for _ in 0..2 {
        let held = client.reserve(hold("twice")).await.expect("units are held");
        ids.push(held.reservation_id.expect("a reservation").to_string());
    }
    let (code, _, stderr) = cluster.holdfast(&["commit", "--order-ref", "twice"]).await;
    assert!(code == 2 && ids.iter().all(|id| stderr.contains(id)), "{code}: {stderr}");
    let (code, _, stderr) = cluster.holdfast(&["return", "--order-ref", "nobody's", "--line", "0=1"]).await;
    assert_eq!((code, stderr.contains("nobody's: no reservation")), (3, true), "{stderr}");
    let (code, _, _) = cluster.holdfast(&["cancel"]).await;
    assert_eq!(code, 2, "one of the two names it");
    cluster.replicas_agree().await;
}
