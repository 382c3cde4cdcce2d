//! A place in a trace, as W3C Trace Context (level 1) writes it into a header, and how a task knows its own.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Entropy;

/// A trace; never all zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// The id of these bits; `None`: all zeroes are no id.
    #[must_use]
    pub const fn new(bits: u128) -> Option<Self> {
        match NonZeroU128::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// One that nobody else has.
    #[must_use]
    pub fn drawn(entropy: &dyn Entropy) -> Self {
        Self(NonZeroU128::new(entropy.next_u128()).unwrap_or(NonZeroU128::MIN))
    }

    /// As OTLP has it.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A span of a trace; never all zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// The id of these bits; `None`: all zeroes are no id.
    #[must_use]
    pub const fn new(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// One that nobody else in its trace has.
    #[must_use]
    pub fn drawn(entropy: &dyn Entropy) -> Self {
        Self(NonZeroU64::new(entropy.next_u64()).unwrap_or(NonZeroU64::MIN))
    }

    /// As OTLP has it.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A place in a trace: the span within which something is done. Written out it is the value of a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    flags: u8,
}

impl TraceContext {
    /// The header that has it, of HTTP and of gRPC alike.
    pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

    const SAMPLED: u8 = 1;

    /// The beginning of a trace of its own.
    #[must_use]
    pub fn begun(entropy: &dyn Entropy, is_sampled: bool) -> Self {
        let flags = if is_sampled { Self::SAMPLED } else { 0 };
        Self { trace_id: TraceId::drawn(entropy), span_id: SpanId::drawn(entropy), flags }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn next(self, entropy: &dyn Entropy) -> Self {
        Self { span_id: SpanId::drawn(entropy), ..self }
    }

    /// Whoever asked keeps this trace.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & Self::SAMPLED == Self::SAMPLED
    }

    /// What these headers say; `None`: nothing, or nothing that can be read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(Self::HEADER)?.to_str().ok()?)
    }

    /// `version-trace-parent-flags`; `None` for what is none. A later version may say more behind the flags.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let is_whole = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_whole || !is_hex(trace_id, 32) || !is_hex(span_id, 16) || !is_hex(flags, 2) {
            return None;
        }
        Some(Self {
            trace_id: TraceId::new(u128::from_str_radix(trace_id, 16).ok()?)?,
            span_id: SpanId::new(u64::from_str_radix(span_id, 16).ok()?)?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        })
    }

    /// The header's value.
    ///
    /// # Panics
    ///
    /// Never: hexadecimal digits and hyphens are a value.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("hexadecimal digits and hyphens are a header's value")
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What flags other than this one mean is not known here, and they are not passed on.
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags & Self::SAMPLED)
    }
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Where what this task does now stands; `None`: in no trace. A task that is spawned begins without one.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}

/// Does the work at that place of a trace; `None`: where it stands already.
pub async fn within<F: Future>(context: Option<TraceContext>, work: F) -> F::Output {
    match context {
        Some(context) => CURRENT.scope(context, work).await,
        None => work.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealEntropy;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says_and_written_as_it_was() {
        let read = |flags: &str| TraceContext::read(&format!("00-{TRACE}-{SPAN}-{flags}")).expect("a parent");
        let parent = read("01");
        assert_eq!((parent.trace_id.to_string().as_str(), parent.span_id.to_string().as_str()), (TRACE, SPAN));
        assert_eq!([read("01"), read("00"), read("03")].map(TraceContext::is_sampled), [true, false, true]);
        assert_eq!(parent.to_string(), format!("00-{TRACE}-{SPAN}-01"));
        assert_eq!(read("03").to_string(), parent.to_string(), "no flag goes on whose meaning is not known");
        assert!(TraceContext::read(&format!("cc-{TRACE}-{SPAN}-01-what-the-future-has")).is_some());
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
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-é"),
        ];
        for header in none {
            assert_eq!(TraceContext::read(&header), None, "{header}");
        }
    }

    #[test]
    fn a_span_that_follows_is_another_one_of_the_same_trace() {
        let first = TraceContext::begun(&RealEntropy, true);
        let second = first.next(&RealEntropy);
        assert_eq!((first.trace_id, second.is_sampled()), (second.trace_id, true));
        assert_ne!(first.span_id, second.span_id);
        let headers: HeaderMap = [(TraceContext::HEADER, second.header())].into_iter().collect();
        assert_eq!(TraceContext::of(&headers), Some(second));
    }

    #[tokio::test]
    async fn a_task_knows_its_place_and_one_that_it_spawns_has_none() {
        let context = TraceContext::begun(&RealEntropy, false);
        assert_eq!(current(), None);
        let (here, within_nothing, there) = within(Some(context), async {
            let spawned = tokio::spawn(async { current() });
            (current(), within(None, async { current() }).await, spawned.await.expect("it ends"))
        })
        .await;
        assert_eq!((here, within_nothing, there), (Some(context), Some(context), None));
        assert_eq!(current(), None);
    }
}
