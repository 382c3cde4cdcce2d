//! Commands of one request: checked, sent to their shards, and their answers put back in order.

use bytes::Bytes;
use futures_util::StreamExt;
use holdfast_inventory::commands::ReserveSpread;
use holdfast_inventory::{Command, Operation, Slot};
use holdfast_proto::v1::command_result::Outcome;
use holdfast_proto::v1::{self, CommandError, CommandResult, ErrorReason, Retry};
use holdfast_raft::encode::decode_command;
use holdfast_raft::stages::Stage;
use tokio::time::Instant;

use super::checks::{Checked, Ready, check, check_amends, check_chains, check_steps, encoded};
use super::sold_out;
use crate::config::MAX_BATCH_COMMANDS;
use crate::core::Core;
use crate::from_proto::invalid;
use crate::orders;
use crate::planning::{self, Planned};
use crate::refusals;
use crate::room;
use crate::routing::Routes;
use crate::shard::{Decided, EncodedCommand, Submitted};
use crate::to_proto;

/// What became of a request's commands.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// One a command, in order.
    pub(super) results: Vec<CommandResult>,
    /// One for each shard that decided a command.
    pub(super) tokens: Vec<v1::ConsistencyToken>,
    pub(super) log_time_ms: u64,
}

/// The commands for one shard, and where they stood in the request.
struct Work {
    shard: u32,
    commands: Vec<EncodedCommand>,
    places: Vec<u32>,
}

/// How many reserves over several shards, or planned ones, one request has under way.
const SPREAD_AT_ONCE: usize = 64;

/// A reserve whose lines nobody has looked at, or what may be about lines of another shard.
struct AsSent {
    place: usize,
    shard: u32,
    /// Where it is noted, if what it asks for is lacking.
    slot: Option<Slot>,
    bytes: Bytes,
}

/// Decides the commands of a request. Those that are not admitted have an error each, the others are decided.
///
/// # Errors
///
/// None was admitted: there are none, too many, or the cluster is not founded.
pub(super) async fn decide(
    core: &Core,
    commands: Vec<v1::Command>,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Results, CommandError> {
    let asked = core.requests.asked(&commands);
    let answer = decide_all(core, commands, route_epoch, deadline).await;
    core.requests.answered(asked, answer.as_ref().map(|answer| answer.results.as_slice()));
    answer
}

async fn decide_all(
    core: &Core,
    commands: Vec<v1::Command>,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Results, CommandError> {
    if commands.is_empty() {
        return Err(invalid("commands", "is empty", "send at least one command"));
    }
    if commands.len() > MAX_BATCH_COMMANDS {
        let message = format!("{} commands; a request has at most {MAX_BATCH_COMMANDS}", commands.len());
        return Err(CommandError::of(ErrorReason::BatchTooLarge, message).at("commands"));
    }
    let begun = Instant::now();
    let routes = core.routes()?;
    let ids: Vec<Option<v1::Id>> = commands.iter().map(|command| command.command_id).collect();
    let linked: Vec<bool> = commands.iter().map(|command| command.linked).collect();
    let is_first = commands.iter().all(|command| !command.retry && !command.linked);
    let mut checked: Vec<Checked> = commands.into_iter().map(|command| check(command, &routes)).collect();
    check_steps(core, &mut checked, deadline).await;
    check_amends(core, &routes, &mut checked);
    work_out_lines(core, &routes, &mut checked, &linked, route_epoch, deadline).await;
    ask_counters(&routes, &mut checked);
    check_chains(&mut checked, &linked, |command| orders::spans_shards(command, &routes));
    keep_room(core, &routes, &mut checked);
    core.host.stages().note(Stage::Check, begun.elapsed());
    if is_first && let Some(answer) = answer_sold_out(core, &routes, &checked, deadline).await {
        return Ok(answer);
    }

    let mut results: Vec<Option<CommandResult>> = Vec::with_capacity(checked.len());
    results.resize_with(checked.len(), || None);
    let mut works: Vec<Work> = Vec::with_capacity(1);
    // Reserves whose lines nobody has looked at, and what may be about lines of another shard.
    let mut as_sent: Vec<AsSent> = Vec::new();
    let mut spread = Vec::new();
    for (place, checked) in checked.into_iter().enumerate() {
        match checked {
            Err(error) => results[place] = Some(to_proto::not_admitted(ids[place], error)),
            Ok(Ready { shard, command, sourcing: Some(sourcing) }) => {
                spread.push((place, shard, command.command, Some(sourcing)));
            }
            Ok(Ready { shard, command, .. }) if orders::spans_shards(&command.command, &routes) => {
                spread.push((place, shard, command.command, None));
            }
            Ok(Ready { shard, command, .. }) => {
                let at = works.iter().position(|work| work.shard == shard).unwrap_or_else(|| {
                    works.push(Work { shard, commands: Vec::new(), places: Vec::new() });
                    works.len() - 1
                });
                if may_be_decided_anew(&command.command.operation) && !linked[place] {
                    let slot = sold_out::slot_to_note(&command.command.operation);
                    as_sent.push(AsSent { place, shard, slot, bytes: command.bytes.clone() });
                }
                works[at].commands.push(command);
                works[at].places.push(place as u32);
            }
        }
    }

    // All are submitted before the first is waited for.
    let submitted: Vec<_> = works
        .into_iter()
        .map(|Work { shard, commands, places }| {
            (shard, places, submit(core, shard, commands, deadline, &routes, route_epoch))
        })
        .collect();
    let mut answer = Results::default();
    let spread = spread.into_iter().map(|(place, shard, command, sourcing)| async move {
        let decided = match sourcing {
            Some(sourcing) => planning::reserve(core, command, &sourcing, shard, route_epoch, deadline).await,
            None => planning::reserve_counted(core, command, shard, route_epoch, deadline).await,
        };
        (place, shard, decided)
    });
    let spread: Vec<_> = futures_util::stream::iter(spread).buffer_unordered(SPREAD_AT_ONCE).collect().await;
    for (place, shard, decided) in spread {
        results[place] = Some(result_of(shard, decided, ids[place], &mut answer));
    }
    for (shard, places, submitted) in submitted {
        collect(shard, &places, submitted, &ids, &mut results, &mut answer, &routes, route_epoch).await;
    }
    go_on_with(core, as_sent, &mut results, &mut answer, route_epoch, deadline).await;
    if answer.log_time_ms == 0 {
        answer.log_time_ms = core.log_time_ms();
    }
    let fill = |(place, result): (usize, Option<CommandResult>)| {
        result.unwrap_or_else(|| to_proto::not_admitted(ids[place], no_answer()))
    };
    answer.results = results.into_iter().enumerate().map(fill).collect();
    Ok(answer)
}

/// The answer to a command that stands alone and need not go through the log, since what it asks for is sold out.
async fn answer_sold_out(core: &Core, routes: &Routes, checked: &[Checked], deadline: Instant) -> Option<Results> {
    let [Ok(Ready { shard, command: EncodedCommand { command, .. }, sourcing: None })] = checked else { return None };
    if orders::spans_shards(command, routes) {
        return None;
    }
    let decided = sold_out::answer(core, &core.shard(*shard, routes).ok()?, command, deadline).await?;
    let mut answer = Results::default();
    let result = result_of(*shard, Ok(decided), None, &mut answer);
    answer.results.push(result);
    Some(answer)
}

/// Refuses what this node would propose where its disk has no room for it. What another node leads goes the way to its hint.
fn keep_room(core: &Core, routes: &Routes, checked: &mut [Checked]) {
    let Err(error) = room::check_room(core) else { return };
    let leads = |shard: u32| core.shard(shard, routes).is_ok_and(|handle| handle.group().is_leader());
    for slot in checked {
        if slot.as_ref().is_ok_and(|ready| leads(ready.shard)) {
            *slot = Err(error.clone());
        }
    }
}

/// Asks for the counters of the limits over several items that the reserves' lines are under.
fn ask_counters(routes: &Routes, checked: &mut [Checked]) {
    for slot in checked.iter_mut().filter(|_| !routes.limits_by_sku.is_empty()) {
        let Ok(Ready { shard, command, sourcing: None }) = slot else { continue };
        let Operation::Reserve(reserve) = &command.command.operation else { continue };
        if !planning::may_be_counted(reserve, routes) {
            continue;
        }
        let mut counted = reserve.clone();
        let asked = planning::ask_counters(&mut counted, routes).and_then(|()| {
            let is_same = counted == *reserve;
            let operation = Operation::Reserve(counted);
            if is_same { Ok(None) } else { encoded(Command { operation, ..command.command.clone() }).map(Some) }
        });
        match asked {
            Ok(None) => {}
            Ok(Some(command)) => *slot = Ok(Ready { shard: *shard, command, sourcing: None }),
            Err(error) => *slot = Err(error),
        }
    }
}

/// The result of a command that was decided by itself.
fn result_of(
    shard: u32,
    decided: Result<Decided, CommandError>,
    id: Option<v1::Id>,
    answer: &mut Results,
) -> CommandResult {
    match decided {
        Ok(decided) => {
            answer.log_time_ms = answer.log_time_ms.max(decided.log_time.0);
            answer.tokens.push(v1::ConsistencyToken { shard, applied_index: decided.index });
            let answer = decided.answers.into_iter().next();
            answer.map_or_else(|| to_proto::not_admitted(id, no_answer()), to_proto::command_result)
        }
        Err(error) => to_proto::not_admitted(id, error),
    }
}

/// Works out the lines of the reserves of which some may be of kits: those that name a kit's revision or are of a SKU that is known
/// to be one; and those that lie on several shards or in a chain, which would be in the way of a second attempt. What becomes of
/// others, [`decide_anew`] sees to.
async fn work_out_lines(
    core: &Core,
    routes: &Routes,
    checked: &mut [Checked],
    linked: &[bool],
    route_epoch: u64,
    deadline: Instant,
) {
    let is_in_chain = |place: usize| linked[place] || place.checked_sub(1).is_some_and(|before| linked[before]);
    let may_have_kits = |place: usize, command: &Command| match &command.operation {
        Operation::Reserve(reserve) => {
            reserve.plan.is_some()
                || core.known_kits.has_any_of(&reserve.lines)
                || is_in_chain(place)
                || orders::spans_shards(command, routes)
        }
        _ => false,
    };
    let places = checked.iter().enumerate().filter_map(|(place, checked)| {
        let Ready { shard, command, sourcing } = checked.as_ref().ok()?;
        let is_it = sourcing.is_none() && may_have_kits(place, &command.command);
        is_it.then(|| (place, *shard, command.command.clone()))
    });
    let places: Vec<(usize, u32, Command)> = places.collect();
    let planned = places.into_iter().map(|(place, shard, command)| async move {
        (place, shard, work_out(core, routes, shard, command, is_in_chain(place), route_epoch, deadline).await)
    });
    let planned: Vec<_> = futures_util::stream::iter(planned).buffer_unordered(SPREAD_AT_ONCE).collect().await;
    for (place, shard, command) in planned {
        match command {
            Ok(Some(command)) => checked[place] = Ok(Ready { shard, command, sourcing: None }),
            Ok(None) => {}
            Err(error) => checked[place] = Err(error),
        }
    }
}

/// A reserve with the lines that it becomes; `None`: it stays as it is.
async fn work_out(
    core: &Core,
    routes: &Routes,
    shard: u32,
    command: Command,
    is_in_chain: bool,
    route_epoch: u64,
    deadline: Instant,
) -> Result<Option<EncodedCommand>, CommandError> {
    let handle = core.shard(shard, routes)?;
    if !handle.group().is_leader() {
        return Err(refusals::not_leader(handle.group().leader(), shard, routes, route_epoch));
    }
    let Operation::Reserve(reserve) = &command.operation else { return Ok(None) };
    let operation = match planning::plan_kits(core, routes, reserve, deadline).await? {
        Planned::AsAsked => return Ok(None),
        Planned::Lines(reserve) => Operation::Reserve(reserve),
        Planned::Refused(_, refusal) if is_in_chain => return Err(to_proto::command_error(&refusal)),
        // Decided by the shard, since an earlier attempt may have been decided otherwise.
        Planned::Refused(reserve, refusal) => {
            Operation::ReserveSpread(Box::new(ReserveSpread::refused(reserve, refusal)))
        }
    };
    encoded(Command { operation, ..command }).map(Some)
}

/// Whether it may come back with nothing decided, for this node to have it decided in another way.
fn may_be_decided_anew(operation: &Operation) -> bool {
    matches!(operation, Operation::Reserve(it) if it.plan.is_none()) || orders::may_lie_elsewhere(operation)
}

/// Whether a reserve was refused with nothing decided, because a line of it is a kit, or of an item under a limit that was not asked; or
/// anything else because its lines lie on another shard.
fn is_undecided(result: &CommandResult) -> bool {
    let Some(Outcome::Error(error)) = &result.outcome else { return false };
    let is_unworked = matches!(error.reason(), ErrorReason::SkuIsKit | ErrorReason::LimitNotAsked);
    (is_unworked && error.retry() == Retry::SameKey) || error.reason() == ErrorReason::LinesElsewhere
}

/// Takes in what the log said of commands that were sent as they came, and decides those anew that were refused with nothing decided.
async fn go_on_with(
    core: &Core,
    mut as_sent: Vec<AsSent>,
    results: &mut [Option<CommandResult>],
    answer: &mut Results,
    route_epoch: u64,
    deadline: Instant,
) {
    as_sent.iter().for_each(|sent| core.lacking.note(sent.slot, results[sent.place].as_ref()));
    as_sent.retain(|sent| results[sent.place].as_ref().is_some_and(is_undecided));
    let again = as_sent.into_iter().map(|AsSent { place, shard, bytes, .. }| async move {
        (place, shard, decide_anew(core, shard, &bytes, route_epoch, deadline).await)
    });
    let again: Vec<_> = futures_util::stream::iter(again).buffer_unordered(SPREAD_AT_ONCE).collect().await;
    for (place, shard, decided) in again {
        // The entry is another shard's where that one has decided it.
        let (shard, decided) =
            decided.map_or_else(|error| (shard, Err(error)), |(there, decided)| (there, Ok(decided)));
        let id = results[place].as_ref().and_then(|result| result.command_id);
        results[place] = Some(result_of(shard, decided, id, answer));
    }
}

/// Decides a reserve that its shard has refused because there is something to work out, with the lines that it becomes; and what is about
/// lines of another shard there.
async fn decide_anew(
    core: &Core,
    shard: u32,
    bytes: &[u8],
    route_epoch: u64,
    deadline: Instant,
) -> Result<(u32, Decided), CommandError> {
    let routes = core.routes()?;
    let command = decode_command(bytes).map_err(|error| refusals::unavailable(shard, &error.to_string()))?;
    if orders::may_lie_elsewhere(&command.operation) {
        let command = EncodedCommand { command, bytes: Bytes::copy_from_slice(bytes) };
        return orders::decide_elsewhere(core, command, shard, deadline).await;
    }
    let again = work_out(core, &routes, shard, command.clone(), false, route_epoch, deadline).await?;
    let again = again.map_or(command, |again| again.command);
    if matches!(again.operation, Operation::Reserve(_)) {
        let decided = planning::reserve_counted(core, again, shard, route_epoch, deadline).await?;
        return Ok((shard, decided));
    }
    let submitted = submit(core, shard, vec![encoded(again)?], deadline, &routes, route_epoch)?;
    let (_, outcome) = submitted.outcomes().await.pop().ok_or_else(no_answer)?;
    let decided = outcome.map_err(|why| refusals::not_decided(&why, shard, &routes, route_epoch))?;
    Ok((shard, decided))
}

fn no_answer() -> CommandError {
    CommandError::of(ErrorReason::OutcomeUnknown, "the shard gave no answer")
}

fn submit(
    core: &Core,
    shard: u32,
    commands: Vec<EncodedCommand>,
    deadline: Instant,
    routes: &Routes,
    route_epoch: u64,
) -> Result<Submitted, CommandError> {
    let handle = core.shard(shard, routes)?;
    handle.submit(commands, deadline).map_err(|why| refusals::not_decided(&why, shard, routes, route_epoch))
}

#[allow(clippy::too_many_arguments, reason = "the request's own parts, each once")]
async fn collect(
    shard: u32,
    places: &[u32],
    submitted: Result<Submitted, CommandError>,
    ids: &[Option<v1::Id>],
    results: &mut [Option<CommandResult>],
    answer: &mut Results,
    routes: &Routes,
    route_epoch: u64,
) {
    let submitted = match submitted {
        Ok(submitted) => submitted,
        Err(error) => {
            for place in places.iter().map(|place| *place as usize) {
                results[place] = Some(to_proto::not_admitted(ids[place], error.clone()));
            }
            return;
        }
    };
    let mut places = places.iter().map(|place| *place as usize);
    let mut token = None;
    for (commands, outcome) in submitted.outcomes().await {
        match outcome {
            Ok(decided) => {
                token = token.max(Some(decided.index));
                answer.log_time_ms = answer.log_time_ms.max(decided.log_time.0);
                for (place, decided) in places.by_ref().take(commands).zip(decided.answers) {
                    results[place] = Some(to_proto::command_result(decided));
                }
            }
            Err(why) => {
                let error = refusals::not_decided(&why, shard, routes, route_epoch);
                for place in places.by_ref().take(commands) {
                    results[place] = Some(to_proto::not_admitted(ids[place], error.clone()));
                }
            }
        }
    }
    if let Some(applied_index) = token {
        answer.tokens.push(v1::ConsistencyToken { shard, applied_index });
    }
}
