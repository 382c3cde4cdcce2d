//! The operator of a run: asks nodes for checkpoints while all goes its way, and puts fresh nodes in the place of lost ones.

use std::time::Duration;

use holdfast_world::World;

use super::cluster::Cluster;
use crate::Dice;
use crate::workloads::connect;

const CHECKPOINT: Duration = Duration::from_secs(5);
const REPLACEMENT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Asks one node after another for checkpoints, without end.
pub(super) async fn keep_checkpoints(world: World, nodes: u64) {
    let mut dice = Dice::new(world.entropy.next_u64());
    let client = connect(Cluster::client_addresses(), world).await;
    loop {
        tokio::time::sleep(Duration::from_millis(dice.between(300, 3_000))).await;
        let node = dice.between(1, nodes);
        if let Err(error) = client.checkpoint(node, None, CHECKPOINT).await {
            tracing::info!(node, reason = ?error.reason(), "no checkpoint");
        }
    }
}

/// Replaces a member, asking until it is done.
pub(super) async fn replace(world: World, old: u64, peer_address: String) {
    let client = connect(Cluster::client_addresses(), world).await;
    while let Err(error) = client.replace_node(old, &peer_address, REPLACEMENT).await {
        tracing::info!(old, %error, "not replaced yet");
        tokio::time::sleep(PAUSE).await;
    }
}
