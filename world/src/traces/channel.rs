//! A channel whose requests go on in the trace of whoever makes them.

use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tonic::body::Body;
use tower::Service;

use super::context::{TraceContext, current};
use super::tracer::{OpenSpan, SpanKind, Tracer};
use crate::{ChannelError, GrpcChannel};

impl GrpcChannel {
    /// The same channel, with a `traceparent` in each request that is made within a trace, and a span of it where the trace is sampled.
    /// A request in no trace says so where the tracer draws: whoever is asked does not draw again.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self::new(Traced { channel: self, tracer })
    }
}

#[derive(Clone)]
struct Traced {
    channel: GrpcChannel,
    tracer: Tracer,
}

impl Service<http::Request<Body>> for Traced {
    type Response = http::Response<Body>;
    type Error = ChannelError;
    type Future = BoxFuture<'static, Result<http::Response<Body>, ChannelError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let parent = current();
        let span = parent.and_then(|parent| open(&self.tracer, parent, request.uri()));
        let place = span.as_ref().map(OpenSpan::context).or(parent).or_else(|| self.tracer.place_of_none());
        if let Some(place) = place {
            request.headers_mut().insert(TraceContext::HEADER, place.header());
        }
        let asked = self.channel.call(request);
        match span {
            None => asked,
            Some(span) => async move { ended(span, asked.await) }.boxed(),
        }
    }
}

fn ended(
    mut span: OpenSpan,
    answer: Result<http::Response<Body>, ChannelError>,
) -> Result<http::Response<Body>, ChannelError> {
    match &answer {
        Ok(answer) => note_status(&mut span, answer.headers()),
        Err(error) => span.fail(error.to_string()),
    }
    span.end();
    answer
}

fn open(tracer: &Tracer, parent: TraceContext, uri: &http::Uri) -> Option<OpenSpan> {
    if !parent.is_sampled() || !tracer.is_on() {
        return None;
    }
    let name = uri.path().trim_start_matches('/').to_owned();
    let mut span = tracer.open(parent, SpanKind::Client, name)?;
    span.say("rpc.system", "grpc");
    if let Some(host) = uri.host() {
        span.say("server.address", host.to_owned());
    }
    Some(span)
}

/// gRPC says how it went behind the answer, but where there is none.
fn note_status(span: &mut OpenSpan, headers: &http::HeaderMap) {
    let status = headers.get("grpc-status").and_then(|status| status.to_str().ok()?.parse::<u64>().ok());
    let Some(status) = status else { return };
    span.say("rpc.grpc.status_code", status);
    if status != 0 {
        span.fail(format!("{:?}", tonic::Code::from_i32(i32::try_from(status).unwrap_or(-1))));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use tower::ServiceExt as _;

    use super::*;
    use crate::traces::within;
    use crate::{Entropy as _, RealEntropy};

    type Seen = Arc<Mutex<Vec<Option<TraceContext>>>>;

    /// A channel to one who notes where each request stands.
    fn channel(tracer: Tracer) -> (GrpcChannel, Seen) {
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        let channel = GrpcChannel::new(tower::service_fn(move |request: http::Request<tonic::body::Body>| {
            noted.lock().expect("nothing panics").push(TraceContext::of(request.headers()));
            async { Ok::<_, Infallible>(http::Response::new(tonic::body::Body::empty())) }
        }));
        (channel.traced(tracer), seen)
    }

    async fn ask(channel: &GrpcChannel) {
        let request = http::Request::builder().uri("/a.Service/Ask").body(tonic::body::Body::empty());
        channel.clone().oneshot(request.expect("a request")).await.expect("it answers");
    }

    #[tokio::test]
    async fn a_request_within_a_trace_has_a_span_of_its_own_which_the_other_end_is_told() {
        let (tracer, mut queue) = Tracer::queued(Arc::new(RealEntropy), 0.0);
        let (channel, seen) = channel(tracer);
        let parent = TraceContext::begun(&RealEntropy, true);
        within(Some(parent), ask(&channel)).await;
        let span = queue.try_next().expect("a span");
        assert_eq!(
            (span.name.as_ref(), span.kind, span.parent),
            ("a.Service/Ask", SpanKind::Client, Some(parent.span_id))
        );
        assert_eq!(*seen.lock().expect("nothing panics"), [Some(span.context)]);
    }

    #[tokio::test]
    async fn one_in_no_trace_says_so_where_somebody_decides_that() {
        let (tracer, mut queue) = Tracer::queued(Arc::new(RealEntropy), 1.0);
        let (with_tracer, seen) = channel(tracer);
        ask(&with_tracer).await;
        let told = seen.lock().expect("nothing panics").pop().flatten().expect("a place");
        assert!(!told.is_sampled() && queue.try_next().is_none());
        let (without, seen) = channel(Tracer::default());
        ask(&without).await;
        assert_eq!(*seen.lock().expect("nothing panics"), [None]);
        let parent = TraceContext::begun(&RealEntropy, RealEntropy.next_u64().is_multiple_of(2));
        within(Some(parent), ask(&without)).await;
        assert_eq!(seen.lock().expect("nothing panics").last(), Some(&Some(parent)), "it goes on as it is");
    }
}
