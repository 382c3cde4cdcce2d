//! `EventService`: what happened.

use std::sync::Arc;

use holdfast_proto::v1;
use holdfast_proto::v1::event_service_server::EventService;
use tonic::{Request, Response, Status};

use super::timeout_of;
use crate::core::Core;
use crate::events::{self, Found, MAX_EVENTS};
use crate::from_proto::{event_filter, freshness, invalid};
use crate::to_proto;

/// See the module.
#[derive(Debug)]
pub(super) struct Events {
    core: Arc<Core>,
}

impl Events {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[tonic::async_trait]
impl EventService for Events {
    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let v1::ListEventsRequest { shard, from_seq, limit, filter, consistency } = request.into_inner();
        let limit = match limit as usize {
            0 => MAX_EVENTS,
            limit if limit <= MAX_EVENTS => limit,
            limit => {
                let problem = format!("is {limit}");
                return Err(invalid("limit", &problem, "at most 1000, or 0 for that many").into());
            }
        };
        let filter = event_filter(filter)?;
        let last_event = |shard: &holdfast_inventory::Inventory| shard.last_event().0;
        let (through, freshness) = self.core.read(shard, freshness(consistency), deadline, last_event).await?;
        let handle = self.core.shard(shard, &*self.core.routes()?)?;
        let range = (from_seq, through);
        let Found { events, next, first_kept } =
            events::list(shard, handle.group(), range, limit, &filter, deadline).await?;
        Ok(Response::new(v1::ListEventsResponse {
            events: events.into_iter().map(|event| to_proto::event(shard, event)).collect(),
            next_seq: next.unwrap_or(0),
            first_kept_seq: first_kept,
            freshness: Some(freshness),
        }))
    }
}
