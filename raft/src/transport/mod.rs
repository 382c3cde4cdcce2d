//! What nodes say to one another, for all groups of a node.
//!
//! The appends and heartbeats of all groups travel in one gRPC stream for each ordered pair of nodes, the heartbeats of all
//! groups that a node leads at one instant and in one frame; votes and leader transfers are calls of their own, on another
//! connection, and so overtake it; snapshots go in chunks on a third.
//! Promises: replies of a group's appends come in the order of the requests; a stream that is broken, or whose other end has
//! fallen silent, ends every session in it as unreachable within [`TransportOptions::link_timeout`] of the next frame; nothing
//! that waits grows without bound; a node of another cluster, or another node than was meant, is refused by name; no word
//! but the handshake is exchanged with a peer that [`GroupRegistry::greet`] refuses; no vote counts between two nodes that have not
//! judged each other in their present lives; a damaged group counts in no quorum, whether it is asked or asks, also where it
//! was damaged amid a session.
//! Leaves to others: which groups there are, what a snapshot is made of, and what to think of a peer's facts.

mod connection;
mod entries;
mod handshake;
mod incoming;
mod link;
mod lives;
mod meter;
mod network;
mod options;
mod outbox;
mod pulse;
mod registry;
mod service;
mod session;
pub(crate) mod snapshots;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use holdfast_proto::peer::v1 as messages;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_proto::peer::v1::peer_service_server::PeerServiceServer;
use holdfast_world::{GrpcChannel, Lane, World};

use crate::log::{Incarnation, LogId, LogRecord};
use crate::types::{GroupId, NodeId};
use link::Link;
use lives::Lives;

pub use handshake::HandshakeError;
pub use network::{Factory, GroupNetwork};
pub use options::TransportOptions;
pub(crate) use pulse::pulse;
pub use registry::{GroupFacts, GroupRaft, GroupRegistry, NoReplica, NodeFacts, Refusal};
pub use snapshots::FetchError;

use crate::checkpoint::ReceivedSnapshot;

/// The transport of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    context: Arc<Context>,
    shared: Arc<Shared>,
}

/// What every part of the transport knows.
struct Context {
    world: World,
    options: TransportOptions,
    /// Given with the routes, which keep it: whoever is served owns a transport itself.
    registry: OnceLock<Weak<dyn GroupRegistry>>,
    lives: Lives,
}

#[derive(Debug, Default)]
struct Shared {
    peers: Mutex<BTreeMap<NodeId, Arc<Peer>>>,
    reading: Mutex<BTreeMap<GroupId, Arc<AtomicUsize>>>,
}

/// Another node, at an address.
#[derive(Debug)]
struct Peer {
    node: NodeId,
    address: String,
    /// Or why the address is none.
    reached: Result<Reached, String>,
}

#[derive(Debug)]
struct Reached {
    link: Link,
    control: PeerServiceClient<GrpcChannel>,
    /// Held while hands are shaken for a vote: those of other groups wait for that one.
    shaking: tokio::sync::Mutex<()>,
    bulk: PeerServiceClient<GrpcChannel>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Context {
    fn envelope(&self, to_node: NodeId) -> messages::Envelope {
        messages::Envelope { cluster_id: self.options.cluster_id.clone(), from_node: self.options.node_id, to_node }
    }

    fn registry(&self) -> Option<Arc<dyn GroupRegistry>> {
        self.registry.get()?.upgrade()
    }

    /// A damaged group is silent, and so are all of a node that a peer takes for an older copy: nothing that they would say, or that
    /// is said to them, may count in a quorum. What is no word in a quorum is still answered: copies of entries, and snapshots.
    fn silence(&self, group: GroupId) -> Option<NoReplica> {
        match self.registry()?.replica(group) {
            Err(silent @ (NoReplica::Damaged { .. } | NoReplica::Outcast { .. })) => Some(silent),
            Ok(_) | Err(NoReplica::Unknown { .. }) => None,
        }
    }

    /// The present life of this node.
    fn own_life(&self) -> Incarnation {
        self.registry().map(|registry| registry.incarnation()).unwrap_or_default()
    }

    /// A client of the peer service at an address.
    fn client(&self, address: &str, lane: Lane) -> Result<PeerServiceClient<GrpcChannel>, String> {
        let channel = self.world.network.channel(address, lane, self.options.connect_timeout);
        let channel = channel.map_err(|error| format!("{address} is not an address: {error}"))?;
        Ok(PeerServiceClient::new(channel)
            .max_decoding_message_size(self.options.frame_bytes)
            .max_encoding_message_size(self.options.frame_bytes))
    }
}

impl Transport {
    /// The transport of a node. Nothing is connected before it is used.
    #[must_use]
    pub fn new(world: &World, options: TransportOptions) -> Self {
        let context = Context { world: world.clone(), options, registry: OnceLock::new(), lives: Lives::default() };
        Self { context: Arc::new(context), shared: Arc::default() }
    }

    /// What openraft reaches the other members of `group` by.
    #[must_use]
    pub fn factory(&self, group: GroupId) -> Factory {
        Factory::new(self.clone(), group)
    }

    /// What answers the peers; to be served at this node's peer address. To be asked for once: the handshakes of this node's
    /// own streams ask the first registry, while it lives.
    #[must_use]
    pub fn routes(&self, registry: Arc<dyn GroupRegistry>) -> tonic::service::Routes {
        self.context.registry.get_or_init(|| Arc::downgrade(&registry));
        let service = service::PeerServer::new(self.context.clone(), registry);
        let server = PeerServiceServer::new(service)
            .max_decoding_message_size(self.context.options.frame_bytes)
            .max_encoding_message_size(self.context.options.frame_bytes);
        tonic::service::Routes::new(server)
    }

    /// Asks the node at `address` who it is, and tells it who this one is.
    ///
    /// # Errors
    ///
    /// It does not answer, or one refuses the other.
    pub async fn handshake(&self, address: &str) -> Result<NodeFacts, HandshakeError> {
        self.handshake_with(0, address).await
    }

    /// The same with a certain node: another one that answers there is told nothing, and is no answer.
    ///
    /// # Errors
    ///
    /// It does not answer, or one refuses the other.
    pub async fn handshake_with(&self, node: NodeId, address: &str) -> Result<NodeFacts, HandshakeError> {
        let client = self.context.client(address, Lane::Control).map_err(HandshakeError::Unreachable)?;
        handshake::exchange(&self.context, client, node).await
    }

    /// Fetches the last checkpoint of `group` from the node at `address`.
    ///
    /// # Errors
    ///
    /// It does not answer, has none, or sends what is none.
    pub async fn fetch_snapshot(&self, address: &str, group: GroupId) -> Result<ReceivedSnapshot, FetchError> {
        let client = self.context.client(address, Lane::Bulk).map_err(FetchError::Unreachable)?;
        snapshots::fetch(&self.context, client, group).await
    }

    /// Fetches entries of `group` by their exact ids from `node` at `address`: those that it has whole, as many as fit one
    /// answer.
    ///
    /// # Errors
    ///
    /// It does not answer, refuses this node, or sends what was not asked for.
    pub async fn fetch_entries(
        &self,
        node: NodeId,
        address: &str,
        group: GroupId,
        ids: &[LogId],
    ) -> Result<Vec<LogRecord>, FetchError> {
        let client = self.context.client(address, Lane::Bulk).map_err(FetchError::Unreachable)?;
        entries::fetch(&self.context, client, node, group, ids).await
    }

    /// While it lives, heartbeats of `group` do not wait for those of others: a linearizable read waits for one.
    #[must_use]
    pub fn reading(&self, group: GroupId) -> Reading {
        let readers = self.readers(group);
        readers.fetch_add(1, Ordering::Relaxed);
        Reading(readers)
    }

    /// Ends every stream to other nodes. Those who still use the transport find its peers unreachable, and may connect anew.
    pub fn close(&self) {
        let peers = std::mem::take(&mut *self.peers());
        for reached in peers.values().filter_map(|peer| peer.reached.as_ref().ok()) {
            reached.link.close();
        }
    }

    fn readers(&self, group: GroupId) -> Arc<AtomicUsize> {
        let mut reading = self.shared.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.entry(group).or_default().clone()
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Peer>>> {
        self.shared.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node, at this address from now on.
    fn peer(&self, node: NodeId, address: &str) -> Arc<Peer> {
        let mut peers = self.peers();
        if let Some(peer) = peers.get(&node).filter(|peer| peer.address == address) {
            return peer.clone();
        }
        let peer = Arc::new(Peer { node, address: address.to_owned(), reached: self.reach(node, address) });
        peers.insert(node, peer.clone());
        peer
    }

    fn reach(&self, node: NodeId, address: &str) -> Result<Reached, String> {
        let control = self.context.client(address, Lane::Control)?;
        let append = self.context.client(address, Lane::Append)?;
        let bulk = self.context.client(address, Lane::Bulk)?;
        let link = Link::new(self.context.clone(), node, control.clone(), append);
        Ok(Reached { link, control, shaking: tokio::sync::Mutex::default(), bulk })
    }
}

/// A linearizable read under way.
#[derive(Debug)]
pub struct Reading(Arc<AtomicUsize>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
