//! Waiting rooms of campaigns.

use holdfast_inventory::commands::{Admit, CommitDraw, Draw, JoinQueue};
use holdfast_inventory::{CampaignId, Commitment, CustomerHash, LogTime, MAX_ADMISSION_S, MAX_ADMITTED, Pass, Seed};
use holdfast_proto::v1::{self, CommandError};

use super::Words;
use super::campaigns::campaign_id;
use super::fields::invalid;
use super::operations::customer_at;
use crate::admission;

/// How long a customer is let in where the caller does not say, in seconds.
const DEFAULT_ADMISSION_S: u32 = 120;

/// The customer that a request of a waiting room names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where there is none.
pub(crate) fn customer_of_room(text: &str, words: &Words) -> Result<CustomerHash, CommandError> {
    let missing = || invalid("customer", "is empty", "name the customer, as the reserve will");
    customer_at(text, words)?.ok_or_else(missing)
}

pub(super) fn join_queue(wire: &v1::JoinQueue, words: &Words) -> Result<JoinQueue, CommandError> {
    let campaign = campaign_id("campaign_id", &wire.campaign_id)?;
    Ok(JoinQueue { campaign, customer: customer_of_room(&wire.customer, words)? })
}

pub(super) fn commit_draw(wire: &v1::CommitDraw) -> Result<CommitDraw, CommandError> {
    let campaign = campaign_id("campaign_id", &wire.campaign_id)?;
    Ok(CommitDraw { campaign, commitment: Commitment(bytes_at("commitment", &wire.commitment)?) })
}

pub(super) fn draw(wire: &v1::Draw) -> Result<Draw, CommandError> {
    let campaign = campaign_id("campaign_id", &wire.campaign_id)?;
    Ok(Draw { campaign, seed: Seed(bytes_at("seed", &wire.seed)?) })
}

pub(super) fn admit(wire: v1::Admit) -> Result<Admit, CommandError> {
    let campaign = campaign_id("campaign_id", &wire.campaign_id)?;
    if wire.tickets == 0 || wire.tickets as usize > MAX_ADMITTED {
        return Err(invalid("tickets", &format!("is {}", wire.tickets), &format!("1 to {MAX_ADMITTED}")));
    }
    if wire.valid_s > MAX_ADMISSION_S {
        let hint = format!("at most {MAX_ADMISSION_S} seconds, or 0 for {DEFAULT_ADMISSION_S}");
        return Err(invalid("valid_s", &format!("is {}", wire.valid_s), &hint));
    }
    if wire.newly_spent.len() > MAX_ADMITTED {
        let problem = format!("has {} tickets", wire.newly_spent.len());
        return Err(invalid(
            "newly_spent",
            &problem,
            &format!("at most {MAX_ADMITTED}: the rest is for the next admit"),
        ));
    }
    Ok(Admit {
        campaign,
        tickets: wire.tickets,
        valid_s: if wire.valid_s == 0 { DEFAULT_ADMISSION_S } else { wire.valid_s },
        left: wire.left,
        spent: wire.spent,
        newly_spent: wire.newly_spent,
        as_of: LogTime(wire.as_of_ms),
    })
}

/// What the token of a reserve says, where it has one.
pub(super) fn pass(
    wire: &v1::Reserve,
    campaign: Option<&CampaignId>,
    customer: Option<CustomerHash>,
    words: &Words,
) -> Result<Option<Pass>, CommandError> {
    if wire.admission_token.is_empty() {
        return Ok(None);
    }
    let hint = "name the campaign that it lets into";
    let campaign = campaign.ok_or_else(|| invalid("admission_token", "is given without a campaign", hint))?;
    admission::check(&words.customer_key, &wire.admission_token, campaign, customer).map(Some)
}

fn bytes_at<const LENGTH: usize>(field: &str, bytes: &[u8]) -> Result<[u8; LENGTH], CommandError> {
    let refused = |_| invalid(field, &format!("has {} bytes", bytes.len()), &format!("{LENGTH} bytes"));
    bytes.try_into().map_err(refused)
}
