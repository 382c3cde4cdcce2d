//! Requests that are nearly right: none of them does more than be refused.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::Web;

const BODIES: [(&str, &str, &str); 14] = [
    ("PUT", "/v1/items/A", r#"{"name":"x","status":"paused","backorder":{"cap":5},"cause":{"actor":"anna"}}"#),
    ("POST", "/v1/stock:receive", r#"{"sku":"A","units":7,"lot_id":"L1","lot":{"expires_on":"2027-05"}}"#),
    ("POST", "/v1/stock:adjust", r#"{"sku":"A","delta":-7,"condition":"quality_control"}"#),
    (
        "POST",
        "/v1/reservations",
        r#"{"lines":[{"sku":"A","units":2,"min_units":1}],"ttl_s":900,"sourcing":{"nearest":["a"]}}"#,
    ),
    (
        "POST",
        "/v1/reservations/0190f3c4-5b1e-8a2b-9c3d-0000000000a1:commit",
        r#"{"lines":[{"line":0,"units":1}],"final":true}"#,
    ),
    (
        "POST",
        "/v1/reservations:batch",
        r#"{"items":[{"reserve":{"lines":[{"sku":"A","units":2}]}},{"reservation_id":"0190f3c4-5b1e-8a2b-9c3d-0000000000a1","release":{}}]}"#,
    ),
    ("PUT", "/v1/kits/A", r#"{"components":[{"sku":"B","units":2}]}"#),
    (
        "POST",
        "/v1/counts/0190f3c4-5b1e-8a2b-9c3d-0000000000a1:record",
        r#"{"lines":[{"lot_id":"L1","condition":"damaged","units":3}]}"#,
    ),
    ("PUT", "/v1/items/A/limits/two", r#"{"units":2,"window_s":86400,"returns_restore":true}"#),
    (
        "POST",
        "/v1/orders",
        r#"{"reservation_id":"0190f3c4-5b1e-8a2b-9c3d-0000000000a1","steps":[{"name":"pay","endpoint":"pay","payload":"x"}]}"#,
    ),
    ("POST", "/v1/transfers", r#"{"sku":"A","to_location_id":"B","lines":[{"lot_id":"L1","units":3}]}"#),
    ("POST", "/v1/receipts", r#"{"sku":"A","lines":[{"units":3}],"expected_at_ms":1790000000000}"#),
    ("POST", "/v1/campaigns/drop:admit", r#"{"most":7,"valid_s":60}"#),
    ("POST", "/public/v1/availability:batch", r#"{"skus":["A","B"],"channel_id":"web"}"#),
];

const PATHS: [&str; 7] = [
    "/v1/",
    "/v1/items?limit=7&cursor=0.41",
    "/v1/reservations/0190f3c4-5b1e-8a2b-9c3d-0000000000a1",
    "/v1/events?cursor=0=17,1=204&kind=stock.received&limit=5",
    "/v1/lots/A%2FB/L1/trace?limit=3",
    "/v1/audit/proofs/0/17?size=20",
    "/public/v1/availability/A?channel_id=web",
];

/// What is said to a request where there is no cluster: its status, after its body was read as what it says it is.
fn status(runtime: &Runtime, routes: &Router, request: Request<Body>) -> u16 {
    runtime.block_on(async {
        let reply = routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = reply.status().as_u16();
        let body = to_bytes(reply.into_body(), usize::MAX).await.expect("a body in memory");
        let said: serde_json::Value = serde_json::from_slice(&body).expect("a problem");
        assert_eq!(said["status"], status);
        status
    })
}

fn served() -> (Runtime, Router) {
    let runtime = Runtime::new().expect("a runtime");
    let routes = crate::routes_of(Arc::clone(&Web::unconnected()));
    (runtime, routes)
}

proptest! {
    #[test]
    fn a_body_that_is_nearly_right_is_refused_or_waits_for_a_cluster(
        (at, body) in (0..BODIES.len()).prop_flat_map(|at| (Just(at), holdfast_mangle::mangled(BODIES[at].2.into())))
    ) {
        let (runtime, routes) = served();
        let (method, path, _) = BODIES[at];
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .body(Body::from(body))
            .expect("a request");
        let status = status(&runtime, &routes, request);
        prop_assert!(matches!(status, 400 | 503), "{status}");
    }

    #[test]
    fn a_path_that_is_nearly_right_is_refused_or_waits_for_a_cluster(
        path in (0..PATHS.len()).prop_flat_map(|at| holdfast_mangle::mangled_text(PATHS[at]))
    ) {
        let Ok(uri) = path.parse::<axum::http::Uri>() else { return Ok(()) };
        // What lies elsewhere is not ours to answer.
        if !uri.path().starts_with("/v1/") && !uri.path().starts_with("/public/") {
            return Ok(());
        }
        let (runtime, routes) = served();
        let request = Request::builder().uri(uri).body(Body::empty()).expect("a request");
        let status = status(&runtime, &routes, request);
        prop_assert!(matches!(status, 400 | 404 | 405 | 503), "{status}");
    }

    #[test]
    fn headers_that_are_nearly_right_are_refused_or_wait_for_a_cluster(
        key in holdfast_mangle::mangled(b"0190f3c4-5b1e-7a2b-9c3d-000000000001".to_vec()),
        token in holdfast_mangle::mangled(b"0:17,3:204".to_vec()),
        tag in holdfast_mangle::mangled(b"\"17-9f3a\"".to_vec()),
        trace in holdfast_mangle::mangled(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec()),
    ) {
        let (runtime, routes) = served();
        let mut request = Request::builder().method("PUT").uri("/v1/items/A").header("content-type", "application/json");
        for (name, value) in
            [("idempotency-key", key), ("holdfast-at-least", token), ("if-match", tag), ("traceparent", trace)]
        {
            let Ok(value) = axum::http::HeaderValue::from_bytes(&value) else { continue };
            request = request.header(name, value);
        }
        let status = status(&runtime, &routes, request.body(Body::from("{}")).expect("a request"));
        prop_assert!(matches!(status, 400 | 503), "{status}");
    }
}
