//! Units on their way from one location to another: `/v1/transfers`, `/v1/transfers/{transfer_id}` and what is done to one.

use axum::http::{StatusCode, header};
use holdfast_client::ids::TransferId;
use holdfast_client::{Client, Consistency};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::reply_of;
use crate::documents::{DocumentLine, EndRequest, KNOWN, documents};
use crate::event_subjects::TransferState;
use crate::holds::LineUnits;
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::wire::{CauseSaid, Condition, IdText, from_wire, id_of_text, said, shortened};

/// Units of one lot in a transfer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransferLine {
    lot_id: String,
    sent: u64,
    in_transit: u64,
    received: u64,
    lost: u64,
    /// Gone back to the source.
    returned: u64,
}

from_wire!(TransferLine { lot_id, sent, in_transit, received, lost, returned });

/// A transfer. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transfer {
    transfer_id: IdText,
    sku: String,
    from_location_id: String,
    to_location_id: String,
    state: TransferState,
    lines: Vec<TransferLine>,
    created_at_ms: u64,
    /// 0: something is still in transit.
    ended_at_ms: u64,
    revision: u64,
}

from_wire!(Transfer {
    transfer_id,
    sku,
    from_location_id,
    to_location_id,
    state,
    lines,
    created_at_ms,
    ended_at_ms,
    revision,
});

/// What is sent.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTransferRequest {
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    from_location_id: String,
    /// The same; not both the same.
    #[serde(default)]
    to_location_id: String,
    /// 1 to 32, each lot at most once.
    lines: Vec<DocumentLine>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Units of a line that have arrived, by its number, from 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrivedUnits {
    line: u32,
    units: u32,
    /// Resellable if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    condition: Option<Condition>,
}

/// What has arrived.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReceiveTransferRequest {
    /// Each line and condition at most once. Empty: everything that is in transit, resellable.
    lines: Vec<ArrivedUnits>,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What will not arrive.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoseTransferRequest {
    /// Each line at most once. Empty: everything that is in transit.
    lines: Vec<LineUnits>,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The transfers, shard by shard, oldest first within a shard.
#[utoipa::path(get, path = "/v1/transfers", tag = "transfers",
    params(("open_only" = Option<bool>, Query, description = "Only those of which something is in transit"),
           ("sku" = Option<String>, Query, description = "Only those of this SKU"),
           ("location_id" = Option<String>, Query, description = "Only those from or to this location"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Transfer>)))]
pub(crate) async fn list_transfers(asked: Asked) -> Answered {
    asked.only_query(&KNOWN)?;
    let (client, which) = (asked.client()?, documents(&asked)?);
    Ok(page_of(asked.reader(&client, None)?.transfers(which), &asked).await?.reply::<Transfer>())
}

/// A transfer.
#[utoipa::path(get, path = "/v1/transfers/{transfer_id}", tag = "transfers",
    params(("transfer_id" = String, Path, description = "Its id", format = "uuid")),
    responses((status = 200, description = "The transfer", body = Transfer)))]
pub(crate) async fn get_transfer(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, id_of_text::<TransferId>(asked.path("transfer_id"), "transfer_id")?);
    let read = asked.reader(&client, Some(client.shard_of_slot(id.slot())))?.transfer(id).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Transfer, _>(read).tagged(revision))
}

/// Sends units from one location to another: from then on they are on their way, and on sale at neither.
#[utoipa::path(post, path = "/v1/transfers", tag = "transfers", request_body = CreateTransferRequest,
    responses((status = 201, description = "They are on their way", body = Done,
        headers(("Location" = String, description = "The transfer's path")))))]
pub(crate) async fn create_transfer(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let CreateTransferRequest { sku, from_location_id, to_location_id, lines, cause } = asked.body()?;
    let lines = lines.into_iter().map(DocumentLine::wire).collect();
    let create = v1::CreateTransfer { transfer_id: None, sku, from_location_id, to_location_id, lines };
    let (success, is_replayed) = asked.decide(Some(key), Operation::CreateTransfer(create), cause).await?;
    let path = success.transfer_id.map(|id| format!("/v1/transfers/{id}")).unwrap_or_default();
    Ok(reply_of(&success, StatusCode::CREATED).replayed(is_replayed).with(header::LOCATION, path))
}

/// What is done to a transfer, by the verb behind its id.
pub(crate) async fn change_transfer(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (id, verb) = asked.path_and_verb("transfer_id")?;
    let id = id_of_text(id, "transfer_id")?;
    let revision =
        |client: Client| async move { Ok(client.reader(Consistency::Linearizable).transfer(id).await?.value.revision) };
    asked.at_revision("transfer", revision).await?;
    match verb {
        "receive" => receive_transfer(&asked, id).await,
        "lose" => lose_transfer(&asked, id).await,
        "cancel" => cancel_transfer(&asked, id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to a transfer", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Notes what has arrived: it is on sale there.
#[utoipa::path(post, path = "/v1/transfers/{transfer_id}:receive", tag = "transfers",
    params(("transfer_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = ReceiveTransferRequest, responses((status = 200, description = "It has arrived", body = Done)))]
pub(crate) async fn receive_transfer(asked: &Asked, id: TransferId) -> Answered {
    let key = asked.key_needed()?;
    let ReceiveTransferRequest { lines, cause } = asked.body()?;
    let wire = |ArrivedUnits { line, units, condition }| v1::ArrivedUnits {
        line,
        units,
        condition: said(condition, Condition::wire),
    };
    let receive = v1::ReceiveTransfer { transfer_id: Some(id.into()), lines: lines.into_iter().map(wire).collect() };
    asked.execute(Some(key), Operation::ReceiveTransfer(receive), cause, StatusCode::OK).await
}

/// Writes off what will not arrive.
#[utoipa::path(post, path = "/v1/transfers/{transfer_id}:lose", tag = "transfers",
    params(("transfer_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = LoseTransferRequest, responses((status = 200, description = "It is written off", body = Done)))]
pub(crate) async fn lose_transfer(asked: &Asked, id: TransferId) -> Answered {
    let key = asked.key_needed()?;
    let LoseTransferRequest { lines, cause } = asked.body()?;
    let lines = lines.into_iter().map(LineUnits::wire).collect();
    let lose = v1::LoseTransfer { transfer_id: Some(id.into()), lines };
    asked.execute(Some(key), Operation::LoseTransfer(lose), cause, StatusCode::OK).await
}

/// Calls a transfer off: what is in transit is back where it came from.
#[utoipa::path(post, path = "/v1/transfers/{transfer_id}:cancel", tag = "transfers",
    params(("transfer_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = EndRequest, responses((status = 200, description = "It is called off", body = Done)))]
pub(crate) async fn cancel_transfer(asked: &Asked, id: TransferId) -> Answered {
    let key = asked.key_needed()?;
    let EndRequest { cause } = asked.body()?;
    let cancel = Operation::CancelTransfer(v1::CancelTransfer { transfer_id: Some(id.into()) });
    asked.execute(Some(key), cancel, cause, StatusCode::OK).await
}
