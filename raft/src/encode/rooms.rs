//! Waiting rooms of campaigns, in the log.

use holdfast_inventory::commands::{Admit, CommitDraw, Draw, JoinQueue};
use holdfast_inventory::{CampaignId, Commitment, CustomerHash, LogTime, Operation, Pass, Seed};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;

use super::DecodeError;
use super::from_log::name;

pub(super) fn join_to_log(it: &JoinQueue) -> log::JoinQueue {
    log::JoinQueue { campaign_id: it.campaign.as_str().to_owned(), customer: it.customer.0.to_be_bytes().to_vec() }
}

fn join_from_log(it: &log::JoinQueue) -> Result<JoinQueue, DecodeError> {
    let customer = CustomerHash(u128::from_be_bytes(bytes(&it.customer, "a customer hash")?));
    Ok(JoinQueue { campaign: name(CampaignId::new(&it.campaign_id))?, customer })
}

pub(super) fn commit_to_log(it: &CommitDraw) -> log::CommitDraw {
    log::CommitDraw { campaign_id: it.campaign.as_str().to_owned(), commitment: it.commitment.0.to_vec() }
}

fn commit_from_log(it: &log::CommitDraw) -> Result<CommitDraw, DecodeError> {
    let commitment = Commitment(bytes(&it.commitment, "a commitment")?);
    Ok(CommitDraw { campaign: name(CampaignId::new(&it.campaign_id))?, commitment })
}

pub(super) fn draw_to_log(it: &Draw) -> log::Draw {
    log::Draw { campaign_id: it.campaign.as_str().to_owned(), seed: it.seed.0.to_vec() }
}

fn draw_from_log(it: &log::Draw) -> Result<Draw, DecodeError> {
    Ok(Draw { campaign: name(CampaignId::new(&it.campaign_id))?, seed: Seed(bytes(&it.seed, "a seed")?) })
}

pub(super) fn admit_to_log(it: &Admit) -> log::Admit {
    log::Admit {
        campaign_id: it.campaign.as_str().to_owned(),
        tickets: it.tickets,
        valid_s: it.valid_s,
        left: it.left,
        spent: it.spent,
        newly_spent: it.newly_spent.clone(),
        as_of_ms: it.as_of.0,
    }
}

fn admit_from_log(it: log::Admit) -> Result<Admit, DecodeError> {
    Ok(Admit {
        campaign: name(CampaignId::new(&it.campaign_id))?,
        tickets: it.tickets,
        valid_s: it.valid_s,
        left: it.left,
        spent: it.spent,
        newly_spent: it.newly_spent,
        as_of: LogTime(it.as_of_ms),
    })
}

pub(super) fn from_log(message: LogOperation) -> Result<Operation, DecodeError> {
    Ok(match message {
        LogOperation::JoinQueue(it) => Operation::JoinQueue(Box::new(join_from_log(&it)?)),
        LogOperation::CommitDraw(it) => Operation::CommitDraw(Box::new(commit_from_log(&it)?)),
        LogOperation::Draw(it) => Operation::Draw(Box::new(draw_from_log(&it)?)),
        LogOperation::Admit(it) => Operation::Admit(Box::new(admit_from_log(it)?)),
        other => return Err(DecodeError::malformed(format!("{other:?} is nothing of waiting rooms"))),
    })
}

/// The ticket and the end of a pass; ticket 0: there is none.
pub(super) fn pass_to_log(pass: Option<Pass>) -> (u32, u64) {
    pass.map_or((0, 0), |pass| (pass.ticket, pass.expires_at.0))
}

pub(super) fn pass_from_log(ticket: u32, expires_at_ms: u64) -> Option<Pass> {
    (ticket > 0).then_some(Pass { ticket, expires_at: LogTime(expires_at_ms) })
}

fn bytes<const LENGTH: usize>(bytes: &[u8], what: &str) -> Result<[u8; LENGTH], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::malformed(format!("{what} of another length")))
}
