//! Who a node is, said and asked outside Raft: before a cluster is founded, and to compare clocks.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::peer::v1::introduction_service_client::IntroductionServiceClient;
use holdfast_proto::peer::v1::introduction_service_server::IntroductionService;
use holdfast_proto::peer::v1::{IntroduceRequest, IntroduceResponse};
use holdfast_world::{Lane, World};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::core::Core;

/// How long another node may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Introduction {
    core: Arc<Core>,
}

impl Introduction {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[tonic::async_trait]
impl IntroductionService for Introduction {
    async fn introduce(&self, request: Request<IntroduceRequest>) -> Result<Response<IntroduceResponse>, Status> {
        let asked = request.into_inner();
        let core = &self.core;
        let me = core.config.me();
        let routes = core.routes.borrow().clone();
        Ok(Response::new(IntroduceResponse {
            cluster_id: core.config.cluster_id.clone(),
            node_id: core.config.node_id,
            fresh: core.is_fresh(),
            awaits_founding: *core.awaits_founding.borrow(),
            wall_ms: core.world.clock.wall_ms(),
            client_address: me.client.clone(),
            http_address: me.http.clone().unwrap_or_default(),
            knows_caller: routes.is_some_and(|routes| routes.members.contains_key(&asked.node_id)),
        }))
    }
}

/// Asks the node at a peer address who it is; `None` where nobody answers in time.
pub(crate) async fn introduce(
    world: &World,
    address: &str,
    cluster_id: &str,
    node_id: u64,
) -> Option<IntroduceResponse> {
    let channel = world.network.channel(address, Lane::Control, PATIENCE).ok()?;
    let request = IntroduceRequest { cluster_id: cluster_id.to_owned(), node_id };
    match timeout(PATIENCE, IntroductionServiceClient::new(channel).introduce(request)).await {
        Ok(Ok(said)) => Some(said.into_inner()),
        Ok(Err(status)) => {
            tracing::debug!(address, %status, "a node does not say who it is");
            None
        }
        Err(_) => None,
    }
}
