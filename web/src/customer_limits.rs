//! How many units one customer may have: of a SKU (`/v1/items/{sku}/limits`), or of several together (`/v1/limits`).

use axum::http::StatusCode;
use holdfast_client::Client;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::Page;
use crate::records::Record;
use crate::reply::{Answered, Done, Reply};
use crate::revisions::{if_absent, if_match};
use crate::wire::{CauseSaid, FromWire, from_wire};

/// What a customer has under a limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerCount {
    held: u64,
    bought: u64,
    /// Units that may be held still.
    remaining: u64,
}

from_wire!(CustomerCount { held, bought, remaining });

/// A limit of one SKU.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerLimit {
    limit_id: String,
    sku: String,
    units: u32,
    /// 0: for ever.
    window_s: u32,
    /// What comes back may be bought again.
    returns_restore: bool,
    /// New holds are neither checked nor counted.
    inactive: bool,
    revision: u64,
    /// Of the customer that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<CustomerCount>,
    /// Not empty: only reservations made in this campaign are under it.
    campaign_id: String,
}

from_wire!(CustomerLimit { limit_id, sku, units, window_s, returns_restore, inactive, revision, count, campaign_id });

/// The limits of a SKU.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerLimits {
    /// By age.
    items: Vec<CustomerLimit>,
}

/// What is said of a limit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitSaid {
    /// At least 1; with a window at most 10 000.
    units: u32,
    /// 0: all there ever were are counted; else those of reservations made in the last so many seconds. It does not change.
    #[serde(default)]
    window_s: u32,
    /// What comes back may be bought again.
    #[serde(default)]
    returns_restore: bool,
    /// New holds are neither checked nor counted.
    #[serde(default)]
    inactive: bool,
    /// Not empty: only reservations made in this campaign are checked and counted. It does not change, and goes without `window_s`.
    #[serde(default)]
    campaign_id: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// A limit of several SKUs together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SharedLimit {
    limit_id: String,
    skus: Vec<String>,
    units: u32,
    /// 0: for ever.
    window_s: u32,
    /// What comes back may be bought again.
    returns_restore: bool,
    /// New holds are neither checked nor counted.
    inactive: bool,
    revision: u64,
}

from_wire!(SharedLimit { limit_id, skus, units, window_s, returns_restore, inactive, revision });

/// What is said of a limit of several SKUs together.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharedLimitSaid {
    /// 2 to 64, each once.
    skus: Vec<String>,
    units: u32,
    /// 0: for ever. It does not change.
    #[serde(default)]
    window_s: u32,
    /// What comes back may be bought again.
    #[serde(default)]
    returns_restore: bool,
    /// New holds are neither checked nor counted.
    #[serde(default)]
    inactive: bool,
}

/// The limits per customer of a SKU, by age, and what a customer has under each.
#[utoipa::path(get, path = "/v1/items/{sku}/limits", tag = "limits",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("customer" = Option<String>, Query, description = "What this customer has under each, too")),
    responses((status = 200, description = "All of them", body = CustomerLimits)))]
pub(crate) async fn list_limits(asked: Asked) -> Answered {
    asked.only_query(&["customer"])?;
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let reader = asked.reader(&client, Some(client.shard_of(sku)))?;
    let read = reader.limits(sku, asked.query_text("customer").unwrap_or_default()).await?;
    let shown = CustomerLimits { items: Vec::from_wire(read.value) };
    Ok(Reply::ok(&shown).seen(read.freshness.token).tagged_as_shown(0))
}

/// Creates a limit, or replaces what is said of it. `If-Match`: only at that revision; `If-None-Match: *`: only if there is none.
#[utoipa::path(put, path = "/v1/items/{sku}/limits/{limit_id}", tag = "limits",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("limit_id" = String, Path, description = "The limit, percent-encoded; at most 64 bytes")),
    request_body = LimitSaid, responses((status = 200, description = "It is so", body = Done)))]
pub(crate) async fn put_limit(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let LimitSaid { units, window_s, returns_restore, inactive, campaign_id, cause } = asked.body()?;
    let put = v1::PutLimit {
        limit_id: asked.path("limit_id").to_owned(),
        sku: asked.path("sku").to_owned(),
        units,
        window_s,
        returns_restore,
        inactive,
        if_revision: if_match(&asked.headers)?.unwrap_or(0),
        if_absent: if_absent(&asked.headers)?,
        campaign_id,
    };
    asked.execute(asked.key()?, Operation::PutLimit(put), cause, StatusCode::OK).await
}

/// The limits per customer of several SKUs together, in the order of their ids.
#[utoipa::path(get, path = "/v1/limits", tag = "limits",
    params(("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<SharedLimit>)))]
pub(crate) async fn list_shared_limits(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let items = asked.client()?.shared_limits().await?;
    asked.page_of_records::<SharedLimit, _>(items, |it| &it.limit_id)
}

/// Creates a limit of several SKUs together, or replaces what is said of it. The same again changes nothing.
#[utoipa::path(put, path = "/v1/limits/{limit_id}", tag = "limits",
    params(("limit_id" = String, Path, description = "Its id, percent-encoded; at most 30 bytes")),
    request_body = SharedLimitSaid, responses((status = 200, description = "It is so", body = SharedLimit)))]
pub(crate) async fn put_shared_limit(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let SharedLimitSaid { skus, units, window_s, returns_restore, inactive } = asked.body()?;
    let limit_id = asked.path("limit_id").to_owned();
    let limit = v1::SharedLimit { limit_id, skus, units, window_s, returns_restore, inactive, revision: 0 };
    let id = limit.limit_id.clone();
    let revision_of = |client: Client| async move {
        let known = client.shared_limits().await?;
        Ok(known.iter().find(|known| known.limit_id == id).map_or(0, |known| known.revision))
    };
    asked.at_revision("limit", revision_of).await?;
    let (known, is_anothers) = asked.put_record::<v1::SharedLimit>(Record::SharedLimit(limit)).await?;
    let revision = known.revision;
    Ok(Reply::ok(&SharedLimit::from_wire(known)).tagged(revision).replayed(is_anothers))
}
