//! What is promised without stock: `/v1/backorders`.

use holdfast_client::Backorders;
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::{Page, page_of};
use crate::reply::Answered;
use crate::wire::{IdText, from_wire};

/// Units of a SKU at a location that a reservation waits for. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Backorder {
    sku: String,
    location_id: String,
    reservation_id: IdText,
    units: u64,
    /// They are filled before those that are not.
    sold: bool,
    created_at_ms: u64,
    /// When the hold ends; 0: it is sold, or another shard decides.
    expires_at_ms: u64,
    order_ref: String,
}

from_wire!(Backorder { sku, location_id, reservation_id, units, sold, created_at_ms, expires_at_ms, order_ref });

/// What is promised without stock, shard by shard; of each SKU and location in the order in which it is filled.
#[utoipa::path(get, path = "/v1/backorders", tag = "stock",
    params(("sku" = Option<String>, Query, description = "Only those of this SKU"),
           ("location_id" = Option<String>, Query, description = "Only those at this location"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Backorder>)))]
pub(crate) async fn list_backorders(asked: Asked) -> Answered {
    asked.only_query(&["sku", "location_id", "limit", "cursor"])?;
    let which = Backorders {
        sku: asked.query_text("sku").map(str::to_owned),
        location_id: asked.query_text("location_id").map(str::to_owned),
    };
    let client = asked.client()?;
    Ok(page_of(asked.reader(&client, None)?.backorders(which), &asked).await?.reply::<Backorder>())
}
