//! Sold out, answered with nothing in the log: of the state that a ReadIndex round has confirmed, and only where the log could say
//! nothing else (`inventory` tells). The id stays unused, so whoever has another attempt of it under way must say so.

use holdfast_inventory::{Answer, Command, LogTime, Refusal};
use holdfast_mutation::{Mutation, is_on};
use tokio::time::{Instant, timeout_at};

use crate::core::Core;
use crate::metrics;
use crate::shard::{Decided, ShardHandle};

/// The answer to a command that is sold out on a shard that this node leads. `None`: the log decides, also where no round comes
/// about in time.
pub(super) async fn answer(core: &Core, shard: &ShardHandle, command: &Command, deadline: Instant) -> Option<Decided> {
    let group = shard.group();
    if !group.is_leader() {
        return None;
    }
    // A first look, so that only what is sold out waits for the round.
    look(core, shard, command)?;
    if !is_on(Mutation::SoldOutFromMemory) {
        timeout_at(deadline, group.read_index()).await.ok()?.ok()?;
    }
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
