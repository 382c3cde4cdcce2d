//! Entries by their exact ids, for a node whose own copies have rotted: given to members of the group alone, a bounded number
//! of bytes at once and to a bounded number of askers. Whether a copy is right is for the one who asks to check.

use std::sync::Arc;

use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_world::GrpcChannel;
use tonic::{Code, Status};

use super::Context;
use super::registry::GroupRegistry;
use super::snapshots::FetchError;
use super::wire::{id_from_wire, id_to_wire, malformed, record_from_wire, record_to_wire};
use crate::log::{LogId, LogRecord};
use crate::types::{GroupId, NodeId};

/// Entries asked for at once.
const IDS_AT_ONCE: usize = 256;

/// Bytes of entries in one answer, when more than one is in it: with what surrounds them they fit a frame.
const ANSWER_BYTES: usize = 3 * 1_024 * 1_024;

/// Fetches those of `ids` that the peer has whole, as many as fit one answer.
pub(super) async fn fetch(
    context: &Context,
    mut client: PeerServiceClient<GrpcChannel>,
    node: NodeId,
    group: GroupId,
    ids: &[LogId],
) -> Result<Vec<LogRecord>, FetchError> {
    let request = wire::FetchEntriesRequest {
        envelope: Some(context.envelope(node)),
        group: group.0,
        ids: ids.iter().take(IDS_AT_ONCE).map(|id| id_to_wire(*id)).collect(),
    };
    let timeout = context.options.chunk_timeout;
    let answered = tokio::time::timeout(timeout, client.fetch_entries(request)).await;
    let response = match answered {
        Err(_) => return Err(FetchError::Unreachable(format!("no answer within {timeout:?}"))),
        Ok(Err(status)) => return Err(not_fetched(&status)),
        Ok(Ok(response)) => response.into_inner(),
    };
    let records = response.entries.into_iter().map(|fetched| {
        let entry = fetched.entry.ok_or_else(|| malformed("an answer without its entry"))?;
        record_from_wire(entry, fetched.index)
    });
    let records: Vec<LogRecord> = records.collect::<std::io::Result<_>>().map_err(FetchError::Malformed)?;
    match records.iter().find(|record| !ids.contains(&record.id())) {
        Some(other) => Err(FetchError::Malformed(malformed(&format!("entry {} of group {group}", other.id())))),
        None => Ok(records),
    }
}

fn not_fetched(status: &Status) -> FetchError {
    let why = status.message().to_owned();
    match status.code() {
        Code::FailedPrecondition | Code::PermissionDenied | Code::NotFound => FetchError::Refused(why),
        Code::ResourceExhausted => FetchError::Busy(why),
        _ => FetchError::Unreachable(status.to_string()),
    }
}

/// Answers node `from`, which is believed, and asks for entries.
pub(super) async fn serve(
    registry: &Arc<dyn GroupRegistry>,
    from: NodeId,
    request: wire::FetchEntriesRequest,
) -> Result<wire::FetchEntriesResponse, Status> {
    let group = GroupId(request.group);
    if !registry.is_member(group, from) {
        return Err(Status::permission_denied(format!(
            "node {from} is no member of group {group} as this node knows it"
        )));
    }
    let mut entries = Vec::new();
    let mut bytes = 0;
    for id in request.ids.into_iter().take(IDS_AT_ONCE) {
        let Some(record) = registry.entry(group, id_from_wire(id)).await else { continue };
        bytes += record.payload.len();
        if bytes > ANSWER_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(wire::FetchedEntry { index: record.index, entry: Some(record_to_wire(record)) });
    }
    Ok(wire::FetchEntriesResponse { entries })
}
