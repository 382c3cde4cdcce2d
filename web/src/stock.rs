//! Quantities: `/v1/stock`, `/v1/items/{sku}/stock`, and what changes them by hand.

use axum::http::StatusCode;
use holdfast_client::ids::ReceiptId;
use holdfast_client::{CommandKey, Read, Stock};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::event_subjects::Discrepancy;
use crate::lots::LotSpec;
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::revisions::if_match;
use crate::sheet::{Form, Sheet};
use crate::wire::{CauseSaid, Condition, FromWire, IdText, from_wire, id_of_text, said};

/// Quantities of one SKU at one location. `on_hand` = `free` + `reserved` + `committed` + `damaged` + `quality_control`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockLevel {
    sku: String,
    location_id: String,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
    free: u64,
    /// What may be promised now.
    atp: u64,
    /// Units received over the item's life.
    received: u64,
    /// The same adjusted, net.
    adjusted: i64,
    /// The same shipped.
    fulfilled: u64,
    /// The same returned.
    returned: u64,
    /// What `stock:set` compares.
    revision: u64,
    /// Promised, and the stock went away.
    short: u64,
    /// Kept back from sale.
    safety_stock: u64,
    /// On its way here from other locations.
    in_transit: u64,
    /// Expected from suppliers.
    incoming: u64,
    /// Units ever sent to other locations.
    sent: u64,
    /// The same come from there.
    arrived: u64,
    /// Promised without stock by choice.
    backordered: u64,
    /// What campaigns have and nobody else gets.
    allocated: u64,
}

from_wire!(StockLevel {
    sku,
    location_id,
    on_hand,
    reserved,
    committed,
    damaged,
    quality_control,
    free,
    atp,
    received,
    adjusted,
    fulfilled,
    returned,
    revision,
    short,
    safety_stock,
    in_transit,
    incoming,
    sent,
    arrived,
    backordered,
    allocated,
});

/// The quantities of one SKU.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockOfSku {
    sku: String,
    /// What may be promised, over the locations shown.
    atp: u64,
    /// One for each location.
    levels: Vec<StockLevel>,
    /// Not 0: the SKU is a kit of this `kit_rev`, of which nothing is stocked.
    kit_revision: u64,
}

/// Quantities as a table.
pub(crate) const SHEET: Sheet = Sheet {
    name: "stock",
    each: None,
    columns: &[
        "sku",
        "location_id",
        "on_hand",
        "reserved",
        "committed",
        "damaged",
        "quality_control",
        "free",
        "atp",
        "received",
        "adjusted",
        "fulfilled",
        "returned",
        "revision",
        "short",
        "safety_stock",
        "in_transit",
        "incoming",
        "sent",
        "arrived",
        "backordered",
        "allocated",
    ],
};

/// The quantities of all SKUs, shard by shard.
#[utoipa::path(get, path = "/v1/stock", tag = "stock",
    params(("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "SKUs of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page; the levels of a SKU stand together", body = Page<StockLevel>)))]
pub(crate) async fn list_stock(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["format", "limit", "cursor"])?;
    let client = asked.client()?;
    page_of(asked.reader(&client, None)?.stocks(), &asked).await?.in_form::<StockLevel>(form, &asked, &SHEET)
}

/// The quantities of a SKU, at one location or at each.
#[utoipa::path(get, path = "/v1/items/{sku}/stock", tag = "stock",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("location_id" = Option<String>, Query, description = "Only there")),
    responses((status = 200, description = "The quantities", body = StockOfSku)))]
pub(crate) async fn get_stock(asked: Asked) -> Answered {
    asked.only_query(&["location_id"])?;
    let (client, sku) = (asked.client()?, asked.path("sku"));
    let reader = asked.reader(&client, Some(client.shard_of(sku)))?;
    let Read { value, freshness } = reader.stock(sku, asked.query_text("location_id")).await?;
    let Stock { levels, atp, kit_revision } = value;
    // Of one location it is what `set` compares; of several there is none.
    let revision = match levels.as_slice() {
        [one] => one.revision,
        _ => 0,
    };
    let shown = StockOfSku { sku: sku.to_owned(), atp, levels: Vec::from_wire(levels), kit_revision };
    Ok(Reply::ok(&shown).seen(freshness.token).tagged_as_shown(revision))
}

/// Units that arrive.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiveRequest {
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    location_id: String,
    /// 1 to 2 000 000 000.
    units: u32,
    /// Needed for an item tracked by lot, and only there.
    #[serde(default)]
    lot_id: String,
    /// What is known of the lot.
    #[serde(default)]
    #[schema(nullable = false)]
    lot: Option<LotSpec>,
    /// The receipt that they were expected with.
    #[serde(default)]
    #[schema(nullable = false)]
    receipt_id: Option<IdText>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Units found or written off.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdjustRequest {
    sku: String,
    #[serde(default)]
    location_id: String,
    /// How many more, or fewer (below 0).
    delta: i64,
    #[serde(default)]
    lot_id: String,
    /// Among which units; resellable if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    condition: Option<Condition>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What was counted at a revision. The revision stands here or in `If-Match`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRequest {
    sku: String,
    #[serde(default)]
    location_id: String,
    on_hand: u64,
    /// The revision that the count was made at.
    #[serde(default)]
    if_revision: u64,
    #[serde(default)]
    lot_id: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Units that get another condition where they lie.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {
    sku: String,
    #[serde(default)]
    location_id: String,
    #[serde(default)]
    lot_id: String,
    /// 1 to 2 000 000 000.
    units: u32,
    /// Resellable if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    from: Option<Condition>,
    /// Not the same.
    to: Condition,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What another system says of a SKU at a location.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcileRequest {
    sku: String,
    #[serde(default)]
    location_id: String,
    /// Needed to repair an item that is tracked by lot.
    #[serde(default)]
    lot_id: String,
    /// What the difference was found to be.
    discrepancy: Discrepancy,
    /// How many resellable units more (above 0) or fewer (below 0) it says are there; not 0.
    delta: i64,
    /// Have the books say the same; else it is only noted.
    #[serde(default)]
    repair: bool,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// How many units of a SKU at a location are kept back from sale.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetSafetyStockRequest {
    sku: String,
    #[serde(default)]
    location_id: String,
    /// 0: none.
    safety_stock: u64,
    /// Not 0: only if the stock's revision is this. It may stand in `If-Match`.
    #[serde(default)]
    if_revision: u64,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Units arrive.
#[utoipa::path(post, path = "/v1/stock:receive", tag = "stock", request_body = ReceiveRequest,
    responses((status = 200, description = "They are there", body = Done)))]
pub(crate) async fn receive(asked: Asked) -> Answered {
    asked.no_conditions()?;
    let key = key_of_post(&asked)?;
    let ReceiveRequest { sku, location_id, units, lot_id, lot, receipt_id, cause } = asked.body()?;
    let lot = lot.map(LotSpec::wire);
    let receipt_id = receipt_id.map(|id| id_of_text::<ReceiptId>(&id.0, "receipt_id")).transpose()?.map(Into::into);
    let receive = v1::Receive { sku, location_id, units, lot_id, lot, receipt_id };
    asked.execute(key, Operation::Receive(receive), cause, StatusCode::OK).await
}

/// Corrects a quantity by a difference.
#[utoipa::path(post, path = "/v1/stock:adjust", tag = "stock", request_body = AdjustRequest,
    responses((status = 200, description = "It is corrected", body = Done)))]
pub(crate) async fn adjust(asked: Asked) -> Answered {
    asked.no_conditions()?;
    let key = key_of_post(&asked)?;
    let AdjustRequest { sku, location_id, delta, lot_id, condition, cause } = asked.body()?;
    let condition = said(condition, Condition::wire);
    let adjust = v1::Adjust { sku, location_id, delta, lot_id, condition };
    asked.execute(key, Operation::Adjust(adjust), cause, StatusCode::OK).await
}

/// Sets a quantity to what was counted, if nothing has changed since.
#[utoipa::path(post, path = "/v1/stock:set", tag = "stock", request_body = SetRequest,
    responses((status = 200, description = "It is set", body = Done)))]
pub(crate) async fn set(asked: Asked) -> Answered {
    asked.no_if_none_match()?;
    let key = key_of_post(&asked)?;
    let SetRequest { sku, location_id, on_hand, if_revision, lot_id, cause } = asked.body()?;
    let if_revision = one_revision(&asked, if_revision)?;
    let set = v1::Set { sku, location_id, on_hand, if_revision, lot_id };
    asked.execute(key, Operation::Set(set), cause, StatusCode::OK).await
}

/// Gives units another condition.
#[utoipa::path(post, path = "/v1/stock:move", tag = "stock", request_body = MoveRequest,
    responses((status = 200, description = "They have it", body = Done)))]
pub(crate) async fn move_units(asked: Asked) -> Answered {
    asked.no_conditions()?;
    let key = key_of_post(&asked)?;
    let MoveRequest { sku, location_id, lot_id, units, from, to, cause } = asked.body()?;
    let (from, to) = (said(from, Condition::wire), to.wire());
    let move_units = v1::Move { sku, location_id, lot_id, units, from, to };
    asked.execute(key, Operation::Move(move_units), cause, StatusCode::OK).await
}

/// Notes that another system's records differ, and has the books say the same if that is asked for.
#[utoipa::path(post, path = "/v1/stock:reconcile", tag = "stock", request_body = ReconcileRequest,
    responses((status = 200, description = "It is noted", body = Done)))]
pub(crate) async fn reconcile(asked: Asked) -> Answered {
    asked.no_conditions()?;
    let key = key_of_post(&asked)?;
    let ReconcileRequest { sku, location_id, lot_id, discrepancy, delta, repair, cause } = asked.body()?;
    let discrepancy = discrepancy.wire();
    let reconcile = v1::Reconcile { sku, location_id, lot_id, discrepancy, delta, repair };
    asked.execute(key, Operation::Reconcile(reconcile), cause, StatusCode::OK).await
}

/// Keeps units back from sale.
#[utoipa::path(post, path = "/v1/stock:set_safety_stock", tag = "stock", request_body = SetSafetyStockRequest,
    responses((status = 200, description = "They are kept back", body = Done)))]
pub(crate) async fn set_safety_stock(asked: Asked) -> Answered {
    asked.no_if_none_match()?;
    let key = key_of_post(&asked)?;
    let SetSafetyStockRequest { sku, location_id, safety_stock, if_revision, cause } = asked.body()?;
    let if_revision = one_revision(&asked, if_revision)?;
    let set = v1::SetSafetyStock { sku, location_id, safety_stock, if_revision };
    asked.execute(key, Operation::SetSafetyStock(set), cause, StatusCode::OK).await
}

fn key_of_post(asked: &Asked) -> Result<Option<CommandKey>, Problem> {
    asked.only_query(&[])?;
    asked.key_needed().map(Some)
}

/// The revision of the body or of `If-Match`; they may not differ.
fn one_revision(asked: &Asked, of_body: u64) -> Result<u64, Problem> {
    match if_match(&asked.headers)? {
        None => Ok(of_body),
        Some(of_header) if of_body == 0 || of_body == of_header => Ok(of_header),
        Some(of_header) => Err(Problem::invalid("if_revision", format!("is {of_body}, and If-Match says {of_header}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;

    #[test]
    fn a_table_has_every_field() {
        has_every_field(&SHEET, &StockLevel::from_wire(v1::StockLevel::default()), &[]);
    }
}
