//! Requests that belong to a trace: one that brings a `traceparent` (W3C Trace Context, level 1) is worked on in a span with its trace
//! id, so that each line of the log that is written meanwhile says which trace it is of. One that brings none costs a look at its
//! headers.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument;

/// The header, of HTTP and of gRPC alike.
const HEADER: &str = "traceparent";

/// What a `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    /// Whoever asks keeps this trace: a line tells when it is answered.
    sampled: bool,
}

/// Works on a request within its trace, if it has one.
pub(crate) async fn traced(request: Request, next: Next) -> Response {
    let header = request.headers().get(HEADER).cloned();
    let Some(parent) = header.as_ref().and_then(|header| parse(header.to_str().ok()?)) else {
        return next.run(request).await;
    };
    let (trace_id, parent_id) = (parent.trace_id, parent.span_id);
    let span = tracing::info_span!("request", trace_id, parent_id);
    let (path, began) = (request.uri().path().to_owned(), Instant::now());
    let answer = next.run(request).instrument(span.clone()).await;
    if parent.sampled {
        let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        // gRPC says how it went behind the answer, but where there is none.
        let grpc = answer.headers().get("grpc-status").and_then(|status| status.to_str().ok()).unwrap_or("");
        span.in_scope(|| tracing::info!(path, status = answer.status().as_u16(), grpc, took_us, "answered"));
    }
    answer
}

/// `version-trace-parent-flags`; `None` for what is none. A later version may say more behind the flags.
fn parse(header: &str) -> Option<Parent<'_>> {
    let mut parts = header.split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_some_id = |text: &str, length: usize| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let is_whole = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !is_whole || !is_some_id(trace_id, 32) || !is_some_id(span_id, 16) || !is_hex(flags, 2) {
        return None;
    }
    Some(Parent { trace_id, span_id, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let read = |flags: &str, sampled| {
            assert_eq!(
                parse(&format!("00-{TRACE}-{SPAN}-{flags}")),
                Some(Parent { trace_id: TRACE, span_id: SPAN, sampled })
            );
        };
        read("01", true);
        read("00", false);
        read("03", true);
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01-what-the-future-has")).is_some());
    }

    #[test]
    fn what_is_no_parent_is_passed_over() {
        let none = [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-é"),
        ];
        for header in none {
            assert_eq!(parse(&header), None, "{header}");
        }
    }
}
