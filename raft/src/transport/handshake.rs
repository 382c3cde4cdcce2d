//! Before anything else two nodes tell each other who they are.

use std::sync::Arc;

use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_world::GrpcChannel;
use tonic::{Code, Status};

use super::Context;
use super::registry::{GroupRegistry, NodeFacts, Refusal};
use super::wire::{facts_from_wire, facts_to_wire};
use crate::types::NodeId;

/// Why two nodes do not speak to each other.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other node does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The other node belongs to another cluster.
    #[error("the node at that address belongs to cluster `{theirs}`, this one to `{ours}`")]
    OtherCluster {
        /// Its cluster.
        theirs: String,
        /// This node's.
        ours: String,
    },
    /// Another node answers than was meant.
    #[error("node {found} answers where node {meant} should")]
    OtherNode {
        /// Who answers.
        found: NodeId,
        /// Who was meant.
        meant: NodeId,
    },
    /// The other node has seen more of this one than it has now.
    #[error("the peer takes this node for an older copy of itself: {0}")]
    OlderCopy(String),
    /// The other node does not speak with this one.
    #[error("the peer refuses this node: {0}")]
    Refused(String),
    /// This node does not speak with the other one.
    #[error("the peer is refused: {0}")]
    NotTaken(String),
}

/// Checks that a message is meant for this node.
pub(super) fn meant_for_us(context: &Context, envelope: Option<&wire::Envelope>) -> Result<NodeId, Status> {
    let options = &context.options;
    let Some(envelope) = envelope else { return Err(Status::invalid_argument("a message without an envelope")) };
    if envelope.cluster_id != options.cluster_id {
        let (ours, theirs) = (&options.cluster_id, &envelope.cluster_id);
        let why = format!("this node belongs to cluster `{ours}`, the sender to `{theirs}`");
        return Err(Status::failed_precondition(why));
    }
    if envelope.to_node != 0 && envelope.to_node != options.node_id {
        // No refusal: whoever was meant may be elsewhere by now.
        let why = format!("this is node {}, the message is for node {}", options.node_id, envelope.to_node);
        return Err(Status::not_found(why));
    }
    Ok(envelope.from_node)
}

/// Judges a peer, and keeps in which life it was found well.
async fn judge(context: &Context, registry: &dyn GroupRegistry, peer: &NodeFacts) -> Result<(), Refusal> {
    let judged = registry.greet(peer).await;
    match judged {
        Ok(()) => context.lives.judge(peer.node_id, peer.incarnation),
        Err(_) => context.lives.forget(peer.node_id),
    }
    judged
}

/// Tells the other node who this one is, and learns who it is. `node` 0: whoever answers.
pub(super) async fn exchange(
    context: &Context,
    mut client: PeerServiceClient<GrpcChannel>,
    node: NodeId,
) -> Result<NodeFacts, HandshakeError> {
    let options = &context.options;
    // A node that stops has nothing to tell of itself any more: told without its life it would be taken for an older copy.
    let own = context.registry().map(|registry| registry.facts()).filter(|own| own.node_id == options.node_id);
    let own = own.ok_or_else(|| HandshakeError::Unreachable("this node is stopping".to_owned()))?;
    let request = wire::HandshakeRequest { envelope: Some(context.envelope(node)), facts: Some(facts_to_wire(own)) };
    let answered = tokio::time::timeout(options.connect_timeout, client.handshake(request)).await;
    let response = match answered {
        Err(_) => return Err(HandshakeError::Unreachable(format!("no answer within {:?}", options.connect_timeout))),
        Ok(Err(status)) if status.code() == Code::PermissionDenied => {
            return Err(HandshakeError::OlderCopy(status.message().to_owned()));
        }
        Ok(Err(status)) if status.code() == Code::FailedPrecondition => {
            return Err(HandshakeError::Refused(status.message().to_owned()));
        }
        Ok(Err(status)) => return Err(HandshakeError::Unreachable(status.to_string())),
        Ok(Ok(response)) => response.into_inner(),
    };
    let facts = facts_from_wire(response.facts).map_err(|error| HandshakeError::NotTaken(error.to_string()))?;
    if facts.cluster_id != options.cluster_id {
        return Err(HandshakeError::OtherCluster { theirs: facts.cluster_id, ours: options.cluster_id.clone() });
    }
    if node != 0 && facts.node_id != node {
        return Err(HandshakeError::OtherNode { found: facts.node_id, meant: node });
    }
    if let Some(registry) = context.registry() {
        judge(context, &*registry, &facts).await.map_err(|refusal| HandshakeError::NotTaken(refusal.to_string()))?;
    }
    Ok(facts)
}

/// Answers a handshake.
pub(super) async fn answer(
    context: &Context,
    registry: &Arc<dyn GroupRegistry>,
    request: wire::HandshakeRequest,
) -> Result<wire::HandshakeResponse, Status> {
    let from = meant_for_us(context, request.envelope.as_ref())?;
    let theirs = facts_from_wire(request.facts).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if theirs.node_id != from || from == context.options.node_id {
        return Err(Status::failed_precondition(format!("node {from} is another than it says")));
    }
    judge(context, &**registry, &theirs).await.map_err(|refusal| match refusal {
        Refusal::OlderCopy(why) => Status::permission_denied(why),
        Refusal::Stranger(why) => Status::failed_precondition(why),
        Refusal::NotNow(why) => Status::unavailable(why),
    })?;
    let own = registry.facts();
    if own.node_id != context.options.node_id {
        return Err(Status::unavailable("this node is stopping"));
    }
    Ok(wire::HandshakeResponse { facts: Some(facts_to_wire(own)) })
}
