//! Many commands: split by the leaders of their shards, chains kept whole, each with its own answer.
//!
//! Promises that the commands of one shard are first sent in the order given. A command that is asked again may be
//! decided after later ones of its shard; who needs an order chains them, or waits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;
use holdfast_proto::v1::{CommandError, ErrorReason};
use tokio::time::Instant;

use crate::answer::{Error, Success};
use crate::command::{Command, Sealed, seal};
use crate::core::{Core, Way};
use crate::execute::{check_size, named, outcome};
use crate::node::Node;
use crate::retry::Standing;
use crate::wire::{FRAME_BYTES, MAX_BYTES, MAX_COMMANDS};

/// The longest chain.
const MAX_CHAIN_COMMANDS: usize = 256;
/// The most bytes of a chain.
const MAX_CHAIN_BYTES: usize = 128 * 1_024;

type Answer = Result<Success, Error>;

/// A chain, or a command that stands alone, and what is known of it.
#[derive(Debug)]
struct Unit {
    commands: Range<usize>,
    standing: Standing,
}

/// What one round said of a unit.
struct Round {
    unit: usize,
    answers: Vec<Answer>,
    hinted: bool,
}

pub(crate) async fn execute(core: &Core, commands: Vec<Command>, deadline: Instant) -> Vec<Answer> {
    let minter = core.minter();
    let sealed: Vec<Sealed> = commands.into_iter().map(|command| seal(command, &minter)).collect();
    let bytes = sealed.iter().map(|sealed| sealed.encoded.len()).sum();
    let _places = match core.gate.enter(sealed.len(), bytes, deadline).await {
        Ok(places) => places,
        Err(error) => return sealed.iter().map(|sealed| Err(named(error.clone(), sealed))).collect(),
    };
    let mut answers: Vec<Option<Answer>> = vec![None; sealed.len()];
    let mut units: Vec<Unit> =
        chains(&sealed).into_iter().map(|commands| Unit { commands, standing: Standing::default() }).collect();
    let mut pending = Vec::with_capacity(units.len());
    for (number, unit) in units.iter().enumerate() {
        match check_chain(core, &sealed[unit.commands.clone()]) {
            Ok(()) => pending.push(number),
            Err(error) => answers[unit.commands.clone()].fill(Some(Err(error))),
        }
    }
    settle(core, &sealed, &mut units, pending, &mut answers, deadline).await;
    let answers = answers.into_iter().zip(&sealed);
    answers
        .map(|(answer, sealed)| match answer {
            Some(Ok(success)) => {
                core.budget.succeeded();
                Ok(success)
            }
            Some(Err(error)) => Err(named(error, sealed)),
            None => Err(named(Error::not_admitted(ErrorReason::Unavailable, "it was not sent"), sealed)),
        })
        .collect()
}

/// Asks, round after round, until every unit is settled or the deadline comes.
async fn settle(
    core: &Core,
    sealed: &[Sealed],
    units: &mut [Unit],
    mut pending: Vec<usize>,
    answers: &mut [Option<Answer>],
    deadline: Instant,
) {
    let mut pacer = core.pacer(deadline);
    while !pending.is_empty() {
        let rounds = ask_all(core, sealed, units, &pending, deadline).await;
        let (mut again, mut all_hinted, mut retry_after) = (Vec::new(), true, None);
        for Round { unit: number, answers: said, hinted } in rounds {
            let unit = &mut units[number];
            let (settled, repeat) = judge(&mut unit.standing, said);
            if repeat {
                all_hinted &= hinted;
                retry_after = settled.iter().filter_map(wanted_pause).chain(retry_after).max();
                again.push(number);
            }
            for (place, answer) in answers[unit.commands.clone()].iter_mut().zip(settled) {
                *place = Some(answer);
            }
        }
        again.sort_unstable();
        pending = again;
        if !pending.is_empty() && !pacer.pause(all_hinted, retry_after).await {
            return;
        }
    }
}

fn wanted_pause(answer: &Answer) -> Option<std::time::Duration> {
    answer.as_ref().err().and_then(|error| error.failure().retry_after)
}

/// What a unit's callers would be told now, and whether it is to be asked again.
fn judge(standing: &mut Standing, said: Vec<Answer>) -> (Vec<Answer>, bool) {
    let mut repeat = false;
    let before = *standing;
    let told = said
        .into_iter()
        .map(|answer| {
            // Each command of a chain is judged by what was known before; an attempt counts once.
            let mut one = before;
            let judged = answer.map_err(|error| match one.judge(error) {
                Ok(error) => {
                    repeat = true;
                    one.told(error)
                }
                Err(error) => error,
            });
            standing.join(one);
            judged
        })
        .collect();
    (told, repeat)
}

/// One attempt of every pending unit: all nodes at once, a node's requests one after the other.
async fn ask_all(core: &Core, sealed: &[Sealed], units: &[Unit], pending: &[usize], deadline: Instant) -> Vec<Round> {
    let mut by_node: BTreeMap<u64, (Arc<Node>, u64, Vec<usize>)> = BTreeMap::new();
    let mut rounds = Vec::with_capacity(pending.len());
    for &number in pending {
        let range = units[number].commands.clone();
        match core.way(sealed[range.start].slot) {
            Ok(Way { node, epoch, .. }) => {
                by_node.entry(node.node_id).or_insert_with(|| (node, epoch, Vec::new())).2.push(number);
            }
            Err(error) => rounds.push(Round { unit: number, answers: vec![Err(error); range.len()], hinted: false }),
        }
    }
    let asking = by_node.into_values().map(|(node, epoch, numbers)| async move {
        let mut rounds = Vec::with_capacity(numbers.len());
        for request in requests(sealed, units, &numbers) {
            rounds.extend(ask(core, &node, epoch, sealed, units, request, deadline).await);
        }
        rounds
    });
    rounds.extend(join_all(asking).await.into_iter().flatten());
    rounds
}

/// Splits units into requests of a size that a node takes.
fn requests<'a>(sealed: &[Sealed], units: &[Unit], numbers: &'a [usize]) -> Vec<&'a [usize]> {
    let mut requests = Vec::new();
    let (mut first, mut commands, mut bytes) = (0, 0, 0);
    for (at, &number) in numbers.iter().enumerate() {
        let unit = &sealed[units[number].commands.clone()];
        let unit_bytes = chain_bytes(unit);
        if at > first && (commands + unit.len() > MAX_COMMANDS || bytes + unit_bytes > MAX_BYTES) {
            requests.push(&numbers[first..at]);
            (first, commands, bytes) = (at, 0, 0);
        }
        commands += unit.len();
        bytes += unit_bytes;
    }
    if first < numbers.len() {
        requests.push(&numbers[first..]);
    }
    requests
}

/// One request to one node.
async fn ask(
    core: &Core,
    node: &Node,
    epoch: u64,
    sealed: &[Sealed],
    units: &[Unit],
    numbers: &[usize],
    deadline: Instant,
) -> Vec<Round> {
    let ends = deadline.min(Instant::now() + core.options.attempt_timeout);
    let of = |number: usize| &sealed[units[number].commands.clone()];
    let attempt = |&number: &usize| {
        let may_be_done = units[number].standing.may_be_done();
        of(number).iter().map(move |sealed| sealed.attempt(may_be_done))
    };
    let commands = numbers.iter().flat_map(attempt).collect();
    let answered = node.attempt(commands, epoch, ends, &core.options, &core.life).await;
    let mut results = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let say = |&number: &usize| {
                let unit = of(number);
                let hinted = core.mend(&error, Some(core.shard_of(unit[0].slot)), node.node_id);
                Round { unit: number, answers: vec![Err(error.clone()); unit.len()], hinted }
            };
            return numbers.iter().map(say).collect();
        }
    };
    let mut said = std::mem::take(&mut results.results).into_iter();
    let mut rounds = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let unit = of(number);
        let shard = core.shard_of(unit[0].slot);
        let token = results.tokens.iter().find(|token| token.shard == shard).copied();
        let answers: Vec<Answer> =
            unit.iter().zip(said.by_ref()).map(|(sealed, result)| outcome(result, sealed, token)).collect();
        let errors = answers.iter().filter_map(|answer| answer.as_ref().err());
        let hints = errors.filter(|error| core.mend(error, Some(shard), node.node_id)).count();
        rounds.push(Round { unit: number, hinted: hints > 0, answers });
    }
    rounds
}

/// Chains, and commands that stand alone, in order.
fn chains(sealed: &[Sealed]) -> Vec<Range<usize>> {
    let mut chains = Vec::with_capacity(sealed.len());
    let mut first = 0;
    for (at, command) in sealed.iter().enumerate() {
        if !command.linked || at + 1 == sealed.len() {
            chains.push(first..at + 1);
            first = at + 1;
        }
    }
    chains
}

fn chain_bytes(chain: &[Sealed]) -> usize {
    chain.iter().map(|sealed| sealed.encoded.len() + FRAME_BYTES).sum()
}

/// What can be known to be wrong with a chain before it is sent.
fn check_chain(core: &Core, chain: &[Sealed]) -> Result<(), Error> {
    for sealed in chain {
        check_size(sealed)?;
    }
    if chain.len() == 1 {
        return Ok(());
    }
    let bytes = chain_bytes(chain);
    if chain.len() > MAX_CHAIN_COMMANDS || bytes > MAX_CHAIN_BYTES {
        let error = CommandError::of(ErrorReason::BatchTooLarge, "a chain of more than may be linked")
            .with("max_commands", MAX_CHAIN_COMMANDS)
            .with("max_bytes", MAX_CHAIN_BYTES);
        return Err(error.into());
    }
    let shard = core.shard_of(chain[0].slot);
    if chain.iter().all(|sealed| core.shard_of(sealed.slot) == shard) {
        return Ok(());
    }
    Err(Error::not_admitted(ErrorReason::ChainSpansShards, "linked commands are decided on different shards"))
}
