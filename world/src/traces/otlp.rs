//! Sends spans to a collector by OTLP over gRPC.
//!
//! Responsible for batches, for trying again a little later, and for a bounded end. Promises that nobody who tells a span waits for the
//! collector: what it does not take after a few tries is dropped and counted. The messages that are needed stand here, a dozen fields of
//! the protocol, as the client has those of commands that are encoded already; a test reads them by OpenTelemetry's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::tracer::{Fact, Span, SpanKind, SpanQueue};
use crate::{BoxError, GrpcChannel, Lane, Network};

/// Spans of one request, at most.
const BATCH_SPANS: usize = 512;
/// How long spans are gathered.
const GATHERED_FOR: Duration = Duration::from_millis(200);
/// How often a batch is sent before it is dropped, and the pauses between.
const TRIES: usize = 3;
const PAUSES: [Duration; TRIES - 1] = [Duration::from_millis(250), Duration::from_secs(1)];
/// How long a collector may take for a batch.
const ATTEMPT: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(1);

const SERVICE: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Whose spans these are: the attributes of OTLP's resource.
pub type Resource = Vec<(&'static str, String)>;

/// A task that sends what is queued.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    end: watch::Sender<bool>,
}

impl Exporter {
    /// Sends the spans of `queue` to the collector at `address` (`host:port`). To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The address is none. That nobody is there is no error: a collector may come later.
    pub fn start(network: &dyn Network, address: &str, resource: Resource, queue: SpanQueue) -> Result<Self, BoxError> {
        let channel = network.channel(address, Lane::Client, CONNECT)?;
        let (end, ending) = watch::channel(false);
        let address = address.to_owned();
        let sender = Sender { channel, address, resource: resource_of(resource), queue, ending, is_silent: false };
        Ok(Self { task: tokio::spawn(sender.run()), end })
    }

    /// Sends what still waits, as long as it may take; what is left then is lost.
    pub async fn finish(mut self, longest: Duration) {
        self.end.send_replace(true);
        if timeout(longest, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last spans of traces were not sent: the collector took too long");
        }
    }
}

struct Sender {
    channel: GrpcChannel,
    address: String,
    resource: wire::Resource,
    queue: SpanQueue,
    ending: watch::Receiver<bool>,
    /// The last batch was dropped.
    is_silent: bool,
}

impl Sender {
    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_SPANS);
        let mut ending = self.ending.clone();
        loop {
            tokio::select! {
                biased;
                _ = ending.wait_for(|is_over| *is_over), if !self.queue.spans.is_closed() => self.queue.spans.close(),
                taken = self.queue.spans.recv_many(&mut batch, BATCH_SPANS) => if taken == 0 { return },
            }
            if !self.queue.spans.is_closed() {
                self.gather(&mut batch).await;
            }
            if !batch.is_empty() {
                self.send(std::mem::take(&mut batch)).await;
            }
        }
    }

    /// Waits a little for more.
    async fn gather(&mut self, batch: &mut Vec<Span>) {
        let gathered = Instant::now() + GATHERED_FOR;
        let mut ending = self.ending.clone();
        while batch.len() < BATCH_SPANS {
            let room = BATCH_SPANS - batch.len();
            tokio::select! {
                biased;
                _ = ending.wait_for(|is_over| *is_over) => return,
                () = tokio::time::sleep_until(gathered) => return,
                taken = self.queue.spans.recv_many(batch, room) => if taken == 0 { return },
            }
        }
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let spans = batch.len() as u64;
        let request = request_of(self.resource.clone(), &batch);
        drop(batch);
        let rejected = match self.try_send(request).await {
            Ok(rejected) => rejected.min(spans),
            Err(status) => {
                if !std::mem::replace(&mut self.is_silent, true) {
                    let (address, why) = (&self.address, status.message());
                    tracing::warn!(%address, %why, "no collector takes the spans of traces: they are dropped");
                }
                self.queue.note_not_taken(spans);
                return;
            }
        };
        if std::mem::take(&mut self.is_silent) {
            tracing::info!(address = %self.address, "the collector takes spans of traces again");
        }
        self.queue.note_sent(spans - rejected);
        self.queue.note_not_taken(rejected);
    }

    /// How many spans the collector rejected.
    async fn try_send(&self, request: wire::ExportRequest) -> Result<u64, Status> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let asked = timeout(ATTEMPT, export(self.channel.clone(), request.clone())).await;
            let status = match asked {
                Ok(Ok(answer)) => {
                    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                    return Ok(u64::try_from(rejected).unwrap_or(0));
                }
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("it took too long"),
            };
            let Some(pause) = pauses.next().filter(|_| may_be_taken_later(status.code())) else { return Err(status) };
            sleep(pause).await;
        }
    }
}

/// As the protocol lists them; and a connection that broke or did not come about.
const fn may_be_taken_later(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
            | Code::ResourceExhausted
            | Code::Unknown
    )
}

async fn export(channel: GrpcChannel, request: wire::ExportRequest) -> Result<wire::ExportResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|broken| Status::from_error(broken.into()))?;
    let path = PathAndQuery::from_static(SERVICE);
    let answer = grpc.unary(Request::new(request), path, ProstCodec::default()).await;
    answer.map(tonic::Response::into_inner)
}

fn resource_of(resource: Resource) -> wire::Resource {
    let attributes = resource.into_iter().map(|(key, value)| attribute(key, &Fact::from(value)));
    wire::Resource { attributes: attributes.collect() }
}

fn request_of(resource: wire::Resource, spans: &[Span]) -> wire::ExportRequest {
    // Spans have instants, which have no date: it is reckoned once a batch, so that a clock that is set meanwhile bends none of them.
    let now = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let scope = wire::Scope { name: "holdfast".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = spans.iter().map(|span| span_of(span, now)).collect();
    let scope_spans = vec![wire::ScopeSpans { scope: Some(scope), spans }];
    wire::ExportRequest { resource_spans: vec![wire::ResourceSpans { resource: Some(resource), scope_spans }] }
}

fn span_of(span: &Span, (instant, wall): (Instant, Duration)) -> wire::Span {
    let unix_nano = |at: Instant| {
        let since = wall.saturating_sub(instant.saturating_duration_since(at));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    };
    let status = span.failure.as_ref().map(|why| wire::Status { message: why.to_string(), code: wire::FAILED });
    wire::Span {
        trace_id: span.context.trace_id.bytes().to_vec(),
        span_id: span.context.span_id.bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name: span.name.to_string(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        start_time_unix_nano: unix_nano(span.began),
        end_time_unix_nano: unix_nano(span.ended),
        attributes: span.facts.iter().map(|(key, fact)| attribute(key, fact)).collect(),
        status,
    }
}

fn attribute(key: &str, fact: &Fact) -> wire::Attribute {
    let value = match fact {
        Fact::Text(text) => wire::Value::Text(text.to_string()),
        Fact::Number(number) => wire::Value::Number(i64::try_from(*number).unwrap_or(i64::MAX)),
    };
    wire::Attribute { key: key.to_owned(), value: Some(wire::AnyValue { value: Some(value) }) }
}

/// What is used of `opentelemetry.proto`.
mod wire {
    use prost::{Message, Oneof};

    /// `STATUS_CODE_ERROR`
    pub(super) const FAILED: i32 = 2;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ExportRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ExportResponse {
        #[prost(message, optional, tag = "1")]
        pub(super) partial_success: Option<PartialSuccess>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct PartialSuccess {
        #[prost(int64, tag = "1")]
        pub(super) rejected_spans: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ResourceSpans {
        #[prost(message, optional, tag = "1")]
        pub(super) resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub(super) scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub(super) attributes: Vec<Attribute>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ScopeSpans {
        #[prost(message, optional, tag = "1")]
        pub(super) scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        pub(super) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Scope {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) version: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        pub(super) parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")]
        pub(super) name: String,
        #[prost(int32, tag = "6")]
        pub(super) kind: i32,
        #[prost(fixed64, tag = "7")]
        pub(super) start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")]
        pub(super) end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")]
        pub(super) attributes: Vec<Attribute>,
        #[prost(message, optional, tag = "15")]
        pub(super) status: Option<Status>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Status {
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(int32, tag = "3")]
        pub(super) code: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Attribute {
        #[prost(string, tag = "1")]
        pub(super) key: String,
        #[prost(message, optional, tag = "2")]
        pub(super) value: Option<AnyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct AnyValue {
        #[prost(oneof = "Value", tags = "1, 3")]
        pub(super) value: Option<Value>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum Value {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(int64, tag = "3")]
        Number(i64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::traces::{TraceContext, TraceCounts, Tracer};
    use crate::{RealEntropy, ServeOptions, Serving, Shutdown};

    /// A network that reaches one collector, whatever the address.
    #[derive(Debug)]
    struct Only(GrpcChannel);

    impl Network for Only {
        fn channel(&self, _: &str, _: Lane, _: Duration) -> Result<GrpcChannel, BoxError> {
            Ok(self.0.clone())
        }

        fn serve<'a>(
            &'a self,
            _: &'a str,
            _: tonic::service::Routes,
            _: ServeOptions,
            _: Shutdown,
        ) -> crate::IoFuture<'a, Serving> {
            Box::pin(async { Err(std::io::Error::other("it serves nothing")) })
        }
    }

    /// A collector that answers by these, the last one for ever, and counts how often it was asked.
    fn collector(answers: &'static [Code]) -> (Only, Arc<AtomicUsize>) {
        let asked = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&asked);
        let channel = GrpcChannel::new(tower::service_fn(move |_: http::Request<tonic::body::Body>| {
            let at = counted.fetch_add(1, Ordering::Relaxed);
            let code = answers[at.min(answers.len() - 1)];
            async move {
                if code != Code::Ok {
                    return Ok::<_, std::convert::Infallible>(Status::new(code, "so").into_http());
                }
                let empty = tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5])));
                let answer = http::Response::builder().header("content-type", "application/grpc");
                Ok(answer.header("grpc-status", "0").body(empty).expect("an answer"))
            }
        }));
        (Only(channel), asked)
    }

    async fn told(answers: &'static [Code], spans: usize) -> (TraceCounts, usize) {
        let (network, asked) = collector(answers);
        let (tracer, queue) = Tracer::queued(Arc::new(RealEntropy), 0.0);
        let exporter = Exporter::start(&network, "collector:4317", Vec::new(), queue).expect("an address");
        for _ in 0..spans {
            let parent = TraceContext::begun(&RealEntropy, true);
            tracer.open(parent, SpanKind::Internal, "work").expect("it is kept").end();
        }
        exporter.finish(Duration::from_secs(60)).await;
        (tracer.counts(), asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_sent_before_the_end_in_batches() {
        let (counts, asked) = told(&[Code::Ok], 1_000).await;
        assert_eq!((counts, asked), (TraceCounts { sent: 1_000, ..TraceCounts::default() }, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_keeps_the_end_no_longer_than_it_may() {
        let hangs = |_: http::Request<tonic::body::Body>| {
            std::future::pending::<Result<http::Response<tonic::body::Body>, std::convert::Infallible>>()
        };
        let network = Only(GrpcChannel::new(tower::service_fn(hangs)));
        let (tracer, queue) = Tracer::queued(Arc::new(RealEntropy), 1.0);
        let exporter = Exporter::start(&network, "collector:4317", Vec::new(), queue).expect("an address");
        tracer.open_drawn(|| "work".into()).expect("all are drawn").end();
        let began = Instant::now();
        exporter.finish(Duration::from_secs(2)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert_eq!(tracer.counts(), TraceCounts::default(), "it is neither sent nor known to be lost");
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_away_for_a_moment_loses_nothing() {
        let (counts, asked) = told(&[Code::Unavailable, Code::Ok], 3).await;
        assert_eq!((counts, asked), (TraceCounts { sent: 3, ..TraceCounts::default() }, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_collector_takes_is_dropped_and_counted() {
        let (counts, asked) = told(&[Code::Unavailable], 3).await;
        assert_eq!((counts, asked), (TraceCounts { not_taken: 3, ..TraceCounts::default() }, TRIES));
        let (counts, asked) = told(&[Code::Unimplemented], 3).await;
        assert_eq!((counts, asked), (TraceCounts { not_taken: 3, ..TraceCounts::default() }, 1), "it is no collector");
    }
}
