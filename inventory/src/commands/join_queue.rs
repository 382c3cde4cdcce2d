//! `join_queue`: a customer gets a ticket of a campaign's waiting room.

use serde::{Deserialize, Serialize};

use crate::state::{RoomEntry, RoomRecord};
use crate::turn::Turn;
use crate::{
    CampaignAdmission, CampaignId, CustomerHash, EventKind, MAX_TICKETS, QueueFault, Refusal, Success, TicketState,
};

/// Gives a customer a ticket. Who has one keeps it: whoever asks again is told its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinQueue {
    /// The campaign, which lets in by queue or by lottery, and is not over.
    pub campaign: CampaignId,
    /// Who.
    pub customer: CustomerHash,
}

impl JoinQueue {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, admission) = turn.live_room(&self.campaign)?;
        let (record, sale) = (turn.state.campaign(no), turn.state.campaign(no).sale(no));
        let (revision, room) = (record.revision, turn.state.room(sale));
        if let Some(known) = room.and_then(|room| room.by_customer.get(&self.customer)) {
            let ticket = turn.state.room_record(*known).ticket;
            return Ok(Success { revision, ticket: Some(ticket), ..Success::default() });
        }
        if admission == CampaignAdmission::Lottery {
            let closed = |why| Refusal::QueueClosed { campaign: self.campaign.clone(), why };
            if record.seed.is_some() {
                return Err(closed(QueueFault::Drawn));
            }
            // Else a seed could be chosen for those who are there.
            if record.commitment.is_none() {
                return Err(Refusal::DrawNotCommitted { campaign: self.campaign.clone() });
            }
        }
        if turn.state.is_full_of_tickets(sale) {
            return Err(Refusal::QueueFull { most: MAX_TICKETS as u32 });
        }
        let ticket = room.and_then(|room| room.by_ticket.last_key_value()).map_or(1, |(last, _)| last + 1);
        let what = RoomEntry::Ticket { customer: self.customer, state: TicketState::Waiting };
        let added = turn.state.add_to_room(RoomRecord { sale, ticket, what });
        turn.tell_of_ticket(EventKind::QueueJoined, no, added);
        Ok(Success { revision, ticket: Some(ticket), ..Success::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn a_customer_has_one_ticket_however_often_it_asks() {
        let mut shop = Shop::with_room(CampaignAdmission::Queue);
        let tickets: Vec<_> = [7, 8, 7, 9, 8].map(|of| shop.join(of).unwrap().ticket.unwrap()).to_vec();
        assert_eq!(tickets, [1, 2, 1, 3, 2]);
        let room = shop.inventory.room(&"drop".parse().unwrap()).unwrap();
        assert_eq!((room.tickets, room.waiting, room.admitted), (3, 3, 0));
        assert_eq!(invariants::check(&shop.inventory), []);
    }

    #[test]
    fn a_campaign_without_a_room_an_unknown_one_and_one_that_is_over_take_nobody() {
        let mut shop = Shop::with_room(CampaignAdmission::None);
        let campaign: CampaignId = "drop".parse().unwrap();
        assert_eq!(shop.join(1), Err(Refusal::QueueClosed { campaign: campaign.clone(), why: QueueFault::NoRoom }));
        let mut shop = Shop::with_room(CampaignAdmission::Queue);
        shop.close_campaign("drop").unwrap();
        assert_eq!(shop.join(1), Err(Refusal::SaleEnded { campaign }));
        assert!(matches!(Shop::with_rouge(1).join(1), Err(Refusal::UnknownCampaign { .. })));
    }

    #[test]
    fn the_list_of_a_lottery_opens_with_its_commitment_and_closes_with_its_draw() {
        let mut shop = Shop::with_room(CampaignAdmission::Lottery);
        let campaign: CampaignId = "drop".parse().unwrap();
        assert_eq!(shop.join(1), Err(Refusal::DrawNotCommitted { campaign: campaign.clone() }));
        shop.commit_draw(Seed([3; 32]).commitment()).unwrap();
        assert_eq!(shop.join(1).unwrap().ticket, Some(1));
        shop.draw(Seed([3; 32])).unwrap();
        assert_eq!(shop.join(2), Err(Refusal::QueueClosed { campaign, why: QueueFault::Drawn }));
        assert_eq!(shop.join(1).unwrap().ticket, Some(1), "who has a ticket keeps it");
    }

    #[test]
    fn a_chain_that_fails_leaves_no_ticket() {
        let mut shop = Shop::with_room(CampaignAdmission::Queue);
        shop.join(1).unwrap();
        let before = shop.digest();
        let join = |of| {
            Operation::JoinQueue(Box::new(commands::JoinQueue {
                campaign: "drop".parse().unwrap(),
                customer: CustomerHash(of),
            }))
        };
        let chain = shop.chain(vec![join(2), join(3), crate::test_shop::reserve(1, &[("rouge", 99)])]);
        shop.apply(chain);
        assert_eq!(shop.inventory.room(&"drop".parse().unwrap()).unwrap().tickets, 1);
        assert_ne!(shop.digest(), before, "the results of the chain are kept");
        assert_eq!(shop.join(4).unwrap().ticket, Some(2));
        assert_eq!(invariants::check(&shop.inventory), []);
    }
}
