//! The OpenAPI document, taken at its word by a tool that knows nothing else of Holdfast (schemathesis): it asks every operation what the
//! document allows and what it forbids, and holds each answer against what the document promises.

mod cluster;

use std::process::Stdio;
use std::time::Duration;

use cluster::{Cluster, Shop, python};
use holdfast_client::{PutItem, Receive, v1};
use tokio::process::Command;
use tokio::time::timeout;

/// What each answer must be: no server error, and as the document says in every part.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";
/// Requests of each operation and phase: enough to come by every field; a hunt takes more (docs/testing.md).
const EXAMPLES: &str = "4";
/// The same requests each time.
const SEED: &str = "11";
/// Far longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// Runs the tool over the cluster with these arguments beside; so many requests must pass, and none may fail.
async fn hold_against_document(cluster: &Cluster, what: &str, at_least: u32, more: &[&str]) {
    let Some(python) = python(what) else { return };
    let address = format!("http://{}/openapi.json", cluster.http(1).address);
    let folder = tempfile::tempdir().expect("a folder");
    let process = Command::new(python)
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", &address])
        .args(["--seed", SEED, "--max-examples", EXAMPLES, "--checks", CHECKS, "--no-color"])
        // Its random examples are drawn anew, not from what earlier runs left.
        .args(["--generation-database", "none"])
        .args(more)
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python runs");
    let output = timeout(PATIENCE, process.wait_with_output()).await.expect("it ends").expect("it is read");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    // "1234 generated, 1234 passed": a run that asked nothing agrees with everything.
    let passed = told.lines().find_map(|line| {
        let (_, passed) = line.split_once(" generated, ")?;
        passed.strip_suffix(" passed")?.parse::<u32>().ok()
    });
    assert!(passed.is_some_and(|passed| passed >= at_least), "{told}");
    println!("{what}: {passed:?} requests passed");
}

/// A cluster with a little in it, so that lists are not empty.
async fn cluster_with_stock() -> Cluster {
    let cluster = Cluster::with_http(&[]).await;
    for node in 1..=3 {
        cluster.http(node).serves().await;
    }
    let client = Shop::client(&cluster).await;
    for sku in ["LIP", "NAIL"] {
        client
            .put_item(PutItem::new(v1::Item { sku: sku.to_owned(), ..v1::Item::default() }))
            .await
            .expect("the item is put");
        client.receive(Receive::of(sku, 100)).await.expect("units come in");
    }
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_the_document_says() {
    let cluster = cluster_with_stock().await;
    hold_against_document(&cluster, "the OpenAPI document against the cluster", 1_000, &["--exclude-tag", "live"])
        .await;
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_begin_as_the_document_says() {
    let cluster = cluster_with_stock().await;
    // They do not end: what has come within these seconds is looked at.
    let live = ["--include-tag", "live", "--request-timeout", "3", "--phases", "examples,fuzzing"];
    hold_against_document(&cluster, "the OpenAPI document against live updates", 10, &live).await;
    cluster.replicas_agree().await;
}
