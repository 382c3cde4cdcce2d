//! Lots: `/v1/items/{sku}/lots`, `/v1/lots`, `/v1/lots/{sku}/{lot_id}`, what is done to one, and who has units of it.

use axum::http::StatusCode;
use holdfast_client::{Client, Consistency, Lots};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::{Page, no_cursor, page_limit, page_of};
use crate::problem::Problem;
use crate::records::last_of;
use crate::reply::{Answered, Done, Reply};
use crate::reservations::Reservation;
use crate::revisions::if_match;
use crate::sheet::{Form, Sheet};
use crate::wire::{CauseSaid, FromWire, from_wire, hex, said, shortened, words};

words! {
    /// Whether a lot is on sale.
    LotStatus { Approved, OnHold, Quarantined, Recalled } else Approved
}

/// What is said of a lot. Days are `2027-05-31`, or `2027-05` for the last of the month, and mean the end of that day in the location's
/// time zone.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LotSpec {
    /// The supplier's own word for it, at most 255 bytes.
    supplier_lot: String,
    manufactured_on: String,
    #[schema(example = "2027-05-31")]
    best_before: String,
    /// Empty: `best_before`, else what follows from the item's shelf life.
    expires_on: String,
}

impl LotSpec {
    pub(crate) fn wire(self) -> v1::LotSpec {
        let Self { supplier_lot, manufactured_on, best_before, expires_on } = self;
        v1::LotSpec { supplier_lot, manufactured_on, best_before, expires_on }
    }
}

/// Quantities of one lot at one location. `reserved` has the holds that name the lot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotLevel {
    location_id: String,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
}

from_wire!(LotLevel { location_id, on_hand, reserved, committed, damaged, quality_control });

/// Units of one SKU that share their dates. Instants are in milliseconds since the Unix epoch; 0: never, or not known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lot {
    sku: String,
    lot_id: String,
    supplier_lot: String,
    manufactured_at_ms: u64,
    best_before_ms: u64,
    expires_at_ms: u64,
    /// Until then it is sold.
    removal_at_ms: u64,
    alert_at_ms: u64,
    /// When its first units arrived.
    received_at_ms: u64,
    status: LotStatus,
    revision: u64,
    /// Where units of it lie.
    levels: Vec<LotLevel>,
}

from_wire!(Lot {
    sku,
    lot_id,
    supplier_lot,
    manufactured_at_ms,
    best_before_ms,
    expires_at_ms,
    removal_at_ms,
    alert_at_ms,
    received_at_ms,
    status,
    revision,
    levels,
});

/// What is known of a lot.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LotSaid {
    lot: LotSpec,
    /// In whose time zone the days are; empty: the default location's.
    location_id: String,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Why a lot leaves sale.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BlockRequest {
    /// `on_hold` or `quarantined`; on hold if it is not said.
    #[schema(nullable = false)]
    status: Option<LotStatus>,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Nothing has to be said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LotRequest {
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Lots as a table, a row for each place where units of one lie.
pub(crate) const SHEET: Sheet = Sheet {
    name: "lots",
    each: Some("levels"),
    columns: &[
        "sku",
        "lot_id",
        "supplier_lot",
        "manufactured_at_ms",
        "best_before_ms",
        "expires_at_ms",
        "removal_at_ms",
        "alert_at_ms",
        "received_at_ms",
        "status",
        "revision",
        "levels.location_id",
        "levels.on_hand",
        "levels.reserved",
        "levels.committed",
        "levels.damaged",
        "levels.quality_control",
    ],
};

/// The lots of a SKU, by their ids.
#[utoipa::path(get, path = "/v1/items/{sku}/lots", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Lot>)))]
pub(crate) async fn list_lots_of_item(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["format", "limit", "cursor"])?;
    let (client, sku, limit) = (asked.client()?, asked.path("sku"), page_limit(&asked)?);
    let after = asked.query_text("cursor").map(|text| last_of(text).ok_or_else(no_cursor)).transpose()?;
    let reader = asked.reader(&client, Some(client.shard_of(sku)))?;
    let (found, is_more) = reader.some_lots(sku, after.as_deref().unwrap_or_default(), limit).await?;
    let next_cursor = found.value.last().filter(|_| is_more).map(|last| hex(last.lot_id.as_bytes()));
    let page = Page { items: Vec::<Lot>::from_wire(found.value), next_cursor };
    Ok(form.page(&asked, &SHEET, &page)?.seen(found.freshness.token).tagged_as_shown(0))
}

/// The lots of which units lie somewhere, shard by shard.
#[utoipa::path(get, path = "/v1/lots", tag = "lots",
    params(("removal_until_ms" = Option<u64>, Query, description = "Only those that leave sale then or before"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Lot>)))]
pub(crate) async fn list_lots(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["removal_until_ms", "format", "limit", "cursor"])?;
    let client = asked.client()?;
    let which = Lots { removal_until_ms: asked.query_number("removal_until_ms")? };
    page_of(asked.reader(&client, None)?.all_lots(which), &asked).await?.in_form::<Lot>(form, &asked, &SHEET)
}

/// A lot.
#[utoipa::path(get, path = "/v1/lots/{sku}/{lot_id}", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded")),
    responses((status = 200, description = "The lot", body = Lot)))]
pub(crate) async fn get_lot(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, sku, lot_id) = (asked.client()?, asked.path("sku"), asked.path("lot_id"));
    let read = asked.reader(&client, Some(client.shard_of(sku)))?.lot(sku, lot_id).await?;
    let revision = read.value.revision;
    let token = read.freshness.token;
    Ok(Reply::ok(&Lot::from_wire(read.value)).seen(token).tagged_as_shown(revision))
}

/// Makes a lot known before its units arrive, or corrects what is known of it. `If-Match`: only at that revision.
#[utoipa::path(put, path = "/v1/lots/{sku}/{lot_id}", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded")),
    request_body = LotSaid, responses((status = 200, description = "It is known", body = Done)))]
pub(crate) async fn put_lot(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let LotSaid { lot, location_id, cause } = asked.body()?;
    let put = v1::PutLot {
        sku: asked.path("sku").to_owned(),
        lot_id: asked.path("lot_id").to_owned(),
        lot: Some(lot.wire()),
        location_id,
        if_revision: if_match(&asked.headers)?.unwrap_or(0),
    };
    asked.execute(asked.key()?, Operation::PutLot(put), cause, StatusCode::OK).await
}

/// What is done to a lot, by the verb behind its id.
pub(crate) async fn change_lot(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (lot_id, verb) = asked.path_and_verb("lot_id")?;
    let (sku, lot) = (asked.path("sku").to_owned(), lot_id.to_owned());
    let revision = |client: Client| async move {
        Ok(client.reader(Consistency::Linearizable).lot(&sku, &lot).await?.value.revision)
    };
    asked.at_revision("lot", revision).await?;
    match verb {
        "block" => block_lot(&asked, lot_id).await,
        "unblock" => unblock_lot(&asked, lot_id).await,
        "recall" => recall_lot(&asked, lot_id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to a lot", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Takes a lot out of sale at once, at every location.
#[utoipa::path(post, path = "/v1/lots/{sku}/{lot_id}:block", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded")),
    request_body = BlockRequest, responses((status = 200, description = "It is blocked", body = Done)))]
pub(crate) async fn block_lot(asked: &Asked, lot_id: &str) -> Answered {
    let key = asked.key_needed()?;
    let BlockRequest { status, cause } = asked.body()?;
    let (sku, lot_id) = (asked.path("sku").to_owned(), lot_id.to_owned());
    let block = v1::BlockLot { sku, lot_id, status: said(status, LotStatus::wire) };
    asked.execute(Some(key), Operation::BlockLot(block), cause, StatusCode::OK).await
}

/// Puts a blocked lot back into sale. A recalled one stays recalled.
#[utoipa::path(post, path = "/v1/lots/{sku}/{lot_id}:unblock", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded")),
    request_body = LotRequest, responses((status = 200, description = "It is on sale", body = Done)))]
pub(crate) async fn unblock_lot(asked: &Asked, lot_id: &str) -> Answered {
    let key = asked.key_needed()?;
    let LotRequest { cause } = asked.body()?;
    let unblock = v1::UnblockLot { sku: asked.path("sku").to_owned(), lot_id: lot_id.to_owned() };
    asked.execute(Some(key), Operation::UnblockLot(unblock), cause, StatusCode::OK).await
}

/// Withdraws a lot for good. Its trace names every reservation that has or had units of it.
#[utoipa::path(post, path = "/v1/lots/{sku}/{lot_id}:recall", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded")),
    request_body = LotRequest, responses((status = 200, description = "It is recalled", body = Done)))]
pub(crate) async fn recall_lot(asked: &Asked, lot_id: &str) -> Answered {
    let key = asked.key_needed()?;
    let LotRequest { cause } = asked.body()?;
    let recall = v1::Recall { sku: asked.path("sku").to_owned(), lot_id: lot_id.to_owned() };
    asked.execute(Some(key), Operation::Recall(recall), cause, StatusCode::OK).await
}

/// The reservations that have or had units of a lot, oldest first.
#[utoipa::path(get, path = "/v1/lots/{sku}/{lot_id}/trace", tag = "lots",
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
           ("lot_id" = String, Path, description = "The lot, percent-encoded"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Reservation>)))]
pub(crate) async fn trace_lot(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["format", "limit", "cursor"])?;
    let (client, sku, lot_id) = (asked.client()?, asked.path("sku"), asked.path("lot_id"));
    let (limit, cursor) = (page_limit(&asked)?, asked.query_text("cursor").unwrap_or_default());
    let reader = asked.reader(&client, Some(client.shard_of(sku)))?;
    let (found, next) = reader.trace_lot_page(sku, lot_id, cursor, limit).await?;
    let next_cursor = Some(next).filter(|next| !next.is_empty());
    let page = Page { items: Vec::<Reservation>::from_wire(found.value), next_cursor };
    Ok(form.page(&asked, &crate::reservations::SHEET, &page)?.seen(found.freshness.token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;

    #[test]
    fn a_table_has_every_field() {
        let lot = v1::Lot { levels: vec![v1::LotLevel::default()], ..v1::Lot::default() };
        has_every_field(&SHEET, &Lot::from_wire(lot), &[]);
    }
}
