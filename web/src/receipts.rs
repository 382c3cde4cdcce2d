//! What is expected from suppliers: `/v1/receipts`, `/v1/receipts/{receipt_id}`; it arrives by `/v1/stock:receive` with its id.

use axum::http::{StatusCode, header};
use holdfast_client::ids::ReceiptId;
use holdfast_client::{Client, Consistency};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::reply_of;
use crate::documents::{DocumentLine, EndRequest, KNOWN, documents};
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::wire::{CauseSaid, IdText, from_wire, id_of_text, shortened};

/// Units of one lot that are expected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiptLine {
    /// Empty: of whichever.
    lot_id: String,
    /// How many were expected.
    units: u64,
    /// How many of them arrived; never more than were expected.
    arrived: u64,
}

from_wire!(ReceiptLine { lot_id, units, arrived });

/// An expected receipt. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    receipt_id: IdText,
    sku: String,
    location_id: String,
    /// 0: not known.
    expected_at_ms: u64,
    lines: Vec<ReceiptLine>,
    /// Units that arrived with it beyond what was expected.
    unexpected: u64,
    created_at_ms: u64,
    /// 0: it is open.
    closed_at_ms: u64,
    revision: u64,
}

from_wire!(Receipt {
    receipt_id,
    sku,
    location_id,
    expected_at_ms,
    lines,
    unexpected,
    created_at_ms,
    closed_at_ms,
    revision,
});

/// What is expected.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectReceiptRequest {
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    location_id: String,
    /// 1 to 32, each lot at most once.
    lines: Vec<DocumentLine>,
    /// Shown, and decides nothing; in milliseconds since the Unix epoch, 0: not known.
    #[serde(default)]
    expected_at_ms: u64,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The expected receipts, shard by shard, oldest first within a shard.
#[utoipa::path(get, path = "/v1/receipts", tag = "receipts",
    params(("open_only" = Option<bool>, Query, description = "Only those that are open"),
           ("sku" = Option<String>, Query, description = "Only those of this SKU"),
           ("location_id" = Option<String>, Query, description = "Only those at this location"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Receipt>)))]
pub(crate) async fn list_receipts(asked: Asked) -> Answered {
    asked.only_query(&KNOWN)?;
    let (client, which) = (asked.client()?, documents(&asked)?);
    Ok(page_of(asked.reader(&client, None)?.receipts(which), &asked).await?.reply::<Receipt>())
}

/// An expected receipt.
#[utoipa::path(get, path = "/v1/receipts/{receipt_id}", tag = "receipts",
    params(("receipt_id" = String, Path, description = "Its id", format = "uuid")),
    responses((status = 200, description = "The receipt", body = Receipt)))]
pub(crate) async fn get_receipt(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, id_of_text::<ReceiptId>(asked.path("receipt_id"), "receipt_id")?);
    let read = asked.reader(&client, Some(client.shard_of_slot(id.slot())))?.receipt(id).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Receipt, _>(read).tagged(revision))
}

/// Makes known that units are to come. They are on sale when they arrive.
#[utoipa::path(post, path = "/v1/receipts", tag = "receipts", request_body = ExpectReceiptRequest,
    responses((status = 201, description = "They are expected", body = Done,
        headers(("Location" = String, description = "The receipt's path")))))]
pub(crate) async fn expect_receipt(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let ExpectReceiptRequest { sku, location_id, lines, expected_at_ms, cause } = asked.body()?;
    let lines = lines.into_iter().map(DocumentLine::wire).collect();
    let expect = v1::ExpectReceipt { receipt_id: None, sku, location_id, lines, expected_at_ms };
    let (success, is_replayed) = asked.decide(Some(key), Operation::ExpectReceipt(expect), cause).await?;
    let path = success.receipt_id.map(|id| format!("/v1/receipts/{id}")).unwrap_or_default();
    Ok(reply_of(&success, StatusCode::CREATED).replayed(is_replayed).with(header::LOCATION, path))
}

/// What is done to an expected receipt, by the verb behind its id.
pub(crate) async fn change_receipt(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (id, verb) = asked.path_and_verb("receipt_id")?;
    let id = id_of_text(id, "receipt_id")?;
    let revision =
        |client: Client| async move { Ok(client.reader(Consistency::Linearizable).receipt(id).await?.value.revision) };
    asked.at_revision("receipt", revision).await?;
    match verb {
        "close" => close_receipt(&asked, id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to an expected receipt", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Expects no more of it.
#[utoipa::path(post, path = "/v1/receipts/{receipt_id}:close", tag = "receipts",
    params(("receipt_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = EndRequest, responses((status = 200, description = "It is closed", body = Done)))]
pub(crate) async fn close_receipt(asked: &Asked, id: ReceiptId) -> Answered {
    let key = asked.key_needed()?;
    let EndRequest { cause } = asked.body()?;
    let close = Operation::CloseReceipt(v1::CloseReceipt { receipt_id: Some(id.into()) });
    asked.execute(Some(key), close, cause, StatusCode::OK).await
}
