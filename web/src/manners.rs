//! What every request meets and every reply has, whatever it is about: the bound on requests at once, whom the request says it is
//! for, traces, tokens, tags that the caller has already, and the headers that keep browsers from doing more than they should.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use crate::Web;
use crate::limits::REQUESTS;
use crate::problem::Problem;
use crate::revisions::has_already;
use crate::tokens::{TOKEN, Tokens};

/// On a reply to what was decided before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Nothing that a reply says is a page, a script or a frame.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// Wraps every route.
pub(crate) async fn keep(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let trace = Trace::of(request.headers(), web.world.entropy.next_u128(), web.world.entropy.next_u64());
    let span =
        tracing::info_span!("http", trace_id = trace.id(), method = %request.method(), path = request.uri().path());
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let told = if is_read { request.headers().clone() } else { HeaderMap::new() };
    let mut response = match check_host(request.headers(), &web) {
        Err(problem) => problem.into_response(),
        Ok(()) => match web.places.try_acquire() {
            Ok(_place) => {
                if ["/v1/", "/public/"].iter().any(|prefix| request.uri().path().starts_with(prefix)) {
                    web.link.found().await;
                }
                next.run(request).instrument(span.clone()).await
            }
            Err(_) => {
                let detail = format!("{REQUESTS} requests are under way on this node: ask again a little later");
                Problem::overloaded(detail).with("max_requests", REQUESTS).into_response()
            }
        },
    };
    if is_read && response.status() == StatusCode::OK && has_it(&told, response.headers()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    let usual = [
        (header::CONTENT_SECURITY_POLICY, NO_CONTENT),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    let headers = response.headers_mut();
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    match headers.get(TOKEN).map(|told| told.to_str().ok().and_then(Tokens::read)) {
        Some(told) => web.has_replied(told.unwrap_or_default()),
        None => {
            if let Ok(seen) = HeaderValue::from_str(&web.seen().text())
                && !seen.is_empty()
            {
                headers.insert(TOKEN, seen);
            }
        }
    }
    if let Ok(parent) = HeaderValue::from_str(&trace.parent) {
        headers.insert(TRACE_PARENT, parent);
    }
    response
}

fn has_it(told: &HeaderMap, headers: &HeaderMap) -> bool {
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    tag.is_some_and(|tag| has_already(told, tag))
}

/// A page of another site can have its own name point to this address, and then speaks as if it were ours: so a request must name an
/// address, this machine, or a name that the settings know.
fn check_host(headers: &HeaderMap, web: &Web) -> Result<(), Problem> {
    let told = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if told.is_empty() || is_known_host(told, &web.hosts) {
        return Ok(());
    }
    let detail = "is none of the names that this node answers to: add it to `http.hosts` in the node's settings";
    Err(Problem::invalid("Host", detail).with_status(421))
}

fn is_known_host(told: &str, known: &[String]) -> bool {
    let host = match told.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => told.rsplit_once(':').map_or(told, |(host, _)| host),
    };
    host.parse::<std::net::IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || known.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// A place in a trace (W3C Trace Context): the caller's, with a span of this node's, or a new one.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    parent: String,
}

impl Trace {
    fn of(headers: &HeaderMap, new_trace: u128, span: u64) -> Self {
        // All zeroes are no id.
        let (new_trace, span) = (new_trace.max(1), span.max(1));
        let told = headers.get(TRACE_PARENT).and_then(|told| told.to_str().ok()).and_then(read_parent);
        let (trace, flags) = told.unwrap_or((new_trace, 0));
        Self { parent: format!("00-{trace:032x}-{span:016x}-{flags:02x}") }
    }

    fn id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }
}

/// The trace and the flags of a `traceparent`; `None` where it is none, or of a version that is forbidden.
fn read_parent(text: &str) -> Option<(u128, u8)> {
    let mut parts = text.split('-');
    let is_hex = |part: &&str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let version = parts.next().filter(|part| is_hex(part, 2) && *part != "ff")?;
    let trace = u128::from_str_radix(parts.next().filter(|part| is_hex(part, 32))?, 16).ok().filter(|id| *id != 0)?;
    let _span = u64::from_str_radix(parts.next().filter(|part| is_hex(part, 16))?, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(parts.next().filter(|part| is_hex(part, 2))?, 16).ok()?;
    // Version 00 has these four parts; a later one may have more.
    if version == "00" && parts.next().is_some() { None } else { Some((trace, flags)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_under_a_span_of_ones_own() {
        let told = |text: &str| [(TRACE_PARENT, HeaderValue::from_str(text).expect("a value"))].into_iter().collect();
        let trace = Trace::of(&told(PARENT), 7, 0xabc);
        assert_eq!(trace.parent, "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01");
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-00",
        ] {
            let trace = Trace::of(&told(bad), 7, 1);
            assert_eq!(trace.parent, "00-00000000000000000000000000000007-0000000000000001-00", "{bad}");
        }
    }

    #[tokio::test]
    async fn more_requests_at_once_than_the_bound_are_refused_by_name() {
        use tower::ServiceExt as _;

        let web = Web::unconnected();
        let all = web.places.acquire_many(REQUESTS as u32).await.expect("all places");
        let routes = crate::routes_of(Arc::clone(&web));
        let ask = || Request::builder().uri("/v1/cluster").body(Body::empty()).expect("a request");
        let reply = routes.clone().oneshot(ask()).await.expect("it is infallible");
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers()[header::RETRY_AFTER], "1");
        let said = axum::body::to_bytes(reply.into_body(), 10_000).await.expect("a body");
        let said: serde_json::Value = serde_json::from_slice(&said).expect("a problem");
        assert_eq!((&said["reason"], &said["retry"]), (&"OVERLOADED".into(), &"same_key".into()));
        drop(all);
        let reply = routes.oneshot(ask()).await.expect("it is infallible");
        let said = axum::body::to_bytes(reply.into_body(), 10_000).await.expect("a body");
        let said: serde_json::Value = serde_json::from_slice(&said).expect("a problem");
        assert_eq!(said["reason"], "UNAVAILABLE", "there is room, and no cluster yet");
    }

    #[test]
    fn another_sites_name_is_none_of_ours() {
        let known = ["shop.example".to_owned()];
        for ours in ["127.0.0.1:7402", "localhost:7402", "LOCALHOST", "[::1]:7402", "10.0.0.7", "shop.example:443"] {
            assert!(is_known_host(ours, &known), "{ours}");
        }
        for other in ["evil.example", "evil.example:7402", "127.0.0.1.evil.example:7402", "localhost.evil.example"] {
            assert!(!is_known_host(other, &known), "{other}");
        }
    }
}
