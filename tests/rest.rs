//! The REST API over real processes: a storefront and a back office speak HTTP with whichever node, and the node that leads is killed.

mod cluster;

use cluster::{Cluster, Http, Said, Shop};
use rustix::process::Signal;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// An item with so many units, made over a node.
async fn item(http: &Http, sku: &str, units: u32) {
    let put = http.change("PUT", &format!("/v1/items/{sku}"), "", r#"{"name":"An item"}"#).await;
    assert_eq!(put.status, 200, "{put:?}");
    let body = json!({"sku": sku, "units": units}).to_string();
    let received = http.post("/v1/stock:receive", &format!("stock of {sku}"), &body).await;
    assert_eq!(received.status, 200, "{received:?}");
}

fn cart(sku: &str, units: u32) -> String {
    json!({"lines": [{"sku": sku, "units": units}], "ttl_s": 900}).to_string()
}

/// The node that leads a SKU's shard.
async fn leader_of(cluster: &Cluster, sku: &str) -> u64 {
    let client = Shop::client(cluster).await;
    let shard = client.shard_of(sku);
    let leader = client.routing().shards.iter().find(|(known, _)| *known == shard).and_then(|(_, leader)| *leader);
    leader.expect("a leader is known")
}

/// Kills the node that leads a SKU's shard; another node.
async fn kill_the_leader_of(cluster: &mut Cluster, sku: &str) -> Http {
    let leader = leader_of(cluster, sku).await;
    cluster.kill(leader);
    cluster.http(leader % 3 + 1)
}

async fn shop(settings: &[&str]) -> Cluster {
    let cluster = Cluster::with_http(settings).await;
    for id in 1..=3 {
        cluster.http(id).serves().await;
    }
    cluster
}

fn problem(said: &Said) -> (u16, String, String) {
    assert_eq!(said.header("content-type"), "application/problem+json", "{said:?}");
    let body = said.json();
    assert_eq!(body["status"], said.status);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("type"), format!("/docs#{}", text("reason")));
    assert!(["never", "same_key", "new_key"].contains(&text("retry").as_str()), "{body}");
    assert!(["none", "unknown"].contains(&text("effect").as_str()), "{body}");
    (said.status, text("reason"), text("field"))
}

fn is(status: u16, reason: &str, field: &str) -> (u16, String, String) {
    (status, reason.to_owned(), field.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_is_held_sold_and_shipped_over_whichever_node_through_a_kill_of_the_one_that_leads() {
    let mut cluster = shop(&[]).await;
    item(&cluster.http(1), "LIP", 10).await;
    let held = cluster.http(2).post("/v1/reservations", "order 1", &cart("LIP", 3)).await;
    assert_eq!(held.status, 201, "{held:?}");
    assert_eq!((held.header("idempotency-replayed"), held.json()["state"].clone()), ("", "held".into()));
    let id = held.json()["reservation_id"].as_str().expect("an id").to_owned();
    assert_eq!(held.header("location"), format!("/v1/reservations/{id}"));
    let commit = format!("/v1/reservations/{id}:commit");
    let sold = cluster.http(3).post(&commit, "order 1 paid", "{}").await;
    assert_eq!((sold.status, sold.json()["state"].clone()), (200, "committed".into()));

    let other = kill_the_leader_of(&mut cluster, "LIP").await;
    let again = other.post_until_decided("/v1/reservations", "order 1", &cart("LIP", 3)).await;
    assert_eq!((again.status, &again.body), (held.status, &held.body), "the first answer, byte for byte");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), held.header("location"));
    let again = other.post_until_decided(&commit, "order 1 paid", "{}").await;
    assert_eq!((again.status, &again.body), (sold.status, &sold.body));
    assert_eq!(again.header("idempotency-replayed"), "true");

    let fulfil = format!("/v1/reservations/{id}:fulfil");
    let shipped = other.post_until_decided(&fulfil, "order 1 shipped", "{}").await;
    assert_eq!(shipped.json()["state"], "fulfilled", "{shipped:?}");
    let back = json!({"lines": [{"line": 0, "units": 1}], "condition": "damaged"}).to_string();
    let returned = other.post_until_decided(&format!("/v1/reservations/{id}:return"), "order 1 back", &back).await;
    assert_eq!(returned.status, 200, "{returned:?}");
    let stock = other.get("/v1/items/LIP/stock").await.json();
    let level = &stock["levels"][0];
    assert_eq!((&level["on_hand"], &level["damaged"], &stock["atp"]), (&json!(8), &json!(1), &json!(7)));
    let shown = other.get(&format!("/v1/reservations/{id}")).await;
    assert_eq!(shown.json()["lines"][0]["returned"], 1);
    cluster.start_all();
    cluster.wait_ready().await;
    for node in 1..=3 {
        cluster.http(node).serves().await;
        assert_eq!(cluster.http(node).get(&format!("/v1/reservations/{id}")).await.body, shown.body);
    }
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_decided_once_under_its_key() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    item(&http, "LIP", 10).await;
    let without = http.post("/v1/reservations", "", &cart("LIP", 1)).await;
    assert_eq!(problem(&without), is(400, "INVALID_ARGUMENT", "Idempotency-Key"));

    let asked = (0..8).map(|_| {
        let http = http.clone();
        async move { http.post("/v1/reservations", "0190f3c4-5b1e-4a2b-9c3d-0000000000a1", &cart("LIP", 2)).await }
    });
    let said = futures_util::future::join_all(asked).await;
    for each in &said {
        assert_eq!((each.status, &each.body), (201, &said[0].body), "those that came second have the first's answer");
    }
    let firsts = said.iter().filter(|each| each.header("idempotency-replayed").is_empty()).count();
    assert_eq!(firsts, 1, "and are told so");
    assert_eq!(said[0].json()["command_id"], "0190f3c4-5b1e-4a2b-9c3d-0000000000a1", "a UUID is the command's id");
    assert_eq!(http.get("/v1/items/LIP/stock").await.json()["atp"], 8);

    let another = cart("LIP", 3);
    let differs = cluster.http(2).post("/v1/reservations", "0190f3c4-5b1e-4a2b-9c3d-0000000000a1", &another).await;
    assert_eq!(differs.status, 422, "{differs:?}");
    assert_eq!(differs.json()["reason"], "EXISTS_WITH_DIFFERENT");

    let refused = http.post("/v1/reservations", "too many", &cart("LIP", 9)).await;
    assert_eq!(problem(&refused), is(409, "INSUFFICIENT_STOCK", "lines[0].units"));
    assert_eq!(refused.json()["metadata"]["available"], "8");
    assert_eq!((refused.json()["retry"].clone(), refused.json()["effect"].clone()), ("new_key".into(), "none".into()));
    let still = http.post("/v1/stock:receive", "more", r#"{"sku":"LIP","units":50}"#).await;
    assert_eq!(still.status, 200);
    let again = cluster.http(3).post("/v1/reservations", "too many", &cart("LIP", 9)).await;
    assert_eq!((again.status, &again.body), (409, &refused.body), "what was refused stays refused under its key");
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_second_with_a_key_waits_for_the_first_through_a_leader_that_is_stopped() {
    let cluster = shop(&[]).await;
    item(&cluster.http(1), "LIP", 10).await;
    let leader = leader_of(&cluster, "LIP").await;
    let http = cluster.http(leader % 3 + 1);
    cluster.signal(leader, Signal::STOP);
    let ask = |units| {
        let http = http.clone();
        tokio::spawn(async move { http.post_until_decided("/v1/reservations", "order 1", &cart("LIP", units)).await })
    };
    // Nothing can be decided yet: whichever arrives first is under way when the others come.
    let asked = [ask(2), ask(3), ask(2), ask(3)];
    let said: Vec<Said> =
        futures_util::future::join_all(asked).await.into_iter().map(|said| said.expect("it is answered")).collect();
    cluster.signal(leader, Signal::CONT);
    let (held, differ): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.status == 201);
    assert_eq!((held.len(), differ.len()), (2, 2), "{said:?}");
    assert_eq!(held[0].body, held[1].body, "the second has the first's answer");
    assert_eq!(held.iter().filter(|said| said.header("idempotency-replayed") == "true").count(), 1, "{held:?}");
    for each in differ {
        assert_eq!((each.status, each.json()["reason"].clone()), (422, "EXISTS_WITH_DIFFERENT".into()), "{each:?}");
    }
    let left = if said[0].status == 201 { 8 } else { 7 };
    let deadline = std::time::Instant::now() + cluster::PATIENCE;
    while http.get("/v1/items/LIP/stock").await.json()["atp"] != left {
        assert!(std::time::Instant::now() < deadline, "it is held once");
        cluster::pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_answered_item_by_item_in_order() {
    let mut cluster = shop(&[]).await;
    let http = cluster.http(1);
    item(&http, "LIP", 5).await;
    item(&http, "NAIL", 5).await;
    let held = http.post("/v1/reservations", "first", &cart("LIP", 1)).await;
    let id = held.json()["reservation_id"].clone();
    let body = json!({"items": [
        {"idempotency_key": "a", "reserve": {"lines": [{"sku": "LIP", "units": 2}]}},
        {"idempotency_key": "b", "reserve": {"lines": [{"sku": "NAIL", "units": 9}]}},
        {"reserve": {"lines": [{"sku": "NAIL", "units": "two"}]}},
        {"reservation_id": id, "commit": {}},
        {"reservation_id": id, "commit": {}, "release": {}},
        {"idempotency_key": "a", "reserve": {"lines": [{"sku": "LIP", "units": 2}]}},
        {"idempotency_key": "a", "reserve": {"lines": [{"sku": "LIP", "units": 1}]}},
    ]})
    .to_string();
    let batch = http.post("/v1/reservations:batch", "a batch", &body).await;
    assert_eq!(batch.status, 200, "{batch:?}");
    let results = batch.json()["results"].as_array().expect("results").clone();
    let statuses: Vec<_> = results.iter().map(|each| each["status"].as_u64().unwrap_or(0)).collect();
    assert_eq!(statuses, [201, 409, 400, 200, 400, 201, 422], "{}", batch.json());
    assert_eq!(results[1]["problem"]["reason"], "INSUFFICIENT_STOCK");
    assert_eq!(results[1]["problem"]["field"], "items[1].reserve.lines[0].units");
    assert_eq!(results[6]["problem"]["field"], "items[6].idempotency_key");
    assert_eq!(results[2]["problem"]["field"], "items[2].reserve.lines[0].units");
    assert_eq!(results[3]["result"]["state"], "committed");
    assert_eq!(results[5], results[0], "one key is one reservation");
    let again = cluster.http(2).post("/v1/reservations:batch", "a batch", &body).await;
    assert_eq!(again.json()["results"][0], results[0]);
    assert_eq!(again.json()["results"][3], results[3], "an item without a key has one of the batch's");
    assert_eq!(http.get("/v1/items/LIP/stock").await.json()["atp"], 2);

    let http = kill_the_leader_of(&mut cluster, "LIP").await;
    let deadline = std::time::Instant::now() + cluster::PATIENCE;
    loop {
        let again = http.post("/v1/reservations:batch", "a batch", &body).await;
        assert_eq!(again.status, 200, "whatever becomes of its items: {again:?}");
        let again = again.json()["results"].as_array().expect("results").clone();
        let is_open = |each: &Value| each["status"].as_u64().is_some_and(|status| status >= 500);
        if !again.iter().any(is_open) {
            assert_eq!((&again[0], &again[1], &again[3]), (&results[0], &results[1], &results[3]));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{again:?}");
    }

    let unread = http.post("/v1/reservations:batch", "another", r#"{"items": {}}"#).await;
    assert_eq!(problem(&unread), is(400, "INVALID_ARGUMENT", "items"));
    let many = json!({"items": vec![json!({}); 501]}).to_string();
    let many = http.post("/v1/reservations:batch", "many", &many).await;
    assert_eq!(problem(&many), is(413, "BATCH_TOO_LARGE", "items"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_is_a_tag_that_reads_and_changes_may_be_made_dependent_on() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    item(&http, "LIP", 5).await;
    let read = http.get("/v1/items/LIP").await;
    let tag = read.header("etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", read.json()["revision"]));
    let same = cluster.http(2).ask("GET", "/v1/items/LIP", &[("If-None-Match", &tag)], "").await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, tag.as_str()));

    let put = |headers: Vec<(&'static str, String)>, body: &'static str| {
        let http = http.clone();
        async move {
            let mut all = vec![JSON];
            all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
            http.ask("PUT", "/v1/items/LIP", &all, body).await
        }
    };
    let changed = put(vec![("If-Match", tag.clone())], r#"{"name":"Another"}"#).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let stale = put(vec![("If-Match", tag.clone())], r#"{"name":"A third"}"#).await;
    assert_eq!((stale.status, stale.json()["reason"].clone()), (412, "REVISION_MISMATCH".into()));
    let there = put(vec![("If-None-Match", "*".to_owned())], r#"{"name":"A third"}"#).await;
    assert_eq!((there.status, there.json()["reason"].clone()), (412, "EXISTS".into()));
    assert_eq!(put(Vec::new(), r#"{"name":"Without any"}"#).await.status, 200, "a condition is never demanded");
    assert_ne!(http.ask("GET", "/v1/items/LIP", &[("If-None-Match", &tag)], "").await.status, 304);

    let set = r#"{"sku":"LIP","on_hand":7,"if_revision":999}"#;
    let of_body = http.post("/v1/stock:set", "set", set).await;
    assert_eq!((of_body.status, of_body.json()["reason"].clone()), (409, "REVISION_MISMATCH".into()));
    let stock = http.get("/v1/items/LIP/stock").await;
    let headers = [JSON, ("Idempotency-Key", "set 2"), ("If-Match", stock.header("etag"))];
    let set = http.ask("POST", "/v1/stock:set", &headers, r#"{"sku":"LIP","on_hand":7}"#).await;
    assert_eq!((set.status, set.json()["atp_after"].clone()), (200, json!(7)), "{set:?}");

    let lot = |condition: (&'static str, &'static str)| {
        let http = http.clone();
        async move { http.ask("PUT", "/v1/lots/LIP/L1", &[JSON, condition], "{}").await }
    };
    assert_eq!(problem(&lot(("If-None-Match", "*")).await), is(400, "INVALID_ARGUMENT", "If-None-Match"));
    let set = [JSON, ("Idempotency-Key", "set 3"), ("If-None-Match", "*")];
    let absent = http.ask("POST", "/v1/stock:set", &set, r#"{"sku":"LIP","on_hand":7}"#).await;
    assert_eq!(problem(&absent), is(400, "INVALID_ARGUMENT", "If-None-Match"), "it is not passed over");

    let put_place = |tag: String, body: &'static str| {
        let http = http.clone();
        async move { http.ask("PUT", "/v1/locations/LYO", &[JSON, ("If-Match", tag.as_str())], body).await }
    };
    let made = http.change("PUT", "/v1/locations/LYO", "lyon", r#"{"name":"Lyon"}"#).await;
    let tag = made.header("etag").to_owned();
    assert_eq!((made.status, put_place(tag.clone(), r#"{"name":"Lyon 2"}"#).await.status), (200, 200));
    let stale = put_place(tag, r#"{"name":"Lyon 3"}"#).await;
    assert_eq!(problem(&stale), is(412, "REVISION_MISMATCH", "If-Match"));
    let wrong = http.change("PUT", "/v1/locations/LYO", "", r#"{"time_zone":"Mars/Olympus"}"#).await;
    assert_eq!(problem(&wrong), is(400, "INVALID_ARGUMENT", "time_zone"), "by the name that the body has");
    let open = http.post("/v1/counts", "count", r#"{"sku":"LIP"}"#).await;
    let count = open.header("location").to_owned();
    let tag = http.get(&count).await.header("etag").to_owned();
    let cancel = |key: &'static str, tag: String| {
        let (http, path) = (http.clone(), format!("{count}:cancel"));
        async move { http.ask("POST", &path, &[JSON, ("Idempotency-Key", key), ("If-Match", &tag)], "{}").await }
    };
    assert_eq!(problem(&cancel("cancel 1", "\"999\"".to_owned()).await), is(412, "REVISION_MISMATCH", "If-Match"));
    assert_eq!(cancel("cancel 2", tag).await.status, 200);

    let held = http.post("/v1/reservations", "hold", &cart("LIP", 1)).await;
    let path = held.header("location").to_owned();
    let amend = |key: &'static str, tag: String| {
        let (http, path) = (http.clone(), path.clone());
        async move {
            let headers = [JSON, ("Idempotency-Key", key), ("If-Match", tag.as_str())];
            http.ask("PATCH", &path, &headers, r#"{"lines":[{"sku":"LIP","units":2}]}"#).await
        }
    };
    let first = http.get(&path).await.header("etag").to_owned();
    assert_eq!(amend("amend 1", first.clone()).await.status, 200);
    let stale = amend("amend 2", first).await;
    assert_eq!((stale.status, stale.json()["reason"].clone()), (412, "REVISION_MISMATCH".into()), "{stale:?}");
    let not_there =
        http.ask("POST", "/v1/stock:adjust", &[JSON, ("Idempotency-Key", "x"), ("If-Match", "\"1\"")], "{}");
    assert_eq!(problem(&not_there.await), is(400, "INVALID_ARGUMENT", "If-Match"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_reads_ones_own_writes_from_another_node() {
    let mut cluster = shop(&[]).await;
    for round in 0..20 {
        let (writer, reader) = (cluster.http(round % 3 + 1), cluster.http((round + 1) % 3 + 1));
        let sku = format!("SKU-{round}");
        let put = writer.change("PUT", &format!("/v1/items/{sku}"), "", r#"{"name":"An item"}"#).await;
        let token = put.header("holdfast-token").to_owned();
        assert!(!token.is_empty(), "{put:?}");
        let path = format!("/v1/items/{sku}");
        let read = reader.ask("GET", &path, &[("Holdfast-At-Least", &token)], "").await;
        assert_eq!(read.status, 200, "{read:?}");
        let index = |token: &str| token.rsplit_once(':').and_then(|(_, index)| index.parse::<u64>().ok());
        assert!(index(read.header("holdfast-token")) >= index(&token), "{read:?}");
    }
    let token = cluster.http(1).get("/v1/items/SKU-0").await.header("holdfast-token").to_owned();
    let other = kill_the_leader_of(&mut cluster, "SKU-0").await;
    let read = other.ask("GET", "/v1/items/SKU-0", &[("Holdfast-At-Least", &token)], "").await;
    assert_eq!(read.status, 200, "any replica that has come as far will do: {read:?}");
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.http(1).serves().await;
    let bad = cluster.http(1).ask("GET", "/v1/items/SKU-0", &[("Holdfast-At-Least", "soon")], "").await;
    assert_eq!(problem(&bad), is(400, "INVALID_ARGUMENT", "Holdfast-At-Least"));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = cluster.http(1).ask("GET", "/v1/items/SKU-0", &[("traceparent", parent)], "").await;
    assert!(traced.header("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traced:?}");
    assert_ne!(traced.header("traceparent"), parent, "the node's own span");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_read_page_by_page_over_all_shards() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    let mut skus: Vec<String> = (0..11).map(|number| format!("SKU-{number:02}")).collect();
    for sku in &skus {
        item(&http, sku, 1).await;
    }
    for (path, name) in [("/v1/items", "sku"), ("/v1/stock", "sku")] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for page in 0.. {
            let from = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
            let said = cluster.http(page % 3 + 1).get(&format!("{path}?limit=3{from}")).await;
            assert_eq!(said.status, 200, "{said:?}");
            let items = said.json()["items"].as_array().expect("items").clone();
            assert!(items.len() <= 3, "{items:?}");
            seen.extend(items.iter().map(|item| item[name].as_str().expect("a SKU").to_owned()));
            match said.json()["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        seen.sort();
        skus.sort();
        assert_eq!(seen, skus, "{path}: each once");
    }
    let mut held = Vec::new();
    for number in 0..4 {
        let cart = json!({"lines": [{"sku": "SKU-00", "units": 1}], "order_ref": "order 7"}).to_string();
        let back = http.post("/v1/stock:receive", &format!("more {number}"), r#"{"sku":"SKU-00","units":1}"#).await;
        assert_eq!(back.status, 200, "{back:?}");
        held.push(http.post("/v1/reservations", &format!("hold {number}"), &cart).await.header("location").to_owned());
    }
    for released in &held[..2] {
        assert_eq!(http.post(&format!("{released}:release"), released, "{}").await.status, 200);
    }
    let all = http.every("/v1/reservations?order_ref=order%207&limit=3").await;
    assert_eq!(all.len(), 4, "those of one order on one shard are on some page each");
    let live = http.every("/v1/reservations?order_ref=order%207&state=held&limit=1").await;
    let ids = |found: &[Value]| found.iter().map(|it| it["reservation_id"].clone()).collect::<Vec<_>>();
    let paths = ids(&live).into_iter().map(|id| format!("/v1/reservations/{}", id.as_str().unwrap_or_default()));
    assert_eq!(paths.collect::<Vec<_>>(), held[2..], "the ones that were released are not in the way");
    let client = Shop::client(&cluster).await;
    let shard = client.shard_of("SKU-00").to_string();
    let index = |said: &Said| {
        let places = said.header("holdfast-token").split(',').filter_map(|place| place.split_once(':'));
        places.filter(|(of, _)| *of == shard).find_map(|(_, index)| index.parse::<u64>().ok())
    };
    let written = index(&http.get(&held[3]).await);
    let page = cluster.http(2).get("/v1/reservations?limit=500").await;
    assert!(written.is_some() && index(&page) >= written, "a list says up to where it was read: {page:?}");
    for (query, field) in
        [("limit=501", "limit"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("colour=red", "colour")]
    {
        let said = http.get(&format!("/v1/items?{query}")).await;
        assert_eq!(problem(&said), is(400, "INVALID_ARGUMENT", field), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_has_too_much_or_wrong_of_is_named() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    item(&http, "LIP", 5).await;
    let long = format!("{{\"lines\":[],\"order_ref\":\"{}\"}}", "x".repeat(1_100_000));
    assert_eq!(problem(&http.post("/v1/reservations", "k", &long).await), is(413, "BATCH_TOO_LARGE", ""));
    let deep = "[".repeat(40) + &"]".repeat(40);
    assert_eq!(problem(&http.post("/v1/reservations", "k", &deep).await), is(400, "INVALID_ARGUMENT", ""));
    for (body, field) in [
        (r#"{"lines":[{"sku":"LIP","units":1,"colour":"red"}]}"#, "lines[0].colour"),
        (r#"{"lines":[{"sku":"LIP","units":-1}]}"#, "lines[0].units"),
        (r#"{"lines":[{"sku":"LIP"}]}"#, "lines[0].units"),
        (r#"{"lines":[{"sku":"LIP","units":0}]}"#, "lines[0].units"),
        (r#"{"lines":[]}"#, "lines"),
        ("{", ""),
    ] {
        assert_eq!(
            problem(&http.post("/v1/reservations", "k", body).await),
            is(400, "INVALID_ARGUMENT", field),
            "{body}"
        );
    }
    let key = ("Idempotency-Key", "k");
    let form = http.ask("POST", "/v1/reservations", &[("Content-Type", "text/plain"), key], "{}").await;
    assert_eq!(problem(&form), is(415, "INVALID_ARGUMENT", "Content-Type"));
    for path in ["/v1/nothing", "/v1", "/public", "/public/v1/", "/nothing"] {
        assert_eq!(problem(&http.get(path).await), is(404, "INVALID_ARGUMENT", "path"), "{path}");
    }
    let customer = http.get("/v1/items/LIP/limits?customer=%FF").await;
    assert_eq!(problem(&customer), is(400, "INVALID_ARGUMENT", "query"));
    let digest = r#"{"sku":"LIP","units":1}"#;
    let kept = http.post("/v1/stock:receive", "2d6759613d10776e89ccc8356e7d867c", digest).await;
    assert_eq!(kept.status, 200, "a digest is a text, not an id of the future: {kept:?}");
    let late = http.post("/v1/stock:receive", "2d675961-3d10-776e-89cc-c8356e7d867c", digest).await;
    assert_eq!(problem(&late), is(400, "ID_FROM_FUTURE", "Idempotency-Key"));
    assert_eq!(problem(&http.get("/v1/items/NONE").await).0, 404);
    assert_eq!(problem(&http.get("/v1/items/%FF").await), is(400, "INVALID_ARGUMENT", "path"));
    let deleted = http.ask("DELETE", "/v1/items/LIP", &[JSON], "").await;
    assert_eq!(problem(&deleted), is(405, "INVALID_ARGUMENT", "method"));
    assert!(deleted.header("allow").contains("PUT"), "{deleted:?}");
    let verb = http.post("/v1/reservations/0190f3c4-5b1e-8a2b-9c3d-0000000000a1:burn", "k", "{}").await;
    assert_eq!(problem(&verb), is(404, "INVALID_ARGUMENT", "path"));
    let rebound = http.ask("GET", "/v1/items", &[("Host", "evil.example")], "").await;
    assert_eq!(problem(&rebound), is(421, "INVALID_ARGUMENT", "Host"));
    let crossed = http.ask("GET", "/v1/items", &[("Origin", "http://evil.example")], "").await;
    assert_eq!(crossed.header("access-control-allow-origin"), "", "no other site reads it");
    assert!(crossed.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(crossed.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_sees_what_the_settings_show_and_a_cdn_may_keep_it_for_a_second() {
    let cluster = shop(&["http.availability_shown=capped:3"]).await;
    let http = cluster.http(1);
    item(&http, "LIP", 5).await;
    let odd = http.change("PUT", "/v1/items/A%2FB%20%C3%A9:x", "", r#"{"name":"Any printable character"}"#).await;
    assert_eq!(odd.status, 200, "{odd:?}");
    assert_eq!(http.get("/v1/items/A%2FB%20%C3%A9:x").await.json()["sku"], "A/B é:x");
    let shown = cluster.http(2).get("/public/v1/availability/LIP").await;
    assert_eq!(shown.json(), json!({"sku": "LIP", "status": "in_stock", "available": 3, "or_more": true}));
    assert_eq!(shown.header("cache-control"), "public, max-age=1, stale-while-revalidate=5");
    let same = http.ask("GET", "/public/v1/availability/LIP", &[("If-None-Match", shown.header("etag"))], "").await;
    assert_eq!(same.status, 304);
    let full = http.get("/v1/availability/LIP").await.json();
    assert_eq!((full["available"].clone(), full["locations"][0]["available"].clone()), (json!(5), json!(5)));
    let body = r#"{"skus":["LIP","NONE","LIP"]}"#;
    let batch = http.ask("POST", "/public/v1/availability:batch", &[JSON], body).await;
    let statuses: Vec<_> =
        batch.json()["results"].as_array().expect("results").iter().map(|each| each["status"].clone()).collect();
    assert_eq!((batch.status, statuses), (200, vec![json!(200), json!(404), json!(200)]));
    assert_eq!(http.get("/v1/reservations").await.header("cache-control"), "private, no-cache");
    assert_eq!(problem(&http.get("/public/v1/reservations").await).0, 404, "the back office has a prefix of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_tables_to_who_asks_page_by_page_and_no_cell_is_a_formula() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    for (sku, name) in [("A", "=1+1"), ("B", "-2"), ("C", "plain, \"quoted\""), ("D", ""), ("E", "@x")] {
        item(&http, sku, 9).await;
        let put = http.change("PUT", &format!("/v1/items/{sku}"), "", &json!({ "name": name }).to_string()).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
    let items = http.get("/v1/items?format=csv&limit=2").await;
    assert_eq!(items.header("content-disposition"), "attachment; filename=\"holdfast-items.csv\"");
    assert!(items.header("link").starts_with("</v1/items?limit=2&format=csv&cursor="), "{items:?}");
    assert_eq!(items.header("vary"), "Accept");
    let mut named: Vec<(String, String)> = http
        .rows_of("/v1/items?format=csv&limit=2")
        .await
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    named.sort();
    let named: Vec<&str> = named.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(named, ["'=1+1", "'-2", "plain, \"quoted\"", "", "'@x"]);

    let less = http.post("/v1/stock:adjust", "less", r#"{"sku":"A","delta":-2,"cause":{"reason":"=broken"}}"#).await;
    assert_eq!(less.status, 200, "{less:?}");
    let stock = cluster.http(2).rows_of("/v1/stock?format=csv").await;
    let of_a = stock.iter().find(|row| row[0] == "A").expect("a row of it");
    assert_eq!((of_a[2].as_str(), stock.len()), ("7", 5));
    let both = json!({"lines": [{"sku": "A", "units": 1}, {"sku": "A", "units": 2}]}).to_string();
    assert_eq!(http.post("/v1/reservations", "both", &both).await.status, 201);
    let accepted = http.ask("GET", "/v1/reservations", &[("Accept", "text/csv")], "").await;
    let table = String::from_utf8(accepted.body).expect("it is text");
    assert_eq!(table.lines().count(), 3, "a row for each line: {table}");
    assert!(table.starts_with("reservation_id,state,"), "{table}");

    let events = http.rows_of("/v1/events?format=csv&limit=3&sku=A").await;
    let adjusted = events.iter().find(|row| row[3] == "stock.adjusted").expect("it happened");
    assert!(adjusted.contains(&"-2".to_owned()) && adjusted.contains(&"'=broken".to_owned()), "{adjusted:?}");
    let last = http.get("/v1/events?format=csv&limit=500").await;
    assert_eq!(
        (last.header("link"), last.header("holdfast-next-cursor").contains('=')),
        ("", true),
        "no more, for now"
    );
    for path in ["/v1/lots", "/v1/counts", "/v1/items/A/lots"] {
        assert_eq!(http.rows_of(&format!("{path}?format=csv")).await.len(), 0, "{path}");
    }
    assert_eq!(problem(&http.get("/v1/items?format=xlsx").await), is(400, "INVALID_ARGUMENT", "format"));
    let browser = [("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")];
    assert_eq!(http.ask("GET", "/v1/items", &browser, "").await.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_cluster_says_so_and_one_that_others_reach_is_not_started_by_accident() {
    let mut cluster = Cluster::prepared_with_http(&[]);
    cluster.start(1);
    let http = cluster.http(1);
    let deadline = std::time::Instant::now() + cluster::PATIENCE;
    let alone = loop {
        match http.try_ask("GET", "/v1/items/LIP", &[], "").await {
            Ok(said) => break said,
            Err(error) => assert!(std::time::Instant::now() < deadline, "node 1 does not listen: {error}"),
        }
        cluster::pause().await;
    };
    assert_eq!(problem(&alone), is(503, "UNAVAILABLE", ""));
    assert_eq!((alone.header("retry-after"), alone.json()["retry"].clone()), ("1", "same_key".into()));
    cluster.start_all();
    http.serves().await;

    let mut open = Cluster::prepared_with_http(&[]);
    let port = open.http(1).address.rsplit_once(':').expect("host:port").1.to_owned();
    open.nodes[0].http = Some(format!("0.0.0.0:{port}"));
    open.write_config();
    let config = open.config().display().to_string();
    let check = ["start", "--check", "--config", config.as_str(), "--node", "1"];
    let (status, _, said) = open.holdfast(&check).await;
    assert!(status == 2 && said.contains("0.0.0.0") && said.contains("--insecure"), "{status}: {said}");
    let (status, ..) = open.holdfast(&[&check[..], &["--insecure"]].concat()).await;
    assert_eq!(status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_says_what_it_is_and_health_and_metrics_stay_beside_it() {
    let cluster = shop(&[]).await;
    let http = cluster.http(1);
    let api = http.get("/openapi.json").await;
    let said: Value = api.json();
    assert!(said["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", said["openapi"]);
    assert!(said["paths"].get("/v1/reservations/{reservation_id}:commit").is_some());
    let page = http.get("/docs").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    for (path, status) in
        [("/docs/docs.js", 200), ("/docs/docs.css", 200), ("/livez", 200), ("/readyz", 200), ("/metrics", 200)]
    {
        assert_eq!(http.get(path).await.status, status, "{path}");
    }
}
