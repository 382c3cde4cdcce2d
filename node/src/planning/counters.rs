//! The counters that a reserve asks for, where its items are under limits over several: worked out last, from the lines that it became.
//!
//! The node knows the limits from the cluster's own records. A shard that knows more of them refuses with nothing decided, and the
//! counters are worked out anew.

use std::time::Duration;

use holdfast_inventory::commands::Reserve;
use holdfast_inventory::{BodyHash, Command, Operation};
use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1::CommandError;
use holdfast_raft::encode::request_of;
use tokio::time::{Instant, sleep};

use super::{REPLANS, decide_here, has_lost_race};
use crate::core::Core;
use crate::from_proto::invalid_argument;
use crate::orders::{self, Attempt};
use crate::refusals;
use crate::routing::Routes;
use crate::shard::Decided;

/// How long what a shard knows and this node does not, or the other way, is given to come.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Asks for the counters of the limits that are known here; anew where it has asked before.
///
/// # Errors
///
/// The lines and counters are too many, or a counter's units.
pub(crate) fn ask_counters(reserve: &mut Reserve, routes: &Routes) -> Result<(), CommandError> {
    if is_on(Mutation::CounterNotAsked) {
        return Ok(());
    }
    if !may_be_counted(reserve, routes) {
        return Ok(());
    }
    let request = if reserve.plan.is_none() { request_of(&reserve.lines, &[]) } else { BodyHash::default() };
    reserve.count_under(request, |sku| routes.limits_over(sku)).map_err(|refused| invalid_argument(&refused))
}

/// Whether it has lines that a limit over several SKUs counts, or has asked for counters before.
pub(crate) fn may_be_counted(reserve: &Reserve, routes: &Routes) -> bool {
    let has_counters = reserve.plan.as_ref().is_some_and(|plan| !plan.counters.is_empty());
    has_counters || reserve.lines.iter().any(|line| routes.limits_by_sku.contains_key(&line.sku))
}

/// Has a reserve decided whose lines are worked out, but for its counters.
///
/// # Errors
///
/// Nothing is decided under the command's id by this attempt, or it is not known.
pub(crate) async fn reserve_counted(
    core: &Core,
    command: Command,
    shard: u32,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Decided, CommandError> {
    for attempt in 0..=REPLANS {
        if attempt > 0 {
            sleep(AGAIN_AFTER).await;
        }
        let routes = core.routes()?;
        let mut counted = command.clone();
        if let Operation::Reserve(reserve) = &mut counted.operation {
            ask_counters(reserve, &routes)?;
        }
        if !orders::spans_shards(&counted, &routes) {
            let decided = decide_here(core, counted, shard, route_epoch, deadline).await?;
            if !decided.answers.first().is_some_and(has_lost_race) {
                return Ok(decided);
            }
            continue;
        }
        match orders::reserve(core, counted, shard, route_epoch, deadline).await? {
            Attempt::Decided(decided) => return Ok(decided),
            Attempt::LostRace => {}
        }
        if deadline <= Instant::now() {
            break;
        }
    }
    Err(refusals::unavailable(shard, "its shards do not agree on the limits over several SKUs yet"))
}
