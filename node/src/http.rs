//! Health and metrics over HTTP, where an address is configured, and beside them what the process that starts the node serves there.
//! The only place that opens a socket past the world: the simulator configures no HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
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
use tokio::time::sleep;

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
