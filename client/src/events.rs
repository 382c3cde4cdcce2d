//! What happened, as the shards' change logs have it.

use holdfast_proto::v1;
use holdfast_proto::v1::event_service_client::EventServiceClient;
use holdfast_world::GrpcChannel;

use crate::answer::Error;
use crate::ids::slot_of;
use crate::reads::{Read, Reader};
use crate::wire::MAX_REPLY_BYTES;

/// Some of a shard's events.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// Those that the filter takes, oldest first. There may be none, and yet more to come.
    pub events: Vec<v1::Event>,
    /// Where to go on; `None`: that was all.
    pub next_seq: Option<u64>,
    /// The first event that is kept: what came before it is gone, or on other replicas.
    pub first_kept_seq: u64,
}

pub(crate) fn events(channel: GrpcChannel) -> EventServiceClient<GrpcChannel> {
    EventServiceClient::new(channel).max_decoding_message_size(MAX_REPLY_BYTES)
}

impl Reader<'_> {
    /// A page of a shard's events from `from_seq` on (0: the first that is kept), at most 1 000.
    pub async fn events(&self, shard: u32, from_seq: u64, filter: &v1::EventFilter) -> Result<Read<EventPage>, Error> {
        self.some_events(shard, from_seq, 0, filter).await
    }

    /// The same, at most `limit` of them; 0: 1 000.
    pub async fn some_events(
        &self,
        shard: u32,
        from_seq: u64,
        limit: u32,
        filter: &v1::EventFilter,
    ) -> Result<Read<EventPage>, Error> {
        let (target, consistency) = self.how(shard);
        let filter = Some(filter.clone());
        let question = v1::ListEventsRequest { shard, from_seq, limit, filter, consistency };
        let ask = |channel, request| async move { events(channel).list_events(request).await };
        let reply: v1::ListEventsResponse = self.core.call(self.core.reading(target), question, ask).await?;
        let v1::ListEventsResponse { events, next_seq, first_kept_seq, freshness } = reply;
        let next_seq = Some(next_seq).filter(|seq| *seq > from_seq);
        Ok(self.read(EventPage { events, next_seq, first_kept_seq }, freshness))
    }

    /// The signed root of the tree over a shard's first `size` events (0: all there are).
    pub async fn tree_head(&self, shard: u32, size: u64) -> Result<Read<v1::TreeHead>, Error> {
        let (target, consistency) = self.how(shard);
        let question = v1::GetTreeHeadRequest { shard, size, consistency };
        let ask = |channel, request| async move { events(channel).get_tree_head(request).await };
        let reply: v1::GetTreeHeadResponse = self.core.call(self.core.reading(target), question, ask).await?;
        Ok(self.read(reply.head.unwrap_or_default(), reply.freshness))
    }

    /// An event, with the proof that it is in the tree over the shard's first `size` events (0: all there are).
    pub async fn prove_event(&self, shard: u32, seq: u64, size: u64) -> Result<v1::ProveEventResponse, Error> {
        let (target, consistency) = self.how(shard);
        let question = v1::ProveEventRequest { shard, seq, size, consistency };
        let ask = |channel, request| async move { events(channel).prove_event(request).await };
        self.core.call(self.core.reading(target), question, ask).await
    }

    /// The quantities of a SKU at the end of that log time, at each location and of each lot. `UNKNOWN_SKU` where there is no such
    /// item; `INVALID_ARGUMENT` where what has happened since is not kept any more.
    pub async fn stock_as_of(&self, sku: &str, time_ms: u64) -> Result<Read<v1::GetStockAsOfResponse>, Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(sku)));
        let question = v1::GetStockAsOfRequest { sku: sku.to_owned(), time_ms, consistency };
        let ask = |channel, request| async move { events(channel).get_stock_as_of(request).await };
        let reply: v1::GetStockAsOfResponse = self.core.call(self.core.reading(target), question, ask).await?;
        let freshness = reply.freshness;
        Ok(self.read(reply, freshness))
    }
}
