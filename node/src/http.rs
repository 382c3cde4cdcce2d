//! Health and metrics over HTTP, where an address is configured, and beside them what the process that starts the node serves there.
//! The only place that opens a socket past the world: the simulator configures no HTTP.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::core::{Core, group_name};
use crate::metrics;

/// The recorder of the process; the nodes of one process share it.
static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Buckets of latencies, in seconds.
const LATENCY_BUCKETS: &[f64] =
    &[0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Records metrics from now on; without an HTTP port nobody asks for them.
pub(crate) fn record_metrics() {
    RECORDER.get_or_init(|| {
        let recorder =
            PrometheusBuilder::new().set_buckets(LATENCY_BUCKETS).and_then(PrometheusBuilder::install_recorder);
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
    let places = Arc::new(Semaphore::new(core.config.limits.max_connections));
    let listener = Bounded { listener: TcpListener::bind(address).await?, places };
    let router = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(prometheus))
        .with_state(core)
        .merge(routes);
    tokio::spawn(async move {
        let until = async move {
            // The sender is gone when the node is: then there is nothing to serve either.
            let _gone = stopped.wait_for(|stopped| *stopped).await.is_err();
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
            tracing::error!(%error, "the HTTP listener has ended");
        }
    });
    Ok(())
}

/// A listener of so many connections at most: a further one waits until another ends.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection, and its place.
struct Held {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Listener for Bounded {
    type Io = Held;
    type Addr = <TcpListener as Listener>::Addr;

    async fn accept(&mut self) -> (Held, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the places of a listener are never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Held { stream, _place: place }, address)
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn readyz(State(core): State<Arc<Core>>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let missing = core.not_ready();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = if missing.is_empty() { "ready\n".to_owned() } else { "not ready\n".to_owned() };
    for line in &missing {
        let _infallible = writeln!(text, "- {line}");
    }
    if query.is_some_and(|query| query.split('&').any(|word| word == "verbose" || word.starts_with("verbose="))) {
        describe(&core, &mut text);
    }
    (status, text)
}

fn describe(core: &Core, text: &mut String) {
    let _infallible = writeln!(text, "node {} of {}", core.config.node_id, core.config.cluster_id);
    for group in core.groups() {
        let status = group.status();
        let leader = status.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let _infallible = writeln!(
            text,
            "{}: leader {leader}, term {}, applied {} of {}, checkpoint {}",
            group_name(group.id()),
            status.term,
            status.applied_index,
            status.last_log_index,
            status.checkpointed_index
        );
    }
    for shard in core.shards().iter() {
        let window_ms = shard.group().read_shard(metrics::result_window_ms).unwrap_or(0);
        let (waiting, capacity) = shard.waiting();
        let _infallible = writeln!(
            text,
            "shard {}: {waiting} of {capacity} commands wait; results of the last {window_ms} ms are remembered",
            shard.shard()
        );
    }
    for warning in core.warnings() {
        let _infallible = writeln!(text, "warning: {warning}");
    }
}

async fn prometheus(State(core): State<Arc<Core>>) -> impl IntoResponse {
    metrics::observe(&core);
    match RECORDER.get().and_then(Option::as_ref) {
        Some(recorder) => {
            recorder.run_upkeep();
            (StatusCode::OK, recorder.render())
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "no metrics are recorded\n".to_owned()),
    }
}
