//! `draw`: a lottery's seed is told, which gives its list an order.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{CampaignId, EventKind, Refusal, Seed, Success};

/// Tells the seed that the lottery was held to. From here on those who have a ticket are let in by [`Seed::place_of`], the least first,
/// which anybody can compute from the seed and the list; nobody comes to the list any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The campaign, which is a lottery, committed to a seed, and not over.
    pub campaign: CampaignId,
    /// The seed.
    pub seed: Seed,
}

impl Draw {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, _) = turn.live_room(&self.campaign)?;
        let record = turn.state.campaign(no);
        let (revision, is_drawn) = (record.revision, record.seed.is_some());
        let uncommitted = || Refusal::DrawNotCommitted { campaign: self.campaign.clone() };
        let commitment = record.commitment.ok_or_else(uncommitted)?;
        if self.seed.commitment() != commitment && !is_on(Mutation::DrawNotCommitted) {
            return Err(Refusal::DrawSeedMismatch { commitment });
        }
        if !is_drawn {
            turn.state.change_campaign(no, |record| record.seed = Some(self.seed));
            turn.tell_of_draw(EventKind::DrawHeld, no);
        }
        Ok(Success { revision, ..Success::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn a_draw_without_a_commitment_or_with_another_seed_is_refused() {
        let mut shop = Shop::with_room(CampaignAdmission::Lottery);
        let campaign: CampaignId = "drop".parse().unwrap();
        assert_eq!(shop.draw(Seed([1; 32])), Err(Refusal::DrawNotCommitted { campaign }));
        let commitment = Seed([1; 32]).commitment();
        shop.commit_draw(commitment).unwrap();
        assert_eq!(shop.draw(Seed([2; 32])), Err(Refusal::DrawSeedMismatch { commitment }));
        shop.draw(Seed([1; 32])).unwrap();
        shop.draw(Seed([1; 32])).unwrap();
    }

    #[test]
    fn the_order_of_the_draw_is_what_the_seed_says_and_survives_a_load() {
        let mut shop = Shop::with_room(CampaignAdmission::Lottery);
        let seed = Seed([9; 32]);
        shop.commit_draw(seed.commitment()).unwrap();
        for of in 1..=50 {
            shop.join(of).unwrap();
        }
        shop.draw(seed).unwrap();
        let mut expected: Vec<u128> = (1..=50).collect();
        expected.sort_by_key(|of| seed.place_of(CustomerHash(*of)));
        let digest = shop.digest();
        shop.reload();
        assert_eq!(shop.digest(), digest);
        let order: Vec<u128> =
            shop.inventory.queue(&"drop".parse().unwrap()).unwrap().iter().map(|ticket| ticket.customer.0).collect();
        assert_eq!(order, expected);
    }
}
