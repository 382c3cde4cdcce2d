//! Requests as a client in any language might send them, wrong ones among them: straight to one node, without retries.

use holdfast_client::ids::{CommandId, ReservationId, slot_of};
use holdfast_client::{Client, v1};
use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::inventory_service_client::InventoryServiceClient;
use holdfast_proto::v1::{CommandError, CommandResult, command_result::Outcome};
use holdfast_world::{GrpcChannel, World};

use super::{Cluster, PATIENCE, Shop, pause};

/// A caller without a library.
pub struct Raw<'a> {
    cluster: &'a Cluster,
    /// For what a caller must know: where leaders are, and the time.
    pub client: Client,
    world: World,
}

impl<'a> Raw<'a> {
    /// A caller of the cluster.
    pub async fn of(cluster: &'a Cluster) -> Self {
        Self { cluster, client: Shop::client(cluster).await, world: World::real() }
    }

    /// A command that was minted now.
    pub fn command(&self, operation: Operation) -> v1::Command {
        let now_ms = self.client.cluster_time_ms();
        let id = CommandId::mint(now_ms, self.world.entropy.next_u128());
        v1::Command {
            command_id: Some(id.into()),
            minted_at_ms: now_ms,
            operation: Some(operation),
            ..v1::Command::default()
        }
    }

    /// A new reservation's id whose first line is of that SKU.
    pub fn reservation(&self, sku: &str) -> ReservationId {
        ReservationId::mint(self.client.cluster_time_ms(), slot_of(sku), self.world.entropy.next_u128())
    }

    /// A SKU of that shard.
    pub fn sku_of(&self, shard: u32) -> String {
        let mut names = (0..).map(|number| format!("ANY-{number}"));
        names.find(|sku| self.client.shard_of(sku) == shard).expect("every shard has a SKU")
    }

    /// The inventory service of a node, over a connection of its own.
    pub fn inventory(&self, node: u64) -> InventoryServiceClient<GrpcChannel> {
        InventoryServiceClient::new(self.cluster.channel(node)).max_decoding_message_size(32 << 20)
    }

    /// Asks one node once.
    pub async fn ask(&self, node: u64, command: v1::Command) -> Result<CommandResult, CommandError> {
        let request = v1::ExecuteRequest { command: Some(command), route_epoch: 0 };
        let mut request = tonic::Request::new(request);
        request.set_timeout(PATIENCE);
        match self.inventory(node).execute(request).await {
            Ok(response) => Ok(response.into_inner().result.unwrap_or_default()),
            Err(status) => Err(CommandError::from(&status)),
        }
    }

    /// Asks whoever leads the shard, until it is decided.
    pub async fn ask_leader(&self, shard: u32, command: v1::Command) -> CommandResult {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let leader = self.leader(shard).await;
            match self.ask(leader, command.clone()).await {
                Ok(result) => return result,
                Err(error) => {
                    let may_be_asked = error.retry() == v1::Retry::SameKey && std::time::Instant::now() < deadline;
                    assert!(may_be_asked, "node {leader}: {error:?}");
                }
            }
            pause().await;
        }
    }

    /// Asks one node for a batch; the results of its commands, or why it was refused as a whole.
    pub async fn ask_batch(&self, node: u64, commands: Vec<v1::Command>) -> Result<Vec<CommandResult>, CommandError> {
        let mut request = tonic::Request::new(v1::ExecuteBatchRequest { commands, route_epoch: 0 });
        request.set_timeout(PATIENCE);
        match self.inventory(node).execute_batch(request).await {
            Ok(response) => Ok(response.into_inner().results),
            Err(status) => Err(CommandError::from(&status)),
        }
    }

    /// The node that leads a shard.
    pub async fn leader(&self, shard: u32) -> u64 {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let routing = self.client.refresh_routing().await.expect("the routes are told");
            let leader = routing.shards.iter().find(|(it, _)| *it == shard).and_then(|(_, leader)| *leader);
            if let Some(leader) = leader {
                return leader;
            }
            assert!(std::time::Instant::now() < deadline, "shard {shard} has no leader");
            pause().await;
        }
    }

    /// The error of a result.
    pub fn refusal(result: &CommandResult) -> Option<&CommandError> {
        match &result.outcome {
            Some(Outcome::Error(error)) => Some(error),
            _ => None,
        }
    }
}

/// A new item of that SKU.
pub fn put_item(sku: &str) -> Operation {
    let item = v1::Item { sku: sku.to_owned(), name: format!("Item {sku}"), ..v1::Item::default() };
    Operation::PutItem(v1::PutItem { item: Some(item), ..v1::PutItem::default() })
}

/// Units that arrive at the default location.
pub fn receive(sku: &str, units: u32) -> Operation {
    Operation::Receive(v1::Receive { sku: sku.to_owned(), units, ..v1::Receive::default() })
}

/// A hold of that id on the lines, for the default time.
pub fn reserve(id: ReservationId, lines: &[(&str, u32)]) -> Operation {
    let line = |(sku, units): &(&str, u32)| v1::Line { sku: (*sku).to_owned(), units: *units, ..v1::Line::default() };
    Operation::Reserve(v1::Reserve {
        reservation_id: Some(id.into()),
        lines: lines.iter().map(line).collect(),
        ..v1::Reserve::default()
    })
}
