//! Checkpoints on their way between nodes, in chunks: pushed by a leader whose log no longer has what a follower needs, or
//! fetched by a node that has lost its own.
//!
//! Each chunk has a deadline of its own, the whole has none. What arrives is gathered in memory up to a limit and is
//! verified before openraft hears of it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_world::GrpcChannel;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::handshake::meant_for_us;
use super::registry::{GroupRaft, GroupRegistry};
use super::session::unreachable;
use super::wire::{id_from_wire, id_to_wire, malformed, vote_from_wire, vote_to_wire};
use super::{Context, meter};
use crate::checkpoint::{ReceivedSnapshot, Snapshot, StoredSnapshot, meta_of};
use crate::control::CheckpointRecord;
use crate::machine::ChunkKey;
use crate::types::{GroupId, NodeId, Types};

/// What surrounds a part in its chunk.
const PART_OVERHEAD: usize = 64;

/// Why no checkpoint, or no entries, could be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The peer does not answer, or stopped in the middle.
    #[error("{0}")]
    Unreachable(String),
    /// The peer has none.
    #[error("the peer has no checkpoint: {0}")]
    None(String),
    /// The peer does not give anything to this node.
    #[error("the peer refuses this node: {0}")]
    Refused(String),
    /// The peer is asked by as many as it answers at once.
    #[error("the peer is busy: {0}")]
    Busy(String),
    /// What came is not what was asked for.
    #[error("the peer sent what was not asked for: {0}")]
    Malformed(io::Error),
}

/// Reads a stored checkpoint as chunks.
struct Chunks {
    head: Option<wire::SnapshotHead>,
    stored: StoredSnapshot,
    keys: VecDeque<ChunkKey>,
    /// The rest of a piece that did not fit.
    rest: Option<(ChunkKey, Bytes)>,
    parts: u64,
    limit: usize,
    is_done: bool,
}

impl Chunks {
    fn new(head: wire::SnapshotHead, stored: StoredSnapshot, limit: usize) -> Self {
        let keys = stored.chunk_keys().into();
        Self { head: Some(head), stored, keys, rest: None, parts: 0, limit, is_done: false }
    }

    async fn next(&mut self) -> io::Result<Option<wire::SnapshotChunk>> {
        if self.is_done {
            return Ok(None);
        }
        let mut chunk = wire::SnapshotChunk { head: self.head.take(), ..wire::SnapshotChunk::default() };
        let mut room = self.limit;
        while room > PART_OVERHEAD {
            let (key, mut bytes) = match self.rest.take() {
                Some(rest) => rest,
                None => {
                    let Some(key) = self.keys.pop_front() else { break };
                    let bytes = self.stored.chunk(&key).await?;
                    (key, bytes)
                }
            };
            let cut = bytes.len().min((room - PART_OVERHEAD).max(1));
            let part = bytes.split_to(cut);
            let continues = !bytes.is_empty();
            room = room.saturating_sub(part.len() + key.len() + PART_OVERHEAD);
            chunk.parts.push(wire::SnapshotPart { key: key.clone().into(), bytes: part, continues });
            self.parts += 1;
            if continues {
                self.rest = Some((key, bytes));
            }
        }
        self.is_done = self.keys.is_empty() && self.rest.is_none();
        chunk.last = self.is_done;
        chunk.parts_total = if self.is_done { self.parts } else { 0 };
        Ok(Some(chunk))
    }
}

fn head(
    envelope: wire::Envelope,
    group: GroupId,
    vote: Option<&VoteOf<Types>>,
    record: &CheckpointRecord,
) -> wire::SnapshotHead {
    wire::SnapshotHead {
        envelope: Some(envelope),
        group: group.0,
        ballot: vote.map(vote_to_wire),
        generation: record.generation,
        applied: record.applied.map(id_to_wire),
        digest: Bytes::copy_from_slice(&record.digest),
        changes_seq: record.changes_seq,
        changes_hash: Bytes::copy_from_slice(&record.changes_hash),
        membership: record.membership.clone().into(),
    }
}

fn record_of(head: &wire::SnapshotHead) -> io::Result<CheckpointRecord> {
    let hash = |bytes: &Bytes| <[u8; 32]>::try_from(&bytes[..]).map_err(|_| malformed("a hash of another length"));
    Ok(CheckpointRecord {
        generation: head.generation,
        applied: head.applied.map(id_from_wire),
        digest: hash(&head.digest)?,
        changes_seq: head.changes_seq,
        changes_hash: hash(&head.changes_hash)?,
        membership: head.membership.to_vec(),
    })
}

/// A snapshot being sent by a leader.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    pub(super) context: &'a Context,
    pub(super) group: GroupId,
    pub(super) target: NodeId,
    pub(super) vote: VoteOf<Types>,
}

impl Sending<'_> {
    pub(super) async fn send(
        &self,
        client: PeerServiceClient<GrpcChannel>,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Snapshot::Stored(stored) = snapshot else {
            return Err(unreachable("only a stored checkpoint is sent").into());
        };
        let sent = tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = self.push(client, stored) => sent.map_err(StreamingError::from),
        };
        meter::snapshot_sent(sent.is_ok());
        sent
    }

    async fn push(
        &self,
        mut client: PeerServiceClient<GrpcChannel>,
        stored: StoredSnapshot,
    ) -> Result<SnapshotResponse<Types>, RPCError<Types>> {
        let options = &self.context.options;
        let head = head(self.context.envelope(self.target), self.group, Some(&self.vote), &stored.record);
        let mut chunks = Chunks::new(head, stored, options.chunk_bytes);
        let (sender, outgoing) = mpsc::channel(1);
        let mut answer = std::pin::pin!(client.install_snapshot(ReceiverStream::new(outgoing)));
        let feed = async move {
            while let Some(chunk) = chunks.next().await.map_err(unreachable)? {
                match tokio::time::timeout(options.chunk_timeout, sender.send(chunk)).await {
                    Ok(Ok(())) => {}
                    // The other side has answered already: its answer says why.
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => return Err(self.too_late(options.chunk_timeout)),
                }
            }
            Ok(())
        };
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            fed = feed => {
                fed?;
                let answered = tokio::time::timeout(options.install_timeout, answer).await;
                answered.map_err(|_| self.too_late(options.install_timeout))?
            }
        };
        let response = answered.map_err(unreachable)?.into_inner();
        Ok(SnapshotResponse::new(vote_from_wire(response.ballot).map_err(unreachable)?))
    }

    fn too_late(&self, timeout: std::time::Duration) -> RPCError<Types> {
        RPCError::Timeout(Timeout {
            action: RPCTypes::InstallSnapshot,
            id: self.context.options.node_id,
            target: self.target,
            timeout,
        })
    }
}

/// The chunks of a stored checkpoint for a peer that asked for it.
pub(super) fn serve(
    context: &Context,
    group: GroupId,
    stored: StoredSnapshot,
) -> impl Stream<Item = Result<wire::SnapshotChunk, Status>> + Send + 'static {
    let head = head(context.envelope(0), group, None, &stored.record);
    let chunks = Chunks::new(head, stored, context.options.chunk_bytes);
    futures_util::stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await {
            Ok(None) => None,
            Ok(Some(chunk)) => Some((Ok(chunk), Some(chunks))),
            Err(error) => Some((Err(Status::data_loss(error.to_string())), None)),
        }
    })
}

/// Gathers the chunks of a checkpoint.
#[derive(Debug, Default)]
struct Gathering {
    head: Option<wire::SnapshotHead>,
    pieces: Vec<(ChunkKey, Bytes)>,
    /// A piece that goes on in the next part.
    open: Option<(Bytes, BytesMut)>,
    parts: u64,
    bytes: u64,
}

impl Gathering {
    /// Takes the next chunk; true: it was the last one.
    fn take(&mut self, chunk: wire::SnapshotChunk, limit: u64) -> io::Result<bool> {
        match (&self.head, chunk.head) {
            (None, Some(head)) => self.head = Some(head),
            (Some(_), None) => {}
            (None, None) => return Err(malformed("a snapshot that does not begin with its head")),
            (Some(_), Some(_)) => return Err(malformed("a snapshot with two heads")),
        }
        for part in chunk.parts {
            self.parts += 1;
            self.bytes += part.bytes.len() as u64 + part.key.len() as u64;
            if self.bytes > limit {
                return Err(malformed("a snapshot with more bytes than this node takes"));
            }
            self.take_part(part)?;
        }
        if chunk.last && (self.open.is_some() || chunk.parts_total != self.parts) {
            return Err(malformed("a snapshot of which parts are missing"));
        }
        Ok(chunk.last)
    }

    fn take_part(&mut self, part: wire::SnapshotPart) -> io::Result<()> {
        match self.open.take() {
            None if part.continues => self.open = Some((part.key, BytesMut::from(&part.bytes[..]))),
            None => self.pieces.push((part.key.to_vec(), part.bytes)),
            Some((key, _)) if key != part.key => return Err(malformed("a snapshot with a piece that is cut off")),
            Some((key, mut bytes)) => {
                bytes.extend_from_slice(&part.bytes);
                if part.continues {
                    self.open = Some((key, bytes));
                } else {
                    self.pieces.push((key.to_vec(), bytes.freeze()));
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<(wire::SnapshotHead, ReceivedSnapshot)> {
        let head = self.head.ok_or_else(|| malformed("a snapshot without a head"))?;
        let record = record_of(&head)?;
        Ok((head, ReceivedSnapshot { record, chunks: self.pieces }))
    }
}

/// Why a snapshot did not arrive whole.
enum GatherError {
    Stream(Status),
    Malformed(io::Error),
}

async fn gather(
    context: &Context,
    mut chunks: Streaming<wire::SnapshotChunk>,
    check: impl Fn(&wire::SnapshotHead) -> Result<(), Status>,
) -> Result<(wire::SnapshotHead, ReceivedSnapshot), GatherError> {
    let options = &context.options;
    let mut gathering = Gathering::default();
    loop {
        let is_first = gathering.head.is_none();
        let next = tokio::time::timeout(options.chunk_timeout, chunks.message()).await;
        let next =
            next.unwrap_or_else(|_| Err(Status::deadline_exceeded("a chunk of a snapshot did not come in time")));
        let chunk = next.map_err(GatherError::Stream)?;
        let chunk = chunk.ok_or_else(|| GatherError::Malformed(malformed("a snapshot that ends too early")))?;
        let is_last = gathering.take(chunk, options.snapshot_bytes).map_err(GatherError::Malformed)?;
        if is_first && let Some(head) = &gathering.head {
            check(head).map_err(GatherError::Stream)?;
        }
        if is_last {
            return gathering.finish().map_err(GatherError::Malformed);
        }
    }
}

/// Takes a snapshot that a leader sends, and has openraft put it in place.
pub(super) async fn install(
    context: &Context,
    registry: &Arc<dyn GroupRegistry>,
    chunks: Streaming<wire::SnapshotChunk>,
) -> Result<wire::InstallSnapshotResponse, Status> {
    let replica = |head: &wire::SnapshotHead| {
        registry.replica(GroupId(head.group)).map_err(|why| Status::unavailable(why.to_string()))
    };
    let check = |head: &wire::SnapshotHead| {
        meant_for_us(context, head.envelope.as_ref())?;
        replica(head).map(drop)
    };
    let (head, received) = gather(context, chunks, check).await.map_err(|error| match error {
        GatherError::Stream(status) => status,
        GatherError::Malformed(error) => Status::invalid_argument(error.to_string()),
    })?;
    let invalid = |error: io::Error| Status::invalid_argument(error.to_string());
    let vote = vote_from_wire(head.ballot).map_err(invalid)?;
    registry.verify(GroupId(head.group), &received).map_err(Status::data_loss)?;
    let meta = meta_of(&received.record).map_err(invalid)?;
    let raft = replica(&head)?;
    applied_all(&raft, context).await?;
    let snapshot = SnapshotOf::<Types, Snapshot> { meta, snapshot: Snapshot::Received(received) };
    let response = raft.install_full_snapshot(vote, snapshot).await;
    let response = response.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
    Ok(wire::InstallSnapshotResponse { ballot: Some(vote_to_wire(&response.vote)) })
}

/// Waits until nothing that is committed here is yet to be applied: openraft purges the log when it installs, and panics if an
/// apply that it has queued then finds its entries gone (openraft #2116).
async fn applied_all(raft: &GroupRaft, context: &Context) -> Result<(), Status> {
    let mut metrics = raft.metrics();
    let settled = async {
        loop {
            {
                let now = metrics.borrow_and_update();
                if now.last_applied >= now.local_committed {
                    return Ok(());
                }
            }
            if metrics.changed().await.is_err() {
                return Err(Status::unavailable("the group has stopped"));
            }
        }
    };
    let settled = tokio::time::timeout(context.options.chunk_timeout, settled).await;
    settled.unwrap_or_else(|_| Err(Status::unavailable("the group is still applying what it has; send it later")))
}

/// Fetches a peer's last checkpoint.
pub(super) async fn fetch(
    context: &Context,
    mut client: PeerServiceClient<GrpcChannel>,
    group: GroupId,
) -> Result<ReceivedSnapshot, FetchError> {
    let options = &context.options;
    let request = wire::FetchSnapshotRequest { envelope: Some(context.envelope(0)), group: group.0 };
    let asked = tokio::time::timeout(options.connect_timeout, client.fetch_snapshot(request)).await;
    let chunks = match asked {
        Err(_) => return Err(FetchError::Unreachable(format!("no answer within {:?}", options.connect_timeout))),
        Ok(Err(status)) if status.code() == tonic::Code::NotFound => {
            return Err(FetchError::None(status.message().to_owned()));
        }
        Ok(Err(status)) => return Err(FetchError::Unreachable(status.to_string())),
        Ok(Ok(response)) => response.into_inner(),
    };
    let check = |head: &wire::SnapshotHead| {
        let theirs = head.envelope.as_ref().map_or("", |envelope| &envelope.cluster_id);
        if theirs == options.cluster_id && head.group == group.0 {
            return Ok(());
        }
        Err(Status::failed_precondition(format!("it is of group {} in cluster `{theirs}`", head.group)))
    };
    let (_, received) = gather(context, chunks, check).await.map_err(|error| match error {
        GatherError::Stream(status) => FetchError::Unreachable(status.to_string()),
        GatherError::Malformed(error) => FetchError::Malformed(error),
    })?;
    Ok(received)
}

/// A snapshot as it comes from a peer, chunk after chunk, as any bytes.
#[cfg(any(test, fuzzing))]
pub mod untrusted {
    use holdfast_inventory::{Applied, Inventory, Limits};
    use prost::Message;

    use super::*;
    use crate::encode;
    use crate::machine::{HEADER_KEY, MachineKind};

    /// More than is taken of a snapshot here.
    const LIMIT: u64 = 1_024 * 1_024;

    /// A valid input: a shard's state in two chunks.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        let mut inventory = Inventory::new(Limits::default());
        let entry = encode::decode_entry(&encode::untrusted::valid(), encode::SCHEMA).expect("it is valid");
        inventory.apply(&entry, &mut Applied::default());
        let cut = inventory.cut();
        let header = std::iter::once((HEADER_KEY.to_vec(), cut.header()));
        let pieces = header.chain(cut.encode().map(|(id, bytes)| (id.key().to_vec(), bytes)));
        let part = |(key, bytes): (Vec<u8>, Vec<u8>)| wire::SnapshotPart {
            key: key.into(),
            bytes: bytes.into(),
            continues: false,
        };
        let mut parts: Vec<_> = pieces.map(part).collect();
        let head = wire::SnapshotHead {
            group: 2,
            digest: vec![1; 32].into(),
            changes_hash: vec![2; 32].into(),
            ..wire::SnapshotHead::default()
        };
        let parts_total = parts.len() as u64;
        let rest = parts.split_off(1);
        let first = wire::SnapshotChunk { head: Some(head), parts, ..wire::SnapshotChunk::default() };
        let last = wire::SnapshotChunk { parts: rest, last: true, parts_total, ..wire::SnapshotChunk::default() };
        [first.encode_length_delimited_to_vec(), last.encode_length_delimited_to_vec()].concat()
    }

    /// Refuses it, or gathers it and loads it as what either kind of group has, believing no digest: true.
    pub fn read(bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let mut gathering = Gathering::default();
        while let Ok(chunk) = wire::SnapshotChunk::decode_length_delimited(&mut rest) {
            match gathering.take(chunk, LIMIT) {
                Ok(false) => {}
                Ok(true) => break,
                Err(_) => return false,
            }
        }
        let Ok((_, received)) = gathering.finish() else { return false };
        let is_meta = received.machine(&MachineKind::Meta).is_ok();
        let _ = crate::store::decode_membership(&received.record.membership);
        let loaded = crate::machine::Machine::load(&MachineKind::Shard(Limits::default()), received.chunks);
        is_meta || loaded.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::untrusted;

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_snapshot_is_refused_or_read_and_never_a_panic(
            bytes in holdfast_mangle::mangled(untrusted::valid()),
        ) {
            untrusted::read(&bytes);
        }
    }
}
