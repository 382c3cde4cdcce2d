//! Reads of campaigns' waiting rooms, and what the next of one are let in by.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_proto::v1;

use crate::answer::Error;
use crate::call::Target;
use crate::client::Client;
use crate::command::Admit;
use crate::ids::slot_of;
use crate::reads::{Reader, inventory};

/// Most customers that one admit lets in, and most spent tokens that it tells of.
const MAX_ADMITTED: usize = 512;

/// No node leads whose clock is so far from the others'.
const CLOCKS_APART_MS: u64 = 1_000;

/// A waiting room with its tickets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    /// What its lottery is held to, and was drawn with; and how many tickets there are.
    pub draw: v1::CampaignDraw,
    /// Tickets that wait.
    pub waiting: u32,
    /// Tickets that are let in now.
    pub admitted: u32,
    /// Tickets that the room knows to be spent.
    pub spent: u32,
    /// The tickets, in the order of their numbers.
    pub tickets: Vec<v1::Ticket>,
    /// Up to where the log of the room's shard was applied where it was read.
    pub token: Option<v1::ConsistencyToken>,
}

/// A page of tickets with the room that it is of; and whether there are more.
fn room_of(page: v1::ListTicketsResponse) -> (Room, bool) {
    let v1::ListTicketsResponse { tickets, more, draw, waiting, admitted, spent, freshness } = page;
    let token = freshness.and_then(|freshness| freshness.token);
    (Room { draw: draw.unwrap_or_default(), waiting, admitted, spent, tickets, token }, more)
}

/// What a customer who asks for admission is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admission {
    /// The customer's ticket, if there is one.
    pub ticket: Option<v1::Ticket>,
    /// What the reserve shows; empty where the ticket is not let in now.
    pub token: String,
}

impl Reader<'_> {
    /// A campaign's waiting room with all of its tickets. `UNKNOWN_CAMPAIGN` where there is no such campaign.
    pub async fn room(&self, campaign_id: &str) -> Result<Room, Error> {
        let mut tickets: Vec<v1::Ticket> = Vec::new();
        loop {
            let after = tickets.last().map_or(0, |ticket| ticket.number);
            let (page, more) = self.some_tickets(campaign_id, after, 0).await?;
            let is_last = !more || page.tickets.is_empty();
            tickets.extend(page.tickets);
            if is_last {
                return Ok(Room { tickets, ..page });
            }
        }
    }

    /// The same with the ticket of one customer, if there is one.
    pub async fn ticket(&self, campaign_id: &str, customer: &str) -> Result<Room, Error> {
        Ok(room_of(self.tickets(campaign_id, customer, 0, 0).await?).0)
    }

    /// The same with at most so many of its tickets, those after a number; and whether there are more. 0: 1 000, which is also the most.
    pub async fn some_tickets(&self, campaign_id: &str, after: u32, limit: u32) -> Result<(Room, bool), Error> {
        Ok(room_of(self.tickets(campaign_id, "", after, limit).await?))
    }

    async fn tickets(
        &self,
        campaign_id: &str,
        customer: &str,
        after: u32,
        limit: u32,
    ) -> Result<v1::ListTicketsResponse, Error> {
        let (target, consistency) = self.how(self.core.shard_of(slot_of(campaign_id)));
        let (campaign_id, customer) = (campaign_id.to_owned(), customer.to_owned());
        let question = v1::ListTicketsRequest { campaign_id, after, limit, customer, consistency };
        let ask = |channel, request| async move { inventory(channel).list_tickets(request).await };
        self.core.call(self.core.reading(target), question, ask).await
    }

    /// The admission token of a customer, where it is let in. Always of now, whatever the reader's consistency.
    pub async fn admission(&self, campaign_id: &str, customer: &str) -> Result<Admission, Error> {
        let target = Target::Leader(self.core.shard_of(slot_of(campaign_id)));
        let (campaign_id, customer) = (campaign_id.to_owned(), customer.to_owned());
        let question = v1::GetAdmissionTokenRequest { campaign_id, customer };
        let ask = |channel, request| async move { inventory(channel).get_admission_token(request).await };
        let reply: v1::GetAdmissionTokenResponse = self.core.call(self.core.reading(target), question, ask).await?;
        Ok(Admission { ticket: reply.ticket, token: reply.token })
    }

    /// Units that a campaign has left, and the tickets whose tokens were spent, of all shards together.
    async fn left_and_spent(&self, campaign_id: &str) -> Result<(u64, BTreeSet<u32>), Error> {
        let shards = self.core.with_routes(|routes| routes.shards.to_vec());
        let (mut left, mut spent) = (0_u64, BTreeSet::new());
        for shard in shards {
            let (target, consistency) = self.how(shard);
            let campaign_id = campaign_id.to_owned();
            let question = v1::ListAllocationsRequest { shard, campaign_id, consistency, ..Default::default() };
            let ask = |channel, request| async move { inventory(channel).list_allocations(request).await };
            let reply: v1::ListAllocationsResponse = self.core.call(self.core.reading(target), question, ask).await?;
            for of in reply.allocations.iter().filter(|of| !of.closed) {
                left = left.saturating_add(of.granted.saturating_sub(of.held).saturating_sub(of.sold));
            }
            spent.extend(reply.spent_tickets);
        }
        Ok((left, spent))
    }
}

impl Client {
    /// What lets the next of a campaign's waiting room in, so many at most, each for so long: with what its shards say is left, and who
    /// has spent a token. [`Success::admitted`](crate::Success::admitted) says how many it were.
    pub async fn admission(&self, campaign_id: &str, most: u32, valid_for: Duration) -> Result<Admit, Error> {
        let reader = self.reader(crate::Consistency::Linearizable);
        let as_of_ms = self.cluster_time_ms().saturating_sub(CLOCKS_APART_MS);
        // What is left is read first: who is let in or spends meanwhile is in the room's books, and counts as still to come.
        let (left, spent) = reader.left_and_spent(campaign_id).await?;
        let room = reader.room(campaign_id).await?;
        let is_spent =
            |ticket: &&v1::Ticket| ticket.state() == v1::TicketState::Admitted && spent.contains(&ticket.number);
        let newly = room.tickets.iter().filter(is_spent).map(|ticket| ticket.number).take(MAX_ADMITTED).collect();
        Ok(Admit::of(campaign_id, most, left).spent(spent.len() as u32, newly).as_of_ms(as_of_ms).valid_for(valid_for))
    }
}
