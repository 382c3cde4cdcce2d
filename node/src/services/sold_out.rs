//! Sold out, answered with nothing in the log: of the state that a ReadIndex round has confirmed, and only where the log could say
//! nothing else (`inventory` tells). The id stays unused, so whoever has another attempt of it under way must say so.
//!
//! What it costs, and whom: a reserve of what is there must not pay for those that come too late. A look waits for the entry that
//! is being applied, and applying waits for the look, so it is paid only where the log has refused a reserve of that slot here for
//! want of stock, and no look since has found anything else; the round is paid only where the look says sold out. All others
//! read one bit. So the first refusal of an item is the log's, on each node that comes to lead its shard.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use holdfast_inventory::commands::Reserve;
use holdfast_inventory::{Answer, Command, LogTime, Operation, Refusal, SLOTS, Slot, slot_of};
use holdfast_proto::v1::command_result::Outcome;
use holdfast_proto::v1::{CommandResult, ErrorReason};
use tokio::time::{Instant, timeout_at};

use crate::core::Core;
use crate::metrics;
use crate::shard::{Decided, ShardHandle};

/// Slots of which a reserve was refused here for want of stock. No more than a hint: two items may share a slot, and which line was
/// lacking is not kept, so a reserve that it is wrong about pays one look.
#[derive(Debug)]
pub(crate) struct Lacking {
    slots: Box<[AtomicU64]>,
}

impl Default for Lacking {
    fn default() -> Self {
        Self { slots: (0..usize::from(SLOTS).div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Lacking {
    fn word_of(&self, slot: Slot) -> (&AtomicU64, u64) {
        let number = slot.number();
        (&self.slots[usize::from(number / 64)], 1 << (number % 64))
    }

    fn has(&self, slot: Slot) -> bool {
        let (word, bit) = self.word_of(slot);
        word.load(Relaxed) & bit != 0
    }

    fn add(&self, slot: Slot) {
        if !self.has(slot) {
            let (word, bit) = self.word_of(slot);
            word.fetch_or(bit, Relaxed);
        }
    }

    fn remove(&self, slot: Slot) {
        let (word, bit) = self.word_of(slot);
        word.fetch_and(!bit, Relaxed);
    }

    /// Takes in what became of a command that the log was asked.
    pub(super) fn note(&self, slot: Option<Slot>, result: Option<&CommandResult>) {
        let is_lack = |result: &CommandResult| match &result.outcome {
            Some(Outcome::Error(error)) => error.reason() == ErrorReason::InsufficientStock && !result.replayed,
            _ => false,
        };
        if let Some(slot) = slot.filter(|_| result.is_some_and(is_lack)) {
            self.add(slot);
        }
    }
}

/// Where a reserve that nobody has planned is looked up: by its first line, as carts are mostly of one. `None`: the log alone decides
/// such a command.
pub(super) fn slot_to_note(operation: &Operation) -> Option<Slot> {
    let Operation::Reserve(Reserve { lines, plan: None, .. }) = operation else { return None };
    lines.first().map(|line| slot_of(&line.sku))
}

/// The answer to a command that is sold out on a shard that this node leads. `None`: the log decides, also where no round comes
/// about in time.
pub(super) async fn answer(core: &Core, shard: &ShardHandle, command: &Command, deadline: Instant) -> Option<Decided> {
    let slot = slot_to_note(&command.operation).filter(|slot| core.lacking.has(*slot))?;
    let group = shard.group();
    if !group.is_leader() {
        return None;
    }
    // A first look, so that only what is sold out waits for the round.
    if look(core, shard, command).is_none() {
        core.lacking.remove(slot);
        return None;
    }
    timeout_at(deadline, group.read_index()).await.ok()?.ok()?;
    let (refusal, log_time, index) = look(core, shard, command)?;
    metrics::sold_out_unrecorded(shard.shard());
    let answer = Answer { id: command.id, outcome: Err(refusal), replayed: false };
    Some(Decided { index, log_time, answers: vec![answer] })
}

/// The refusal by what is applied here, with the log time and the index of that.
fn look(core: &Core, shard: &ShardHandle, command: &Command) -> Option<(Refusal, LogTime, u64)> {
    // The next entry's log time is about this: what is due by then is freed by the log first.
    let wall = LogTime(core.world.clock.wall_ms());
    let looked = shard.group().read_shard_at(|shard, applied| {
        let refusal = shard.sold_out(command, shard.now().max(wall))?;
        Some((refusal, shard.now(), applied.map_or(0, |id| id.index)))
    });
    looked.flatten()
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::{self, CommandError};

    use super::*;

    fn refused(reason: ErrorReason, replayed: bool) -> CommandResult {
        let outcome = Some(Outcome::Error(CommandError::of(reason, "it is refused")));
        CommandResult { command_id: None, outcome, replayed }
    }

    #[test]
    fn nothing_is_looked_at_before_the_log_has_refused_it_for_want_of_stock() {
        let lacking = Lacking::default();
        let [rouge, mascara] = ["rouge", "mascara"].map(|sku| Some(slot_of(&sku.parse().unwrap())));
        let has = |lacking: &Lacking| [rouge, mascara].map(|slot| lacking.has(slot.unwrap()));
        lacking.note(rouge, Some(&refused(ErrorReason::SkuIsKit, false)));
        lacking.note(rouge, Some(&refused(ErrorReason::InsufficientStock, true)));
        lacking.note(None, Some(&refused(ErrorReason::InsufficientStock, false)));
        let success = Some(Outcome::Success(v1::CommandSuccess::default()));
        lacking.note(rouge, Some(&CommandResult { command_id: None, outcome: success, replayed: false }));
        lacking.note(rouge, None);
        assert_eq!(has(&lacking), [false, false]);
        lacking.note(rouge, Some(&refused(ErrorReason::InsufficientStock, false)));
        assert_eq!(has(&lacking), [true, false]);
        lacking.remove(rouge.unwrap());
        assert_eq!(has(&lacking), [false, false]);
    }

    #[test]
    fn each_slot_has_a_bit_of_its_own() {
        let lacking = Lacking::default();
        let slots = || (0..SLOTS).filter_map(Slot::new);
        slots().step_by(3).for_each(|slot| lacking.add(slot));
        assert!(slots().all(|slot| lacking.has(slot) == slot.number().is_multiple_of(3)));
    }
}
