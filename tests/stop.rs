//! How a node begins and ends when somebody asks it to: SIGTERM under load, configurations that cannot work, ports in use.

mod cluster;

use std::net::TcpListener;
use std::process::Command;

use cluster::{Cluster, Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_asked_to_stop_hands_over_and_nothing_is_left_unknown() {
    let mut cluster = Cluster::of_three().await;
    let shop = Shop::open(&cluster, 8, 16).await;
    for id in 1..=3 {
        shop.sells(200).await;
        let led = cluster.status(id).await.expect("a node that runs says so");
        let led = led.replicas.iter().any(|replica| replica.role() == holdfast_proto::v1::ReplicaRole::Leader);
        let status = cluster.stop(id).await;
        assert_eq!(status.code(), Some(0), "node {id}");
        assert!(!led || cluster.messages(id).contains("handed over"), "node {id} led and handed nothing over");
        shop.sells(100).await;
        cluster.start(id);
        cluster.wait_ready().await;
    }
    assert_eq!(shop.unknown(), 0, "answers that nobody knows");
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_stopped_comes_back_with_all_it_knew() {
    let mut cluster = Cluster::of_three().await;
    let shop = Shop::open(&cluster, 4, 8).await;
    shop.sells(200).await;
    for id in 1..=3 {
        assert_eq!(cluster.stop(id).await.code(), Some(0), "node {id}");
    }
    cluster.start_all();
    cluster.wait_ready().await;
    shop.sells(50).await;
    shop.close_and_compare(&cluster).await;
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_with_the_right_one() {
    let cluster = Cluster::prepared(3, &[]);
    let mut text = std::fs::read_to_string(cluster.config()).unwrap();
    text += "[limits]\nmax_stream = 5\n";
    std::fs::write(cluster.config(), text).unwrap();
    let output = check(&cluster);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("limits.max_stream") && said.contains("max_streams"), "{said}");
}

#[test]
fn a_configuration_that_can_work_is_said_to() {
    let cluster = Cluster::prepared(3, &[]);
    let output = check(&cluster);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!cluster.folder(1).exists(), "a check makes no folder");
}

fn check(cluster: &Cluster) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("start").arg("--check").arg("--config").arg(cluster.config()).args(["--node", "1"]);
    command.output().expect("the binary under test starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_an_error_that_names_it() {
    let mut cluster = Cluster::prepared(1, &[]);
    for address in [cluster.nodes[0].client.clone(), cluster.nodes[0].peer.clone()] {
        let _taken = TcpListener::bind(&address).expect("the port is free");
        cluster.start(1);
        let status = cluster.ended(1).await;
        assert_ne!(status.code(), Some(0));
        let said = cluster.messages(1);
        assert!(said.contains(&address), "{address}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_use_is_an_error_that_names_it() {
    let mut cluster = Cluster::prepared(1, &[]);
    cluster.start(1);
    cluster.wait_ready().await;
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg("start")
        .arg("--config")
        .arg(cluster.config())
        .args(["--node", "1"])
        .output()
        .expect("the binary under test starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&cluster.folder(1).display().to_string()), "{said}");
}
