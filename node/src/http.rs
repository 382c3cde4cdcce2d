//! Health and metrics over HTTP, where an address is configured, and beside them what the process that starts the node serves there.
//! The only place that opens a socket past the world: the simulator configures no HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep};

use crate::core::Core;
use crate::traced::{Drawn, traced};
use crate::{health, metrics};

/// The recorder of the process; the nodes of one process share it.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Buckets of latencies, in seconds.
const LATENCY_BUCKETS: &[f64] =
    &[0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What Prometheus is told that it gets.
const EXPOSITION: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");

/// How often samples are taken into their buckets: where nobody asks for the metrics they would pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Who takes nothing of what is sent for so long has its connection ended. Longer than a WebSocket lets its reader be slow, which then says why.
const UNTAKEN: Duration = Duration::from_secs(15);

/// Records metrics from now on; without an HTTP port nobody asks for them.
pub(crate) fn record_metrics() {
    RECORDER.get_or_init(|| {
        let recorder =
            PrometheusBuilder::new().set_buckets(LATENCY_BUCKETS).and_then(PrometheusBuilder::install_recorder);
        metrics::describe();
        recorder.inspect_err(|error| tracing::warn!(%error, "no metrics: another recorder is installed")).ok()
    });
}

/// Listens on `address`, and serves health, metrics and `routes` until the node stops.
pub(crate) async fn serve(
    core: Arc<Core>,
    address: &str,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(core.config.http.max_connections));
    let listener = Bounded { listener: TcpListener::bind(address).await?, places };
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/healthz/cluster", get(cluster_health))
        .route("/metrics", get(prometheus))
        .route("/metrics/detail", get(prometheus_detail))
        .layer(axum::middleware::from_fn_with_state((core.world.tracer.clone(), Drawn::None), traced))
        .with_state(core)
        // These have spans of their own.
        .merge(routes);
    tokio::spawn(async move {
        let until = async move {
            // The sender is gone when the node is: then there is nothing to serve either.
            let _gone = stopped.wait_for(|stopped| *stopped).await.is_err();
        };
        // Served as it is, a router is made anew for each connection, its table of routes with it: some 45 KB.
        let service = router.into_make_service();
        let serving = async { axum::serve(listener, service).with_graceful_shutdown(until).await };
        tokio::select! {
            biased;
            ended = serving => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the HTTP listener has ended");
                }
            }
            () = keep_up() => {}
        }
    });
    Ok(())
}

/// A listener of so many connections at most: a further one waits until another ends.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection, and its place, which it does not keep when its reader takes nothing.
struct Held {
    stream: TcpStream,
    /// Set while there is something to be taken: when it is over.
    until: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    /// What came of writing; ends the connection where nothing was taken for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(UNTAKEN)));
        ready!(until.as_mut().poll(cx));
        metrics::count_slow_reader();
        tracing::info!("a reader over HTTP took nothing, and its connection is ended");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader took nothing for too long")))
    }
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = <TcpListener as Listener>::Addr;

    async fn accept(&mut self) -> (Held, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the places of a listener are never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Held { stream, until: None, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn keep_up() {
    loop {
        sleep(UPKEEP_EVERY).await;
        if let Some(recorder) = RECORDER.get().and_then(Option::as_ref) {
            recorder.run_upkeep();
        }
    }
}

const fn status_of(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn readyz(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let is_verbose =
        query.is_some_and(|query| query.split('&').any(|word| word == "verbose" || word.starts_with("verbose=")));
    let (is_ready, text) = health::readiness(&core, is_verbose);
    (status_of(is_ready), text)
}

async fn cluster_health(State(core): State<Arc<Core>>) -> impl IntoResponse {
    let health = health::cluster_health(&core).await;
    (status_of(health.serves()), Json(health))
}

async fn prometheus(State(core): State<Arc<Core>>) -> impl IntoResponse {
    metrics::observe(&core);
    let (status, text) = match RECORDER.get().and_then(Option::as_ref) {
        Some(recorder) => {
            recorder.run_upkeep();
            (StatusCode::OK, recorder.render() + &metrics::stage_times(&core))
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics are recorded\n".to_owned()),
    };
    (status, [EXPOSITION], text)
}

async fn prometheus_detail(State(core): State<Arc<Core>>) -> impl IntoResponse {
    ([EXPOSITION], core.requests.detail())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;

    /// A listener with one place, that serves a stream without an end.
    async fn endless() -> (Arc<Semaphore>, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has an address");
        let places = Arc::new(Semaphore::new(1));
        let bounded = Bounded { listener, places: Arc::clone(&places) };
        let messages = || stream::repeat_with(|| Ok::<_, io::Error>(vec![b'x'; 8_192]));
        let router = Router::new().route("/", get(move || async move { Body::from_stream(messages()) }));
        tokio::spawn(async move { axum::serve(bounded, router).await });
        (places, address)
    }

    async fn ask(address: std::net::SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small one");
        let mut reader = socket.connect(address).await.expect("it listens");
        reader.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it asks");
        reader
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_its_connection_makes_room_and_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _counted_here = ::metrics::set_default_local_recorder(&recorder);
        let (places, address) = endless().await;
        let mut slow = ask(address).await;
        let mut head = [0; 12];
        slow.read_exact(&mut head).await.expect("it is answered");
        assert_eq!((&head, places.available_permits()), (b"HTTP/1.1 200", 0));
        // The next one has its place.
        let mut next = ask(address).await;
        next.read_exact(&mut head).await.expect("it is answered, too");
        assert_eq!(&head, b"HTTP/1.1 200");
        let counted = format!("{} 1", metrics::SLOW_READERS);
        let said = recorder.handle().render();
        assert!(said.contains(&counted), "{said}");
    }
}
