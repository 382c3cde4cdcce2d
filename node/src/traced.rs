//! Requests that belong to a trace: one that brings a `traceparent` (W3C Trace Context, level 1) is worked on in a span with its trace
//! id, so that each line of the log that is written meanwhile says which trace it is of. Where the tracer is on and the trace is sampled,
//! the span is told to the collector, and what is done within it stands below it. One that brings none costs a look at its headers, and
//! a number drawn where a share of such requests is traced: of callers' own, never of probes and of what nodes ask each other.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use holdfast_world::traces::{OpenSpan, SpanKind, TraceContext, Tracer, within};
use tokio::time::Instant;
use tracing::Instrument;

/// A call that lasts as long as a connection: its requests are drawn one by one.
const SESSION: &str = "/holdfast.v1.InventoryService/Session";

/// Whose requests may be drawn, where they bring no trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// Those of callers, to services of ours.
    Calls,
    /// Nobody's.
    None,
}

impl Drawn {
    fn has(self, path: &str) -> bool {
        self == Self::Calls && path.starts_with("/holdfast.") && path != SESSION
    }
}

/// Works on a request within its trace, if it has one.
pub(crate) async fn traced(State((tracer, drawn)): State<(Tracer, Drawn)>, request: Request, next: Next) -> Response {
    let parent = TraceContext::of(request.headers());
    let span = open(&tracer, drawn, parent, request.uri().path());
    let Some(context) = span.as_ref().map(OpenSpan::context).or(parent) else {
        return next.run(request).await;
    };
    let line = line_span(context, parent);
    let (path, began) = (request.uri().path().to_owned(), Instant::now());
    let answer = within(Some(context), next.run(request)).instrument(line.clone()).await;
    // gRPC says how it went behind the answer, but where there is none.
    let grpc = answer.headers().get("grpc-status").and_then(|status| status.to_str().ok()).unwrap_or("");
    if context.is_sampled() {
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        line.in_scope(|| tracing::info!(path, status = answer.status().as_u16(), grpc, took_us, "answered"));
    }
    if let Some(mut span) = span {
        span.say("url.path", path);
        span.say("http.response.status_code", u64::from(answer.status().as_u16()));
        if !matches!(grpc, "" | "0") {
            span.fail(format!("gRPC status {grpc}"));
        }
        span.end();
    }
    answer
}

/// The span of a request, where something is told of it: it is called as what is asked for.
fn open(tracer: &Tracer, drawn: Drawn, parent: Option<TraceContext>, path: &str) -> Option<OpenSpan> {
    let name = path.trim_start_matches('/');
    match parent {
        // A name is made only where there is a span.
        Some(parent) if parent.is_sampled() => tracer.open(parent, SpanKind::Server, name.to_owned()),
        Some(_) => None,
        None if drawn.has(path) => tracer.open_drawn(|| name.to_owned().into()),
        None => None,
    }
}

/// Works on one of the requests of a session that brought no trace: within one of its own, if it is drawn.
pub(crate) async fn drawn_of_session<F: Future>(tracer: &Tracer, work: F) -> F::Output {
    let Some(span) = tracer.open_drawn(|| SESSION.trim_start_matches('/').into()) else { return work.await };
    let context = span.context();
    let answer = within(Some(context), work).instrument(line_span(context, None)).await;
    span.end();
    answer
}

/// What each line of the log says.
fn line_span(context: TraceContext, parent: Option<TraceContext>) -> tracing::Span {
    let parent_id = parent.map(|parent| tracing::field::display(parent.span_id));
    tracing::info_span!("request", trace_id = %context.trace_id, span_id = %context.span_id, parent_id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use holdfast_world::RealEntropy;
    use holdfast_world::traces::{Span, current};
    use tower::ServiceExt as _;

    use super::*;

    /// The spans of one request, and where its work stood, if all that may be drawn is.
    async fn asked(drawn: Drawn, path: &str, parent: Option<TraceContext>) -> (Vec<Span>, Option<TraceContext>) {
        let (tracer, mut queue) = Tracer::queued(Arc::new(RealEntropy), 1.0);
        let stood =
            |_: Request| async { Response::new(Body::from(current().map(|it| it.to_string()).unwrap_or_default())) };
        let layer = axum::middleware::from_fn_with_state((tracer, drawn), traced);
        let routes = Router::new().fallback(stood).layer(layer);
        let mut request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        request.headers_mut().extend(parent.map(|parent| (TraceContext::HEADER, parent.header())));
        let answer = routes.oneshot(request).await.expect("it is infallible");
        let said = axum::body::to_bytes(answer.into_body(), 1_000).await.expect("a body");
        let said = String::from_utf8(said.to_vec()).expect("text");
        (std::iter::from_fn(|| queue.try_next()).collect(), TraceContext::read(&said))
    }

    #[tokio::test]
    async fn what_callers_ask_is_drawn_and_no_probe_no_session_and_nothing_that_nodes_ask() {
        let (spans, stood) = asked(Drawn::Calls, "/holdfast.v1.InventoryService/GetItem", None).await;
        assert_eq!((spans[0].name.as_ref(), spans[0].parent), ("holdfast.v1.InventoryService/GetItem", None));
        assert_eq!(stood, Some(spans[0].context));
        for (drawn, path) in [
            (Drawn::Calls, SESSION),
            (Drawn::Calls, "/grpc.health.v1.Health/Check"),
            (Drawn::None, "/holdfast.peer.v1.OrderService/Decide"),
            (Drawn::None, "/readyz"),
        ] {
            assert_eq!(asked(drawn, path, None).await, (Vec::new(), None), "{path}");
        }
    }

    #[tokio::test]
    async fn a_caller_decides_whether_its_trace_is_told_and_the_work_stands_in_it_all_the_same() {
        let unkept = TraceContext::begun(&RealEntropy, false);
        assert_eq!(asked(Drawn::Calls, "/holdfast.v1.A/B", Some(unkept)).await, (Vec::new(), Some(unkept)));
        let kept = TraceContext::begun(&RealEntropy, true);
        let (spans, stood) = asked(Drawn::None, "/readyz", Some(kept)).await;
        assert_eq!((spans[0].parent, stood), (Some(kept.span_id), Some(spans[0].context)));
    }

    #[tokio::test]
    async fn each_request_of_a_session_is_drawn_by_itself() {
        let (tracer, mut queue) = Tracer::queued(Arc::new(RealEntropy), 1.0);
        let first = drawn_of_session(&tracer, async { current() }).await;
        let second = drawn_of_session(&tracer, async { current() }).await;
        assert_ne!(first.map(|it| it.trace_id), second.map(|it| it.trace_id));
        assert_eq!(queue.try_next().map(|span| span.context), first);
        assert_eq!(drawn_of_session(&Tracer::default(), async { current() }).await, None);
    }
}
