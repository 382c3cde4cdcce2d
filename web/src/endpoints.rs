//! What the steps of orders may call: `/v1/endpoints`, `/v1/endpoints/{endpoint_id}`.

use holdfast_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::Page;
use crate::records::Record;
use crate::reply::{Answered, Reply};
use crate::wire::{FromWire, Text, from_wire, said, words};

words! {
    /// What stands in for an answer that does not come.
    EndpointFallback { None, Answer, Last } else None
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Endpoint {
    endpoint_id: String,
    url: String,
    /// How long an attempt may take.
    timeout_ms: u64,
    /// After so many attempts in a row that came to nothing a node leaves it alone,
    breaker_failures: u32,
    /// for so long; then one attempt shows whether it goes on.
    breaker_open_ms: u64,
    fallback: EndpointFallback,
    fallback_answer: Text,
}

from_wire!(Endpoint { endpoint_id, url, timeout_ms, breaker_failures, breaker_open_ms, fallback, fallback_answer });

/// What is said of an endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointSaid {
    /// `http://HOST:PORT/PATH`, at most 255 bytes. For TLS, name a proxy beside the node.
    #[schema(example = "http://127.0.0.1:9000/pay")]
    url: String,
    /// How long an attempt may take: 10 to 60 000; 0: 2 000.
    #[serde(default)]
    timeout_ms: u64,
    /// After so many attempts in a row that came to nothing a node leaves it alone: 1 to 1 000; 0: 5.
    #[serde(default)]
    breaker_failures: u32,
    /// For how long; then one attempt shows whether it goes on: 100 to 3 600 000; 0: 5 000.
    #[serde(default)]
    breaker_open_ms: u64,
    /// Only for steps that are as good undone: a score, not a payment. None if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    fallback: Option<EndpointFallback>,
    /// With the fallback `answer`: at most 1 024 bytes.
    #[serde(default)]
    #[schema(required = false)]
    fallback_answer: Text,
}

/// It is not called any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointRemoved {
    endpoint_id: String,
}

/// The endpoints, in the order of their ids.
#[utoipa::path(get, path = "/v1/endpoints", tag = "orders",
    params(("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Endpoint>)))]
pub(crate) async fn list_endpoints(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let items = asked.client()?.endpoints(None).await?;
    asked.page_of_records::<Endpoint, _>(items, |it| &it.endpoint_id)
}

/// Creates an endpoint, or replaces what is said of it. The same again changes nothing.
#[utoipa::path(put, path = "/v1/endpoints/{endpoint_id}", tag = "orders",
    params(("endpoint_id" = String, Path, description = "Its id, percent-encoded; 1 to 64 bytes")),
    request_body = EndpointSaid, responses((status = 200, description = "It is so", body = Endpoint)))]
pub(crate) async fn put_endpoint(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let EndpointSaid { url, timeout_ms, breaker_failures, breaker_open_ms, fallback, fallback_answer } =
        asked.body()?;
    let endpoint = v1::Endpoint {
        endpoint_id: asked.path("endpoint_id").to_owned(),
        url,
        timeout_ms,
        breaker_failures,
        breaker_open_ms,
        fallback: said(fallback, EndpointFallback::wire),
        fallback_answer: fallback_answer.0.into_bytes(),
    };
    let (known, is_anothers) = asked.put_record::<v1::Endpoint>(Record::Endpoint(endpoint)).await?;
    Ok(Reply::ok(&Endpoint::from_wire(known)).tagged_as_shown(0).replayed(is_anothers))
}

/// Has an endpoint called no more. One that is gone already is 404.
#[utoipa::path(delete, path = "/v1/endpoints/{endpoint_id}", tag = "orders",
    params(("endpoint_id" = String, Path, description = "Its id, percent-encoded")),
    responses((status = 200, description = "It is gone", body = EndpointRemoved)))]
pub(crate) async fn remove_endpoint(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let gone = Record::NoEndpoint(asked.path("endpoint_id").to_owned());
    let (endpoint_id, is_anothers) = asked.put_record::<String>(gone).await?;
    Ok(Reply::ok(&EndpointRemoved { endpoint_id }).replayed(is_anothers))
}
