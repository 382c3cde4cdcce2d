//! Requests that belong to a trace: one that brings a `traceparent` (W3C Trace Context, level 1) is worked on in a span with its trace
//! id, so that each line of the log that is written meanwhile says which trace it is of. Where the tracer is on and the trace is sampled,
//! the span is told to the collector, and what is done within it stands below it. One that brings none costs a look at its headers, and
//! a number drawn where a share of such requests is traced.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use holdfast_world::traces::{OpenSpan, SpanKind, TraceContext, Tracer, within};
use tokio::time::Instant;
use tracing::Instrument;

/// Works on a request within its trace, if it has one.
pub(crate) async fn traced(State(tracer): State<Tracer>, request: Request, next: Next) -> Response {
    let parent = TraceContext::of(request.headers());
    let span = open(&tracer, parent, request.uri().path());
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
fn open(tracer: &Tracer, parent: Option<TraceContext>, path: &str) -> Option<OpenSpan> {
    let name = path.trim_start_matches('/');
    match parent {
        // A name is made only where there is a span.
        Some(parent) if parent.is_sampled() => tracer.open(parent, SpanKind::Server, name.to_owned()),
        Some(_) => None,
        None => tracer.open_drawn(|| name.to_owned().into()),
    }
}

/// What each line of the log says.
fn line_span(context: TraceContext, parent: Option<TraceContext>) -> tracing::Span {
    let parent_id = parent.map(|parent| tracing::field::display(parent.span_id));
    tracing::info_span!("request", trace_id = %context.trace_id, span_id = %context.span_id, parent_id)
}
