//! A channel whose error is a type of its own, so that the futures of tonic's clients can be spawned: with a boxed error
//! the compiler cannot show that they are `Send`.

use std::fmt;
use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapErr;
use holdfast_world::{BoxError, GrpcChannel};
use tonic::body::Body;
use tonic::codegen::{Service, http};

/// A connection to one address. It connects when first used and again after it broke.
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

impl Connection {
    pub(crate) fn new(channel: GrpcChannel) -> Self {
        Self(channel)
    }
}

type Answering = <GrpcChannel as Service<http::Request<Body>>>::Future;

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Body>;
    type Error = Broken;
    type Future = MapErr<Answering, fn(BoxError) -> Broken>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.0.poll_ready(cx).map_err(Broken)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_err(Broken)
    }
}
