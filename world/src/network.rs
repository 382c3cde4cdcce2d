//! gRPC between nodes and from clients, without saying how the bytes travel.
//!
//! A channel is a service from HTTP requests to HTTP responses: over HTTP/2 and TCP in production, straight into the
//! other node's routes in simulation.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

/// Any error of a transport.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection to one address, shared and reconnecting by itself; what tonic's generated clients are built on.
#[derive(Clone, Debug)]
pub struct GrpcChannel(tower::util::BoxCloneSyncService<http::Request<Body>, http::Response<Body>, ChannelError>);

/// The transport failed. A type of its own, since with a boxed error the compiler cannot show that the futures of tonic's
/// clients are `Send`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChannelError(#[source] BoxError);

impl GrpcChannel {
    /// A channel that hands its requests to `service`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let service = service.map_err(|error: S::Error| ChannelError(error.into()));
        Self(tower::util::BoxCloneSyncService::new(service))
    }

    /// The same channel, with a header in every request from when its value is known.
    #[must_use]
    pub fn saying(self, name: http::HeaderName, value: Arc<OnceLock<http::HeaderValue>>) -> Self {
        Self::new(self.map_request(move |mut request: http::Request<Body>| {
            if let Some(value) = value.get() {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            request
        }))
    }
}

impl Service<http::Request<Body>> for GrpcChannel {
    type Response = http::Response<Body>;
    type Error = ChannelError;
    type Future = BoxFuture<'static, Result<http::Response<Body>, ChannelError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

/// What a connection is for: lanes do not share a TCP connection, so that bulk does not delay what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A client's requests.
    Client,
    /// Append streams and heartbeats between nodes.
    Append,
    /// Votes, handshakes, leader transfer.
    Control,
    /// Snapshots and change-log segments.
    Bulk,
}

/// When a server shall stop: it takes no new requests and ends when those under way have ended.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A listener at work: ready when it has stopped.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// The limits of one listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// HTTP/2 streams at once on a connection.
    pub max_streams: u32,
    /// Connections at once; more are closed at once.
    pub max_connections: usize,
    /// How often an idle connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered.
    pub keepalive_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_streams: 128,
            max_connections: 4_096,
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
        }
    }
}

/// The network of one node or client.
pub trait Network: Send + Sync + Debug {
    /// A channel to `address` (`host:port`). It connects when first used and again after it broke. `connect_timeout`
    /// bounds each attempt.
    fn channel(&self, address: &str, lane: Lane, connect_timeout: Duration) -> Result<GrpcChannel, BoxError>;

    /// A channel to something that is no node, at `address` (`host:port`): HTTP/1.1, without TLS. It connects when used, and again
    /// after it broke. `connect_timeout` bounds each attempt.
    ///
    /// # Errors
    ///
    /// What is at other addresses is not reached by this network: those of tests.
    fn outside(&self, address: &str, connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        let _ = connect_timeout;
        Err(format!("this network reaches nodes only, not {address}").into())
    }

    /// Listens on `address` and serves `routes` until `shutdown`. The outer future is ready once it listens (an error:
    /// the address is busy or wrong); the inner one when it has stopped. Dropped before, it breaks the connections off.
    fn serve<'a>(
        &'a self,
        address: &'a str,
        routes: tonic::service::Routes,
        options: ServeOptions,
        shutdown: Shutdown,
    ) -> crate::IoFuture<'a, Serving>;
}

/// TCP and HTTP/2 by tonic.
#[derive(Debug, Default)]
pub struct RealNetwork;

impl RealNetwork {
    /// The system's network.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Network for RealNetwork {
    fn channel(&self, address: &str, lane: Lane, connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(!matches!(lane, Lane::Client))
            .http2_max_header_list_size(8 * 1_024)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        Ok(GrpcChannel::new(endpoint.connect_lazy()))
    }

    fn outside(&self, address: &str, connect_timeout: Duration) -> Result<GrpcChannel, BoxError> {
        let authority: http::uri::Authority = address.parse()?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_OUTSIDE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE_OUTSIDE)
            .build::<_, Body>(connector);
        Ok(GrpcChannel::new(tower::service_fn(move |mut request: http::Request<Body>| {
            let (client, authority) = (client.clone(), authority.clone());
            async move {
                let mut parts = std::mem::take(request.uri_mut()).into_parts();
                parts.scheme = Some(http::uri::Scheme::HTTP);
                parts.authority = Some(authority);
                *request.uri_mut() = http::Uri::from_parts(parts)?;
                Ok::<_, BoxError>(client.request(request).await?.map(Body::new))
            }
        })))
    }

    fn serve<'a>(
        &'a self,
        address: &'a str,
        routes: tonic::service::Routes,
        options: ServeOptions,
        shutdown: Shutdown,
    ) -> crate::IoFuture<'a, Serving> {
        Box::pin(async move {
            let listener = tokio::net::TcpListener::bind(address).await?;
            let (open, end) = tokio::sync::watch::channel(());
            let incoming = bounded_connections(listener, options.max_connections, end);
            let server = tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .max_concurrent_streams(Some(options.max_streams))
                .http2_keepalive_interval(Some(options.keepalive_interval))
                .http2_keepalive_timeout(Some(options.keepalive_timeout))
                .http2_max_header_list_size(8 * 1_024)
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .add_routes(routes);
            let address = address.to_owned();
            let serving: Serving = Box::pin(async move {
                let _open = open;
                if let Err(error) = server.serve_with_incoming_shutdown(incoming, shutdown).await {
                    tracing::error!(%address, %error, "a listener has ended");
                }
            });
            Ok(serving)
        })
    }
}

/// How long a connection to the outside is kept that nothing goes over.
const IDLE_OUTSIDE: Duration = Duration::from_secs(30);
/// How many of them are kept.
const MAX_IDLE_OUTSIDE: usize = 8;

const STREAM_WINDOW_BYTES: u32 = 1_024 * 1_024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1_024 * 1_024;

/// After an accept that failed. Without a pause a process that is out of file descriptors would try again at once and for ever.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Where connections come from.
trait Accept: Send {
    /// The next one.
    fn accept(&self) -> impl Future<Output = io::Result<(tokio::net::TcpStream, std::net::SocketAddr)>> + Send;
}

impl Accept for tokio::net::TcpListener {
    async fn accept(&self) -> io::Result<(tokio::net::TcpStream, std::net::SocketAddr)> {
        Self::accept(self).await
    }
}

/// Accepts connections while fewer than `limit` are open; one too many is closed at once. All break off when the sender of
/// `end` is gone: tonic serves each in a task of its own, which would outlive its listener.
fn bounded_connections(
    listener: impl Accept,
    limit: usize,
    end: tokio::sync::watch::Receiver<()>,
) -> impl futures_util::Stream<Item = io::Result<counted::Counted>> {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(limit));
    futures_util::stream::unfold((listener, places, end), move |(listener, places, end)| async move {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection is accepted for now");
                    tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!(%peer, limit, "connection refused: as many are open as `max_connections` allows");
                continue;
            };
            let item = stream.set_nodelay(true).map(|()| counted::Counted::new(stream, place, end.clone()));
            return Some((item, (listener, places, end)));
        }
    })
}

mod counted {
    //! A TCP connection that gives its place back when it is dropped, and breaks off with its listener.

    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::TcpStream;
    use tokio::sync::{OwnedSemaphorePermit, watch};
    use tonic::transport::server::{Connected, TcpConnectInfo};

    pub(crate) struct Counted {
        stream: TcpStream,
        _place: OwnedSemaphorePermit,
        /// Ready when the listener is gone.
        end: BoxFuture<'static, ()>,
        is_over: bool,
    }

    impl Counted {
        pub(super) fn new(stream: TcpStream, place: OwnedSemaphorePermit, mut end: watch::Receiver<()>) -> Self {
            let end = async move { while end.changed().await.is_ok() {} };
            Self { stream, _place: place, end: end.boxed(), is_over: false }
        }
    }

    impl Connected for Counted {
        type ConnectInfo = TcpConnectInfo;

        fn connect_info(&self) -> Self::ConnectInfo {
            self.stream.connect_info()
        }
    }

    impl AsyncRead for Counted {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            // A server always reads: it is woken here.
            self.is_over = self.is_over || self.end.poll_unpin(cx).is_ready();
            if self.is_over {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            Pin::new(&mut self.stream).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A listener whose process has no file descriptor left.
    struct Exhausted(Arc<AtomicUsize>);

    impl Accept for Exhausted {
        async fn accept(&self) -> io::Result<(tokio::net::TcpStream, std::net::SocketAddr)> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(io::Error::other("too many open files"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_without_file_descriptors_tries_ten_times_a_second() {
        let tries = Arc::new(AtomicUsize::new(0));
        let (_open, end) = tokio::sync::watch::channel(());
        let mut connections = std::pin::pin!(bounded_connections(Exhausted(tries.clone()), 8, end));
        let second = tokio::time::timeout(Duration::from_secs(1), connections.next()).await;
        assert!(second.is_err(), "an error ends no listener");
        assert!((9..=11).contains(&tries.load(Ordering::Relaxed)), "{tries:?} tries");
    }

    #[tokio::test]
    async fn a_connection_that_is_open_breaks_off_with_its_listener() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (open, end) = tokio::sync::watch::channel(());
        let mut connections = Box::pin(bounded_connections(listener, 8, end));
        let mut connection = connections.next().await.unwrap().unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'a');
        let reading = tokio::spawn(async move { (connection.read_u8().await, connection.read_u8().await) });
        drop(open);
        let (first, again) = reading.await.unwrap();
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the peer sees the end");
    }
}
