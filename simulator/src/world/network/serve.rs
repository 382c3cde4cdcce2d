//! The serving end: takes the calls that arrive at an address into the routes, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, request, response};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

use super::call::grpc_timeout;
use super::links::{Net, Way};
use super::pipe::{self, Unread, pipe};
use super::weather::Line;
use crate::HostId;
use crate::world::Life;

/// Calls that wait to be taken; a caller beyond them waits itself.
const BACKLOG: usize = 1_024;

/// The head of a response, when it arrives, and its body.
type Answer = (Duration, response::Parts, Unread);

/// A call on its way to a listener.
#[derive(Debug)]
pub(super) struct Incoming {
    pub from: HostId,
    /// When its head arrives.
    pub arrival: Duration,
    pub parts: request::Parts,
    pub body: Unread,
    pub line: Arc<Line>,
    pub answer: oneshot::Sender<Answer>,
    /// Ends when the caller has let go of the call.
    pub tethered: oneshot::Receiver<()>,
}

/// An address at which a process listens, until it is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    net: Arc<Net>,
    life: Arc<Life>,
    address: String,
    calls: mpsc::Receiver<Incoming>,
}

impl Listener {
    pub(super) fn bind(net: Arc<Net>, life: Arc<Life>, address: &str) -> std::io::Result<Self> {
        let (sender, calls) = mpsc::channel(BACKLOG);
        net.listen(life.host(), address, sender)?;
        Ok(Self { net, life, address: address.to_owned(), calls })
    }

    /// Serves until `shutdown`, then until the calls under way have ended.
    pub(super) async fn serve(mut self, routes: Routes, mut shutdown: holdfast_world::Shutdown) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                call = self.calls.recv() => match call {
                    Some(call) => drop(under_way.spawn(answer(self.net.clone(), self.life.clone(), routes.clone(), call))),
                    None => break,
                },
            }
        }
        self.net.forget_listener(&self.address);
        self.calls.close();
        while under_way.join_next().await.is_some() {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A dead process's listeners are forgotten at its death; the address may be another's by now.
        if self.life.is_alive() && !self.calls.is_closed() {
            self.net.forget_listener(&self.address);
        }
    }
}

async fn answer(net: Arc<Net>, life: Arc<Life>, routes: Routes, call: Incoming) {
    let Incoming { from, arrival, parts, body, line, answer, tethered } = call;
    let way = Way { from, to: life.host() };
    let caller_gone = async {
        let _ = tethered.await;
        pipe::news(&net, &life, way).await;
    };
    let answering = async {
        life.sleep_until(arrival).await;
        life.goes_on().await;
        if !net.passes(way) {
            return line.breaks().await;
        }
        let request = Request::from_parts(parts, body.into_body(net.clone(), life.clone(), way, ()));
        let (mut parts, body) = respond(routes, request).await.into_parts();
        parts.extensions = http::Extensions::new();
        life.goes_on().await;
        let back = way.back();
        if net.loses_answer(back) {
            return std::future::pending().await;
        }
        let Some(arrival) = net.send(life.now(), Duration::ZERO, back, parts.status.as_str(), 0) else {
            return line.breaks().await;
        };
        let (outlet, unread) = pipe(net.clone(), life.clone(), back, line.clone(), arrival);
        if answer.send((arrival, parts, unread)).is_ok() {
            outlet.send_all(body).await;
        }
    };
    tokio::select! {
        biased;
        () = line.broken() => {}
        () = caller_gone => {}
        () = answering => {}
    }
}

async fn respond(routes: Routes, request: Request<Body>) -> Response<Body> {
    let timeout = grpc_timeout(request.headers());
    let response = async {
        match routes.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let Some(timeout) = timeout else { return response.await };
    tokio::select! {
        biased;
        response = response => response,
        () = tokio::time::sleep(timeout) => Status::cancelled("timeout expired").into_http(),
    }
}
