//! The network between the hosts: gRPC calls go straight into the routes that the other process serves, frame by frame,
//! each frame with a delay, over links that can be cut.
//!
//! A cut link never errs: what is sent over it vanishes, and the stream it belonged to delivers nothing more. A process
//! that is dead, or does not listen, refuses; a process that dies breaks the streams it was part of. A connection may also
//! break by itself, at once or after it has stalled, with every stream between the two hosts. HTTP/2 itself (flow
//! control by bytes, limits of streams, keepalive) is not simulated: a window of frames stands for its flow control.

mod call;
mod links;
mod pipe;
mod serve;
mod weather;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use holdfast_world::{BoxError, GrpcChannel, Lane, Network, ServeOptions, Shutdown};
use tonic::service::Routes;

pub use links::{DelayRange, Net};
pub use weather::{Decay, Weather};

use super::Life;

/// The network as one process sees it.
#[derive(Debug)]
pub(super) struct SimNetwork {
    net: Arc<Net>,
    life: Arc<Life>,
}

impl SimNetwork {
    pub(super) fn new(net: Arc<Net>, life: Arc<Life>) -> Self {
        Self { net, life }
    }
}

impl Network for SimNetwork {
    fn channel(&self, address: &str, _lane: Lane, _connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        Ok(GrpcChannel::new(call::SimChannel::new(self.net.clone(), self.life.clone(), address)))
    }

    fn outside(&self, address: &str, connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        self.channel(address, Lane::Client, connect_timeout)
    }

    fn serve<'a>(
        &'a self,
        address: &'a str,
        routes: Routes,
        _options: ServeOptions,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = io::Result<Pin<Box<dyn Future<Output = ()> + Send>>>> + Send + 'a>> {
        Box::pin(async move {
            self.life.goes_on().await;
            let listener = serve::Listener::bind(self.net.clone(), self.life.clone(), address)?;
            Ok(Box::pin(listener.serve(routes, shutdown)) as Pin<Box<dyn Future<Output = ()> + Send>>)
        })
    }
}

#[cfg(test)]
mod tests;
