//! `commit_draw`: a lottery is held to a seed that nobody knows yet.

use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{CampaignAdmission, CampaignId, Commitment, EventKind, QueueFault, Refusal, Success};

/// Holds the draw of a campaign to a seed, of which the hash is told now. It stands in the history before anybody has a ticket, so
/// that the seed cannot be chosen for anybody, and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitDraw {
    /// The campaign, which is a lottery and has not begun.
    pub campaign: CampaignId,
    /// The BLAKE3 hash of the seed.
    pub commitment: Commitment,
}

impl CommitDraw {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, admission) = turn.live_room(&self.campaign)?;
        let record = turn.state.campaign(no);
        let revision = record.revision;
        match record.commitment {
            Some(known) if known == self.commitment => return Ok(Success { revision, ..Success::default() }),
            Some(commitment) => return Err(Refusal::DrawSeedMismatch { commitment }),
            None => {}
        }
        let closed = |why| Refusal::QueueClosed { campaign: self.campaign.clone(), why };
        if admission != CampaignAdmission::Lottery {
            return Err(closed(QueueFault::NoLottery));
        }
        if record.spec.starts_at <= turn.now() {
            return Err(closed(QueueFault::Begun));
        }
        turn.state.change_campaign(no, |record| record.commitment = Some(self.commitment));
        turn.tell_of_draw(EventKind::DrawCommitted, no);
        Ok(Success { revision, ..Success::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn a_draw_is_committed_to_once_and_before_the_sale() {
        let mut shop = Shop::with_room(CampaignAdmission::Lottery);
        let (first, other) = (Seed([1; 32]).commitment(), Seed([2; 32]).commitment());
        shop.commit_draw(first).unwrap();
        shop.commit_draw(first).unwrap();
        assert_eq!(shop.commit_draw(other), Err(Refusal::DrawSeedMismatch { commitment: first }));
        let closed = |why| Err(Refusal::QueueClosed { campaign: "drop".parse().unwrap(), why });
        let mut shop = Shop::with_room(CampaignAdmission::Lottery);
        shop.after_s(60);
        assert_eq!(shop.commit_draw(first), closed(QueueFault::Begun));
        let mut shop = Shop::with_room(CampaignAdmission::Queue);
        assert_eq!(shop.commit_draw(first), closed(QueueFault::NoLottery));
    }
}
