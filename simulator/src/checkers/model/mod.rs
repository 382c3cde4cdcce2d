//! What some SKUs and their reservations are, and what each command does to them: the sequential specification against
//! which histories are judged, written anew and kept small, so that it shares no mistake with the state machine.
//!
//! A model may be of some SKUs only. What a command does to others is then left out, and what it was told of them says
//! nothing; what remains is still true of every history that the whole model allows (locality: Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", 1990).

mod apply;
mod reads;
mod state;
mod time;

use std::collections::BTreeMap;

use apply::has_revision;
pub(in crate::checkers) use apply::{existing, holding};
pub use reads::CompiledRead;
pub use state::{Hold, State, Stock};

use super::backorders::Terms;
use super::shared_holds::SharedHolds;
use super::stocktakes::{CountAct, Counting};
use super::told::told_fits;
use super::transfers::{Underway, UnderwayAct};
use crate::history::{Answer, Command, Id, Refused, Request};

/// A line of the model: its number among the reservation's lines, its SKU and its units.
#[derive(Clone, Debug)]
pub(super) struct ModelLine {
    pub(super) number: usize,
    pub(super) sku: usize,
    pub(super) units: u64,
}

/// A request in the model's own numbers.
#[derive(Clone, Debug)]
pub(super) enum Act {
    PutItem { sku: usize, by_lot: bool },
    PutTerms { sku: usize, terms: Terms },
    Receive { sku: usize, units: u64 },
    ReceiveLot { sku: usize, lot: u8, units: u64 },
    Block { sku: usize, lot: u8, is_blocked: bool },
    Set { sku: usize, on_hand: u64, if_revision: u64 },
    PutLimit { sku: usize, units: u64, window_ms: Option<u64> },
    Reserve { hold: usize, lines: usize, ttl_ms: u64, customer: u8 },
    Extend { hold: usize, ttl_ms: u64 },
    Commit { hold: usize, how: Sale },
    Release { hold: usize },
    Fulfil { hold: usize },
    Cancel { hold: usize },
    Underway(UnderwayAct),
    Ship { hold: usize, units: u64 },
    Counting(CountAct),
}

/// How a hold is sold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sale {
    /// Where it has expired, its units are tried for anew.
    pub(super) retakes: bool,
    /// When it is cancelled, if it is not shipped by then.
    pub(super) cancel_at: Option<u64>,
}

/// What a step was told, ready to be compared.
#[derive(Clone, Debug)]
pub enum Step {
    /// Commands: decided as the answers say, or, without answers, somehow.
    Commands(CompiledChain),
    /// A read and what it saw.
    Read(CompiledRead),
}

/// One command or a chain, in the model's own numbers.
#[derive(Clone, Debug)]
pub struct CompiledChain {
    acts: Vec<Option<Act>>,
    answers: Option<Vec<Answer>>,
}

/// Some SKUs with the reservations that may have lines of them.
#[derive(Debug, Default)]
pub struct Model {
    skus: BTreeMap<String, usize>,
    holds: BTreeMap<Id, usize>,
    pub(super) lines: Vec<Lines>,
    /// The SKUs that nobody is seen to make: they are there from the beginning.
    given: Vec<bool>,
}

#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// The SKU of the reservation's very first line, where it is in the model.
    first: Option<usize>,
    pub(super) lines: Vec<ModelLine>,
}

impl Model {
    /// Of those SKUs and reservations.
    #[must_use]
    pub fn of<'a>(skus: impl IntoIterator<Item = &'a str>, holds: impl IntoIterator<Item = Id>) -> Self {
        let mut model = Self::default();
        for sku in skus {
            let next = model.skus.len();
            model.skus.entry(sku.to_owned()).or_insert(next);
        }
        for hold in holds {
            let next = model.holds.len();
            model.holds.entry(hold).or_insert(next);
        }
        model.given = vec![true; model.skus.len()];
        model
    }

    /// Nothing has happened yet.
    #[must_use]
    pub fn beginning(&self) -> State {
        let stock = |given: &bool| Stock { exists: *given, ..Stock::default() };
        State {
            now: 0,
            stocks: self.given.iter().map(stock).collect(),
            holds: SharedHolds::new(self.holds.len()),
            made: 0,
            underway: Underway::default(),
            counting: Counting::default(),
        }
    }

    /// Takes commands and their answers into the model's numbers; `None` where they have nothing to do with it.
    pub fn compile_commands(&mut self, commands: &[Command], answers: Option<&[Answer]>) -> Option<Step> {
        let acts: Vec<Option<Act>> = commands.iter().map(|command| self.compile(&command.request)).collect();
        acts.iter()
            .any(Option::is_some)
            .then(|| Step::Commands(CompiledChain { acts, answers: answers.map(<[Answer]>::to_vec) }))
    }

    fn compile(&mut self, request: &Request) -> Option<Act> {
        let hold = request.reservation().map(|id| self.holds.get(&id).copied());
        Some(match request {
            Request::PutItem { sku } | Request::PutItemByLot { sku } => {
                let sku = *self.skus.get(sku)?;
                self.given[sku] = false;
                Act::PutItem { sku, by_lot: matches!(request, Request::PutItemByLot { .. }) }
            }
            Request::PutItemToWaitFor { sku, cap, release_at_ms } => {
                let sku = *self.skus.get(sku)?;
                self.given[sku] = false;
                Act::PutTerms { sku, terms: Terms { cap: *cap, is_preorder: *release_at_ms > 0 } }
            }
            Request::ReceiveLot { sku, lot, units } => {
                Act::ReceiveLot { sku: *self.skus.get(sku)?, lot: *lot, units: u64::from(*units) }
            }
            Request::BlockLot { sku, lot } | Request::UnblockLot { sku, lot } => {
                let is_blocked = matches!(request, Request::BlockLot { .. });
                Act::Block { sku: *self.skus.get(sku)?, lot: *lot, is_blocked }
            }
            Request::Receive { sku, units } => Act::Receive { sku: *self.skus.get(sku)?, units: u64::from(*units) },
            Request::Set { sku, on_hand, if_revision } => {
                Act::Set { sku: *self.skus.get(sku)?, on_hand: *on_hand, if_revision: *if_revision }
            }
            Request::PutLimit { sku, units } => {
                Act::PutLimit { sku: *self.skus.get(sku)?, units: u64::from(*units), window_ms: None }
            }
            Request::PutRollingLimit { sku, units, window_s } => {
                let window_ms = Some(u64::from(*window_s) * 1_000);
                Act::PutLimit { sku: *self.skus.get(sku)?, units: u64::from(*units), window_ms }
            }
            Request::Reserve { lines, ttl_s, customer, .. } => {
                let hold = hold??;
                let of_model = lines.iter().enumerate().filter_map(|(number, line)| {
                    let sku = *self.skus.get(&line.sku)?;
                    Some(ModelLine { number, sku, units: u64::from(line.units) })
                });
                let first = lines.first().and_then(|line| self.skus.get(&line.sku).copied());
                let lines = Lines { first, lines: of_model.collect() };
                self.lines.push(lines);
                let ttl_ms = u64::from(*ttl_s) * 1_000;
                Act::Reserve { hold, lines: self.lines.len() - 1, ttl_ms, customer: *customer }
            }
            // Where its lines lie is for others to judge.
            Request::ReserveThrough { .. } => return None,
            Request::Extend { ttl_s, .. } => Act::Extend { hold: hold??, ttl_ms: u64::from(*ttl_s) * 1_000 },
            Request::Commit { .. } => Act::Commit { hold: hold??, how: Sale::default() },
            Request::Retake { .. } => Act::Commit { hold: hold??, how: Sale { retakes: true, cancel_at: None } },
            Request::CommitUntil { cancel_at_ms, .. } => {
                Act::Commit { hold: hold??, how: Sale { retakes: false, cancel_at: Some(*cancel_at_ms) } }
            }
            Request::Release { .. } => Act::Release { hold: hold?? },
            Request::Fulfil { .. } => Act::Fulfil { hold: hold?? },
            Request::Cancel { .. } => Act::Cancel { hold: hold?? },
            // What is of kits is left out: another checker judges it.
            Request::PutKit { .. } | Request::ReserveKits { .. } => return None,
            // And what is sold and shipped line by line.
            Request::ReserveInParts { .. } | Request::Change { .. } => return None,
            // And what is of campaigns.
            Request::Allocate { .. } | Request::ReserveIn { .. } => return None,
            // And what is of orders with external steps.
            Request::ReserveToOrder { .. }
            | Request::StartOrder { .. }
            | Request::ReportStep { .. }
            | Request::ResolveOrder { .. } => return None,
            // And what is of lots by name, and recalled.
            Request::ReserveOfLots { .. } | Request::Pick { .. } | Request::Recall { .. } => return None,
            // And who is let into them.
            Request::JoinQueue { .. } | Request::CommitDraw { .. } | Request::Draw { .. } | Request::Admit { .. } => {
                return None;
            }
            Request::Send { .. }
            | Request::Arrive { .. }
            | Request::Lose { .. }
            | Request::CallBack { .. }
            | Request::Expect { .. }
            | Request::ReceiveExpected { .. }
            | Request::CloseReceipt { .. } => Act::Underway(UnderwayAct::of(request, &self.skus)?),
            Request::Ship { units, .. } => Act::Ship { hold: hold??, units: u64::from(*units) },
            Request::OpenCount { .. }
            | Request::RecordCount { .. }
            | Request::ApplyCount { .. }
            | Request::CancelCount { .. } => Act::Counting(CountAct::of(request, &self.skus)?),
        })
    }

    /// Does a step, and says whether it may have been told what it was. The state is worth nothing where it may not.
    #[must_use]
    pub fn step(&self, state: &mut State, step: &Step) -> bool {
        match step {
            Step::Read(read) => self.sees(state, read),
            Step::Commands(chain) => match &chain.answers {
                Some(answers) => self.decides(state, &chain.acts, answers),
                None => self.may_do(state, &chain.acts),
            },
        }
    }

    /// Commands of unknown outcome: here only what they do where they are done; not being done is no step.
    fn may_do(&self, state: &mut State, acts: &[Option<Act>]) -> bool {
        acts.iter().flatten().all(|act| self.apply(state, act, false).is_ok())
    }

    fn decides(&self, state: &mut State, acts: &[Option<Act>], answers: &[Answer]) -> bool {
        let is_refused = answers.iter().any(|answer| matches!(answer, Answer::Refused(_)));
        let mut tried = state.clone();
        for (act, answer) in acts.iter().zip(answers) {
            let fits = match (act, answer) {
                (_, Answer::Refused(refused)) if refused.reason == "LINKED_COMMAND_FAILED" => {
                    // One before the culprit must have been possible; what comes after it was not tried.
                    act.as_ref().is_none_or(|act| self.apply(&mut tried, act, false).is_ok())
                }
                (None, Answer::Done(_)) => true,
                (None, Answer::Refused(_)) => return true,
                (Some(Act::Extend { hold, ttl_ms }), Answer::Done(done))
                    if has_revision(&tried, *hold, done.revision) =>
                {
                    self.stays(&mut tried, *hold, *ttl_ms, done)
                }
                (Some(act), Answer::Done(done)) => {
                    self.apply(&mut tried, act, true).is_ok_and(|told| told_fits(&mut tried, &told, done))
                }
                // That its log time is over, which is only bounded here, is for `holds` to judge.
                (Some(Act::Commit { how: Sale { cancel_at: Some(_), .. }, .. }), Answer::Refused(refused))
                    if refused.reason == "INVALID_ARGUMENT" =>
                {
                    return true;
                }
                (Some(act), Answer::Refused(refused)) => {
                    return match self.apply(&mut tried, act, false) {
                        Ok(_) => self.is_about_others(act, refused) || self.may_exceed(state, act, refused),
                        Err(refusal) => self.refusal_fits(act, &refusal, refused),
                    };
                }
            };
            if !fits {
                return false;
            }
        }
        if !is_refused {
            *state = tried;
        }
        true
    }

    /// Whether a customer may have too much where it is not known what counts of theirs.
    fn may_exceed(&self, state: &State, act: &Act, refused: &Refused) -> bool {
        let Act::Reserve { lines, customer, .. } = act else { return false };
        let limits = self.lines[*lines].lines.iter().filter_map(|line| state.stocks[line.sku].limit.as_ref());
        refused.reason == "CUSTOMER_LIMIT_EXCEEDED" && limits.clone().any(|limit| limit.is_uncertain(*customer))
    }
}
