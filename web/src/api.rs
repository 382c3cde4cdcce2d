//! What the API says of itself: OpenAPI 3.1, generated from the handlers, at `/openapi.json`, and a page that shows it at `/docs`.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
};

use crate::Web;
use crate::live::LIVE;
use crate::problem::{MEDIA_TYPE, Problem, reasons};

/// The page is ours, and nothing in it comes from elsewhere.
const CSP: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../assets/docs.html");
const SCRIPT: &str = include_str!("../assets/docs.js");
const STYLE: &str = include_str!("../assets/docs.css");

/// The API, as its handlers say it.
#[derive(OpenApi)]
#[openapi(
    info(title = "Holdfast", description = "Stock that is never sold twice."),
    paths(
        crate::public_availability::get_public_availability,
        crate::public_availability::batch_public_availability,
        crate::items::list_items,
        crate::items::get_item,
        crate::items::put_item,
        crate::stock::list_stock,
        crate::stock::get_stock,
        crate::stock::receive,
        crate::stock::adjust,
        crate::stock::set,
        crate::stock::move_units,
        crate::stock::set_safety_stock,
        crate::availability::get_availability,
        crate::availability::batch_availability,
        crate::reservations::list_reservations,
        crate::reservations::reserve,
        crate::reservations_batch::batch_reservations,
        crate::reservations::get_reservation,
        crate::reservations::amend,
        crate::reservations::commit,
        crate::reservations::release,
        crate::reservations::extend,
        crate::reservations::fulfil,
        crate::reservations::cancel,
        crate::reservations::return_units,
        crate::kits::get_kit,
        crate::kits::put_kit,
        crate::campaigns::list_campaigns,
        crate::campaigns::get_campaign,
        crate::campaigns::list_allocations,
        crate::campaigns::open_campaign,
        crate::campaigns::close_campaign,
        crate::campaigns::grant,
        crate::campaigns::revoke,
        crate::lots::list_lots_of_item,
        crate::lots::list_lots,
        crate::lots::get_lot,
        crate::lots::put_lot,
        crate::lots::block_lot,
        crate::lots::unblock_lot,
        crate::lots::recall_lot,
        crate::lots::trace_lot,
        crate::counts::list_counts,
        crate::counts::get_count,
        crate::counts::open_count,
        crate::counts::record_count,
        crate::counts::apply_count,
        crate::counts::cancel_count,
        crate::events::list_events,
        crate::audit::list_heads,
        crate::audit::prove_event,
        crate::audit::stock_as_of,
        crate::cluster::get_cluster,
        crate::cluster::get_node,
        crate::cluster::list_locations,
        crate::cluster::put_location,
        crate::cluster::list_channels,
        crate::cluster::put_channel,
        crate::queues::get_queue,
        crate::queues::list_tickets,
        crate::queues::get_admission,
        crate::queues::join,
        crate::queues::admit,
        crate::queues::commit_draw,
        crate::queues::draw,
        crate::customer_limits::list_limits,
        crate::customer_limits::put_limit,
        crate::customer_limits::list_shared_limits,
        crate::customer_limits::put_shared_limit,
        crate::orders::list_orders,
        crate::orders::get_order,
        crate::orders::start_order,
        crate::orders::report_step,
        crate::orders::confirm_order,
        crate::orders::abort_order,
        crate::endpoints::list_endpoints,
        crate::endpoints::put_endpoint,
        crate::endpoints::remove_endpoint,
        crate::transfers::list_transfers,
        crate::transfers::get_transfer,
        crate::transfers::create_transfer,
        crate::transfers::receive_transfer,
        crate::transfers::lose_transfer,
        crate::transfers::cancel_transfer,
        crate::receipts::list_receipts,
        crate::receipts::get_receipt,
        crate::receipts::expect_receipt,
        crate::receipts::close_receipt,
        crate::backorders::list_backorders,
        crate::stock::reconcile,
        crate::live::events::stream_events,
        crate::live::stream::back_office,
        crate::live::stream::public,
        crate::live::ws::back_office,
        crate::live::ws::public,
    ),
    tags((name = "live", description = "Updates as they happen. These answers do not end: a program that reads a body to its end leaves them out.")),
    components(schemas(
        Problem,
        crate::live::said::Said,
        crate::live::wanted::Wanted,
        crate::live::ws::Asks,
        crate::live::ws::Follows,
        crate::live::ws::Nothing,
        crate::sheet::Form,
    ))
)]
struct Api;

pub(crate) static OPENAPI: LazyLock<String> = LazyLock::new(|| {
    let mut said =
        serde_json::to_value(described()).expect("an OpenAPI document has text keys and finite numbers only");
    tell_the_truth(&mut said);
    said.to_string()
});

/// Mends what the derives say: what may be left out is no `null` that its schema does not take, and 32 bits without a sign are more than
/// those with one.
fn tell_the_truth(said: &mut serde_json::Value) {
    match said {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, value| name != "default" || !value.is_null());
            if fields.get("format").is_some_and(|format| format == "int32") {
                fields.insert("format".to_owned(), "int64".into());
                fields.entry("maximum").or_insert(u32::MAX.into());
            }
            fields.values_mut().for_each(tell_the_truth);
        }
        serde_json::Value::Array(entries) => entries.iter_mut().for_each(tell_the_truth),
        _ => {}
    }
}

/// The document.
#[cfg(test)]
pub(crate) fn openapi() -> &'static str {
    &OPENAPI
}

static REASONS: LazyLock<String> = LazyLock::new(crate::reasons::json);

/// The routes of what the API says of itself.
pub(crate) fn routes() -> Router<Arc<Web>> {
    let page = |media_type: &'static str, text: &'static str| {
        get(move || async move {
            ([(header::CONTENT_TYPE, media_type), (header::CONTENT_SECURITY_POLICY, CSP)], text).into_response()
        })
    };
    Router::new()
        .route("/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI.as_str()) }))
        .route("/docs/reasons.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], REASONS.as_str()) }))
        .route("/docs", page("text/html; charset=utf-8", PAGE))
        .route("/docs/docs.js", page("text/javascript; charset=utf-8", SCRIPT))
        .route("/docs/docs.css", page("text/css; charset=utf-8", STYLE))
}

/// The document, with the manners that every operation has.
fn described() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    for (path, item) in &mut api.paths.paths {
        let operations = [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ];
        for (method, operation) in operations {
            match operation {
                Some(live) if live.tags.iter().flatten().any(|tag| tag == LIVE) => crate::live::describe(path, live),
                Some(operation) => describe_manners(path, &method, operation),
                None => {}
            }
        }
    }
    if let Some(components) = &mut api.components
        && let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("Problem")
        && let Some(RefOr::T(Schema::Object(reason))) = problem.properties.get_mut("reason")
    {
        reason.enum_values = Some(reasons().map(|reason| reason.name().into()).collect());
    }
    api
}

fn describe_manners(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let is_read = *method == HttpMethod::Get || path.contains("availability:batch");
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(header_of("traceparent", false, None, "W3C Trace Context: the reply goes on in the same trace"));
    if is_read {
        let what = "The Holdfast-Token of a reply: see at least what it has seen";
        parameters.push(header_of(
            "Holdfast-At-Least",
            false,
            Some("^[0-9]{1,9}:[0-9]{1,18}(,[0-9]{1,9}:[0-9]{1,18})*$"),
            what,
        ));
    } else {
        let what = if is_of_the_clusters_own_records(path, method) {
            "A UUID, or a text of 1 to 255 bytes: one that comes while the first is under way on the same node waits for its answer. It is \
             not kept beyond that: the same again is the same"
        } else {
            "What decides the change once: a UUID, or a text of 1 to 255 bytes; the same again is answered the same"
        };
        parameters.push(header_of(
            "Idempotency-Key",
            *method == HttpMethod::Post,
            Some("^[!-~]([ -~]{0,253}[!-~])?$"),
            what,
        ));
        if honours_if_match(path, method) {
            parameters.push(header_of(
                "If-Match",
                false,
                Some("^\"[1-9][0-9]{0,17}(-[0-9a-f]{16})?\"$"),
                "The ETag of a reply: only at that revision",
            ));
        }
    }
    if honours_if_absent(path, method) {
        parameters.push(header_of("If-None-Match", false, Some("^\\*$"), "`*`: only if there is none"));
    }
    if *method == HttpMethod::Get {
        parameters.push(header_of("If-None-Match", false, None, "The ETag of a reply: 304 if nothing has changed"));
    }
    let is_list = parameters.iter().any(|parameter| parameter.name == "format");
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            describe_headers(is_read, response);
            if is_list {
                describe_table(response);
            }
            if path == "/v1/events" {
                describe_stream(response);
            }
        }
    }
    let responses = &mut operation.responses.responses;
    if *method == HttpMethod::Get {
        responses.insert("304".to_owned(), RefOr::T(Response::new("Nothing has changed")));
    }
    for (status, what) in [
        ("400", "Something of the request cannot be: `field` names it"),
        ("404", "There is no such thing"),
        ("408", "The body did not come in time"),
        ("409", "Decided against: `reason` says why"),
        ("412", "It is at another revision"),
        ("413", "More than a request may have"),
        ("415", "Not JSON"),
        ("421", "A name that this node does not answer to"),
        ("422", "The key stands for something else"),
        ("503", "Not now: nothing was done"),
        ("504", "It may have been done: ask again with the same key"),
    ] {
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let mut problem = ResponseBuilder::new().description(what).content(MEDIA_TYPE, content);
        if status == "503" {
            problem = problem.header("Retry-After", header_saying("Seconds until it is worth asking again"));
        }
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem.build()));
    }
}

/// What no shard decides, so that nothing remembers a key.
fn is_of_the_clusters_own_records(path: &str, method: &HttpMethod) -> bool {
    const RECORDS: [&str; 5] = ["/v1/locations/", "/v1/channels/", "/v1/campaigns/", "/v1/limits/", "/v1/endpoints/"];
    let is_put = matches!(method, HttpMethod::Put | HttpMethod::Delete);
    path == "/v1/campaigns/{campaign_id}:close" || (is_put && RECORDS.iter().any(|record| path.starts_with(record)))
}

/// Where a change may be made dependent on a revision; elsewhere the header is refused.
fn honours_if_match(path: &str, method: &HttpMethod) -> bool {
    const COMPARED: [&str; 9] = [
        "/v1/reservations/{reservation_id}",
        "/v1/counts/{count_id}",
        "/v1/orders/{reservation_id}",
        "/v1/transfers/{transfer_id}",
        "/v1/receipts/{receipt_id}",
        "/v1/lots/{sku}/{lot_id}",
        "/v1/campaigns/{campaign_id}:close",
        "/v1/stock:set",
        "/v1/stock:set_safety_stock",
    ];
    // Of an endpoint nobody counts revisions.
    let is_record = *method == HttpMethod::Put && !path.starts_with("/v1/endpoints/");
    is_record || COMPARED.iter().any(|compared| path.split(':').next() == Some(*compared) || path == *compared)
}

/// Where a change may be made dependent on that there is nothing yet; elsewhere the header is refused.
fn honours_if_absent(path: &str, method: &HttpMethod) -> bool {
    *method == HttpMethod::Put && ["/v1/items/", "/v1/kits/"].iter().any(|record| path.starts_with(record))
}

fn describe_headers(is_read: bool, response: &mut Response) {
    let mut say = |name: &str, what: &str| {
        response.headers.insert(name.to_owned(), header_saying(what));
    };
    say("Holdfast-Token", "Up to where it has seen the shards' logs: send it back as Holdfast-At-Least");
    say("traceparent", "The trace of the request, with the node's span");
    say("ETag", "Begins with the revision, where it is of one record");
    if !is_read {
        say("Idempotency-Replayed", "true: it was decided before, by another attempt with this key");
    }
}

/// A list may be a table, too.
fn describe_table(response: &mut Response) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    response.content.insert(crate::accept::CSV.to_owned(), Content::new(Some(Schema::Object(text.build()))));
    for (name, what) in [
        ("Link", "Of a table: the next page, as rel=\"next\""),
        ("Holdfast-Next-Cursor", "Of a table: what `next_cursor` is in JSON"),
        ("Content-Disposition", "Of a table: the name of its file"),
    ] {
        response.headers.insert(name.to_owned(), header_saying(what));
    }
}

/// The events of a page are told as they happen, too, to who accepts that.
fn describe_stream(response: &mut Response) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    response.content.insert(crate::accept::EVENTS.to_owned(), Content::new(Some(Schema::Object(text.build()))));
}

fn header_saying(what: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(ObjectBuilder::new().schema_type(Type::String)).description(Some(what)).build()
}

fn header_of(name: &str, is_required: bool, pattern: Option<&str>, what: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(what))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(pattern)))
        .build()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn every_operation_that_is_described_is_served() {
        let routes = crate::routes_of(Web::unconnected());
        let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
        let paths = said["paths"].as_object().expect("there are paths");
        assert!(paths.len() > 40, "{}", paths.len());
        for (path, item) in paths {
            for method in item.as_object().expect("a path has methods").keys() {
                let place = path.split('/').map(|part| match part.split_once('}') {
                    Some((_, verb)) => format!("x{verb}"),
                    None => part.to_owned(),
                });
                let request = Request::builder()
                    .method(method.to_uppercase().as_str())
                    .uri(place.collect::<Vec<_>>().join("/"))
                    .header("content-type", "application/json")
                    .header("idempotency-key", "k");
                let reply = routes.clone().oneshot(request.body(Body::from("{}")).expect("a request")).await;
                let status = reply.expect("it is infallible").status().as_u16();
                assert!(matches!(status, 400 | 503), "{method} {path}: {status}");
            }
        }
    }

    #[tokio::test]
    async fn a_condition_that_is_not_described_is_refused_and_one_that_is_is_not() {
        let routes = crate::routes_of(Web::unconnected());
        let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
        for (path, item) in said["paths"].as_object().expect("there are paths") {
            for (method, operation) in item.as_object().expect("a path has methods") {
                if method == "get" || path.contains("availability:batch") {
                    continue;
                }
                for (condition, value) in [("If-Match", "\"1\""), ("If-None-Match", "*")] {
                    let parameters = operation["parameters"].as_array().expect("there are some");
                    let is_described = parameters.iter().any(|parameter| parameter["name"] == condition);
                    // An id of the right form, that the condition is come to.
                    let id = "0190f3c4-5b1e-8a2b-9c3d-0000000000a1";
                    let named = |part: &str| match part.split_once('}') {
                        Some((_, verb)) => format!("{id}{verb}"),
                        None => part.to_owned(),
                    };
                    let request = Request::builder()
                        .method(method.to_uppercase().as_str())
                        .uri(path.split('/').map(named).collect::<Vec<_>>().join("/"))
                        .header("content-type", "application/json")
                        .header("idempotency-key", "k")
                        .header(condition, value);
                    let reply = routes.clone().oneshot(request.body(Body::from("{}")).expect("a request")).await;
                    let body = reply.expect("it is infallible").into_body();
                    let body = axum::body::to_bytes(body, 100_000).await.expect("a body");
                    let problem: serde_json::Value = serde_json::from_slice(&body).expect("a problem");
                    assert_eq!(problem["field"] != condition, is_described, "{method} {path}: {condition}: {problem}");
                }
            }
        }
    }

    #[test]
    fn the_document_is_openapi_3_1_and_its_operations_have_names_of_their_own() {
        let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
        assert!(said["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        assert!(!OPENAPI.contains("\"default\":null"));
        let operations = said["paths"].as_object().into_iter().flatten().flat_map(|(_, item)| {
            item.as_object().into_iter().flatten().map(|(_, operation)| operation["operationId"].to_string())
        });
        let names: Vec<String> = operations.collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{names:?}");
        let reasons = said["components"]["schemas"]["Problem"]["properties"]["reason"]["enum"].as_array();
        assert!(reasons.is_some_and(|reasons| reasons.len() > 60), "{reasons:?}");
    }

    #[test]
    fn everything_that_the_document_refers_to_is_in_it() {
        let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
        let references: std::collections::BTreeSet<&str> =
            OPENAPI.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 50, "{references:?}");
        for reference in references {
            let place = reference.strip_prefix('#').expect("it is of this document");
            assert!(said.pointer(place).is_some(), "{reference} is not there");
        }
    }

    #[test]
    fn what_does_not_end_says_so_and_what_comes_and_everything_that_it_names_is_there() {
        let said: serde_json::Value = serde_json::from_str(&OPENAPI).expect("it is JSON");
        let of_path = |path: &str| &said["paths"][path]["get"];
        for path in [
            "/v1/events/stream",
            "/v1/availability/stream",
            "/public/v1/availability/stream",
            "/v1/ws",
            "/public/v1/ws",
        ] {
            let live = &of_path(path)["x-live"];
            assert_eq!(
                (&of_path(path)["tags"], &live["endless"]),
                (&serde_json::json!(["live"]), &true.into()),
                "{path}"
            );
            let messages = live["messages"].as_array().expect("messages");
            let named = messages.iter().filter_map(|message| message["schema"]["$ref"].as_str()).collect::<Vec<_>>();
            assert!(!named.is_empty(), "{path}");
            for name in named {
                let name = name.rsplit('/').next().expect("a name");
                assert!(said["components"]["schemas"][name].is_object(), "{path}: {name}");
            }
        }
        let stream = &of_path("/v1/events/stream")["responses"]["200"]["content"];
        assert!(stream["text/event-stream"].is_object() && stream.as_object().is_some_and(|all| all.len() == 1));
        assert!(of_path("/v1/ws")["responses"]["101"].is_object());
    }

    #[test]
    fn the_page_takes_nothing_of_the_document_for_markup_and_nothing_from_elsewhere() {
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"] {
            assert!(!SCRIPT.contains(word) && !PAGE.contains(word) && !STYLE.contains(word), "{word}");
        }
    }
}
