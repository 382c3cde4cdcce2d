//! Reservations: `/v1/reservations`, `/v1/reservations/{reservation_id}` and what is done to one. Batches are beside.

use axum::http::{StatusCode, header};
use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Consistency, Reservations};
use holdfast_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::holds::{
    AmendRequest, CancelRequest, CommitRequest, ExtendRequest, FulfilRequest, ReleaseRequest, ReserveRequest,
    ReturnRequest,
};
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::sheet::{Form, Sheet};
use crate::wire::{IdText, from_wire, reservation_id, shortened, words};

words! {
    /// Where a reservation stands, in one word; its lines say it in numbers.
    ReservationState {
        Preparing,
        Held,
        Committed,
        PartiallyFulfilled,
        Fulfilled,
        Cancelled,
        Released,
        Expired,
        Aborted,
    } else Preparing
}

/// Sold units of one lot in one line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LotUnits {
    lot_id: String,
    committed: u64,
    fulfilled: u64,
    returned: u64,
}

from_wire!(LotUnits { lot_id, committed, fulfilled, returned });

/// One line of a reservation as it stands: units in each state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReservationLine {
    sku: String,
    location_id: String,
    /// The lot that it was bound to by name.
    lot_id: String,
    held: u64,
    /// Promised without stock by choice, and not sold.
    backordered: u64,
    /// Held, and the stock went away.
    short: u64,
    committed: u64,
    fulfilled: u64,
    cancelled: u64,
    released: u64,
    returned: u64,
    expired: u64,
    /// Its lack did not fail the other lines.
    optional: bool,
    /// Sold, and the stock went away.
    short_sold: u64,
    /// The lots of what is sold.
    lots: Vec<LotUnits>,
    /// Sold, and promised without stock by choice.
    backordered_sold: u64,
    /// The number in `asked` of the line that it comes from, where that is not empty.
    of: u32,
}

from_wire!(ReservationLine {
    sku,
    location_id,
    lot_id,
    held,
    backordered,
    short,
    committed,
    fulfilled,
    cancelled,
    released,
    returned,
    expired,
    optional,
    short_sold,
    lots,
    backordered_sold,
    of,
});

/// A line as it was asked for, where it became others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AskedLine {
    sku: String,
    units: u32,
    optional: bool,
    /// The SKU is a kit.
    kit: bool,
    /// The recipe that it was sold by; 0: not a kit.
    kit_revision: u64,
}

from_wire!(AskedLine { sku, units, optional, kit, kit_revision });

/// A reservation. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reservation {
    reservation_id: IdText,
    state: ReservationState,
    lines: Vec<ReservationLine>,
    /// 0: never.
    expires_at_ms: u64,
    created_at_ms: u64,
    order_ref: String,
    revision: u64,
    /// The latest expiry that an extend may give.
    max_expires_at_ms: u64,
    /// When what is committed and not shipped is cancelled; 0: never.
    cancel_at_ms: u64,
    /// 0: it has not ended.
    ended_at_ms: u64,
    channel_id: String,
    campaign_id: String,
    /// What was asked for, where the lines were worked out from that.
    asked: Vec<AskedLine>,
}

from_wire!(Reservation {
    reservation_id,
    state,
    lines,
    expires_at_ms,
    created_at_ms,
    order_ref,
    revision,
    max_expires_at_ms,
    cancel_at_ms,
    ended_at_ms,
    channel_id,
    campaign_id,
    asked,
});

/// Reservations as a table, a row for each line.
pub(crate) const SHEET: Sheet = Sheet {
    name: "reservations",
    each: Some("lines"),
    columns: &[
        "reservation_id",
        "state",
        "expires_at_ms",
        "created_at_ms",
        "order_ref",
        "revision",
        "max_expires_at_ms",
        "cancel_at_ms",
        "ended_at_ms",
        "channel_id",
        "campaign_id",
        "lines.sku",
        "lines.location_id",
        "lines.lot_id",
        "lines.held",
        "lines.backordered",
        "lines.short",
        "lines.committed",
        "lines.fulfilled",
        "lines.cancelled",
        "lines.released",
        "lines.returned",
        "lines.expired",
        "lines.optional",
        "lines.short_sold",
        "lines.backordered_sold",
        "lines.of",
    ],
};

/// The reservations, shard by shard, oldest first within a shard.
#[utoipa::path(get, path = "/v1/reservations", tag = "reservations",
    params(("state" = Option<ReservationState>, Query, description = "Only those in this state"),
           ("order_ref" = Option<String>, Query, description = "Only those with this reference of the shop"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Reservation>)))]
pub(crate) async fn list_reservations(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["state", "order_ref", "format", "limit", "cursor"])?;
    let client = asked.client()?;
    let state = asked.query_word::<ReservationState>("state")?.map(ReservationState::wire);
    let which = Reservations {
        state: state.and_then(|state| v1::ReservationState::try_from(state).ok()),
        order_ref: asked.query_text("order_ref").map(str::to_owned),
    };
    page_of(asked.reader(&client, None)?.reservations(which), &asked)
        .await?
        .in_form::<Reservation>(form, &asked, &SHEET)
}

/// A reservation.
#[utoipa::path(get, path = "/v1/reservations/{reservation_id}", tag = "reservations",
    params(("reservation_id" = String, Path, description = "Its id", format = "uuid")),
    responses((status = 200, description = "The reservation", body = Reservation)))]
pub(crate) async fn get_reservation(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, id_of_path(asked.path("reservation_id"))?);
    let shard = client.shard_of_slot(id.slot());
    let read = asked.reader(&client, Some(shard))?.reservation(id).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Reservation, _>(read).tagged(revision))
}

/// Holds units: all lines, or none unless they say otherwise.
#[utoipa::path(post, path = "/v1/reservations", tag = "reservations", request_body = ReserveRequest,
    responses((status = 201, description = "It is held", body = Done,
        headers(("Location" = String, description = "The reservation's path")))))]
pub(crate) async fn reserve(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let mut request: ReserveRequest = asked.body()?;
    let cause = request.cause.take();
    let (success, is_replayed) = asked.decide(Some(key), request.wire(), cause).await?;
    let path = success.reservation_id.map(|id| format!("/v1/reservations/{id}")).unwrap_or_default();
    let reply = crate::changes::reply_of(&success, StatusCode::CREATED).replayed(is_replayed);
    Ok(reply.with(header::LOCATION, path))
}

/// Decides new quantities of the lines of a hold at once: whole, or the old hold stands.
#[utoipa::path(patch, path = "/v1/reservations/{reservation_id}", tag = "reservations",
    params(("reservation_id" = String, Path, description = "Its id", format = "uuid")),
    request_body = AmendRequest, responses((status = 200, description = "It is amended", body = Done)))]
pub(crate) async fn amend(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let key = asked.key()?;
    let mut request: AmendRequest = asked.body()?;
    let id = id_of_path(asked.path("reservation_id"))?;
    check_revision(&asked, id).await?;
    let cause = request.cause.take();
    asked.execute(key, request.wire(id), cause, StatusCode::OK).await
}

/// What is done to a reservation, by the verb behind its id.
pub(crate) async fn change_reservation(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (id, verb) = asked.path_and_verb("reservation_id")?;
    let id = id_of_path(id)?;
    match verb {
        "commit" => commit(&asked, id).await,
        "release" => release(&asked, id).await,
        "extend" => extend(&asked, id).await,
        "fulfil" => fulfil(&asked, id).await,
        "cancel" => cancel(&asked, id).await,
        "return" => return_units(&asked, id).await,
        other => {
            Err(Problem::invalid("path", format!("`{}` is nothing that is done to a reservation", shortened(other)))
                .with_status(404))
        }
    }
}

/// A verb of a reservation: its body, asked for under the key that it must have.
macro_rules! verb {
    ($(#[$doc:meta])* $name:ident, $path:literal, $request:ty, $done:literal) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "reservations",
            params(("reservation_id" = String, Path, description = "Its id", format = "uuid")),
            request_body = $request, responses((status = 200, description = $done, body = Done)))]
        pub(crate) async fn $name(asked: &Asked, id: ReservationId) -> Answered {
            let key = asked.key_needed()?;
            let mut request: $request = asked.body()?;
            check_revision(asked, id).await?;
            let cause = request.cause.take();
            asked.execute(Some(key), request.wire(id), cause, StatusCode::OK).await
        }
    };
}

verb! {
    /// Turns a hold into a sale: all of it, or some units of some lines.
    commit, "/v1/reservations/{reservation_id}:commit", CommitRequest, "It is sold"
}
verb! {
    /// Gives back what is held.
    release, "/v1/reservations/{reservation_id}:release", ReleaseRequest, "It is given back"
}
verb! {
    /// Holds longer: until `ttl_s` from now, never shorter than before.
    extend, "/v1/reservations/{reservation_id}:extend", ExtendRequest, "It is held longer"
}
verb! {
    /// Ships committed units: all, or some of some lines.
    fulfil, "/v1/reservations/{reservation_id}:fulfil", FulfilRequest, "They are shipped"
}
verb! {
    /// Gives back what is committed and not shipped.
    cancel, "/v1/reservations/{reservation_id}:cancel", CancelRequest, "It is cancelled"
}
verb! {
    /// Takes shipped units back.
    return_units, "/v1/reservations/{reservation_id}:return", ReturnRequest, "They are back"
}

fn id_of_path(text: &str) -> Result<ReservationId, Problem> {
    reservation_id(text, "reservation_id")
}

/// What a reservation's commands decide knows no revision: it is compared right before.
async fn check_revision(asked: &Asked, id: ReservationId) -> Result<(), Problem> {
    let revision = |client: Client| async move {
        Ok(client.reader(Consistency::Linearizable).reservation(id).await?.value.revision)
    };
    asked.at_revision("reservation", revision).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;
    use crate::wire::FromWire as _;

    #[test]
    fn a_table_has_every_field_but_what_is_a_list_in_a_line() {
        let lines = vec![v1::ReservationLine::default()];
        let reservation = v1::Reservation { lines, ..v1::Reservation::default() };
        has_every_field(&SHEET, &Reservation::from_wire(reservation), &["lines.lots", "asked"]);
    }
}
