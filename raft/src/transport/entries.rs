//! Entries by their exact ids, for a node whose own copies have rotted.

use std::sync::Arc;

use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_world::GrpcChannel;
use tonic::Status;

use super::Context;
use super::handshake::meant_for_us;
use super::registry::GroupRegistry;
use super::snapshots::FetchError;
use super::wire::{id_from_wire, id_to_wire, malformed, record_from_wire, record_to_wire};
use crate::log::{LogId, LogRecord};
use crate::types::GroupId;

/// Entries asked for at once.
const IDS_AT_ONCE: usize = 256;

/// Bytes of entries in one answer, when more than one is in it: with what surrounds them they fit a frame.
const ANSWER_BYTES: usize = 3 * 1_024 * 1_024;

/// Fetches those of `ids` that the peer has whole, as many as fit one answer.
pub(super) async fn fetch(
    context: &Context,
    mut client: PeerServiceClient<GrpcChannel>,
    group: GroupId,
    ids: &[LogId],
) -> Result<Vec<LogRecord>, FetchError> {
    let request = wire::FetchEntriesRequest {
        envelope: Some(context.envelope(0)),
        group: group.0,
        ids: ids.iter().take(IDS_AT_ONCE).map(|id| id_to_wire(*id)).collect(),
    };
    let timeout = context.options.chunk_timeout;
    let answered = tokio::time::timeout(timeout, client.fetch_entries(request)).await;
    let response = match answered {
        Err(_) => return Err(FetchError::Unreachable(format!("no answer within {timeout:?}"))),
        Ok(Err(status)) => return Err(FetchError::Unreachable(status.to_string())),
        Ok(Ok(response)) => response.into_inner(),
    };
    let records = response.entries.into_iter().map(|fetched| {
        let entry = fetched.entry.ok_or_else(|| malformed("an answer without its entry"))?;
        record_from_wire(entry, fetched.index)
    });
    records.collect::<std::io::Result<_>>().map_err(FetchError::Malformed)
}

/// Answers a peer that asks for entries.
pub(super) async fn serve(
    context: &Context,
    registry: &Arc<dyn GroupRegistry>,
    request: wire::FetchEntriesRequest,
) -> Result<wire::FetchEntriesResponse, Status> {
    meant_for_us(context, request.envelope.as_ref())?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    for id in request.ids.into_iter().take(IDS_AT_ONCE) {
        let Some(record) = registry.entry(GroupId(request.group), id_from_wire(id)).await else { continue };
        bytes += record.payload.len();
        if bytes > ANSWER_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(wire::FetchedEntry { index: record.index, entry: Some(record_to_wire(record)) });
    }
    Ok(wire::FetchEntriesResponse { entries })
}
