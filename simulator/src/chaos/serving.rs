//! Whether a cluster serves: every node says that it is ready, and every shard decides a command.

use std::time::Duration;

use futures_util::future::join_all;
use holdfast_client::{Client, ClientOptions, Error, Receive, v1};
use holdfast_world::World;
use tokio::time::{Instant, sleep, timeout};

use crate::workloads::connect;

/// A cluster that is whole again serves within this time.
pub const SERVES_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// One attempt to have a shard decide something.
const DECIDES_WITHIN: Duration = Duration::from_secs(2);

/// Waits until all nodes are ready and all shards decide; how long that took.
///
/// # Errors
/// What is missing when the time is over.
pub async fn wait(addresses: Vec<String>, nodes: &[u64], world: &World, within: Duration) -> Result<Duration, String> {
    let begun = Instant::now();
    let deadline = begun + within;
    let connected = timeout(within, connect(addresses, world.clone())).await;
    let client = connected.map_err(|_| "no node answers".to_owned())?;
    // Of a client that was there before no route may be known any more.
    loop {
        let lacks = match decide(&client, deadline).await {
            Ok(()) => not_ready(&client, nodes).await,
            Err(lacks) => vec![lacks],
        };
        if lacks.is_empty() {
            return Ok(begun.elapsed());
        }
        if Instant::now() >= deadline {
            return Err(lacks.join("; "));
        }
        sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// Waits until every shard has decided something that was asked after the call.
///
/// # Errors
/// Which shard has not.
pub async fn decide(client: &Client, deadline: Instant) -> Result<(), String> {
    let shards = client.routing().shards;
    let asked = join_all(shards.iter().map(|(shard, _)| decides(client, *shard, deadline))).await;
    asked.into_iter().collect()
}

async fn decides(client: &Client, shard: u32, deadline: Instant) -> Result<(), String> {
    // Nobody sells it, which is itself an answer that a majority must decide.
    let sku = (0..100_000).map(|number| format!("NOBODY-{number}")).find(|sku| client.shard_of(sku) == shard);
    let Some(sku) = sku else { return Ok(()) };
    loop {
        let asked = client.execute_batch_within(vec![Receive::of(sku.as_str(), 1).into()], DECIDES_WITHIN).await;
        match asked.into_iter().next() {
            Some(Ok(_) | Err(Error::Refused(_))) => return Ok(()),
            other if Instant::now() >= deadline => {
                let why = other.and_then(Result::err).map(|error| error.failure().message.clone()).unwrap_or_default();
                return Err(format!("shard {shard} decides nothing: {why}"));
            }
            _ => sleep(LOOK_AGAIN_AFTER).await,
        }
    }
}

async fn not_ready(client: &Client, nodes: &[u64]) -> Vec<String> {
    let mut lacks = Vec::new();
    for node in nodes {
        match client.status(*node).await {
            Ok(v1::GetStatusResponse { ready: true, .. }) => {}
            Ok(status) => lacks.push(format!("node {node} is not ready: {}", status.warnings.join(", "))),
            Err(error) => lacks.push(format!("node {node} does not answer: {}", error.failure().message)),
        }
    }
    lacks
}

/// A client with patience for what is asked of single nodes.
///
/// # Errors
/// No node answers.
pub async fn client(addresses: Vec<String>, world: &World) -> Result<Client, Error> {
    let mut options = ClientOptions::in_world(addresses, world.clone());
    options.deadline = SERVES_WITHIN;
    Client::connect(options).await
}
