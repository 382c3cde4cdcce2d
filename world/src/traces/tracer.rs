//! Takes spans and queues them for whoever sends them on.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::context::{SpanId, TraceContext};
use crate::Entropy;

/// Spans that wait to be sent; more are dropped.
const QUEUE_SPANS: usize = 8_192;
/// The longest name of a span, in bytes: a caller's own path may stand in it.
const MAX_NAME_BYTES: usize = 256;

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was asked here.
    Server,
    /// A request that was asked of another.
    Client,
    /// Anything within.
    Internal,
}

/// What a span says beside its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(u64),
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&'static str> for Fact {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// A piece of work that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its own place.
    pub context: TraceContext,
    /// The span within which it was done; `None`: it is the trace's first.
    pub parent: Option<SpanId>,
    /// What it is called: one of few names.
    pub name: Cow<'static, str>,
    /// What it is of.
    pub kind: SpanKind,
    /// When it began.
    pub began: Instant,
    /// When it was over.
    pub ended: Instant,
    /// What else is said of it.
    pub facts: Vec<(&'static str, Fact)>,
    /// Why it failed; `None`: it did not.
    pub failure: Option<Cow<'static, str>>,
}

/// What became of spans since the tracer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// A collector took them.
    pub sent: u64,
    /// Dropped, since as many waited as may.
    pub queue_full: u64,
    /// Dropped, since no collector took them.
    pub not_taken: u64,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    queue_full: AtomicU64,
    not_taken: AtomicU64,
}

#[derive(Debug)]
struct Sink {
    queue: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    entropy: Arc<dyn Entropy>,
    /// A trace is begun where a number drawn is below; 0: never.
    draws_below: u64,
}

/// Where spans go. Off by default; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Sink>>);

/// The other end: whoever sends spans on takes them from here.
#[derive(Debug)]
pub struct SpanQueue {
    pub(super) spans: mpsc::Receiver<Span>,
    counts: Arc<Counts>,
}

impl SpanQueue {
    /// A span that waits; `None`: none does.
    pub fn try_next(&mut self) -> Option<Span> {
        self.spans.try_recv().ok()
    }

    /// A collector took so many.
    pub fn note_sent(&self, spans: u64) {
        self.counts.sent.fetch_add(spans, Ordering::Relaxed);
    }

    /// So many were dropped, since no collector took them.
    pub fn note_not_taken(&self, spans: u64) {
        self.counts.not_taken.fetch_add(spans, Ordering::Relaxed);
    }
}

impl Tracer {
    /// One whose spans are queued. Of requests that bring no trace, that share (0.0 to 1.0) is traced.
    #[must_use]
    pub fn queued(entropy: Arc<dyn Entropy>, sample_ratio: f64) -> (Self, SpanQueue) {
        let (queue, spans) = mpsc::channel(QUEUE_SPANS);
        let counts = Arc::<Counts>::default();
        // Saturates: 1.0 is all but one of 2^64.
        let draws_below = (sample_ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let sink = Sink { queue, counts: Arc::clone(&counts), entropy, draws_below };
        (Self(Some(Arc::new(sink))), SpanQueue { spans, counts })
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What became of spans.
    #[must_use]
    pub fn counts(&self) -> TraceCounts {
        let Some(sink) = &self.0 else { return TraceCounts::default() };
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &sink.counts;
        TraceCounts { sent: of(&counts.sent), queue_full: of(&counts.queue_full), not_taken: of(&counts.not_taken) }
    }

    /// A place of this trace for a span that will be told; `None`: nothing is told of it.
    #[must_use]
    pub fn place_within(&self, parent: TraceContext) -> Option<TraceContext> {
        let sink = self.0.as_ref().filter(|_| parent.is_sampled())?;
        Some(parent.next(&*sink.entropy))
    }

    /// The place of what was not drawn: one that says so to whoever is asked next, who does not draw again then. `None`: this tracer
    /// draws nothing.
    pub(super) fn place_of_none(&self) -> Option<TraceContext> {
        let sink = self.0.as_ref().filter(|sink| sink.draws_below > 0)?;
        Some(TraceContext::begun(&*sink.entropy, false))
    }

    /// Begins a span within another; `None`: nothing is told of it.
    #[must_use]
    pub fn open(&self, parent: TraceContext, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> Option<OpenSpan> {
        let context = self.place_within(parent)?;
        Some(self.opened(context, Some(parent.span_id), kind, name.into()))
    }

    /// Begins the span of a request that brought no trace, if it is drawn.
    #[must_use]
    pub fn open_drawn(&self, name: impl FnOnce() -> Cow<'static, str>) -> Option<OpenSpan> {
        let sink = self.0.as_ref().filter(|sink| sink.draws_below > 0)?;
        if sink.entropy.next_u64() >= sink.draws_below {
            return None;
        }
        let context = TraceContext::begun(&*sink.entropy, true);
        Some(self.opened(context, None, SpanKind::Server, name()))
    }

    fn opened(
        &self,
        context: TraceContext,
        parent: Option<SpanId>,
        kind: SpanKind,
        name: Cow<'static, str>,
    ) -> OpenSpan {
        let name = if name.len() > MAX_NAME_BYTES { "a long name".into() } else { name };
        let now = Instant::now();
        let span = Span { context, parent, name, kind, began: now, ended: now, facts: Vec::new(), failure: None };
        OpenSpan { tracer: self.clone(), span: Some(span) }
    }

    /// Takes a span that is over; never waits.
    pub fn tell(&self, span: Span) {
        let Some(sink) = &self.0 else { return };
        if sink.queue.try_send(span).is_err() {
            sink.counts.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Work that is under way. It is told when it is [ended](Self::end), and as given up where it is dropped before.
#[derive(Debug)]
pub struct OpenSpan {
    tracer: Tracer,
    span: Option<Span>,
}

impl OpenSpan {
    /// Its own place.
    ///
    /// # Panics
    ///
    /// Never: the span is there until it has ended.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.span.as_ref().expect("a span is there until it has ended").context
    }

    /// Says something of it.
    pub fn say(&mut self, fact: &'static str, what: impl Into<Fact>) {
        if let Some(span) = &mut self.span {
            span.facts.push((fact, what.into()));
        }
    }

    /// It failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.span {
            span.failure = Some(why.into());
        }
    }

    /// It is over.
    pub fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.ended = Instant::now();
            self.tracer.tell(span);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if self.span.is_some() {
            self.fail("nobody waited for its end");
            self.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealEntropy;

    fn queued(ratio: f64) -> (Tracer, SpanQueue) {
        Tracer::queued(Arc::new(RealEntropy), ratio)
    }

    #[test]
    fn one_that_is_off_opens_nothing() {
        let parent = TraceContext::begun(&RealEntropy, true);
        let off = Tracer::default();
        assert!(off.open(parent, SpanKind::Internal, "a").is_none());
        assert!(off.open_drawn(|| "a".into()).is_none() && off.place_of_none().is_none());
    }

    #[test]
    fn spans_of_a_trace_that_somebody_keeps_are_told_and_others_are_not() {
        let (tracer, mut queue) = queued(1.0);
        let kept = TraceContext::begun(&RealEntropy, true);
        let mut span = tracer.open(kept, SpanKind::Server, "ask").expect("it is kept");
        span.say("shard", 3);
        let context = span.context();
        span.end();
        let told = queue.try_next().expect("it is told");
        assert_eq!((told.context, told.parent, told.failure), (context, Some(kept.span_id), None));
        assert_eq!(told.facts, [("shard", Fact::Number(3))]);
        drop(tracer.open(kept, SpanKind::Server, "given up"));
        assert!(queue.try_next().expect("it is told").failure.is_some());
        let not_kept = TraceContext::begun(&RealEntropy, false);
        assert!(tracer.open(not_kept, SpanKind::Server, "ask").is_none());
    }

    #[test]
    fn of_requests_without_a_trace_a_share_is_drawn() {
        let drawn = |ratio| {
            let (tracer, _queue) = queued(ratio);
            (0..1_000).filter(|_| tracer.open_drawn(|| "ask".into()).is_some()).count()
        };
        assert_eq!((drawn(0.0), drawn(1.0)), (0, 1_000));
        assert!((300..700).contains(&drawn(0.5)));
    }

    #[test]
    fn what_the_queue_does_not_hold_is_dropped_and_counted() {
        let (tracer, queue) = queued(1.0);
        for _ in 0..QUEUE_SPANS + 7 {
            tracer.open_drawn(|| "ask".into()).expect("all are drawn").end();
        }
        assert_eq!(tracer.counts(), TraceCounts { queue_full: 7, ..TraceCounts::default() });
        drop(queue);
        tracer.open_drawn(|| "ask".into()).expect("all are drawn").end();
        assert_eq!(tracer.counts().queue_full, 8, "nobody takes them any more");
    }
}
