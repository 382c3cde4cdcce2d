//! Waiting rooms: `/v1/campaigns/{campaign_id}/queue`, its tickets, admission, and what is done to a room.

use std::time::Duration;

use axum::http::StatusCode;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::reply_with;
use crate::event_subjects::{CampaignDraw, Ticket};
use crate::paging::{Page, no_cursor, page_limit};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::wire::{CauseSaid, FromWire, bytes_of};

/// Most customers that one admit lets in.
const ADMITTED: u32 = 512;
/// The longest that a token is worth something, and how long where nobody says.
const VALID_S: u32 = 3_600;
const USUALLY_VALID_S: u32 = 120;
/// Bytes of a seed, and of its hash.
const SEED: usize = 32;

/// A waiting room.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Queue {
    /// What its lottery is held to and was drawn with, and how many tickets there are.
    draw: CampaignDraw,
    /// Tickets that wait.
    waiting: u32,
    /// Tickets that are let in now.
    admitted: u32,
    /// Tickets that the room knows to be spent.
    spent: u32,
    /// Of the customer that was asked about, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ticket: Option<Ticket>,
}

/// What a customer who asks for admission is told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admission {
    /// The customer's, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ticket: Option<Ticket>,
    /// What the reserve shows as its `admission_token`; empty: the ticket is not let in now.
    token: String,
}

/// A customer who wants in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinRequest {
    /// As the reserve will name it: opaque, hashed by the node, never kept as it was given.
    customer: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The customer has a ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Joined {
    #[serde(flatten)]
    done: Done,
    /// Its number, from 1, in the order in which customers came.
    ticket: u32,
}

/// How many are let in.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdmitRequest {
    /// At most so many, 1 to 512; 0: 512.
    most: u32,
    /// For how long, in seconds: then the place is free for the next. At most 3 600; 0: 120.
    valid_s: u32,
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// So many were let in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admitted {
    #[serde(flatten)]
    done: Done,
    admitted: u32,
}

/// What a lottery is held to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommitDrawRequest {
    /// BLAKE3 of the seed, which stays secret until the draw: 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    commitment: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What a lottery is drawn with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrawRequest {
    /// The seed that it was held to: 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    seed: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The waiting room of a campaign: how many wait, and where a customer stands.
#[utoipa::path(get, path = "/v1/campaigns/{campaign_id}/queue", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded"),
           ("customer" = Option<String>, Query, description = "The ticket of this customer, too")),
    responses((status = 200, description = "The room", body = Queue)))]
pub(crate) async fn get_queue(asked: Asked) -> Answered {
    asked.only_query(&["customer"])?;
    let (client, campaign) = (asked.client()?, asked.path("campaign_id"));
    let reader = asked.reader(&client, Some(client.shard_of(campaign)))?;
    let room = match asked.query_text("customer") {
        Some(customer) => reader.ticket(campaign, customer).await?,
        // Behind every number there are no tickets.
        None => reader.some_tickets(campaign, u32::MAX, 1).await?.0,
    };
    let holdfast_client::Room { draw, waiting, admitted, spent, tickets, token } = room;
    let ticket = tickets.into_iter().next().map(Ticket::from_wire);
    let shown = Queue { draw: CampaignDraw::from_wire(draw), waiting, admitted, spent, ticket };
    Ok(Reply::ok(&shown).seen(token).tagged_as_shown(0))
}

/// The tickets of a waiting room, in the order of their numbers.
#[utoipa::path(get, path = "/v1/campaigns/{campaign_id}/queue/tickets", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Ticket>)))]
pub(crate) async fn list_tickets(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let (client, campaign, limit) = (asked.client()?, asked.path("campaign_id"), page_limit(&asked)?);
    let after = asked.query_text("cursor").map(|text| text.parse::<u32>().map_err(|_| no_cursor())).transpose()?;
    let reader = asked.reader(&client, Some(client.shard_of(campaign)))?;
    let (room, is_more) = reader.some_tickets(campaign, after.unwrap_or(0), limit).await?;
    let next_cursor = room.tickets.last().filter(|_| is_more).map(|last| last.number.to_string());
    Ok(Reply::ok(&Page { items: Vec::<Ticket>::from_wire(room.tickets), next_cursor }).seen(room.token))
}

/// The admission token of a customer, where it is let in. Always of now.
#[utoipa::path(get, path = "/v1/campaigns/{campaign_id}/queue/admission", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded"),
           ("customer" = String, Query, description = "Who")),
    responses((status = 200, description = "What to tell the customer", body = Admission)))]
pub(crate) async fn get_admission(asked: Asked) -> Answered {
    asked.only_query(&["customer"])?;
    let customer = asked.query_text("customer").ok_or_else(|| {
        Problem::invalid("customer", "is missing: whose ticket it is about, as it was named when it was given")
    })?;
    let (client, campaign) = (asked.client()?, asked.path("campaign_id"));
    let reader = asked.reader(&client, Some(client.shard_of(campaign)))?;
    let holdfast_client::Admission { ticket, token } = reader.admission(campaign, customer).await?;
    Ok(Reply::ok(&Admission { ticket: ticket.map(Ticket::from_wire), token }))
}

/// Gives a customer a ticket. Who has one keeps it.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:join", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = JoinRequest, responses((status = 200, description = "The customer has a ticket", body = Joined)))]
pub(crate) async fn join(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let JoinRequest { customer, cause } = asked.body()?;
    let join = Operation::JoinQueue(v1::JoinQueue { campaign_id: id.to_owned(), customer });
    let (success, is_replayed) = asked.decide(Some(key), join, cause).await?;
    let told = Joined { done: Done::from(&success), ticket: success.ticket };
    Ok(reply_with(&success, StatusCode::OK, &told).replayed(is_replayed))
}

/// Lets the next in, no more than what the campaign has left can still serve. What is left is read first, so that a repetition with the same
/// key asks for something else and is 422 once the first was done: how many were let in is then told by the room.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:admit", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = AdmitRequest, responses((status = 200, description = "They are let in", body = Admitted)))]
pub(crate) async fn admit(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let AdmitRequest { most, valid_s, cause } = asked.body()?;
    let most = bounded("most", most, ADMITTED, ADMITTED)?;
    let valid = Duration::from_secs(bounded("valid_s", valid_s, USUALLY_VALID_S, VALID_S)?.into());
    let admit = asked.client()?.admission(id, most, valid).await?.into_operation();
    let (success, is_replayed) = asked.decide(Some(key), admit, cause).await?;
    let told = Admitted { done: Done::from(&success), admitted: success.admitted };
    Ok(reply_with(&success, StatusCode::OK, &told).replayed(is_replayed))
}

/// Holds the lottery to a seed, before anybody joins.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:commit_draw", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = CommitDrawRequest, responses((status = 200, description = "It is held to it", body = Done)))]
pub(crate) async fn commit_draw(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let CommitDrawRequest { commitment, cause } = asked.body()?;
    let commit = v1::CommitDraw { campaign_id: id.to_owned(), commitment: of_seed(&commitment, "commitment")? };
    asked.execute(Some(key), Operation::CommitDraw(commit), cause, StatusCode::OK).await
}

/// Tells the seed of the lottery, which gives its list an order.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:draw", tag = "queues",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = DrawRequest, responses((status = 200, description = "It is drawn", body = Done)))]
pub(crate) async fn draw(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let DrawRequest { seed, cause } = asked.body()?;
    let draw = v1::Draw { campaign_id: id.to_owned(), seed: of_seed(&seed, "seed")? };
    asked.execute(Some(key), Operation::Draw(draw), cause, StatusCode::OK).await
}

fn bounded(field: &str, told: u32, usual: u32, most: u32) -> Result<u32, Problem> {
    match told {
        0 => Ok(usual),
        told if told <= most => Ok(told),
        told => Err(Problem::invalid(field, format!("is {told}: 1 to {most}, or 0 for {usual}"))),
    }
}

fn of_seed(text: &str, field: &str) -> Result<Vec<u8>, Problem> {
    let bytes = bytes_of(text).filter(|bytes| bytes.len() == SEED);
    bytes.ok_or_else(|| Problem::invalid(field, format!("is {} hexadecimal digits", 2 * SEED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_64_digits_and_what_is_beyond_a_bound_is_named() {
        assert_eq!(of_seed(&"0a".repeat(32), "seed"), Ok(vec![10; 32]));
        for bad in ["", "0a", &"0a".repeat(33), &"zz".repeat(32), &"0".repeat(63)] {
            assert_eq!(of_seed(bad, "seed").unwrap_err().field, "seed", "{bad}");
        }
        assert_eq!((bounded("most", 0, 512, 512), bounded("most", 7, 512, 512)), (Ok(512), Ok(7)));
        assert_eq!(bounded("most", 513, 512, 512).unwrap_err().field, "most");
    }
}
