//! A cluster that says what a test tells it to, served in process through the generated server traits.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use holdfast_client::v1;
use holdfast_client::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use holdfast_client::v1::command_result::Outcome;
use holdfast_client::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use holdfast_client::{Client, ClientOptions};
use holdfast_world::{BoxError, GrpcChannel, IoFuture, Lane, Network, ServeOptions, Serving, Shutdown, World};
use tonic::codegen::Service;
use tonic::{Request, Response, Status, Streaming};

/// What a node does about a command.
#[derive(Clone, Debug)]
pub enum Say {
    Done,
    Error(v1::CommandError),
    /// The request is never answered.
    Nothing,
    /// The stream, or the call, breaks.
    Break,
}

type Script = dyn Fn(u64, &v1::Command, usize) -> Say + Send + Sync;

/// Two shards led by nodes 1 and 2, and a node 3. The script gets the node, the command, and how often this command came.
pub struct Cluster {
    script: Box<Script>,
    /// Every command that arrived: where, and what.
    seen: Mutex<Vec<(u64, v1::Command)>>,
    /// Commands of each request.
    sizes: Mutex<Vec<usize>>,
    /// The nodes that were asked to replace another one.
    replacers: Mutex<Vec<u64>>,
}

impl Cluster {
    pub fn of(script: impl Fn(u64, &v1::Command, usize) -> Say + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            seen: Mutex::default(),
            sizes: Mutex::default(),
            replacers: Mutex::default(),
        })
    }

    pub fn seen(&self) -> Vec<(u64, v1::Command)> {
        self.seen.lock().unwrap().clone()
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.sizes.lock().unwrap().clone()
    }

    pub fn replacers(&self) -> Vec<u64> {
        self.replacers.lock().unwrap().clone()
    }

    pub fn options(self: &Arc<Self>) -> ClientOptions {
        let mut world = World::real();
        world.network = Arc::new(InProcess(self.clone()));
        let mut options = ClientOptions::in_world(["node-1:7400"], world);
        options.attempt_timeout = Duration::from_millis(200);
        options.deadline = Duration::from_secs(5);
        options
    }

    pub async fn client(self: &Arc<Self>) -> Client {
        Client::connect(self.options()).await.unwrap()
    }

    fn decide(&self, node_id: u64, commands: &[v1::Command]) -> Result<Option<Vec<v1::CommandResult>>, Status> {
        self.sizes.lock().unwrap().push(commands.len());
        let mut results = Vec::new();
        for command in commands {
            let times = {
                let mut seen = self.seen.lock().unwrap();
                seen.push((node_id, command.clone()));
                seen.iter().filter(|(_, other)| other.command_id == command.command_id).count()
            };
            let outcome = match (self.script)(node_id, command, times) {
                Say::Done => Outcome::Success(v1::CommandSuccess { revision: 1, ..v1::CommandSuccess::default() }),
                Say::Error(error) => Outcome::Error(error),
                Say::Nothing => return Ok(None),
                Say::Break => return Err(Status::unavailable("the connection broke")),
            };
            results.push(v1::CommandResult {
                command_id: command.command_id,
                outcome: Some(outcome),
                replayed: times > 1,
            });
        }
        Ok(Some(results))
    }
}

/// One node of it.
#[derive(Clone)]
struct Node {
    node_id: u64,
    cluster: Arc<Cluster>,
}

fn tokens() -> Vec<v1::ConsistencyToken> {
    (0..2).map(|shard| v1::ConsistencyToken { shard, applied_index: 10 }).collect()
}

#[tonic::async_trait]
impl InventoryService for Node {
    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<v1::ExecuteResponse>, Status> {
        let commands: Vec<_> = request.into_inner().command.into_iter().collect();
        let Some(mut results) = self.cluster.decide(self.node_id, &commands)? else {
            return std::future::pending().await;
        };
        match results.remove(0) {
            v1::CommandResult { outcome: Some(Outcome::Error(error)), .. } => Err(error.into()),
            result => Ok(Response::new(v1::ExecuteResponse { result: Some(result), ..v1::ExecuteResponse::default() })),
        }
    }

    async fn execute_batch(
        &self,
        request: Request<v1::ExecuteBatchRequest>,
    ) -> Result<Response<v1::ExecuteBatchResponse>, Status> {
        match self.cluster.decide(self.node_id, &request.into_inner().commands)? {
            Some(results) => Ok(Response::new(v1::ExecuteBatchResponse { results, tokens: tokens(), log_time_ms: 0 })),
            None => std::future::pending().await,
        }
    }

    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        requests: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let node = self.clone();
        let answers = requests.into_inner().filter_map(move |request| {
            let node = node.clone();
            async move {
                let request = request.ok()?;
                let results = match node.cluster.decide(node.node_id, &request.commands) {
                    Ok(results) => results?,
                    Err(status) => return Some(Err(status)),
                };
                Some(Ok(v1::SessionResponse { number: request.number, results, tokens: tokens(), log_time_ms: 0 }))
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_item(&self, request: Request<v1::GetItemRequest>) -> Result<Response<v1::GetItemResponse>, Status> {
        let item = v1::Item { sku: request.into_inner().sku, revision: self.node_id, ..v1::Item::default() };
        Ok(Response::new(v1::GetItemResponse { item: Some(item), freshness: None }))
    }

    async fn list_items(
        &self,
        request: Request<v1::ListItemsRequest>,
    ) -> Result<Response<v1::ListItemsResponse>, Status> {
        let request = request.into_inner();
        let from = if request.after_sku.is_empty() { 0 } else { 2 };
        let sku = |number: u32| format!("{}-{number}", request.shard);
        let items = (from..from + 2).map(|number| v1::Item { sku: sku(number), ..v1::Item::default() }).collect();
        Ok(Response::new(v1::ListItemsResponse { items, more: from == 0, freshness: None }))
    }

    async fn get_stock(&self, _: Request<v1::GetStockRequest>) -> Result<Response<v1::GetStockResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_stock(&self, _: Request<v1::ListStockRequest>) -> Result<Response<v1::ListStockResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_reservation(
        &self,
        _: Request<v1::GetReservationRequest>,
    ) -> Result<Response<v1::GetReservationResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_reservations(
        &self,
        _: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_lots(&self, _: Request<v1::GetLotsRequest>) -> Result<Response<v1::GetLotsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_kit(&self, _: Request<v1::GetKitRequest>) -> Result<Response<v1::GetKitResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_limits(&self, _: Request<v1::GetLimitsRequest>) -> Result<Response<v1::GetLimitsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_lots(&self, _: Request<v1::ListLotsRequest>) -> Result<Response<v1::ListLotsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn trace_lot(&self, _: Request<v1::TraceLotRequest>) -> Result<Response<v1::TraceLotResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_transfer(
        &self,
        _: Request<v1::GetTransferRequest>,
    ) -> Result<Response<v1::GetTransferResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_transfers(
        &self,
        _: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_receipt(&self, _: Request<v1::GetReceiptRequest>) -> Result<Response<v1::GetReceiptResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_allocations(
        &self,
        _: Request<v1::ListAllocationsRequest>,
    ) -> Result<Response<v1::ListAllocationsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_tickets(
        &self,
        _: Request<v1::ListTicketsRequest>,
    ) -> Result<Response<v1::ListTicketsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_admission_token(
        &self,
        _: Request<v1::GetAdmissionTokenRequest>,
    ) -> Result<Response<v1::GetAdmissionTokenResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_backorders(
        &self,
        _: Request<v1::ListBackordersRequest>,
    ) -> Result<Response<v1::ListBackordersResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_receipts(
        &self,
        _: Request<v1::ListReceiptsRequest>,
    ) -> Result<Response<v1::ListReceiptsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_count(&self, _: Request<v1::GetCountRequest>) -> Result<Response<v1::GetCountResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn get_order(&self, _: Request<v1::GetOrderRequest>) -> Result<Response<v1::GetOrderResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_orders(&self, _: Request<v1::ListOrdersRequest>) -> Result<Response<v1::ListOrdersResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }

    async fn list_counts(&self, _: Request<v1::ListCountsRequest>) -> Result<Response<v1::ListCountsResponse>, Status> {
        Err(Status::unimplemented("not in this script"))
    }
}

macro_rules! not_in_this_script {
    ($($name:ident: $question:ident => $answer:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl ClusterService for Node {
            async fn get_routing(
                &self,
                _: Request<v1::GetRoutingRequest>,
            ) -> Result<Response<v1::GetRoutingResponse>, Status> {
                Ok(Response::new(routing()))
            }

            async fn replace_node(
                &self,
                _: Request<v1::ReplaceNodeRequest>,
            ) -> Result<Response<v1::ReplaceNodeResponse>, Status> {
                self.cluster.replacers.lock().unwrap().push(self.node_id);
                Err(Status::unknown("the connection was reset"))
            }

            $(async fn $name(&self, _: Request<v1::$question>) -> Result<Response<v1::$answer>, Status> {
                Err(Status::unimplemented("not in this script"))
            })+
        }
    };
}

not_in_this_script! {
    get_status: GetStatusRequest => GetStatusResponse,
    get_replica: GetReplicaRequest => GetReplicaResponse,
    put_location: PutLocationRequest => PutLocationResponse,
    list_locations: ListLocationsRequest => ListLocationsResponse,
    put_channel: PutChannelRequest => PutChannelResponse,
    list_channels: ListChannelsRequest => ListChannelsResponse,
    open_campaign: OpenCampaignRequest => OpenCampaignResponse,
    close_campaign: CloseCampaignRequest => CloseCampaignResponse,
    list_campaigns: ListCampaignsRequest => ListCampaignsResponse,
    put_shared_limit: PutSharedLimitRequest => PutSharedLimitResponse,
    list_shared_limits: ListSharedLimitsRequest => ListSharedLimitsResponse,
    transfer_leadership: TransferLeadershipRequest => TransferLeadershipResponse,
    checkpoint: CheckpointRequest => CheckpointResponse,
}

pub const LOG_TIME_MS: u64 = 1_700_000_000_000;

fn routing() -> v1::GetRoutingResponse {
    let member =
        |node_id| v1::Member { node_id, client_address: format!("node-{node_id}:7400"), ..v1::Member::default() };
    v1::GetRoutingResponse {
        epoch: 1,
        slots: vec![
            v1::SlotRange { first: 0, last: 8_191, shard: 0 },
            v1::SlotRange { first: 8_192, last: 16_383, shard: 1 },
        ],
        shards: vec![v1::ShardRoute { shard: 0, leader_node_id: 1 }, v1::ShardRoute { shard: 1, leader_node_id: 2 }],
        members: vec![member(1), member(2), member(3)],
        default_location_id: "main".to_owned(),
        cluster_id: "scripted".to_owned(),
        log_time_ms: LOG_TIME_MS,
    }
}

/// The network of a client: straight into the nodes' services.
#[derive(Clone)]
struct InProcess(Arc<Cluster>);

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

impl Network for InProcess {
    fn channel(&self, address: &str, _: Lane, _: Duration) -> Result<GrpcChannel, BoxError> {
        let nodes: BTreeMap<String, u64> = (1..=3).map(|node_id| (format!("node-{node_id}:7400"), node_id)).collect();
        let node_id = *nodes.get(address).ok_or("no such node")?;
        let node = Node { node_id, cluster: self.0.clone() };
        let routes = tonic::service::Routes::new(InventoryServiceServer::new(node.clone()))
            .add_service(ClusterServiceServer::new(node));
        Ok(GrpcChannel::new(InProcessChannel(routes.prepare())))
    }

    fn serve<'a>(
        &'a self,
        _: &'a str,
        _: tonic::service::Routes,
        _: ServeOptions,
        _: Shutdown,
    ) -> IoFuture<'a, Serving> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

#[derive(Clone)]
struct InProcessChannel(tonic::service::Routes);

type HttpRequest = tonic::codegen::http::Request<tonic::body::Body>;
type HttpResponse = tonic::codegen::http::Response<tonic::body::Body>;

impl Service<HttpRequest> for InProcessChannel {
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map_err(BoxError::from) })
    }
}
