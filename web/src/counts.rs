//! Counts of stock while it is sold: `/v1/counts`, `/v1/counts/{count_id}` and what is done to one.

use axum::http::{StatusCode, header};
use holdfast_client::ids::CountId;
use holdfast_client::{Client, Consistency};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::reply_of;
use crate::documents::documents;
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::sheet::{Form, Sheet};
use crate::wire::{CauseSaid, Condition, IdText, from_wire, id_of_text, said, shortened, words};

words! {
    /// Where a count stands.
    CountState { Open, Applied, Cancelled } else Open
}

/// Units of one lot in one condition in a count.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountLine {
    lot_id: String,
    condition: Condition,
    /// What the books had when the count was opened.
    at_opening: u64,
    /// False: nobody has counted it.
    is_counted: bool,
    counted: u64,
    /// What the books had when that was recorded.
    on_hand: u64,
    /// What applying it has found,
    found: u64,
    /// and written off.
    written_off: u64,
    /// Units that the count had missed and that left before it was applied.
    contradicted: u64,
}

from_wire!(CountLine { lot_id, condition, at_opening, is_counted, counted, on_hand, found, written_off, contradicted });

/// A reservation of which units became short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShortReservation {
    reservation_id: IdText,
    order_ref: String,
    /// Units held that lack their stock,
    held: u64,
    /// and sold ones.
    sold: u64,
}

from_wire!(ShortReservation { reservation_id, order_ref, held, sold });

/// A count of one SKU at one location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Count {
    count_id: IdText,
    sku: String,
    location_id: String,
    reference: String,
    state: CountState,
    lines: Vec<CountLine>,
    /// Of which units became short when it was applied, the newest first; the first 64.
    short: Vec<ShortReservation>,
    /// How many there were.
    short_reservations: u64,
    created_at_ms: u64,
    /// 0: it is open.
    ended_at_ms: u64,
    revision: u64,
}

from_wire!(Count {
    count_id,
    sku,
    location_id,
    reference,
    state,
    lines,
    short,
    short_reservations,
    created_at_ms,
    ended_at_ms,
    revision,
});

/// What is counted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenCountRequest {
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    location_id: String,
    /// A word for all counts that belong together, at most 64 bytes.
    #[serde(default)]
    reference: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What was counted of one lot in one condition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountedUnits {
    #[serde(default)]
    lot_id: String,
    /// Resellable if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    condition: Option<Condition>,
    /// Of the resellable ones those too that are held, or sold and not shipped.
    units: u64,
}

/// What was counted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordCountRequest {
    /// 1 to 32, each lot and condition at most once.
    lines: Vec<CountedUnits>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Nothing has to be said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EndCountRequest {
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Counts as a table, a row for each line.
pub(crate) const SHEET: Sheet = Sheet {
    name: "counts",
    each: Some("lines"),
    columns: &[
        "count_id",
        "sku",
        "location_id",
        "reference",
        "state",
        "short_reservations",
        "created_at_ms",
        "ended_at_ms",
        "revision",
        "lines.lot_id",
        "lines.condition",
        "lines.at_opening",
        "lines.is_counted",
        "lines.counted",
        "lines.on_hand",
        "lines.found",
        "lines.written_off",
        "lines.contradicted",
    ],
};

/// The counts, shard by shard, oldest first within a shard.
#[utoipa::path(get, path = "/v1/counts", tag = "counts",
    params(("open_only" = Option<bool>, Query, description = "Only those that are open"),
           ("sku" = Option<String>, Query, description = "Only those of this SKU"),
           ("location_id" = Option<String>, Query, description = "Only those at this location"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Count>)))]
pub(crate) async fn list_counts(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["open_only", "sku", "location_id", "format", "limit", "cursor"])?;
    let client = asked.client()?;
    let which = documents(&asked)?;
    page_of(asked.reader(&client, None)?.counts(which), &asked).await?.in_form::<Count>(form, &asked, &SHEET)
}

/// A count.
#[utoipa::path(get, path = "/v1/counts/{count_id}", tag = "counts",
    params(("count_id" = String, Path, description = "Its id", format = "uuid")),
    responses((status = 200, description = "The count", body = Count)))]
pub(crate) async fn get_count(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, id_of_path(asked.path("count_id"))?);
    let read = asked.reader(&client, Some(client.shard_of_slot(id.slot())))?.count(id).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Count, _>(read).tagged(revision))
}

/// Begins a count of a SKU at a location, of all its lots. Nothing is kept from sale by it.
#[utoipa::path(post, path = "/v1/counts", tag = "counts", request_body = OpenCountRequest,
    responses((status = 201, description = "It is open", body = Done,
        headers(("Location" = String, description = "The count's path")))))]
pub(crate) async fn open_count(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let OpenCountRequest { sku, location_id, reference, cause } = asked.body()?;
    let open = v1::OpenCount { count_id: None, sku, location_id, reference };
    let (success, is_replayed) = asked.decide(Some(key), Operation::OpenCount(open), cause).await?;
    let path = success.count_id.map(|id| format!("/v1/counts/{id}")).unwrap_or_default();
    Ok(reply_of(&success, StatusCode::CREATED).replayed(is_replayed).with(header::LOCATION, path))
}

/// What is done to a count, by the verb behind its id.
pub(crate) async fn change_count(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (id, verb) = asked.path_and_verb("count_id")?;
    let id = id_of_path(id)?;
    let revision =
        |client: Client| async move { Ok(client.reader(Consistency::Linearizable).count(id).await?.value.revision) };
    asked.at_revision("count", revision).await?;
    match verb {
        "record" => record_count(&asked, id).await,
        "apply" => apply_count(&asked, id).await,
        "cancel" => cancel_count(&asked, id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to a count", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Notes what was counted, and beside it what the books have now. What is recorded again replaces what was.
#[utoipa::path(post, path = "/v1/counts/{count_id}:record", tag = "counts",
    params(("count_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = RecordCountRequest, responses((status = 200, description = "It is noted", body = Done)))]
pub(crate) async fn record_count(asked: &Asked, id: CountId) -> Answered {
    let key = asked.key_needed()?;
    let RecordCountRequest { lines, cause } = asked.body()?;
    let wire = |CountedUnits { lot_id, condition, units }| v1::CountedUnits {
        lot_id,
        condition: said(condition, Condition::wire),
        units,
    };
    let record = v1::RecordCount { count_id: Some(id.into()), lines: lines.into_iter().map(wire).collect() };
    asked.execute(Some(key), Operation::RecordCount(record), cause, StatusCode::OK).await
}

/// Brings the books to what was counted, on top of what has happened since.
#[utoipa::path(post, path = "/v1/counts/{count_id}:apply", tag = "counts",
    params(("count_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = EndCountRequest, responses((status = 200, description = "It is applied", body = Done)))]
pub(crate) async fn apply_count(asked: &Asked, id: CountId) -> Answered {
    let key = asked.key_needed()?;
    let EndCountRequest { cause } = asked.body()?;
    let apply = Operation::ApplyCount(v1::ApplyCount { count_id: Some(id.into()) });
    asked.execute(Some(key), apply, cause, StatusCode::OK).await
}

/// Gives a count up: it changes nothing.
#[utoipa::path(post, path = "/v1/counts/{count_id}:cancel", tag = "counts",
    params(("count_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = EndCountRequest, responses((status = 200, description = "It is given up", body = Done)))]
pub(crate) async fn cancel_count(asked: &Asked, id: CountId) -> Answered {
    let key = asked.key_needed()?;
    let EndCountRequest { cause } = asked.body()?;
    let cancel = Operation::CancelCount(v1::CancelCount { count_id: Some(id.into()) });
    asked.execute(Some(key), cancel, cause, StatusCode::OK).await
}

fn id_of_path(text: &str) -> Result<CountId, Problem> {
    id_of_text(text, "count_id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;
    use crate::wire::FromWire as _;

    #[test]
    fn a_table_has_every_field_but_the_reservations_that_became_short() {
        let count = v1::Count { lines: vec![v1::CountLine::default()], ..v1::Count::default() };
        has_every_field(&SHEET, &Count::from_wire(count), &["short"]);
    }
}
