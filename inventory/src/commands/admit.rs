//! `admit`: the next of a campaign's waiting room are let in, as many as the stock can still serve.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use crate::state::{CampaignNo, RoomEntry, SaleNo};
use crate::turn::Turn;
use crate::{
    CampaignAdmission, CampaignId, EventKind, Field, InvalidArgument, LogTime, MAX_ADMISSION_S, MAX_ADMITTED,
    QueueFault, Refusal, Success, TicketState,
};

/// Lets the next customers in, in the order of the queue or of the draw, each for a while in which its token may be spent.
///
/// What the campaign has left is known to the shards of its items, and told with the command; so is which tokens were spent there,
/// since a token that is spent waits for nothing any more. No more are let in than units are left, less those who were let in and
/// may still come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// The campaign, which sells.
    pub campaign: CampaignId,
    /// How many at most, 1 to [`MAX_ADMITTED`].
    pub tickets: u32,
    /// For how long, in seconds, 1 to [`MAX_ADMISSION_S`].
    pub valid_s: u32,
    /// Units that the campaign has left, of all items together.
    pub left: u64,
    /// How many tokens were spent when that was read.
    pub spent: u32,
    /// Of them, those that the room did not know, at most [`MAX_ADMITTED`].
    pub newly_spent: Vec<u32>,
    /// By every clock before that was read: who was let in until then has not spent the token since.
    pub as_of: LogTime,
}

impl Admit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.tickets == 0 || self.tickets as usize > MAX_ADMITTED {
            return Err(InvalidArgument::of(Field::Tickets));
        }
        if self.valid_s == 0 || self.valid_s > MAX_ADMISSION_S {
            return Err(InvalidArgument::of(Field::ValidFor));
        }
        if self.newly_spent.len() > MAX_ADMITTED {
            return Err(InvalidArgument::of(Field::NewlySpent));
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, admission) = turn.live_room(&self.campaign)?;
        let (record, now) = (turn.state.campaign(no), turn.now());
        if now < record.spec.starts_at {
            let starts_at = record.spec.starts_at;
            return Err(Refusal::SaleNotStarted { campaign: self.campaign.clone(), starts_at });
        }
        if admission == CampaignAdmission::Lottery && record.seed.is_none() {
            return Err(Refusal::QueueClosed { campaign: self.campaign.clone(), why: QueueFault::NotDrawn });
        }
        let (sale, revision) = (record.sale(no), record.revision);
        self.note_spent(turn, sale);
        let until = now.plus_seconds(self.valid_s);
        let next = self.next(turn, sale);
        for ticket in &next {
            self.let_in(turn, no, sale, *ticket, until);
        }
        let admitted = Some(next.len() as u32);
        Ok(Success { revision, admitted, expires_at: Some(until), ..Success::default() })
    }

    fn note_spent(&self, turn: &mut Turn<'_>, sale: SaleNo) {
        for ticket in &self.newly_spent {
            let Some(room) = turn.state.room(sale) else { return };
            let Some(&no) = room.by_ticket.get(ticket) else { continue };
            // Nobody spends a token without having been let in.
            if let RoomEntry::Ticket { state: TicketState::Admitted { .. }, .. } = turn.state.room_record(no).what {
                turn.state.change_ticket(no, TicketState::Spent);
            }
        }
    }

    /// The tickets whose turn it is.
    fn next(&self, turn: &Turn<'_>, sale: SaleNo) -> Vec<u32> {
        let Some(room) = turn.state.room(sale) else { return Vec::new() };
        // What was spent since is in the room's books already, and not yet in what was left then.
        let since = (room.spent.len() as u64).saturating_sub(u64::from(self.spent));
        // Whose time is over may have come in it, after that was read: that unit is neither among what is left nor among what is known
        // to be spent.
        let as_of = self.as_of.min(turn.now());
        let coming = if is_on(Mutation::TooManyLetIn) { 0 } else { room.admitted_at(as_of) as u64 };
        let served = self.left.saturating_sub(since).saturating_sub(coming);
        let most = served.min(u64::from(self.tickets)) as usize;
        if is_on(Mutation::QueueOutOfOrder) {
            return room.waiting.iter().rev().take(most).map(|(_, ticket)| *ticket).collect();
        }
        room.waiting.iter().take(most).map(|(_, ticket)| *ticket).collect()
    }

    fn let_in(&self, turn: &mut Turn<'_>, campaign: CampaignNo, sale: SaleNo, ticket: u32, until: LogTime) {
        let Some(&no) = turn.state.room(sale).and_then(|room| room.by_ticket.get(&ticket)) else { return };
        turn.state.change_ticket(no, TicketState::Admitted { until });
        turn.tell_of_ticket(EventKind::QueueAdmitted, campaign, no);
    }
}

#[cfg(test)]
mod tests {
    use super::Admit;
    use crate::test_shop::{Shop, id};
    use crate::*;

    /// By what was read just now.
    fn admit(shop: &mut Shop, tickets: u32, left: u64, spent: &[u32]) -> Result<Success, Refusal> {
        admit_as_of(shop, tickets, left, spent, LogTime(u64::MAX))
    }

    fn admit_as_of(
        shop: &mut Shop,
        tickets: u32,
        left: u64,
        spent: &[u32],
        as_of: LogTime,
    ) -> Result<Success, Refusal> {
        let admit = Admit {
            campaign: "drop".parse().unwrap(),
            tickets,
            valid_s: 60,
            left,
            spent: spent.len() as u32,
            newly_spent: spent.to_vec(),
            as_of,
        };
        shop.run(Operation::Admit(Box::new(admit)))
    }

    fn admitted(shop: &Shop) -> Vec<u32> {
        let tickets = shop.inventory.tickets(&"drop".parse().unwrap(), 0, usize::MAX).unwrap();
        let is_in = |ticket: &Ticket| matches!(ticket.state, TicketState::Admitted { .. });
        tickets.into_iter().filter(is_in).map(|ticket| ticket.number).collect()
    }

    /// Five wait, and the sale has begun.
    fn shop() -> Shop {
        let mut shop = Shop::with_room(CampaignAdmission::Queue);
        for of in 1..=5 {
            shop.join(of).unwrap();
        }
        assert!(matches!(admit(&mut shop, 5, 9, &[]), Err(Refusal::SaleNotStarted { .. })));
        shop.after_s(60);
        shop
    }

    #[test]
    fn as_many_are_let_in_as_stock_is_left_for_first_come_first_served() {
        let mut shop = shop();
        assert_eq!(admit(&mut shop, 5, 2, &[]).unwrap().admitted, Some(2));
        assert_eq!(admitted(&shop), [1, 2]);
        assert_eq!(admit(&mut shop, 5, 2, &[]).unwrap().admitted, Some(0), "both may still come");
        assert_eq!(admit(&mut shop, 1, 4, &[]).unwrap().admitted, Some(1));
        assert_eq!(admitted(&shop), [1, 2, 3]);
    }

    #[test]
    fn a_place_is_free_for_the_next_when_an_admission_ends() {
        let mut shop = shop();
        admit(&mut shop, 5, 2, &[]).unwrap();
        shop.after_s(59);
        assert_eq!(admit(&mut shop, 5, 2, &[]).unwrap().admitted, Some(0));
        shop.after_s(1);
        assert_eq!(admit(&mut shop, 5, 2, &[]).unwrap().admitted, Some(2));
        assert_eq!(shop.inventory.room(&"drop".parse().unwrap()).unwrap().admitted, 2);
    }

    #[test]
    fn who_has_bought_does_not_keep_a_place_and_old_news_of_what_is_left_lets_nobody_in() {
        let mut shop = shop();
        admit(&mut shop, 2, 3, &[]).unwrap();
        // Both have bought, so that one unit is left.
        assert_eq!(admit(&mut shop, 5, 1, &[1, 2]).unwrap().admitted, Some(1));
        assert_eq!(admitted(&shop), [3]);
        // What was read before they did says three.
        assert_eq!(admit(&mut shop, 5, 3, &[]).unwrap().admitted, Some(0));
        assert_eq!(shop.inventory.room(&"drop".parse().unwrap()).unwrap().spent, 2);
    }

    #[test]
    fn who_may_have_bought_since_what_is_left_was_read_keeps_the_place_beyond_the_time() {
        let mut shop = shop();
        let read_at = LogTime(crate::test_shop::OPENING + 60_000);
        admit(&mut shop, 5, 2, &[]).unwrap();
        shop.after_s(60);
        // One of the two has bought in the last second: that is not in what was read.
        assert_eq!(admit_as_of(&mut shop, 5, 2, &[], read_at).unwrap().admitted, Some(0));
        assert_eq!(admit_as_of(&mut shop, 5, 1, &[1], LogTime(read_at.0 + 60_000)).unwrap().admitted, Some(1));
    }

    #[test]
    fn a_token_that_nobody_has_got_is_not_spent() {
        let mut shop = shop();
        admit(&mut shop, 1, 1, &[4, 77]).unwrap();
        let room = shop.inventory.room(&"drop".parse().unwrap()).unwrap();
        assert_eq!((room.spent, room.waiting, room.admitted), (0, 4, 1));
    }

    #[test]
    fn a_reserve_spends_its_token_once_and_needs_one() {
        let mut shop = shop();
        shop.grant("drop", "rouge", 4).unwrap();
        let pass = |ticket, after_s: u64| {
            Some(Pass { ticket, expires_at: LogTime(crate::test_shop::OPENING + after_s * 1_000) })
        };
        let invalid = |why| Err(Refusal::AdmissionTokenInvalid { why });
        assert_eq!(shop.reserve_with(1, 1, None), invalid(TokenFault::Missing));
        assert_eq!(shop.reserve_with(2, 1, pass(1, 0)), invalid(TokenFault::Expired));
        let held = shop.reserve_with(3, 1, pass(1, 9_999));
        assert!(held.is_ok(), "{held:?}");
        assert_eq!(shop.reserve_with(4, 1, pass(1, 9_999)), invalid(TokenFault::Spent));
        // One that is refused for another reason spends nothing.
        assert!(matches!(shop.reserve_with(5, 9, pass(2, 9_999)), Err(Refusal::AllocationExhausted { .. })));
        assert!(shop.reserve_with(6, 1, pass(2, 9_999)).is_ok());
        assert_eq!(shop.inventory.spent_tickets(&"drop".parse().unwrap()).unwrap(), [1, 2]);
        // A hold that ends gives the unit back, and no token.
        shop.release(3).unwrap();
        assert_eq!(shop.reserve_with(7, 1, pass(1, 9_999)), invalid(TokenFault::Spent));
        assert!(shop.inventory.reservation(id(6)).is_some());
        shop.reload();
        assert_eq!(shop.reserve_with(8, 1, pass(2, 9_999)), invalid(TokenFault::Spent));
        assert_eq!(invariants::check(&shop.inventory), []);
    }

    #[test]
    fn what_is_known_of_a_room_is_forgotten_long_after_its_sale() {
        let mut shop = shop();
        shop.close_campaign("drop").unwrap();
        let week_s = 7 * crate::test_shop::DAY_S;
        shop.after_s(week_s).tick();
        assert_eq!(shop.inventory.room(&"drop".parse().unwrap()).unwrap().tickets, 5);
        shop.after_s(3_600).tick();
        assert_eq!(shop.inventory.room(&"drop".parse().unwrap()).unwrap().tickets, 0);
        let digest = shop.digest();
        shop.reload();
        assert_eq!(shop.digest(), digest);
        assert_eq!(invariants::check(&shop.inventory), []);
    }
}
