//! What every request meets and every reply has, whatever it is about: the bound on requests at once, whom the request says it is
//! for, traces, tokens, tags that the caller has already, and the headers that keep browsers from doing more than they should.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use holdfast_world::World;
use holdfast_world::traces::{OpenSpan, SpanKind, TraceContext, within};
use tracing::Instrument as _;

use crate::Web;
use crate::limits::REQUESTS;
use crate::problem::Problem;
use crate::revisions::has_already;
use crate::tokens::{TOKEN, Tokens};

/// On a reply to what was decided before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Nothing that a reply says is a page, a script or a frame.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// Wraps every route.
pub(crate) async fn keep(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let traced = Traced::of(&request, &web.world);
    let line = traced.line_span(&request);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let told = if is_read { request.headers().clone() } else { HeaderMap::new() };
    let mut response = match check_host(request.headers(), &web) {
        Err(problem) => problem.into_response(),
        Ok(()) => match web.places.try_acquire() {
            Ok(_place) => {
                if ["/v1/", "/public/"].iter().any(|prefix| request.uri().path().starts_with(prefix)) {
                    web.link.found().await;
                }
                within(traced.within, next.run(request)).instrument(line.clone()).await
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
    line.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
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
    headers.insert(TraceContext::HEADER, traced.place.header());
    traced.end(&response);
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

/// Where a request stands: in the trace that it brought, or in one of its own.
struct Traced {
    /// What is told of it, where its trace is kept.
    span: Option<OpenSpan>,
    /// Where what it asks of the cluster stands; `None`: in no trace, since it brought none and none was drawn.
    within: Option<TraceContext>,
    /// What the reply and the log's lines say: the trace, with a span of this node's.
    place: TraceContext,
}

impl Traced {
    fn of(request: &Request, world: &World) -> Self {
        let brought = TraceContext::of(request.headers());
        let mut span = match brought {
            // A name is made only where there is a span.
            Some(parent) if parent.is_sampled() => world.tracer.open(parent, SpanKind::Server, name_of(request)),
            Some(_) => None,
            None => world.tracer.open_drawn(|| name_of(request).into()),
        };
        if let Some(span) = &mut span {
            span.say("http.request.method", request.method().to_string());
            span.say("url.path", request.uri().path().to_owned());
        }
        let told = span.as_ref().map(OpenSpan::context);
        let entropy = &*world.entropy;
        let own = || brought.map_or_else(|| TraceContext::begun(entropy, false), |brought| brought.next(entropy));
        let place = told.unwrap_or_else(own);
        // A span that nobody is told of is no parent. And a change within a sampled trace leaves the client's session for a call of its own:
        // not where nothing is told of it.
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let goes_on = |brought: &TraceContext| world.tracer.is_on() || is_read || !brought.is_sampled();
        Self { span, within: told.or(brought.filter(goes_on)), place }
    }

    fn line_span(&self, request: &Request) -> tracing::Span {
        let TraceContext { trace_id, span_id, .. } = self.place;
        let path = request.uri().path();
        tracing::info_span!("http", %trace_id, %span_id, method = %request.method(), path)
    }

    fn end(self, response: &Response) {
        let Some(mut span) = self.span else { return };
        let status = response.status();
        span.say("http.response.status_code", u64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(format!("HTTP status {}", status.as_u16()));
        }
        span.end();
    }
}

/// As OpenTelemetry calls a request: by its method and the pattern of its path, of which there are few.
fn name_of(request: &Request) -> String {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    format!("{} {route}", request.method()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use holdfast_world::traces::Tracer;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_under_a_span_of_ones_own() {
        let world = World::real();
        let by = |method: &str, told: &str| {
            let request = Request::builder().method(method).uri("/v1/items").header("traceparent", told);
            Traced::of(&request.body(Body::empty()).expect("a request"), &world)
        };
        let asked = |told: &str| by("GET", told);
        let brought = TraceContext::read(PARENT).expect("a parent");
        let traced = asked(PARENT);
        assert_eq!((traced.place.trace_id, traced.place.is_sampled()), (brought.trace_id, true));
        assert_ne!(traced.place.span_id, brought.span_id);
        assert_eq!(traced.within, Some(brought), "nobody is told of the span: it is no parent");
        assert_eq!(by("PUT", PARENT).within, None, "a change would go another way, and nobody is told of it");
        let traced = asked(&PARENT.to_uppercase());
        assert!(traced.within.is_none() && !traced.place.is_sampled());
        assert_ne!(traced.place.trace_id, brought.trace_id, "what cannot be read is passed over");
    }

    #[test]
    fn the_span_that_is_told_is_the_one_that_the_reply_names_and_that_the_cluster_is_asked_within() {
        let (tracer, mut queue) = Tracer::queued(World::real().entropy, 0.0);
        let world = World { tracer, ..World::real() };
        let request = Request::builder().uri("/v1/items").header("traceparent", PARENT).body(Body::empty());
        let traced = Traced::of(&request.expect("a request"), &world);
        let place = traced.place;
        assert_eq!(traced.within, Some(place));
        traced.end(&StatusCode::BAD_GATEWAY.into_response());
        let span = queue.try_next().expect("it is told");
        assert_eq!((span.context, span.parent), (place, TraceContext::read(PARENT).map(|parent| parent.span_id)));
        assert_eq!((span.name.as_ref(), span.failure.as_deref()), ("GET", Some("HTTP status 502")), "no route had it");
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
