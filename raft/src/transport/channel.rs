//! The world's channel to a peer, with an error type of its own: a boxed one cannot be proven to be `Send` where tonic's
//! clients are awaited inside openraft's futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use holdfast_world::{BoxError, GrpcChannel};
use tonic::body::Body;
use tonic::codegen::{Service, http};

/// A channel to a peer.
#[derive(Clone, Debug)]
pub(super) struct PeerChannel(pub(super) GrpcChannel);

/// The channel failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ChannelError(#[source] BoxError);

impl Service<http::Request<Body>> for PeerChannel {
    type Response = http::Response<Body>;
    type Error = ChannelError;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, ChannelError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        self.0.poll_ready(cx).map_err(ChannelError)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map_err(ChannelError) })
    }
}
