//! Whether there is an order of all operations, each at one instant between its call and its return, in which every one was
//! told what the model says (Herlihy and Wing 1990). The search is in `search`; here a history is cut into parts that can
//! be judged alone.
//!
//! SKUs that share no reservation share nothing: each group of SKUs that carts tie together is a part (P-compositionality,
//! Lowe 2017). A part that takes too much effort is judged again SKU by SKU, which finds less but is sooner done; if that is
//! too much as well, the part is reported as undecided. How many operations a part has is no matter: what a search keeps of
//! each is small, and what it costs grows with what goes on at once.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Model;
use super::search::{Bounded, Search, Verdict};
use super::{Finding, LogTimeBound};
use crate::history::{
    Answer, Asked, Freshness, History, Id, MAX_RECORDS, Operation, Request, Standing, Subject, item_of, operations,
};

const NAME: &str = "linearizable";

/// How much a part may cost.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Pairs of order and state that are remembered; each takes some 50 bytes.
    pub places: usize,
    /// Operations of one part; some states are kept for each, of about 2 KiB together.
    pub operations: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { places: 4_000_000, operations: MAX_RECORDS }
    }
}

/// Judges each part of a history.
#[must_use]
pub fn check(history: &History, bound: &LogTimeBound, effort: &Effort) -> Vec<Finding> {
    let operations = operations(history);
    let mut findings = Vec::new();
    let spread = skus_over_shards(&operations);
    for skus in parts(&operations).into_iter().filter(|skus| !is_spread(skus, &spread)) {
        match judge(&operations, &skus, bound, effort) {
            Part::Explained => {}
            Part::Unexplained(why) => findings.push(Finding::new(NAME, why)),
            // Where units go from one place to another, one place alone says nothing.
            Part::Undecided if skus.len() > 1 && !is_tied_by_transfers(&operations, &skus) => {
                for sku in &skus {
                    findings.extend(match judge(&operations, &BTreeSet::from([*sku]), bound, effort) {
                        Part::Explained => None,
                        Part::Unexplained(why) => Some(Finding::new(NAME, why)),
                        Part::Undecided => Some(undecided(sku)),
                    });
                }
            }
            Part::Undecided => findings.extend(skus.first().map(|sku| undecided(sku))),
        }
    }
    findings
}

/// The SKUs of a history in groups that can be judged alone.
#[must_use]
pub fn groups(history: &History) -> Vec<BTreeSet<String>> {
    let operations = operations(history);
    let spread = skus_over_shards(&operations);
    let parts = parts(&operations).into_iter().filter(|part| !is_spread(part, &spread));
    parts.map(|part| part.into_iter().map(str::to_owned).collect()).collect()
}

fn undecided(sku: &str) -> Finding {
    Finding::undecided(NAME, format!("the history of {sku} is too much to decide"))
}

fn is_tied_by_transfers(operations: &[Operation<'_>], skus: &BTreeSet<&str>) -> bool {
    let mut commands = operations.iter().flat_map(|operation| commands_of(operation));
    commands.any(|command| command.request.destination().is_some_and(|to| skus.contains(to)))
}

enum Part {
    Explained,
    Unexplained(String),
    Undecided,
}

fn commands_of<'a>(operation: &Operation<'a>) -> &'a [crate::history::Command] {
    match operation.asked {
        Asked::Commands(commands) => commands,
        Asked::Read(..) => &[],
    }
}

/// The SKUs that each reservation may have lines of.
fn skus_of_reservations<'a>(operations: &[Operation<'a>]) -> BTreeMap<Id, BTreeSet<&'a str>> {
    let mut skus: BTreeMap<Id, BTreeSet<&str>> = BTreeMap::new();
    for command in operations.iter().flat_map(|operation| commands_of(operation)) {
        if let Request::Reserve { reservation, .. }
        | Request::ReserveThrough { reservation, .. }
        | Request::ReserveIn { reservation, .. }
        | Request::ReserveToOrder { reservation, .. } = &command.request
        {
            skus.entry(*reservation).or_default().extend(command.request.skus());
        }
    }
    skus
}

/// The items of reservations over several shards, of kits, or whose locations a channel chose, or of which
/// campaigns have some, or of orders with external steps, or by lot and of kits, which `whole`, `kits`, `sources`, `campaigns`, `sagas`,
/// `recalls` and `conservation` judge.
fn skus_over_shards<'a>(operations: &[Operation<'a>]) -> BTreeSet<&'a str> {
    let commands = operations.iter().flat_map(|operation| commands_of(operation));
    let is_spread = |request: &Request| {
        matches!(
            request,
            Request::Reserve { over_shards: true, .. }
                | Request::ReserveThrough { .. }
                | Request::ReserveKits { .. }
                | Request::ReserveInParts { .. }
                | Request::PutKit { .. }
                | Request::ReserveOfLots { .. }
                | Request::Allocate { .. }
                | Request::ReserveIn { .. }
                | Request::ReserveToOrder { .. }
        )
    };
    let spread = commands.filter(|command| is_spread(&command.request));
    spread.flat_map(|command| command.request.skus()).map(item_of).collect()
}

fn is_spread(skus: &BTreeSet<&str>, spread: &BTreeSet<&str>) -> bool {
    skus.iter().any(|sku| spread.contains(item_of(sku)))
}

/// Groups of SKUs that no operation and no reservation ties to another group.
fn parts<'a>(operations: &[Operation<'a>]) -> Vec<BTreeSet<&'a str>> {
    let reservations = skus_of_reservations(operations);
    let mut parts: Vec<BTreeSet<&str>> = Vec::new();
    let mut tie = |mut tied: BTreeSet<&'a str>| {
        let (touched, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut parts).into_iter().partition(|part| !part.is_disjoint(&tied));
        tied.extend(touched.into_iter().flatten());
        parts = others;
        if !tied.is_empty() {
            parts.push(tied);
        }
    };
    for operation in operations {
        if let Asked::Read(Subject::Stock(sku) | Subject::Count { sku, .. }, _) = operation.asked {
            tie(BTreeSet::from([sku.as_str()]));
        }
        let mut tied = BTreeSet::new();
        for command in commands_of(operation) {
            tied.extend(command.request.skus());
            let of_reservation = command.request.reservation().and_then(|id| reservations.get(&id));
            tied.extend(of_reservation.into_iter().flatten());
        }
        tie(tied);
    }
    parts
}

fn judge(operations: &[Operation<'_>], skus: &BTreeSet<&str>, bound: &LogTimeBound, effort: &Effort) -> Part {
    let reservations = skus_of_reservations(operations);
    let holds = reservations.iter().filter(|(_, of)| !of.is_disjoint(skus)).map(|(id, _)| *id);
    let mut model = Model::of(skus.iter().copied(), holds);
    let mut steps = Vec::new();
    let mut of_step = Vec::new();
    for operation in operations {
        for step in step_of(&mut model, operation).into_iter().chain(sold_out_steps(&mut model, operation)) {
            steps.push(step);
            of_step.push(operation);
        }
    }
    if steps.len() > effort.operations {
        return Part::Undecided;
    }
    match Search::new(&model, bound, &steps, effort.places).run() {
        Verdict::Explained => Part::Explained,
        Verdict::Undecided => Part::Undecided,
        Verdict::Unexplained { in_order, stuck } => {
            let skus: Vec<&str> = skus.iter().copied().collect();
            let stuck: Vec<String> = stuck
                .iter()
                .filter_map(|at| of_step[*at].records.last())
                .take(MOST_SHOWN)
                .map(|record| format!("\n    {record}"))
                .collect();
            Part::Unexplained(format!(
                "no order explains what was said of {}: after {in_order} of {} operations none of these fits:{}",
                skus.join(", "),
                steps.iter().filter(|step| step.return_us.is_some()).count(),
                stuck.concat()
            ))
        }
    }
}

const MOST_SHOWN: usize = 6;

fn step_of(model: &mut Model, operation: &Operation<'_>) -> Option<Bounded> {
    let (step, log_time) = match (operation.asked, &operation.standing) {
        (Asked::Commands(commands), Standing::Decided(answers)) => {
            (model.compile_commands(commands, Some(answers))?, log_time_of(commands, answers))
        }
        (Asked::Commands(commands), Standing::Unknown) => (model.compile_commands(commands, None)?, None),
        (Asked::Read(subject, Freshness::Linearizable), Standing::Seen { seen, log_time_ms }) => {
            (model.compile_read(subject, seen)?, *log_time_ms)
        }
        (Asked::Read(..), _) | (Asked::Commands(_), Standing::Nothing | Standing::Seen { .. }) => return None,
    };
    let is_read = matches!(operation.asked, Asked::Read(..));
    let return_us = operation.return_us.filter(|_| operation.standing != Standing::Unknown);
    let is_refused = |answers: &[Answer]| answers.iter().any(|answer| matches!(answer, Answer::Refused(_)));
    let is_silent = is_read || matches!(&operation.standing, Standing::Decided(answers) if is_refused(answers));
    Some(Bounded { step, call_us: operation.call_us, return_us, log_time, is_read, is_silent })
}

/// Refusals that were not recorded, each while its own attempt lasted: they decide nothing, but what they say was so, of what was
/// applied then, as with a read.
fn sold_out_steps(model: &mut Model, operation: &Operation<'_>) -> Vec<Bounded> {
    let mut steps = Vec::new();
    for record in &operation.records {
        let (Asked::Commands(commands), Some(answers)) = (&record.asked, record.unrecorded_lack()) else { continue };
        let Some(step) = model.compile_commands(commands, Some(answers)) else { continue };
        let (call_us, return_us) = (record.call_us, record.return_us);
        steps.push(Bounded { step, call_us, return_us, log_time: None, is_read: true, is_silent: true });
    }
    steps
}

/// The log time that answers tell: a new hold expires its time to live after it.
fn log_time_of(commands: &[crate::history::Command], answers: &[Answer]) -> Option<u64> {
    commands.iter().zip(answers).find_map(|(command, answer)| match (&command.request, answer) {
        (Request::Reserve { ttl_s, .. }, Answer::Done(done)) if done.expires_at_ms > 0 => {
            done.expires_at_ms.checked_sub(u64::from(*ttl_s) * 1_000)
        }
        _ => None,
    })
}

#[cfg(test)]
#[path = "linearizable_tests.rs"]
mod tests;
