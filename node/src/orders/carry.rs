//! Carries an operation to the shard of a slot, wherever that is led.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_inventory::{Answer, BodyHash, Command, CommandId, LogTime, Operation, Refusal, Slot, Success};
use holdfast_proto::peer::v1::decide_response::Outcome;
use holdfast_proto::peer::v1::order_service_client::OrderServiceClient;
use holdfast_proto::peer::v1::{DecideRequest, LookRequest, LookResponse};
use holdfast_raft::encode::encode_command;
use holdfast_raft::types::NodeId;
use holdfast_world::{GrpcChannel, Lane};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::core::Core;
use crate::shard::{EncodedCommand, ShardHandle};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections to the other nodes' leaders, one a node.
#[derive(Debug, Default)]
pub(crate) struct Carrier {
    channels: Mutex<BTreeMap<NodeId, (String, GrpcChannel)>>,
}

impl Carrier {
    /// The channel to a node; made anew where its address is another now.
    pub(crate) fn channel(&self, core: &Core, node: NodeId) -> Result<GrpcChannel, String> {
        let routes = core.routes().map_err(|error| error.message)?;
        let member = routes.members.get(&node).ok_or_else(|| format!("node {node} is no member"))?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = channels.get(&node).filter(|(address, _)| *address == member.peer_address) {
            return Ok(channel.clone());
        }
        channels.retain(|node, _| routes.members.contains_key(node));
        let made = core.world.network.channel(&member.peer_address, Lane::Control, CONNECT);
        let channel = made.map_err(|error| format!("node {node} has an address that cannot be used: {error}"))?;
        channels.insert(node, (member.peer_address.clone(), channel.clone()));
        Ok(channel)
    }
}

/// What the shard of that slot decides, asked again until the deadline while it has no leader that answers.
///
/// # Errors
///
/// No answer came: the operation may be done or not.
pub(super) async fn carry(
    core: &Core,
    slot: Slot,
    operation: Operation,
    deadline: Instant,
) -> Result<Result<Success, Refusal>, String> {
    let shard = core.routes().map_err(|error| error.message)?.shard_of(slot);
    let mut command = Command {
        id: CommandId(core.world.entropy.next_u128()),
        minted_at: LogTime(0),
        keyed: false,
        body: BodyHash::default(),
        linked: false,
        cause: None,
        operation,
    };
    let bytes = encode_command(&mut command);
    loop {
        let attempt_ends = deadline.min(Instant::now() + ATTEMPT);
        let why = match attempt(core, shard, &command, &bytes, attempt_ends).await {
            Ok(outcome) => return Ok(outcome),
            Err(why) => why,
        };
        let again_at = Instant::now() + PAUSE;
        if again_at >= deadline {
            return Err(format!("shard {shard} did not answer: {why}"));
        }
        sleep_until(again_at).await;
    }
}

async fn attempt(
    core: &Core,
    shard: u32,
    command: &Command,
    bytes: &bytes::Bytes,
    deadline: Instant,
) -> Result<Result<Success, Refusal>, String> {
    let routes = core.routes().map_err(|error| error.message)?;
    let handle = core.shard(shard, &routes).map_err(|error| error.message)?;
    if handle.group().is_leader() {
        return decide_here(&handle, EncodedCommand { command: command.clone(), bytes: bytes.clone() }, deadline).await;
    }
    let leader = handle.group().leader().ok_or_else(|| "no leader is known".to_owned())?;
    let channel = core.carrier.channel(core, leader)?;
    let request = DecideRequest { cluster_id: core.config.cluster_id.clone(), shard, command: bytes.clone() };
    let response = timeout_at(deadline, OrderServiceClient::new(channel).decide(request)).await;
    let response = response.map_err(|_| format!("node {leader} took too long"))?;
    let response = response.map_err(|status| format!("node {leader}: {status}"))?;
    match response.into_inner().outcome {
        Some(Outcome::Decided(bytes)) => {
            Answer::decode_outcome(&bytes).ok_or_else(|| format!("node {leader} answers something that is no outcome"))
        }
        Some(Outcome::NotDecided(why)) => Err(format!("node {leader}: {why}")),
        None => Err(format!("node {leader} gave no outcome")),
    }
}

/// Asks the leader of a shard what could be had there.
///
/// # Errors
///
/// It is not known, or did not answer in time.
pub(crate) async fn ask_to_look(
    core: &Core,
    shard: u32,
    request: LookRequest,
    deadline: Instant,
) -> Result<LookResponse, String> {
    let routes = core.routes().map_err(|error| error.message)?;
    let leader = core.shard(shard, &routes).map_err(|error| error.message)?.group().leader();
    let leader = leader.ok_or_else(|| "no leader is known".to_owned())?;
    let channel = core.carrier.channel(core, leader)?;
    let attempt_ends = deadline.min(Instant::now() + ATTEMPT);
    let response = timeout_at(attempt_ends, OrderServiceClient::new(channel).look(request)).await;
    let response = response.map_err(|_| format!("node {leader} took too long"))?;
    Ok(response.map_err(|status| format!("node {leader}: {status}"))?.into_inner())
}

/// Has a shard that this node leads decide a command between shards.
pub(super) async fn decide_here(
    handle: &ShardHandle,
    command: EncodedCommand,
    deadline: Instant,
) -> Result<Result<Success, Refusal>, String> {
    let submitted = handle.submit(vec![command], deadline).map_err(|why| format!("{why:?}"))?;
    let (_, outcome) = submitted.outcomes().await.pop().ok_or("the shard gave no answer")?;
    let mut decided = outcome.map_err(|why| format!("{why:?}"))?;
    decided.answers.pop().map(|answer| answer.outcome).ok_or_else(|| "the shard gave no answer".to_owned())
}
