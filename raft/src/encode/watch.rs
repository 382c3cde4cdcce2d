//! What halts a shard and lets it go on, to the log's types and back.

use holdfast_inventory::commands::{HaltShard, ResumeShard};
use holdfast_inventory::invariants::Invariant;
use holdfast_proto::log::v1 as log;

use super::DecodeError;

pub(super) fn halt_to_log(it: &HaltShard) -> log::HaltShard {
    log::HaltShard {
        invariant: it.invariant.id().to_owned(),
        finding: it.finding.clone(),
        node: it.node,
        seen_seq: it.seen_seq,
    }
}

pub(super) fn halt_from_log(it: log::HaltShard) -> Result<HaltShard, DecodeError> {
    let unknown = || DecodeError::malformed(format!("no invariant {}", it.invariant));
    let invariant = Invariant::of_id(&it.invariant).ok_or_else(unknown)?;
    Ok(HaltShard { invariant, finding: it.finding, node: it.node, seen_seq: it.seen_seq })
}

pub(super) const fn resume_to_log(it: &ResumeShard) -> log::ResumeShard {
    log::ResumeShard { halted_seq: it.halted_seq }
}

pub(super) const fn resume_from_log(it: &log::ResumeShard) -> ResumeShard {
    ResumeShard { halted_seq: it.halted_seq }
}
