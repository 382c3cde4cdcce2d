//! A network in memory: calls go straight into the routes served at an address; each way between two nodes can be cut, so
//! that what is sent over it vanishes, and its streams can be broken.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use holdfast_world::{BoxError, GrpcChannel, IoFuture, Lane, Network, ServeOptions, Serving, Shutdown};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

/// The network between the nodes of a test.
#[derive(Clone, Default)]
pub(super) struct Net(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    served: BTreeMap<String, Routes>,
    ways: BTreeMap<(String, String), Arc<Way>>,
}

/// One direction between two addresses.
struct Way {
    cut: watch::Sender<Gate>,
    replicate_frames: Mutex<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    /// What is sent vanishes.
    cut: bool,
    /// Frames of the append lane wait.
    held: bool,
    /// Streams begun before the last break have ended.
    breaks: u64,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net")
    }
}

impl Net {
    /// The network as the node at `address` sees it.
    pub(super) fn of(&self, address: &str) -> Arc<dyn Network> {
        Arc::new(NodeNetwork { net: self.clone(), own: address.to_owned() })
    }

    /// Serves routes at an address.
    pub(super) fn serve(&self, address: &str, routes: Routes) {
        self.0.lock().unwrap().served.insert(address.to_owned(), routes);
    }

    fn way(&self, from: &str, to: &str) -> Arc<Way> {
        let mut state = self.0.lock().unwrap();
        let way = state.ways.entry((from.to_owned(), to.to_owned()));
        way.or_insert_with(|| {
            Arc::new(Way { cut: watch::channel(Gate::default()).0, replicate_frames: Mutex::default() })
        })
        .clone()
    }

    fn both(&self, a: &str, b: &str, change: impl Fn(&mut Gate)) {
        for way in [self.way(a, b), self.way(b, a)] {
            way.cut.send_modify(&change);
        }
    }

    /// From now on nothing passes between the two; nobody is told.
    pub(super) fn cut(&self, a: &str, b: &str) {
        self.both(a, b, |gate| gate.cut = true);
    }

    /// What is sent from now on passes again, in streams begun from now on.
    pub(super) fn heal(&self, a: &str, b: &str) {
        self.both(a, b, |gate| gate.cut = false);
    }

    /// Ends every stream between the two with an error.
    pub(super) fn break_streams(&self, a: &str, b: &str) {
        self.both(a, b, |gate| gate.breaks += 1);
    }

    /// The append lane's frames from `from` to `to` wait, or go on.
    pub(super) fn hold(&self, from: &str, to: &str, held: bool) {
        self.way(from, to).cut.send_modify(|gate| gate.held = held);
    }

    /// Data frames of the append streams that have passed from `from` to `to`, requests and replies.
    pub(super) fn replicate_frames(&self, from: &str, to: &str) -> u64 {
        *self.way(from, to).replicate_frames.lock().unwrap()
    }
}

#[derive(Debug)]
struct NodeNetwork {
    net: Net,
    own: String,
}

impl Network for NodeNetwork {
    fn channel(&self, address: &str, lane: Lane, _connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        let (net, own, to) = (self.net.clone(), self.own.clone(), address.to_owned());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (net, own, to) = (net.clone(), own.clone(), to.clone());
            call(net, own, to, lane, request)
        });
        Ok(GrpcChannel::new(service))
    }

    fn serve<'a>(
        &'a self,
        address: &'a str,
        routes: Routes,
        _options: ServeOptions,
        shutdown: Shutdown,
    ) -> IoFuture<'a, Serving> {
        self.net.serve(address, routes);
        Box::pin(async move { Ok(shutdown as Serving) })
    }
}

fn call(
    net: Net,
    own: String,
    to: String,
    lane: Lane,
    request: Request<Body>,
) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
    Box::pin(async move {
        let (there, back) = (net.way(&own, &to), net.way(&to, &own));
        if there.cut.borrow().cut || back.cut.borrow().cut {
            return std::future::pending().await;
        }
        let routes = net.0.lock().unwrap().served.get(&to).cloned();
        let Some(routes) = routes else { return Err(Status::unavailable("connection refused").into()) };
        let is_append = lane == Lane::Append;
        let request = request.map(|body| through(body, there.clone(), is_append));
        let response = routes.oneshot(request).await?;
        if there.cut.borrow().cut || back.cut.borrow().cut {
            return std::future::pending().await;
        }
        Ok(response.map(|body| through(body, back, is_append)))
    })
}

/// The frames of a body, as far as the way lets them pass.
fn through(body: Body, way: Arc<Way>, is_append: bool) -> Body {
    let gate = way.cut.subscribe();
    let breaks = gate.borrow().breaks;
    let state = (body, way, gate, false);
    let frames = stream::unfold(Some(state), move |state| async move {
        let (mut body, way, mut gate, mut lost) = state?;
        loop {
            let now = *gate.borrow_and_update();
            lost |= now.cut;
            if now.breaks != breaks {
                return Some((Err(Status::unavailable("the stream broke")), None));
            }
            let waits = is_append && now.held;
            let passes = !(lost || waits);
            tokio::select! {
                biased;
                changed = gate.changed() => if changed.is_err() { std::future::pending::<()>().await },
                frame = body.frame(), if passes => {
                    let frame = frame?;
                    if is_append && matches!(&frame, Ok(frame) if Frame::<Bytes>::is_data(frame)) {
                        *way.replicate_frames.lock().unwrap() += 1;
                    }
                    return Some((frame, Some((body, way, gate, lost))));
                }
            }
        }
    });
    Body::new(StreamBody::new(frames))
}
