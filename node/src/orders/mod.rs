//! Reservations whose lines lie on several shards: who carries what the shards say to one another.
//!
//! The rules are `inventory`'s (`inventory/src/between_shards.rs`): the other shards hold their lines first, then the deciding
//! shard holds its own in the entry that decides, under the caller's own command id. Whoever carries it may die at any step:
//! nothing is remembered here. Promises only that what a shard this node leads has to say is said again until it is done.

pub(crate) use carry::carry_to_shard;

mod carry;
mod drive;
mod service;

use std::time::Duration;

use futures_util::future::join_all;
use holdfast_inventory::commands::Abandon;
use holdfast_inventory::{
    Answer, AttemptId, Command, Inventory, LogTime, Operation, Refusal, Reservation, ReservationState, SpreadPlan,
    slot_of,
};
use holdfast_proto::v1::{CommandError, ErrorReason};
use holdfast_raft::encode::{MAX_COMMAND_BYTES, encode_command};
use tokio::time::Instant;

use carry::{carry, carry_command};
pub(crate) use drive::drive;
pub(crate) use service::order_service;

use crate::core::Core;
use crate::from_proto::slots_of_lines;
use crate::planning::has_lost_race;
use crate::refusals;
use crate::routing::Routes;
use crate::shard::{Decided, EncodedCommand};
use crate::to_proto;

/// How long an attempt may take, by log time, until the deciding shard decides it no more.
const DECIDED_WITHIN_MS: u64 = 10_000;
/// How long the other shards may take to hold their lines.
const PREPARED_WITHIN: Duration = Duration::from_secs(3);

/// Whether a command is a reserve whose lines lie on several shards.
pub(crate) fn spans_shards(command: &Command, routes: &Routes) -> bool {
    let Operation::Reserve(reserve) = &command.operation else { return false };
    let deciding = routes.shard_of(reserve.reservation.slot());
    slots_of_lines(command).any(|slot| routes.shard_of(slot) != deciding)
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It was decided.
    Decided(Decided),
    /// The lines were planned, and another plan may do: nothing is held or kept.
    LostRace,
}

/// Takes a hold on lines of several shards, all or nothing, on the shard of the reservation's slot.
///
/// # Errors
///
/// Nothing is decided under the command's id by this attempt, or it is not known.
pub(crate) async fn reserve(
    core: &Core,
    command: Command,
    shard: u32,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Attempt, CommandError> {
    let routes = core.routes()?;
    let handle = core.shard(shard, &routes)?;
    if !handle.group().is_leader() {
        return Err(refusals::not_leader(handle.group().leader(), shard, &routes, route_epoch));
    }
    let Operation::Reserve(reserve) = command.operation else {
        return Err(refusals::unavailable(shard, "only a reserve is carried out over several shards"));
    };
    let decided_until = LogTime(core.log_time_ms()).plus_ms(DECIDED_WITHIN_MS);
    let attempt = AttemptId(core.world.entropy.next_u64());
    let plan = SpreadPlan::of(command.id, &reserve, attempt, decided_until, |slot| routes.shard_of(slot));
    let plan = plan.ok_or_else(|| refusals::unavailable(shard, "the slot map has just changed"))?;

    let prepared_until = deadline.min(Instant::now() + PREPARED_WITHIN);
    let prepares = plan
        .prepares
        .iter()
        .map(|(slot, prepare)| carry(core, *slot, Operation::Prepare(Box::new(prepare.clone())), prepared_until));
    let answers: Result<Vec<_>, _> = join_all(prepares).await.into_iter().collect();
    // What is held is given back when the deadline is over: the shards ask.
    let answers = answers.map_err(|why| refusals::unavailable(shard, &format!("of another shard, {why}")))?;
    let decision = match plan.decision(reserve, &answers) {
        Ok(decision) => decision,
        Err(Refusal::InsufficientStock { recorded: false, .. } | Refusal::LimitNotAsked { .. }) => {
            give_back(core, &plan, Instant::now() + PREPARED_WITHIN).await;
            return Ok(Attempt::LostRace);
        }
        Err(refusal) => {
            // Nothing will be decided of this attempt: what the others hold for it need not wait until they ask.
            give_back(core, &plan, Instant::now() + PREPARED_WITHIN).await;
            return Err(to_proto::command_error(&refusal));
        }
    };

    let mut command = Command { operation: Operation::ReserveSpread(Box::new(decision)), ..command };
    let bytes = encode_command(&mut command);
    if bytes.len() > 2 * MAX_COMMAND_BYTES {
        return Err(refusals::unavailable(shard, "the decision is too large for the log"));
    }
    let submitted = handle.submit(vec![EncodedCommand { command, bytes }], deadline);
    let submitted = submitted.map_err(|why| refusals::not_decided(&why, shard, &routes, route_epoch))?;
    let outcome = submitted.outcomes().await.pop().map(|(_, outcome)| outcome);
    let outcome = outcome.ok_or_else(|| refusals::unavailable(shard, "the shard gave no answer"))?;
    let decided = outcome.map_err(|why| refusals::not_decided(&why, shard, &routes, route_epoch))?;
    let has_lost_race = decided.answers.first().is_some_and(has_lost_race);
    if has_lost_race || decided.answers.first().is_some_and(is_refused_for_good) {
        give_back(core, &plan, Instant::now() + PREPARED_WITHIN).await;
    }
    Ok(if has_lost_race { Attempt::LostRace } else { Attempt::Decided(decided) })
}

fn is_refused_for_good(answer: &Answer) -> bool {
    answer.outcome.as_ref().is_err_and(Refusal::is_recorded)
}

/// Whether a command may be about lines that another shard of its reservation keeps, and is decided there then.
pub(crate) const fn may_lie_elsewhere(operation: &Operation) -> bool {
    matches!(operation, Operation::Return(_))
}

/// Has a command decided by the shard that keeps its lines, which the deciding shard has refused for that; says which one that is.
///
/// # Errors
///
/// Nothing is decided under the command's id by this attempt, or it is not known.
pub(crate) async fn decide_elsewhere(
    core: &Core,
    command: EncodedCommand,
    shard: u32,
    deadline: Instant,
) -> Result<(u32, Decided), CommandError> {
    let routes = core.routes()?;
    let Operation::Return(back) = &command.command.operation else {
        return Err(refusals::unavailable(shard, "only a return is decided by another shard"));
    };
    let line = back.parts.first().map_or(0, |part| part.line as usize);
    let handle = core.shard(shard, &routes)?;
    let whole = handle.group().read_shard(|inventory: &Inventory| inventory.reservation(back.reservation)).flatten();
    let sku = whole.as_ref().and_then(|whole| whole.lines.get(line)).map(|line| line.sku.clone());
    let (Some(whole), Some(sku)) = (whole, sku) else {
        return Err(refusals::unavailable(shard, "it is not known here where the lines lie"));
    };
    let there = routes.shard_of(slot_of(&sku));
    let decided = carry_command(core, there, &command, deadline).await;
    decided.map(|decided| (there, as_of_whole(decided, &whole))).map_err(|why| {
        let why = format!("it is not known whether shard {there} decided this: {why}; ask again with the same id");
        CommandError::of(ErrorReason::OutcomeUnknown, why).with("shard", there)
    })
}

/// What a part has answered, with what callers know the reservation by: the whole's revision, state and time, which is told of the return
/// a moment later.
fn as_of_whole(mut decided: Decided, whole: &Reservation) -> Decided {
    for success in decided.answers.iter_mut().filter_map(|answer| answer.outcome.as_mut().ok()) {
        let is_held = whole.state == ReservationState::Held;
        (success.revision, success.state) = (whole.revision, Some(whole.state));
        success.expires_at = is_held.then_some(whole.expires_at);
    }
    decided
}

/// Gives back at once what was prepared for a reservation that is refused. Where that fails, the shards ask later.
async fn give_back(core: &Core, plan: &SpreadPlan, deadline: Instant) {
    let abandons = plan.prepares.iter().map(|(slot, prepare)| {
        let abandon = Abandon { reservation: prepare.reserve.reservation, attempts: vec![prepare.attempt] };
        carry(core, *slot, Operation::Abandon(abandon), deadline)
    });
    for outcome in join_all(abandons).await {
        if let Err(why) = outcome {
            tracing::debug!(why, "what was held for a refused reservation is given back later");
        }
    }
}
