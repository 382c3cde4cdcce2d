//! What a proxy does to connections that are carried through it, seen from both of their ends.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::rules::{Harm, Rule};
use super::*;

/// For what must come; far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what must not come.
const MOMENT: Duration = Duration::from_millis(150);

/// A node that listens, the proxy before it, and its public address.
struct Stage {
    node: TcpListener,
    proxies: Proxies,
    public: String,
}

impl Stage {
    async fn new() -> Self {
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public = free.local_addr().unwrap().to_string();
        drop(free);
        let mut proxies = Proxies::default();
        proxies.add(&public, Dialers::Clients, 1, node.local_addr().unwrap()).await.unwrap();
        Self { node, proxies, public }
    }

    /// Both ends of a connection, with one byte carried each way.
    async fn connected(&self) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(&self.public).await.unwrap();
        let (mut served, _) = timeout(PATIENCE, self.node.accept()).await.unwrap().unwrap();
        send(&mut client, b"a").await;
        assert_eq!(receive(&mut served, 1).await, b"a");
        send(&mut served, b"b").await;
        assert_eq!(receive(&mut client, 1).await, b"b");
        (client, served)
    }

    fn hold(&self, from: End, to: End) -> rules::RuleId {
        self.proxies.rules().lay_down(vec![Rule { from, to, harm: Harm::Hold }])
    }

    fn only_connection(&self) -> u64 {
        let connections = self.proxies.connections(Dialers::Clients);
        assert_eq!(connections.len(), 1);
        connections[0]
    }
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
}

async fn receive(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("it comes in time").unwrap();
    bytes
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(MOMENT, stream.read(&mut [0; 1])).await.is_err()
}

/// Whether the stream is reset, in time.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let end = timeout(PATIENCE, async {
        loop {
            match stream.read(&mut [0; 64]).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    });
    end.await.expect("it ends in time")
}

#[tokio::test]
async fn bytes_are_carried_whole_and_in_order_and_an_orderly_end_too() {
    let stage = Stage::new().await;
    let (mut client, mut served) = stage.connected().await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        client
    });
    let mut received = Vec::new();
    timeout(PATIENCE, served.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    // The other direction still lives.
    send(&mut served, b"more").await;
    let mut client = sending.await.unwrap();
    assert_eq!(receive(&mut client, 4).await, b"more");
}

#[tokio::test]
async fn a_direction_that_is_held_is_silent_and_the_other_is_not_and_nothing_is_lost() {
    let stage = Stage::new().await;
    let (mut client, mut served) = stage.connected().await;
    let held = stage.hold(End::Client, End::Node(1));
    send(&mut client, b"held").await;
    assert!(is_silent(&mut served).await);
    send(&mut served, b"back").await;
    assert_eq!(receive(&mut client, 4).await, b"back");
    stage.proxies.rules().take_back(held);
    assert_eq!(receive(&mut served, 4).await, b"held");
}

#[tokio::test]
async fn a_new_connection_reaches_nobody_while_it_is_held() {
    let stage = Stage::new().await;
    let held = stage.hold(End::Client, End::Node(1));
    let _client = TcpStream::connect(&stage.public).await.unwrap();
    assert!(timeout(MOMENT, stage.node.accept()).await.is_err());
    stage.proxies.rules().take_back(held);
    timeout(PATIENCE, stage.node.accept()).await.expect("it is let through").unwrap();
}

#[tokio::test]
async fn what_is_delayed_comes_late_and_in_order() {
    let stage = Stage::new().await;
    let (mut client, mut served) = stage.connected().await;
    let delay = Harm::Delay(Duration::from_millis(200), Duration::from_millis(300));
    stage.proxies.rules().lay_down(vec![Rule { from: End::Client, to: End::Node(1), harm: delay }]);
    let sent = tokio::time::Instant::now();
    send(&mut client, b"one").await;
    send(&mut client, b"two").await;
    assert_eq!(receive(&mut served, 6).await, b"onetwo");
    assert!(sent.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_cut_in_the_middle_delivers_a_part_and_resets_both_ends() {
    let stage = Stage::new().await;
    let (mut client, mut served) = stage.connected().await;
    stage.proxies.cut_in_frame(stage.only_connection());
    send(&mut client, &[7; 100]).await;
    let mut got = 0;
    let ended = timeout(PATIENCE, async {
        loop {
            match served.read(&mut [0; 64]).await {
                Ok(0) => return false,
                Ok(read) => got += read,
                Err(_) => return true,
            }
        }
    });
    assert!(ended.await.unwrap(), "the node's end is reset");
    assert!(got < 100, "{got} bytes of a hundred");
    assert!(is_reset(&mut client).await);
}

#[tokio::test]
async fn of_a_half_open_connection_one_end_is_reset_and_the_other_hears_nothing() {
    for only_dialer_left in [true, false] {
        let stage = Stage::new().await;
        let (client, served) = stage.connected().await;
        let connection = stage.only_connection();
        stage.proxies.half_open(connection, only_dialer_left);
        let (mut left, mut gone) = if only_dialer_left { (client, served) } else { (served, client) };
        assert!(is_reset(&mut gone).await);
        send(&mut left, b"anybody there").await;
        assert!(is_silent(&mut left).await);
        stage.proxies.cut(&[connection]);
        assert!(is_reset(&mut left).await);
    }
}

#[tokio::test]
async fn who_dials_a_node_that_is_not_there_is_reset() {
    let stage = Stage::new().await;
    let Stage { node, proxies: _proxies, public } = stage;
    drop(node);
    let mut client = TcpStream::connect(&public).await.unwrap();
    assert!(is_reset(&mut client).await);
}
