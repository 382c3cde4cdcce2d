//! `put_campaign`: makes a campaign known to the shard, or ends it.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::CampaignRecord;
use crate::turn::Turn;
use crate::{CampaignId, CampaignPhase, CampaignSpec, InvalidArgument, Refusal, Revision, Success};

/// Makes a campaign known, or ends it. What is said at a revision that the shard has, or at an earlier one, changes nothing: the
/// cluster's own records give the revision, and a shard may hear of them late. Nothing but its end changes of a campaign, so that
/// one that is not closed, at a later revision, is another one that has got the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutCampaign {
    /// The campaign.
    pub campaign: CampaignId,
    /// Its window, and whether it was ended.
    pub spec: CampaignSpec,
    /// Of the campaign in the cluster's own records; 1 for the first.
    pub revision: Revision,
}

impl PutCampaign {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let record = CampaignRecord {
            id: self.campaign.clone(),
            spec: self.spec,
            phase: CampaignPhase::Announced,
            revision: self.revision,
            generation: 0,
            commitment: None,
            seed: None,
        };
        match turn.state.find_campaign(&self.campaign) {
            Some(no) => {
                let known = turn.state.campaign(no).revision;
                if known >= self.revision {
                    return Ok(Success { revision: known, ..Success::default() });
                }
                turn.state.change_campaign(no, |record| {
                    (record.spec.closed, record.revision) = (true, self.revision);
                });
                turn.pass_campaign(no);
                if !self.spec.closed {
                    turn.state.replace_campaign(no, record);
                }
            }
            None if !turn.state.add_campaign(record) => {
                return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
            }
            None => {}
        }
        let (no, _) = turn.campaign(&self.campaign)?;
        turn.pass_campaign(no);
        Ok(Success { revision: self.revision, ..Success::default() })
    }
}
