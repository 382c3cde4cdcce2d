//! The operators of a run: they ask nodes for checkpoints and to hand over while all goes its way, and put fresh nodes in
//! the place of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_client::v1::TransferLeadershipRequest;
use holdfast_world::World;

use super::cluster::{Cluster, Replacement, SHARDS};
use crate::Dice;
use crate::workloads::connect;

const CHECKPOINT: Duration = Duration::from_secs(5);
const REPLACEMENT: Duration = Duration::from_secs(60);
const HAND_OVER: Duration = Duration::from_secs(2);
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

/// Asks any node to hand over any group, to any other node or to a certain one, every few hundred milliseconds without end.
pub(crate) async fn hand_over(world: World, nodes: Vec<u64>) {
    let mut dice = Dice::new(world.entropy.next_u64());
    let client = connect(Cluster::client_addresses(), world).await;
    loop {
        tokio::time::sleep(Duration::from_millis(dice.between(50, 600))).await;
        let any = |dice: &mut Dice| nodes[dice.below(nodes.len() as u64) as usize];
        let from = any(&mut dice);
        let to_node_id = if dice.below(2) == 0 { any(&mut dice) } else { 0 };
        let (group, all) = (dice.between(0, u64::from(SHARDS)), dice.below(4) == 0);
        let question = TransferLeadershipRequest { group, all, to_node_id };
        match client.transfer_leadership(from, question, HAND_OVER).await {
            Ok(transferred) => tracing::info!(from, to_node_id, transferred, "handed over"),
            Err(error) => tracing::info!(from, reason = ?error.reason(), "not handed over"),
        }
    }
}

/// Replaces a member, asking until it is done.
pub(crate) async fn replace(world: World, replacement: Replacement, is_done: Arc<AtomicBool>) {
    let (old, peer_address) = (replacement.old.0, Cluster::peer_address(replacement.new));
    let client = connect(Cluster::client_addresses(), world).await;
    while let Err(error) = client.replace_node(old, &peer_address, REPLACEMENT).await {
        tracing::info!(old, %error, "not replaced yet");
        tokio::time::sleep(PAUSE).await;
    }
    is_done.store(true, Ordering::Relaxed);
}
