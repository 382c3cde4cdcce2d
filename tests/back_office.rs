//! What a shop's own systems do over REST beside carts: waiting rooms, limits per customer, orders with steps, transfers, expected
//! receipts; over real processes, each request at whichever node, and the one that leads is killed amid an order.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cluster::{Cluster, Http, PATIENCE, Said, Shop, pause};
use serde_json::{Value, json};

async fn shop() -> Cluster {
    let cluster = Cluster::with_http(&[]).await;
    for id in 1..=3 {
        cluster.http(id).serves().await;
    }
    cluster
}

/// An item with so many units.
async fn item(http: &Http, sku: &str, units: u32, said: Value) {
    done(http.change("PUT", &format!("/v1/items/{sku}"), "", &said.to_string()).await);
    if units > 0 {
        let body = json!({"sku": sku, "units": units}).to_string();
        done(http.post("/v1/stock:receive", &format!("stock of {sku}"), &body).await);
    }
}

fn done(said: Said) -> Value {
    assert!(matches!(said.status, 200 | 201), "{} {}", said.status, String::from_utf8_lossy(&said.body));
    said.json()
}

/// The status, the reason and the field of what was refused.
fn refused(said: &Said) -> (u16, String, String) {
    let told = said.json();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    (said.status, text("reason"), text("field"))
}

fn is(status: u16, reason: &str, field: &str) -> (u16, String, String) {
    (status, reason.to_owned(), field.to_owned())
}

/// What a path shows, as soon as it is so.
async fn until(http: &Http, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = http.get(path).await;
        if said.status == 200 && is_so(&said.json()) {
            return said.json();
        }
        assert!(Instant::now() < deadline, "{path}: {}", String::from_utf8_lossy(&said.body));
        pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_let_in_in_order_and_the_token_is_worth_one_cart() {
    let cluster = shop().await;
    let http = cluster.http(1);
    item(&http, "LIP", 10, json!({})).await;
    let now = done(http.get("/v1/cluster").await)["log_time_ms"].as_u64().expect("a time");
    let campaign = |admission: &str, from: u64| {
        json!({"starts_at_ms": from, "ends_at_ms": from + 3_600_000, "admission": admission}).to_string()
    };
    done(http.change("PUT", "/v1/campaigns/drop", "", &campaign("queue", now - 1_000)).await);
    done(http.post("/v1/campaigns/drop:grant", "grant", r#"{"sku":"LIP","units":2}"#).await);
    for (number, customer) in ["ann", "bob", "cid"].into_iter().enumerate() {
        let body = json!({ "customer": customer }).to_string();
        let node = cluster.http(number as u64 + 1);
        assert_eq!(done(node.post("/v1/campaigns/drop:join", customer, &body).await)["ticket"], number + 1);
        let again = http.post("/v1/campaigns/drop:join", customer, &body).await;
        assert_eq!((again.json()["ticket"].clone(), again.header("idempotency-replayed")), (json!(number + 1), "true"));
    }
    let page = done(http.get("/v1/campaigns/drop/queue/tickets?limit=2").await);
    let rest =
        format!("/v1/campaigns/drop/queue/tickets?limit=2&cursor={}", page["next_cursor"].as_str().expect("more"));
    let rest = done(http.get(&rest).await);
    assert_eq!((page["items"].as_array().map(Vec::len), &rest["items"][0]["number"]), (Some(2), &json!(3)));
    assert_eq!(rest.get("next_cursor"), None);

    let admission = "/v1/campaigns/drop/queue/admission?customer=ann";
    let waits = done(cluster.http(2).get(admission).await);
    assert_eq!((&waits["token"], &waits["ticket"]["state"]), (&json!(""), &json!("waiting")));
    assert_eq!(refused(&http.get("/v1/campaigns/drop/queue/admission").await), is(400, "INVALID_ARGUMENT", "customer"));
    let too_many = http.post("/v1/campaigns/drop:admit", "many", r#"{"most":513}"#).await;
    assert_eq!(refused(&too_many), is(400, "INVALID_ARGUMENT", "most"));
    assert_eq!(done(http.post("/v1/campaigns/drop:admit", "first", r#"{"most":1}"#).await)["admitted"], 1);
    let token = done(http.get(admission).await)["token"].clone();
    let cart = json!({
        "lines": [{"sku": "LIP", "units": 1}], "customer": "ann", "campaign_id": "drop", "admission_token": token
    });
    assert_eq!(done(cluster.http(3).post("/v1/reservations", "cart of ann", &cart.to_string()).await)["state"], "held");
    let twice = http.post("/v1/reservations", "another of ann", &cart.to_string()).await;
    assert_eq!(twice.json()["reason"], "ADMISSION_TOKEN_INVALID");
    assert_eq!(done(http.post("/v1/campaigns/drop:admit", "next", "{}").await)["admitted"], 1, "one unit is left");
    let room = done(http.get("/v1/campaigns/drop/queue?customer=cid").await);
    assert_eq!([&room["waiting"], &room["admitted"], &room["spent"], &room["ticket"]["number"]], [1, 1, 1, 3]);
    assert_eq!(done(http.get("/v1/campaigns/drop/queue").await).get("ticket"), None);

    done(http.change("PUT", "/v1/campaigns/lots", "", &campaign("lottery", now + 600_000)).await);
    let seed = [7; 32];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let commitment = json!({"commitment": hex(blake3::hash(&seed).as_bytes())}).to_string();
    let short = http.post("/v1/campaigns/lots:commit_draw", "short", r#"{"commitment":"abc"}"#).await;
    assert_eq!(refused(&short), is(400, "INVALID_ARGUMENT", "commitment"));
    done(http.post("/v1/campaigns/lots:commit_draw", "held to", &commitment).await);
    done(http.post("/v1/campaigns/lots:join", "dot", r#"{"customer":"dot"}"#).await);
    let other = http.post("/v1/campaigns/lots:draw", "other", &json!({"seed": hex(&[8; 32])}).to_string()).await;
    assert_eq!(other.json()["reason"], "DRAW_SEED_MISMATCH");
    done(http.post("/v1/campaigns/lots:draw", "drawn", &json!({"seed": hex(&seed)}).to_string()).await);
    let draw = done(cluster.http(2).get("/v1/campaigns/lots/queue").await)["draw"].clone();
    assert_eq!((&draw["seed"], &draw["tickets"]), (&json!(hex(&seed)), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_has_no_more_than_the_limits_say_and_can_be_told_what_is_left() {
    let cluster = shop().await;
    let http = cluster.http(1);
    item(&http, "LIP", 10, json!({})).await;
    item(&http, "NAIL", 10, json!({})).await;
    let two = "/v1/items/LIP/limits/two";
    done(http.change("PUT", two, "", r#"{"units":2}"#).await);
    let absent = [("Content-Type", "application/json"), ("If-None-Match", "*")];
    assert_eq!(http.ask("PUT", two, &absent, r#"{"units":3}"#).await.status, 412, "there is one");
    let cart = |sku: &str, units: u32, customer: &str| {
        json!({"lines": [{"sku": sku, "units": units}], "customer": customer}).to_string()
    };
    let three = cluster.http(2).post("/v1/reservations", "three", &cart("LIP", 3, "ann")).await;
    assert_eq!(refused(&three), is(409, "CUSTOMER_LIMIT_EXCEEDED", "lines[0].units"));
    done(http.post("/v1/reservations", "two", &cart("LIP", 2, "ann")).await);
    let told = done(cluster.http(3).get("/v1/items/LIP/limits?customer=ann").await);
    assert_eq!(told["items"][0]["count"], json!({"held": 2, "bought": 0, "remaining": 0}), "{told}");

    let other = cluster.http(2);
    let both = r#"{"skus":["LIP","NAIL"],"units":3}"#;
    let (one, another) = tokio::join!(
        http.change("PUT", "/v1/limits/both", "both", both),
        http.change("PUT", "/v1/limits/both", "both", both),
    );
    assert_eq!((one.status, one.body), (another.status, another.body), "one key, one answer");
    done(other.change("PUT", "/v1/limits/both", "both", both).await);
    let endless = other.change("PUT", "/v1/limits/both", &"x".repeat(256), both).await;
    assert_eq!(refused(&endless), is(400, "INVALID_ARGUMENT", "Idempotency-Key"));
    let shared = done(cluster.http(2).get("/v1/limits").await);
    assert_eq!((&shared["items"][0]["limit_id"], &shared["items"][0]["units"]), (&json!("both"), &json!(3)));
    let alone = http.change("PUT", "/v1/limits/alone", "", r#"{"skus":["LIP"],"units":3}"#).await;
    assert_eq!(alone.status, 400, "{alone:?}");
    let deadline = Instant::now() + PATIENCE;
    // A node hears of a new limit of several SKUs a little later.
    for attempt in 0.. {
        let refusal = http.post("/v1/reservations", &format!("four {attempt}"), &cart("NAIL", 4, "bob")).await;
        if refusal.status == 409 {
            assert_eq!(refusal.json()["reason"], "CUSTOMER_LIMIT_EXCEEDED");
            break;
        }
        let id = done(refusal)["reservation_id"].as_str().expect("an id").to_owned();
        done(http.post(&format!("/v1/reservations/{id}:release"), &format!("back {attempt}"), "{}").await);
        assert!(Instant::now() < deadline, "the limit is not kept");
        pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_sold_when_its_steps_are_done_through_a_kill_of_its_leader_and_else_comes_to_nothing() {
    let mut cluster = shop().await;
    let http = cluster.http(1);
    item(&http, "LIP", 10, json!({})).await;
    let held = async |http: &Http, key: &str| {
        let cart = json!({"lines": [{"sku": "LIP", "units": 2}], "ttl_s": 3_600, "order_ref": key}).to_string();
        done(http.post_until_decided("/v1/reservations", key, &cart).await)["reservation_id"].clone()
    };
    let (paid, unpaid) = (held(&http, "order 1").await, held(&http, "order 2").await);
    let steps = json!([{"name": "pay", "deadline_ms": 600_000, "payload": "EUR 12"}, {"name": "score", "deadline_ms": 600_000}]);
    let start = |id: &Value| json!({"reservation_id": id, "steps": steps}).to_string();
    let started = http.post("/v1/orders", "start 1", &start(&paid)).await;
    let path = started.header("location").to_owned();
    assert_eq!(
        (started.status, path.as_str()),
        (201, format!("/v1/orders/{}", paid.as_str().expect("an id")).as_str())
    );
    done(http.post("/v1/orders", "start 2", &start(&unpaid)).await);
    let order = done(cluster.http(2).get(&path).await);
    assert_eq!((&order["state"], &order["steps"][0]["spec"]["payload"]), (&json!("running"), &json!("EUR 12")));
    let both = http.post(&format!("{path}:report"), "both", r#"{"step":"pay","done":"","failed":"no"}"#).await;
    assert_eq!(refused(&both), is(400, "INVALID_ARGUMENT", "done"));
    done(http.post(&format!("{path}:report"), "paid 1", r#"{"step":"pay","done":"receipt 7"}"#).await);

    let client = Shop::client(&cluster).await;
    let shard = client.shard_of("LIP");
    let leader = client.routing().shards.iter().find(|(known, _)| *known == shard).and_then(|(_, leader)| *leader);
    let leader = leader.expect("a leader is known");
    cluster.kill(leader);
    let other = cluster.http(leader % 3 + 1);
    let again =
        other.post_until_decided(&format!("{path}:report"), "paid 1", r#"{"step":"pay","done":"receipt 7"}"#).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, "true"));
    done(other.post_until_decided(&format!("{path}:report"), "score 1", r#"{"step":"score","done":""}"#).await);
    let order = until(&other, &path, |order| order["state"] == "confirmed").await;
    assert_eq!(order["steps"][0]["answer"], "receipt 7");
    let reservation = format!("/v1/reservations/{}", paid.as_str().expect("an id"));
    until(&other, &reservation, |it| it["state"] == "committed").await;

    let path = format!("/v1/orders/{}", unpaid.as_str().expect("an id"));
    let failed = r#"{"step":"pay","failed":"the card is refused"}"#;
    done(other.post_until_decided(&format!("{path}:report"), "paid 2", failed).await);
    let order = until(&other, &path, |order| order["state"] == "aborted").await;
    assert!(order["why"].as_str().is_some_and(|why| why.contains("the card is refused")), "{order}");
    let stock = until(&other, "/v1/items/LIP/stock", |stock| stock["levels"][0]["reserved"] == 0).await;
    assert_eq!((&stock["levels"][0]["committed"], &stock["atp"]), (&json!(2), &json!(8)));
    assert_eq!(done(other.get("/v1/orders?open_only=true").await)["items"], json!([]));
    let confirm = other.post_until_decided(&format!("{path}:confirm"), "late", r#"{"reason":"too late"}"#).await;
    assert_eq!(confirm.status, 409, "{confirm:?}");

    let said = r#"{"url":"http://127.0.0.1:9/pay","fallback":"answer","fallback_answer":"0"}"#;
    let put = other.change("PUT", "/v1/endpoints/pay", "", said).await;
    assert_eq!(
        (done(put)["timeout_ms"].clone(), 1),
        (json!(2_000), done(other.get("/v1/endpoints").await)["items"].as_array().map_or(0, Vec::len))
    );
    assert_eq!(done(other.ask("DELETE", "/v1/endpoints/pay", &[], "").await)["endpoint_id"], "pay");
    let gone = other.ask("DELETE", "/v1/endpoints/pay", &[], "").await;
    assert_eq!(refused(&gone).1, "UNKNOWN_ENDPOINT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_arrives_is_lost_or_expected_and_what_lacks_is_told() {
    let cluster = shop().await;
    let (http, other) = (cluster.http(1), cluster.http(2));
    item(&http, "LIP", 10, json!({})).await;
    done(http.change("PUT", "/v1/locations/LYO", "", r#"{"name":"Lyon"}"#).await);
    let send = r#"{"sku":"LIP","to_location_id":"LYO","lines":[{"units":5}]}"#;
    let sent = http.post("/v1/transfers", "van 7", send).await;
    let path = sent.header("location").to_owned();
    assert_eq!(sent.json()["transfer_id"].as_str().map(|id| format!("/v1/transfers/{id}")), Some(path.clone()));
    assert_eq!(other.post("/v1/transfers", "van 7", send).await.header("idempotency-replayed"), "true");
    let arrived = r#"{"lines":[{"line":0,"units":1,"condition":"damaged"},{"line":0,"units":2}]}"#;
    done(other.post(&format!("{path}:receive"), "door 1", arrived).await);
    assert_eq!(done(http.get("/v1/transfers?open_only=true&sku=LIP").await)["items"][0]["state"], "partially_received");
    done(http.post(&format!("{path}:lose"), "lost", r#"{"lines":[{"line":0,"units":1}]}"#).await);
    done(http.post(&format!("{path}:cancel"), "back", "{}").await);
    let line = done(other.get(&path).await)["lines"][0].clone();
    assert_eq!([&line["sent"], &line["received"], &line["lost"], &line["returned"]], [5, 3, 1, 1], "{line}");
    let ended = http.post(&format!("{path}:cancel"), "again", "{}").await;
    assert_eq!(refused(&ended).1, "ALREADY_ENDED");
    assert_eq!(refused(&http.get("/v1/transfers/x").await), is(400, "INVALID_ARGUMENT", "transfer_id"));

    let expected = http.post("/v1/receipts", "purchase 3", r#"{"sku":"LIP","lines":[{"units":5}]}"#).await;
    let path = expected.header("location").to_owned();
    let id = expected.json()["receipt_id"].clone();
    assert_eq!(done(other.get("/v1/items/LIP/stock?location_id=main").await)["levels"][0]["incoming"], 5);
    done(
        http.post("/v1/stock:receive", "pallet 1", &json!({"sku": "LIP", "units": 4, "receipt_id": id}).to_string())
            .await,
    );
    assert_eq!(done(other.get("/v1/receipts?open_only=true").await)["items"][0]["lines"][0]["arrived"], 4);
    done(http.post(&format!("{path}:close"), "no more", "{}").await);
    assert!(done(other.get(&path).await)["closed_at_ms"].as_u64().is_some_and(|at| at > 0));
    let bad = http.post("/v1/stock:receive", "pallet 2", r#"{"sku":"LIP","units":1,"receipt_id":"x"}"#).await;
    assert_eq!(refused(&bad), is(400, "INVALID_ARGUMENT", "receipt_id"));

    item(&http, "NAIL", 0, json!({"backorder": {"cap": 5}})).await;
    let cart = r#"{"lines":[{"sku":"NAIL","units":2}],"order_ref":"order 9"}"#;
    assert_eq!(done(http.post("/v1/reservations", "order 9", cart).await)["backordered"], json!([2]));
    let waits = done(other.get("/v1/backorders?sku=NAIL").await)["items"][0].clone();
    assert_eq!((&waits["units"], &waits["order_ref"], &waits["sold"]), (&json!(2), &json!("order 9"), &json!(false)));
    let differs = r#"{"sku":"LIP","discrepancy":"double_shipment","delta":-1,"repair":true}"#;
    let before = done(http.get("/v1/items/LIP/stock?location_id=main").await)["levels"][0]["on_hand"].as_u64();
    done(http.post("/v1/stock:reconcile", "differs", differs).await);
    let after = done(http.get("/v1/items/LIP/stock?location_id=main").await)["levels"][0]["on_hand"].as_u64();
    assert_eq!(before.map(|units| units - 1), after);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_back_office_keeps_lots_counts_kits_and_campaigns_and_reads_what_happened() {
    let cluster = shop().await;
    let http = cluster.http(1);
    done(http.change("PUT", "/v1/items/CREAM", "", r#"{"lot_tracked":true,"removal_days":30}"#).await);
    let receive = r#"{"sku":"CREAM","units":4,"lot_id":"L1","lot":{"expires_on":"2999-05"}}"#;
    done(http.post("/v1/stock:receive", "cream", receive).await);
    let more = r#"{"sku":"CREAM","units":1,"lot_id":"L0","lot":{"expires_on":"2999-06"}}"#;
    done(http.post("/v1/stock:receive", "more cream", more).await);
    let each = http.every("/v1/items/CREAM/lots?limit=1").await;
    assert_eq!(each.iter().filter_map(|lot| lot["lot_id"].as_str()).collect::<Vec<_>>(), ["L0", "L1"]);
    done(http.post("/v1/stock:adjust", "less", r#"{"sku":"CREAM","delta":-1,"lot_id":"L0"}"#).await);
    let lots = done(http.get("/v1/lots").await);
    assert_eq!((&lots["items"][0]["lot_id"], &lots["items"][0]["status"]), (&json!("L1"), &json!("approved")));
    let held = done(http.post("/v1/reservations", "cream 1", r#"{"lines":[{"sku":"CREAM","units":1}]}"#).await);
    let id = held["reservation_id"].as_str().expect("an id").to_owned();
    done(http.post(&format!("/v1/reservations/{id}:commit"), "cream 1 paid", "{}").await);
    done(http.post("/v1/lots/CREAM/L1:block", "block", r#"{"status":"quarantined"}"#).await);
    assert_eq!(done(cluster.http(2).get("/v1/lots/CREAM/L1").await)["status"], "quarantined");
    assert_eq!(done(http.get("/v1/availability/CREAM").await)["available"], 0);
    done(http.post("/v1/lots/CREAM/L1:unblock", "unblock", "{}").await);
    let trace = done(http.get("/v1/lots/CREAM/L1/trace").await);
    assert_eq!(trace["items"][0]["reservation_id"], id.as_str());
    done(http.post("/v1/lots/CREAM/L1:recall", "recall", "{}").await);

    item(&http, "LIP", 10, json!({})).await;
    let count = done(http.post("/v1/counts", "count", r#"{"sku":"LIP","reference":"autumn"}"#).await);
    let path = format!("/v1/counts/{}", count["count_id"].as_str().expect("an id"));
    done(http.post(&format!("{path}:record"), "record", r#"{"lines":[{"units":8}]}"#).await);
    done(http.post(&format!("{path}:apply"), "apply", "{}").await);
    let count = done(cluster.http(3).get(&path).await);
    assert_eq!((&count["state"], &count["lines"][0]["written_off"]), (&json!("applied"), &json!(2)));
    assert_eq!(done(http.get("/v1/counts?sku=LIP&open_only=false").await)["items"][0]["count_id"], count["count_id"]);

    item(&http, "NAIL", 9, json!({})).await;
    let recipe = r#"{"name":"A set","components":[{"sku":"LIP","units":1},{"sku":"NAIL","units":2}]}"#;
    done(http.change("PUT", "/v1/kits/SET", "", recipe).await);
    let kit = done(http.get("/v1/kits/SET").await);
    assert_eq!((&kit["kit"]["revision"], &kit["availability"][0]["available"]), (&json!(1), &json!(4)), "{kit}");
    assert_eq!(done(http.get("/v1/availability/SET").await)["available"], 4);
    done(http.change("PUT", "/v1/channels/web", "", r#"{"location_ids":["main"],"buffer":1}"#).await);
    let location = done(http.get("/v1/cluster").await)["default_location_id"].clone();
    let channel = json!({"location_ids": [location], "buffer": 1}).to_string();
    done(http.change("PUT", "/v1/channels/web", "", &channel).await);
    assert_eq!(done(http.get("/v1/availability/NAIL?channel_id=web").await)["available"], 8);
    assert_eq!(done(http.get("/v1/availability/SET?channel_id=web").await)["available"], 4);

    let now = done(http.get("/v1/cluster").await)["log_time_ms"].as_u64().expect("a time");
    let window = json!({"starts_at_ms": now - 1_000, "ends_at_ms": now + 3_600_000}).to_string();
    done(http.change("PUT", "/v1/campaigns/drop", "", &window).await);
    done(http.post("/v1/campaigns/drop:grant", "grant", r#"{"sku":"LIP","units":5}"#).await);
    done(http.post("/v1/campaigns/drop:revoke", "revoke", r#"{"sku":"LIP","units":1}"#).await);
    let drop = done(cluster.http(2).get("/v1/campaigns/drop").await);
    assert_eq!((&drop["allocations"][0]["granted"], &drop["campaign"]["closed"]), (&json!(4), &json!(false)));
    done(http.post("/v1/campaigns/drop:grant", "grant 2", r#"{"sku":"NAIL","units":1}"#).await);
    has_been_given(&http, "drop", &["LIP", "NAIL"]).await;
    let closed = http.post("/v1/campaigns/drop:close", "close", "{}").await;
    assert_eq!(closed.json()["closed"], true);
    assert_eq!(http.post("/v1/campaigns/drop:close", "close", "{}").await.body, closed.body);

    let mut seen = BTreeMap::<u64, Vec<u64>>::new();
    let mut kinds = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = done(http.get(&format!("/v1/events?limit=7&cursor={cursor}")).await);
        for event in page["items"].as_array().expect("events") {
            seen.entry(event["shard"].as_u64().expect("a shard")).or_default().push(event["seq"].as_u64().unwrap_or(0));
            kinds.insert(event["kind"].as_str().unwrap_or_default().to_owned());
        }
        page["next_cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
        if page["more"] == false {
            break;
        }
    }
    for (shard, seqs) in &seen {
        assert_eq!(*seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "shard {shard}: each once, in order");
    }
    for kind in
        ["stock.received", "reservation.held", "lot.blocked", "lot.recalled", "count.applied", "campaign.closed"]
    {
        assert!(kinds.contains(kind), "{kind} in {kinds:?}");
    }
    let of_lip = done(http.get("/v1/events?sku=LIP&kind=stock.received").await);
    assert_eq!(of_lip["items"].as_array().map(Vec::len), Some(1));
    let heads = done(http.get("/v1/audit/heads").await);
    let shard = &heads["items"][0];
    let proof = done(http.get(&format!("/v1/audit/proofs/{}/1?size={}", shard["shard"], shard["size"])).await);
    assert_eq!((&proof["event"]["seq"], &proof["head"]["root"]), (&json!(1), &shard["root"]));
    let before = done(http.get(&format!("/v1/audit/stock/LIP?as_of_ms={}", now + 3_000_000)).await);
    assert_eq!(before["levels"][0]["quantities"]["on_hand"], 8, "{before}");
    let node = done(http.get("/v1/cluster/nodes/2").await);
    assert_eq!((node["node_id"].clone(), node["ready"].clone()), (json!(2), json!(true)));
    cluster.replicas_agree().await;
}

/// What a campaign has is listed page by page, as JSON and as a table.
async fn has_been_given(http: &Http, campaign: &str, expected: &[&str]) {
    let path = format!("/v1/campaigns/{campaign}/allocations");
    let given = http.every(&format!("{path}?limit=1")).await;
    let mut skus: Vec<&str> = given.iter().filter_map(|it| it["sku"].as_str()).collect();
    skus.sort_unstable();
    assert_eq!(skus, expected);
    assert_eq!(http.rows_of(&format!("{path}?format=csv&limit=1")).await.len(), expected.len());
    assert_eq!(http.every("/v1/campaigns?limit=1").await.len(), 1);
}
