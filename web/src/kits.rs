//! Kits: `/v1/kits/{sku}`.

use axum::http::StatusCode;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::revisions::{if_absent, if_match};
use crate::wire::{CauseSaid, FromWire, from_wire};

/// What one kit takes of a SKU, which may be a kit itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KitComponent {
    sku: String,
    /// 1 to 2 000 000 000.
    units: u32,
}

from_wire!(KitComponent { sku, units });

/// A SKU that is sold as its components.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Kit {
    sku: String,
    name: String,
    components: Vec<KitComponent>,
    /// Its `kit_rev`.
    revision: u64,
    /// Kits may be promised of which components are not there, where those may be.
    backorder: bool,
}

from_wire!(Kit { sku, name, components, revision, backorder });

/// How many kits could be held at a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KitAvailability {
    location_id: String,
    available: u64,
}

from_wire!(KitAvailability { location_id, available });

/// A kit, what one of it becomes, and how many could be held: advice, read from several shards.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KitShown {
    kit: Kit,
    /// Kits within it taken apart, each SKU once. Empty where that cannot be said: `problem` says why.
    flattened: Vec<KitComponent>,
    availability: Vec<KitAvailability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<Problem>,
}

/// What is said of a kit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KitSaid {
    /// At most 255 bytes.
    #[serde(default)]
    name: String,
    /// 1 to 32, each SKU once.
    components: Vec<KitComponent>,
    #[serde(default)]
    backorder: bool,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// A kit.
#[utoipa::path(get, path = "/v1/kits/{sku}", tag = "kits",
    params(("sku" = String, Path, description = "The kit's SKU, percent-encoded"),
           ("location_id" = Option<String>, Query, description = "How many could be held only there")),
    responses((status = 200, description = "The kit", body = KitShown)))]
pub(crate) async fn get_kit(asked: Asked) -> Answered {
    asked.only_query(&["location_id"])?;
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let reader = asked.reader(&client, Some(client.shard_of(sku)))?;
    let v1::GetKitResponse { kit, flattened, availability, problem } =
        reader.kit(sku, asked.query_text("location_id")).await?;
    let kit = kit.unwrap_or_default();
    let revision = kit.revision;
    let shown = KitShown {
        kit: Kit::from_wire(kit),
        flattened: Vec::from_wire(flattened),
        availability: Vec::from_wire(availability),
        problem: problem.map(Problem::from),
    };
    Ok(Reply::ok(&shown).tagged_as_shown(revision))
}

/// Creates a kit, or replaces its name and recipe. `If-Match`: only at that `kit_rev`; `If-None-Match: *`: only if there is none.
#[utoipa::path(put, path = "/v1/kits/{sku}", tag = "kits",
    params(("sku" = String, Path, description = "The kit's SKU, percent-encoded")),
    request_body = KitSaid, responses((status = 200, description = "It is so", body = Done)))]
pub(crate) async fn put_kit(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let KitSaid { name, components, backorder, cause } = asked.body()?;
    let wire = |KitComponent { sku, units }| v1::KitComponent { sku, units };
    let kit = v1::Kit {
        sku: asked.path("sku").to_owned(),
        name,
        components: components.into_iter().map(wire).collect(),
        revision: 0,
        backorder,
    };
    let put = v1::PutKit {
        kit: Some(kit),
        if_revision: if_match(&asked.headers)?.unwrap_or(0),
        if_absent: if_absent(&asked.headers)?,
    };
    asked.execute(asked.key()?, Operation::PutKit(put), cause, StatusCode::OK).await
}
