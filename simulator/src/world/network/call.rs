//! The calling end: a tower service that carries a request to the process that listens at an address.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;

use super::links::{Net, Way};
use super::pipe::{self, pipe};
use super::serve::Incoming;
use super::weather::Line;
use crate::world::Life;

/// A channel to one address.
#[derive(Clone, Debug)]
pub(super) struct SimChannel {
    net: Arc<Net>,
    life: Arc<Life>,
    address: Arc<str>,
}

/// What keeps a call going at the caller: dropping it stops the request's body and tells the other end.
#[derive(Debug)]
struct Call {
    _tether: oneshot::Sender<()>,
    body: AbortHandle,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.body.abort();
    }
}

impl SimChannel {
    pub(super) fn new(net: Arc<Net>, life: Arc<Life>, address: &str) -> Self {
        Self { net, life, address: address.into() }
    }

    async fn call_within(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Some(timeout) = grpc_timeout(request.headers()) else { return self.exchange(request).await };
        tokio::select! {
            biased;
            response = self.exchange(request) => response,
            () = tokio::time::sleep(timeout) => Err(Status::cancelled("timeout expired")),
        }
    }

    async fn exchange(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Self { net, life, address } = self;
        life.goes_on().await;
        let host = net.host_of(&address).ok_or_else(|| Status::unavailable(format!("no host of {address}")))?;
        let way = Way { from: life.host(), to: host };
        let (mut parts, body) = request.into_parts();
        parts.extensions = http::Extensions::new();
        let line = net.open_line(way, parts.uri.path());
        let Some(arrival) = net.send(life.now(), Duration::ZERO, way, parts.uri.path(), 0) else {
            return Err(broken(&net, &life, &line, way).await);
        };
        let Some(listener) = net.listener(&address) else { return Err(refused(&net, &life, way, arrival).await) };

        let (outlet, unread) = pipe(net.clone(), life.clone(), way, line.clone(), arrival);
        let (answer, answered) = oneshot::channel();
        let (tether, tethered) = oneshot::channel();
        let sending = tokio::spawn(outlet.send_all(body));
        let call = Call { _tether: tether, body: sending.abort_handle() };
        let incoming = Incoming { from: way.from, arrival, parts, body: unread, line: line.clone(), answer, tethered };
        if listener.send(incoming).await.is_err() {
            return Err(refused(&net, &life, way, arrival).await);
        }
        let Ok((arrival, parts, body)) = answered.await else {
            pipe::news(&net, &life, way.back()).await;
            return Err(pipe::reset());
        };
        life.sleep_until(arrival).await;
        life.goes_on().await;
        if !net.passes(way.back()) {
            return Err(broken(&net, &life, &line, way).await);
        }
        Ok(Response::from_parts(parts, body.into_body(net, life, way.back(), call)))
    }
}

/// Something was lost: it takes until the connection breaks that anything is seen of it.
async fn broken(net: &Net, life: &Life, line: &Line, way: Way) -> Status {
    line.breaks().await;
    pipe::news(net, life, way.back()).await;
    pipe::reset()
}

/// Nobody listens: the other host says so, as far as its words get through.
async fn refused(net: &Net, life: &Life, way: Way, arrival: Duration) -> Status {
    life.sleep_until(arrival).await;
    pipe::news(net, life, way.back()).await;
    Status::unavailable("connection refused")
}

impl tower::Service<Request<Body>> for SimChannel {
    type Response = Response<Body>;
    type Error = holdfast_world::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move { channel.call_within(request).await.map_err(Into::into) })
    }
}

/// The deadline that a request carries: tonic's own transport keeps it at both ends, so ours does.
pub(super) fn grpc_timeout(headers: &http::HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.checked_mul(3_600)?)),
        "M" => Some(Duration::from_secs(amount.checked_mul(60)?)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}
