//! Requests whose commands are encoded already. A `bytes` field and an embedded message look the same on the wire, so a
//! command is encoded once, when it is sealed, and sent as it is by every attempt.

use bytes::Bytes;
use holdfast_proto::v1;
use holdfast_world::GrpcChannel;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The most commands in one request.
pub(crate) const MAX_COMMANDS: usize = 8_192;

/// The most bytes of commands in one request: 1 MiB, less what the request itself and each command's frame take.
pub(crate) const MAX_BYTES: usize = 1_024 * 1_024 - 64;

/// What a command takes in a request beside its own bytes, at most: a tag and a length, and the mark of another attempt.
pub(crate) const FRAME_BYTES: usize = 6;

/// `holdfast.v1.ExecuteRequest`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecuteRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) command: Bytes,
    #[prost(uint64, tag = "2")]
    pub(crate) route_epoch: u64,
}

/// `holdfast.v1.ExecuteBatchRequest`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExecuteBatchRequest {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(crate) commands: Vec<Bytes>,
    #[prost(uint64, tag = "2")]
    pub(crate) route_epoch: u64,
}

/// `holdfast.v1.SessionRequest`
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(crate) commands: Vec<Bytes>,
    #[prost(uint64, tag = "3")]
    pub(crate) route_epoch: u64,
    #[prost(uint32, tag = "4")]
    pub(crate) timeout_ms: u32,
}

type Grpc = tonic::client::Grpc<GrpcChannel>;

async fn ready(channel: GrpcChannel) -> Result<Grpc, Status> {
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_REPLY_BYTES);
    grpc.ready().await.map_err(|broken| Status::from_error(broken.into()))?;
    Ok(grpc)
}

/// The longest reply that is read.
pub(crate) const MAX_REPLY_BYTES: usize = 32 * 1_024 * 1_024;

pub(crate) async fn execute(
    channel: GrpcChannel,
    request: Request<ExecuteRequest>,
) -> Result<Response<v1::ExecuteResponse>, Status> {
    let path = PathAndQuery::from_static("/holdfast.v1.InventoryService/Execute");
    ready(channel).await?.unary(request, path, ProstCodec::default()).await
}

pub(crate) async fn execute_batch(
    channel: GrpcChannel,
    request: Request<ExecuteBatchRequest>,
) -> Result<Response<v1::ExecuteBatchResponse>, Status> {
    let path = PathAndQuery::from_static("/holdfast.v1.InventoryService/ExecuteBatch");
    ready(channel).await?.unary(request, path, ProstCodec::default()).await
}

pub(crate) async fn session(
    channel: GrpcChannel,
    requests: tokio_stream::wrappers::ReceiverStream<SessionRequest>,
) -> Result<Streaming<v1::SessionResponse>, Status> {
    let path = PathAndQuery::from_static("/holdfast.v1.InventoryService/Session");
    let response = ready(channel).await?.streaming(Request::new(requests), path, ProstCodec::default()).await?;
    Ok(response.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Vec<v1::Command> {
        (0..3)
            .map(|units| v1::Command {
                minted_at_ms: 7,
                operation: Some(v1::command::Operation::Receive(v1::Receive {
                    sku: "LIP-01".to_owned(),
                    units,
                    ..v1::Receive::default()
                })),
                ..v1::Command::default()
            })
            .collect()
    }

    fn encoded() -> Vec<Bytes> {
        commands().iter().map(|command| command.encode_to_vec().into()).collect()
    }

    #[test]
    fn requests_of_encoded_commands_are_read_as_the_protos_say() {
        let session = SessionRequest { number: 9, commands: encoded(), route_epoch: 4, timeout_ms: 250 };
        let read = v1::SessionRequest::decode(session.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, v1::SessionRequest { number: 9, commands: commands(), route_epoch: 4, timeout_ms: 250 });

        let batch = ExecuteBatchRequest { commands: encoded(), route_epoch: 4 };
        let read = v1::ExecuteBatchRequest::decode(batch.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, v1::ExecuteBatchRequest { commands: commands(), route_epoch: 4 });

        let one = ExecuteRequest { command: encoded().remove(1), route_epoch: 4 };
        let read = v1::ExecuteRequest::decode(one.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, v1::ExecuteRequest { command: Some(commands().remove(1)), route_epoch: 4 });
    }
}
