//! Lines that are worked out from what was asked for, before the log: from what is read, to be decided when the units are held.
//!
//! Responsible for reserves whose channel chooses the locations: reads what could be had where, lets `sources` choose, has the lines
//! decided, and plans anew where the plan lost a race. Promises that a plan is decided only under the command's own id, that a retry
//! with the same request gets the first answer whatever is planned for it, and that it plans at most [`REPLANS`] times more than once:
//! what is refused then is refused for good. Leaves to the rules that no line takes what it may not.

mod availability;
mod counters;
mod flatten;
mod kits;
mod look;
mod see;
mod sources;

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use holdfast_inventory::commands::{AskedLine, Line, MAX_PLANNED_LINES, Plan, Reserve, Sourced};
use holdfast_inventory::{
    Answer, AskedUnits, BodyHash, ChannelId, Command, LocationId, Operation, Refusal, Sku, Source, Units, slot_of,
};
use holdfast_proto::v1::{self, CommandError};
use holdfast_raft::encode::{MAX_COMMAND_BYTES, encode_command};
use tokio::time::Instant;

pub(crate) use counters::{ask_counters, may_be_counted, reserve_counted};
pub(crate) use kits::{KnownKits, Planned, answer_kit, plan as plan_kits};
pub(crate) use look::answer as answer_look;
use look::look;
pub(crate) use see::{answer as answer_see, seen_to_peer};
pub(crate) use sources::Strategy;
use sources::{Choice, Order, Wanted, choose};

use crate::core::Core;
use crate::orders::{self, Attempt};
use crate::refusals;
use crate::routing::Routes;
use crate::shard::{Decided, EncodedCommand};

/// How often a plan that lost its race is made anew.
const REPLANS: u32 = 3;

/// How a channel is to choose the locations of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourcing {
    pub(crate) channel: ChannelId,
    /// The channel's locations, in its order.
    pub(crate) locations: Vec<LocationId>,
    pub(crate) strategy: Strategy,
    pub(crate) allow_split: bool,
}

/// The lines of a reserve as they were asked for, each still one.
pub(crate) fn as_asked(wire: &v1::Reserve, lines: &[Line]) -> Plan {
    let asked =
        |line: &Line| AskedLine { units: line.units, optional: line.optional, kit: None, min_units: line.min_units };
    Plan {
        request: request_hash(wire),
        asked: lines.iter().map(asked).collect(),
        of: (0..lines.len() as u16).collect(),
        sourced: wire.sourcing.as_ref().map(|how| Sourced { allow_split: how.allow_split, ..Sourced::default() }),
        counters: Vec::new(),
    }
}

/// What a retry must repeat of a request whose lines become others.
fn request_hash(wire: &v1::Reserve) -> BodyHash {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for line in &wire.lines {
        text(&line.sku);
        text(&line.location_id);
        text(&line.lot_id);
        text(&format!("{} {} {}", line.units, line.optional, line.min_units));
    }
    if let Some(v1::Sourcing { strategy, allow_split, nearest }) = &wire.sourcing {
        text(&format!("{strategy} {allow_split}"));
        nearest.iter().for_each(|location| text(location));
    }
    let half = hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    BodyHash(u128::from_be_bytes(half))
}

/// Has a reserve decided whose channel chooses the locations.
///
/// # Errors
///
/// Nothing is decided under the command's id by this attempt, or it is not known.
pub(crate) async fn reserve(
    core: &Core,
    command: Command,
    sourcing: &Sourcing,
    shard: u32,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Decided, CommandError> {
    for attempt in 0..=REPLANS {
        let routes = core.routes()?;
        let handle = core.shard(shard, &routes)?;
        if !handle.group().is_leader() {
            return Err(refusals::not_leader(handle.group().leader(), shard, &routes, route_epoch));
        }
        let planned = plan(core, &routes, command.clone(), sourcing, attempt == REPLANS, deadline).await?;
        let decided = if orders::spans_shards(&planned, &routes) {
            match orders::reserve(core, planned, shard, route_epoch, deadline).await? {
                Attempt::Decided(decided) => decided,
                Attempt::LostRace => continue,
            }
        } else {
            decide_here(core, planned, shard, route_epoch, deadline).await?
        };
        if !decided.answers.first().is_some_and(has_lost_race) {
            return Ok(decided);
        }
        if deadline <= Instant::now() {
            break;
        }
    }
    Err(refusals::unavailable(shard, "the plan of the reserve lost every race in the time that it had"))
}

/// Whether the answer is that another plan might do.
pub(crate) fn has_lost_race(answer: &Answer) -> bool {
    matches!(answer.outcome, Err(Refusal::InsufficientStock { recorded: false, .. } | Refusal::LimitNotAsked { .. }))
}

async fn decide_here(
    core: &Core,
    mut command: Command,
    shard: u32,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Decided, CommandError> {
    let routes = core.routes()?;
    let bytes = encode_command(&mut command);
    if bytes.len() > MAX_COMMAND_BYTES {
        return Err(refusals::unavailable(shard, "the plan of the reserve is too large for the log"));
    }
    let handle = core.shard(shard, &routes)?;
    let not_decided = |why| refusals::not_decided(&why, shard, &routes, route_epoch);
    let submitted = handle.submit(vec![EncodedCommand { command, bytes }], deadline).map_err(not_decided)?;
    let outcome = submitted.outcomes().await.pop().map(|(_, outcome)| outcome);
    outcome.ok_or_else(|| refusals::unavailable(shard, "the shard gave no answer"))?.map_err(not_decided)
}

/// The command with its lines at locations of the channel, by what could be had there a moment ago.
async fn plan(
    core: &Core,
    routes: &Routes,
    mut command: Command,
    sourcing: &Sourcing,
    last: bool,
    deadline: Instant,
) -> Result<Command, CommandError> {
    let Operation::Reserve(reserve) = &mut command.operation else { return Ok(command) };
    let found = sources_of(core, routes, &sourcing.channel, &reserve.lines, deadline).await?;
    let wanted = wanted(reserve, sourcing, &found);
    let order = match &sourcing.strategy {
        Strategy::Priority => Order::Given((0..sourcing.locations.len()).collect()),
        Strategy::Nearest(list) => {
            let number = |id: &LocationId| sourcing.locations.iter().position(|location| location == id);
            Order::Given(list.iter().filter_map(number).collect())
        }
        Strategy::MostStock => Order::MostStock,
        Strategy::FewestSplits => Order::FewestSplits,
    };
    let choices = choose(&wanted, &order, sourcing.allow_split, MAX_PLANNED_LINES);
    write_lines(reserve, &wanted, &choices, &order, sourcing, last);
    ask_counters(reserve, routes)?;
    Ok(command)
}

/// What could be had for each line, as the leaders of the lines' shards know it.
async fn sources_of(
    core: &Core,
    routes: &Routes,
    channel: &ChannelId,
    lines: &[Line],
    deadline: Instant,
) -> Result<Vec<Vec<Source>>, CommandError> {
    let mut by_shard: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        by_shard.entry(routes.shard_of(slot_of(&line.sku))).or_default().push(at);
    }
    let looks = by_shard.into_iter().map(|(shard, numbers)| async move {
        let asked = |at: &usize| AskedUnits { sku: lines[*at].sku.clone(), lot: lines[*at].lot.clone() };
        let asked = numbers.iter().map(asked).collect();
        let found = look(core, shard, channel, asked, deadline).await;
        let found = found.map_err(|why| refusals::unavailable(shard, &format!("what it has is not known: {why}")))?;
        Ok::<_, CommandError>(numbers.into_iter().zip(found))
    });
    let mut found = vec![Vec::new(); lines.len()];
    for (at, sources) in try_join_all(looks).await?.into_iter().flatten() {
        found[at] = sources;
    }
    Ok(found)
}

fn wanted(reserve: &Reserve, sourcing: &Sourcing, found: &[Vec<Source>]) -> Vec<Wanted> {
    let mut items: BTreeMap<&Sku, usize> = BTreeMap::new();
    let mut wanted = Vec::with_capacity(reserve.lines.len());
    for (line, sources) in reserve.lines.iter().zip(found) {
        let count = items.len();
        let available = |id: &LocationId| {
            let source = sources.iter().find(|source| source.location == *id);
            source.map_or(0, |source| source.available)
        };
        wanted.push(Wanted {
            item: *items.entry(&line.sku).or_insert(count),
            units: line.units.count(),
            least: line.min_units.unwrap_or(line.units).count(),
            optional: reserve.partial_ok || line.optional,
            available: sourcing.locations.iter().map(available).collect(),
        });
    }
    wanted
}

/// Puts the lines where they were chosen. One for which there was no choice is asked for where there is most of it, for the shard to
/// refuse or leave out: it alone decides.
fn write_lines(
    reserve: &mut Reserve,
    wanted: &[Wanted],
    choices: &[Choice],
    order: &Order,
    sourcing: &Sourcing,
    last: bool,
) {
    let asked = std::mem::take(&mut reserve.lines);
    let mut of = Vec::with_capacity(asked.len());
    for (number, ((line, wanted), choice)) in (0_u16..).zip(asked.into_iter().zip(wanted).zip(choices)) {
        let nowhere = || vec![(where_most_is(wanted, order), wanted.units)];
        for (location, units) in choice.clone().unwrap_or_else(nowhere) {
            let location = sourcing.locations[location].clone();
            // No part is more than the line, whose units fit.
            reserve.lines.push(Line { location, units: Units(units as u32), min_units: None, ..line.clone() });
            of.push(number);
        }
    }
    if let Some(plan) = reserve.plan.as_deref_mut() {
        plan.of = of;
        let nearest = if let Strategy::Nearest(list) = &sourcing.strategy { list.clone() } else { Vec::new() };
        plan.sourced = Some(Sourced { allow_split: sourcing.allow_split, last, nearest });
    }
}

fn where_most_is(wanted: &Wanted, order: &Order) -> usize {
    let all = || (0..wanted.available.len()).collect();
    let among: Vec<usize> = if let Order::Given(list) = order { list.clone() } else { all() };
    among.into_iter().rev().max_by_key(|location| wanted.available[*location]).unwrap_or(0)
}

#[cfg(test)]
mod tests;
