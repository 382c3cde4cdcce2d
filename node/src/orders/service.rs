//! `OrderService`: other nodes bring what shards have to say to those that this one leads.

use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::Answer;
use holdfast_proto::peer::v1::decide_response::Outcome;
use holdfast_proto::peer::v1::order_service_server::{OrderService, OrderServiceServer};
use holdfast_proto::peer::v1::{DecideRequest, DecideResponse, LookRequest, LookResponse, SeeRequest, SeeResponse};
use holdfast_raft::encode::{MAX_COMMAND_BYTES, decode_command};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::carry::decide_here;
use crate::core::Core;
use crate::planning;
use crate::shard::EncodedCommand;

/// How long a decision may take; whoever asks has given up earlier.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Orders {
    core: Arc<Core>,
}

/// What other nodes are served of it.
pub(crate) fn order_service(core: Arc<Core>) -> OrderServiceServer<Orders> {
    OrderServiceServer::new(Orders { core }).max_decoding_message_size(2 * MAX_COMMAND_BYTES)
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn decide(&self, request: Request<DecideRequest>) -> Result<Response<DecideResponse>, Status> {
        let DecideRequest { cluster_id, shard, command: bytes } = request.into_inner();
        if cluster_id != self.core.config.cluster_id {
            return Err(Status::permission_denied("this node is of another cluster"));
        }
        let command = decode_command(&bytes).map_err(|error| Status::invalid_argument(error.to_string()))?;
        if !command.operation.is_told_by_nodes() && !super::may_lie_elsewhere(&command.operation) {
            return Err(Status::invalid_argument("only what one shard has to say to another is decided here"));
        }
        let routes = self.core.routes()?;
        let handle = self.core.shard(shard, &routes)?;
        let decided = decide_here(&handle, EncodedCommand { command, bytes }, Instant::now() + PATIENCE).await;
        let decided = decided.and_then(|mut decided| {
            let answer = decided.answers.pop().ok_or_else(|| "the shard gave no answer".to_owned())?;
            Ok(DecideResponse {
                outcome: Some(Outcome::Decided(Answer::encode_outcome(&answer.outcome).into())),
                applied_index: decided.index,
                log_time_ms: decided.log_time.0,
                replayed: answer.replayed,
            })
        });
        Ok(Response::new(decided.unwrap_or_else(|why| DecideResponse {
            outcome: Some(Outcome::NotDecided(why)),
            ..DecideResponse::default()
        })))
    }

    async fn look(&self, request: Request<LookRequest>) -> Result<Response<LookResponse>, Status> {
        let request = request.into_inner();
        if request.cluster_id != self.core.config.cluster_id {
            return Err(Status::permission_denied("this node is of another cluster"));
        }
        planning::answer_look(&self.core, &request).map(Response::new).map_err(Status::unavailable)
    }

    async fn see(&self, request: Request<SeeRequest>) -> Result<Response<SeeResponse>, Status> {
        let request = request.into_inner();
        if request.cluster_id != self.core.config.cluster_id {
            return Err(Status::permission_denied("this node is of another cluster"));
        }
        let seen = planning::answer_see(&self.core, &request).await?;
        Ok(Response::new(SeeResponse { skus: seen.into_iter().map(planning::seen_to_peer).collect() }))
    }
}
