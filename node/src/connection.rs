//! Channels to other nodes whose error is a type of its own: with a boxed error the compiler cannot show that the futures of
//! tonic's clients are `Send`.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use holdfast_world::{BoxError, GrpcChannel, Lane, World};
use tonic::body::Body;
use tonic::codegen::{Service, http};

/// A channel to a node.
#[derive(Clone, Debug)]
pub(crate) struct Connection(GrpcChannel);

/// The transport's error.
#[derive(Debug)]
pub(crate) struct Broken(BoxError);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// A channel to the node at `address`, which connects when it is first used.
pub(crate) fn connect(world: &World, address: &str, lane: Lane, patience: Duration) -> Result<Connection, BoxError> {
    world.network.channel(address, lane, patience).map(Connection)
}

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Body>;
    type Error = Broken;
    type Future = MapErr<<GrpcChannel as Service<http::Request<Body>>>::Future, fn(BoxError) -> Broken>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_ready(context).map_err(Broken)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_err(Broken)
    }
}
