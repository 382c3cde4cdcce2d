//! Traces: where a piece of work stands in one (W3C Trace Context), and the spans that are told of it.
//!
//! Responsible for reading and writing `traceparent`, for handing the place down to whatever the same task does, and for taking spans
//! without ever waiting: where the queue is full a span is dropped and counted. A [`Tracer`] that is off costs a look at an `Option`.
//! Leaves to whoever works what a span is called, and to [`otlp`] how spans reach a collector.

mod channel;
mod context;
#[cfg(feature = "otlp")]
pub mod otlp;
mod tracer;

pub use context::{SpanId, TraceContext, TraceId, current, within};
pub use tracer::{Fact, OpenSpan, Span, SpanKind, SpanQueue, TraceCounts, Tracer};
