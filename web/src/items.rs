//! Items: `/v1/items`, `/v1/items/{sku}`.

use axum::http::StatusCode;
use holdfast_client::Read;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::{Page, page_of};
use crate::reply::{Answered, Done, Reply};
use crate::revisions::{if_absent, if_match};
use crate::sheet::{Form, Sheet};
use crate::wire::{CauseSaid, from_wire, said, words};

words! {
    /// Whether an item is on sale.
    ItemStatus { Active, Paused, Discontinued } else Active
}

/// What may be promised of an item without stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackorderTerms {
    /// Units promised at one time at each location; of a preorder 0 too.
    pub(crate) cap: u64,
    /// 0: a backorder. Else a preorder: nothing is shipped before this instant, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub(crate) release_at_ms: u64,
}

from_wire!(BackorderTerms { cap, release_at_ms });

/// One SKU.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    /// 1 to 64 bytes of printable UTF-8.
    sku: String,
    name: String,
    brand: String,
    category: String,
    gtin: String,
    /// A JSON object of at most 16 KiB, as text.
    attributes_json: String,
    status: ItemStatus,
    /// True: never refused for lack of stock.
    untracked: bool,
    lot_tracked: bool,
    shelf_life_days: u32,
    removal_days: u32,
    alert_days: u32,
    pao_months: u32,
    min_remaining_days: u32,
    /// 0: no limit.
    max_per_order: u32,
    /// 0: the cluster's maximum.
    max_hold_s: u32,
    low_stock_threshold: u64,
    /// Of a kit, its `kit_rev`.
    revision: u64,
    /// What may be promised without stock; not there: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    backorder: Option<BackorderTerms>,
    /// It is a kit: nothing of it is stocked.
    kit: bool,
}

from_wire!(Item {
    sku,
    name,
    brand,
    category,
    gtin,
    attributes_json,
    status,
    untracked,
    lot_tracked,
    shelf_life_days,
    removal_days,
    alert_days,
    pao_months,
    min_remaining_days,
    max_per_order,
    max_hold_s,
    low_stock_threshold,
    revision,
    backorder,
    kit,
});

/// What is said of an item. What is left out is empty, 0 or false.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ItemSaid {
    /// At most 255 bytes.
    name: String,
    brand: String,
    category: String,
    gtin: String,
    /// A JSON object of at most 16 KiB, as text.
    #[schema(example = "{\"shade\":\"01\"}")]
    attributes_json: String,
    /// Active if it is not said.
    #[schema(nullable = false)]
    status: Option<ItemStatus>,
    /// True: never refused for lack of stock.
    untracked: bool,
    /// Its stock is by lot. Changes only while there is none.
    lot_tracked: bool,
    shelf_life_days: u32,
    removal_days: u32,
    alert_days: u32,
    pao_months: u32,
    min_remaining_days: u32,
    /// 0: no limit.
    max_per_order: u32,
    /// 0: the cluster's maximum.
    max_hold_s: u32,
    low_stock_threshold: u64,
    /// What may be promised without stock; not there: nothing.
    #[schema(nullable = false)]
    backorder: Option<BackorderTerms>,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

impl ItemSaid {
    fn wire(self, sku: &str) -> v1::Item {
        v1::Item {
            sku: sku.to_owned(),
            name: self.name,
            brand: self.brand,
            category: self.category,
            gtin: self.gtin,
            attributes_json: self.attributes_json,
            status: said(self.status, ItemStatus::wire),
            untracked: self.untracked,
            lot_tracked: self.lot_tracked,
            shelf_life_days: self.shelf_life_days,
            removal_days: self.removal_days,
            alert_days: self.alert_days,
            pao_months: self.pao_months,
            min_remaining_days: self.min_remaining_days,
            max_per_order: self.max_per_order,
            max_hold_s: self.max_hold_s,
            low_stock_threshold: self.low_stock_threshold,
            revision: 0,
            backorder: self
                .backorder
                .map(|BackorderTerms { cap, release_at_ms }| v1::BackorderTerms { cap, release_at_ms }),
            kit: false,
        }
    }
}

/// Items as a table.
pub(crate) const SHEET: Sheet = Sheet {
    name: "items",
    each: None,
    columns: &[
        "sku",
        "name",
        "brand",
        "category",
        "gtin",
        "attributes_json",
        "status",
        "untracked",
        "lot_tracked",
        "shelf_life_days",
        "removal_days",
        "alert_days",
        "pao_months",
        "min_remaining_days",
        "max_per_order",
        "max_hold_s",
        "low_stock_threshold",
        "revision",
        "backorder.cap",
        "backorder.release_at_ms",
        "kit",
    ],
};

/// The items, shard by shard, in the order of their SKUs within a shard.
#[utoipa::path(get, path = "/v1/items", tag = "items",
    params(("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Item>)))]
pub(crate) async fn list_items(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["format", "limit", "cursor"])?;
    let client = asked.client()?;
    page_of(asked.reader(&client, None)?.items(), &asked).await?.in_form::<Item>(form, &asked, &SHEET)
}

/// An item.
#[utoipa::path(get, path = "/v1/items/{sku}", tag = "items",
    params(("sku" = String, Path, description = "The SKU, percent-encoded")),
    responses((status = 200, description = "The item", body = Item)))]
pub(crate) async fn get_item(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let read: Read<v1::Item> = asked.reader(&client, Some(client.shard_of(sku)))?.item(sku).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Item, _>(read).tagged(revision))
}

/// Creates an item, or replaces what is said of it. `If-Match`: only at that revision; `If-None-Match: *`: only if there is none.
#[utoipa::path(put, path = "/v1/items/{sku}", tag = "items",
    params(("sku" = String, Path, description = "The SKU, percent-encoded")),
    request_body = ItemSaid, responses((status = 200, description = "It is so", body = Done)))]
pub(crate) async fn put_item(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let mut said: ItemSaid = asked.body()?;
    let cause = said.cause.take();
    let put = v1::PutItem {
        item: Some(said.wire(asked.path("sku"))),
        if_revision: if_match(&asked.headers)?.unwrap_or(0),
        if_absent: if_absent(&asked.headers)?,
    };
    asked.execute(asked.key()?, Operation::PutItem(put), cause, StatusCode::OK).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;
    use crate::wire::FromWire as _;

    #[test]
    fn a_table_has_every_field() {
        let item = v1::Item { backorder: Some(v1::BackorderTerms::default()), ..v1::Item::default() };
        has_every_field(&SHEET, &Item::from_wire(item), &[]);
    }
}
