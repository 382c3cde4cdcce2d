//! What a node says of the shards that it looks after: its audits, what they halted, and what it found abnormal.

use holdfast_proto::v1;
use holdfast_proto::v1::alert_service_client::AlertServiceClient;
use holdfast_proto::v1::shard_service_client::ShardServiceClient;

use crate::answer::Error;
use crate::call::Target;
use crate::client::Client;
use crate::wire::MAX_REPLY_BYTES;

impl Client {
    /// A node's replicas of the shards: whether they take commands, and what their last audit found. One attempt.
    pub async fn shards_of(&self, node_id: u64) -> Result<Vec<v1::ShardStanding>, Error> {
        let ask = |channel, request| async move {
            ShardServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES).list_shards(request).await
        };
        let calling = self.core().reading(Target::Node(node_id));
        let reply: v1::ListShardsResponse = self.core().call(calling, v1::ListShardsRequest {}, ask).await?;
        Ok(reply.shards)
    }

    /// What a node found abnormal since it started, and the day before. One attempt.
    pub async fn alerts_of(&self, node_id: u64) -> Result<Vec<v1::Alert>, Error> {
        let ask = |channel, request| async move {
            AlertServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES).list_alerts(request).await
        };
        let calling = self.core().reading(Target::Node(node_id));
        let reply: v1::ListAlertsResponse =
            self.core().call(calling, v1::ListAlertsRequest { shard: None }, ask).await?;
        Ok(reply.alerts)
    }
}
