//! The model's counts of stock by lot: what was counted beside what lay there then, applied to what lies there later.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::model::{Model, State, existing};
use super::told::{Refusal, Told};
use crate::history::{CountPhase, CountSeen, Id, Request};

/// The counts. States share what is equal, for they differ in little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Counting(Rc<BTreeMap<Id, Count>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Count {
    sku: usize,
    phase: CountPhase,
    revision: u64,
    /// By lot, in the order in which they came to be in it: what was counted, and what lay there then.
    lines: Vec<(u8, Option<(u64, u64)>)>,
    /// Whom it has left short, the newest first: by the model's numbers, of units held and sold.
    short: Vec<(usize, u64, u64)>,
}

/// A request about a count, in the model's own numbers.
#[derive(Clone, Debug)]
pub(super) enum CountAct {
    Open { count: Id, sku: usize },
    Record { count: Id, lot: u8, units: u64 },
    Apply { count: Id },
    GiveUp { count: Id },
}

impl CountAct {
    /// `None` where the request is about something else, or of a SKU that is not in the model.
    pub(super) fn of(request: &Request, skus: &BTreeMap<String, usize>) -> Option<Self> {
        Some(match request {
            Request::OpenCount { count, sku } => Self::Open { count: *count, sku: *skus.get(sku)? },
            Request::RecordCount { count, sku, lot, units } => {
                skus.get(sku).map(|_| Self::Record { count: *count, lot: *lot, units: u64::from(*units) })?
            }
            Request::ApplyCount { count, sku } => skus.get(sku).map(|_| Self::Apply { count: *count })?,
            Request::CancelCount { count, sku } => skus.get(sku).map(|_| Self::GiveUp { count: *count })?,
            _ => return None,
        })
    }
}

impl Counting {
    /// A count that is open, to be changed, which counts in it.
    fn change(&mut self, count: Id) -> Result<&mut Count, Refusal> {
        let found = self.0.get(&count).ok_or(Refusal::CountNotFound)?;
        if found.phase != CountPhase::Open {
            return Err(Refusal::AlreadyEnded);
        }
        let found = Rc::make_mut(&mut self.0).get_mut(&count).ok_or(Refusal::CountNotFound)?;
        found.revision += 1;
        Ok(found)
    }

    /// Whether this is what was seen of a count; `holds` are the model's numbers of reservations.
    pub(super) fn fits(&self, count: Id, seen: Option<&CountSeen>, holds: &BTreeMap<Id, usize>) -> bool {
        match (self.0.get(&count), seen) {
            (None, None) => true,
            (Some(count), Some(seen)) => {
                let short = seen.short.iter().map(|(id, held, sold)| Some((*holds.get(id)?, *held, *sold)));
                (seen.phase, seen.revision) == (count.phase, count.revision)
                    && short.collect::<Option<Vec<_>>>().as_ref() == Some(&count.short)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl Model {
    pub(super) fn apply_counting(&self, state: &mut State, act: &CountAct) -> Result<Told, Refusal> {
        match *act {
            CountAct::Open { count, sku } => {
                if state.counting.0.contains_key(&count) {
                    return Err(Refusal::Exists);
                }
                existing(state, sku)?;
                if state.counting.0.values().any(|other| other.sku == sku && other.phase == CountPhase::Open) {
                    return Err(Refusal::CountInProgress);
                }
                let lots = state.stocks[sku].lots.get_or_insert_default();
                let lines = lots.with_units().into_iter().map(|lot| (lot, None)).collect();
                let opened = Count { sku, phase: CountPhase::Open, revision: 1, lines, short: Vec::new() };
                Rc::make_mut(&mut state.counting.0).insert(count, opened);
                Ok(told(state, sku, 1))
            }
            CountAct::Record { count, lot, units } => {
                let found = state.counting.change(count)?;
                let (sku, revision) = (found.sku, found.revision);
                let lies = state.stocks[sku].lots.get_or_insert_default().on_hand_of(lot);
                if let Some(found) = Rc::make_mut(&mut state.counting.0).get_mut(&count) {
                    match found.lines.iter_mut().find(|(known, _)| *known == lot) {
                        Some((_, counted)) => *counted = Some((units, lies)),
                        None => found.lines.push((lot, Some((units, lies)))),
                    }
                }
                Ok(told(state, sku, revision))
            }
            CountAct::Apply { count } => {
                let found = state.counting.change(count)?;
                found.phase = CountPhase::Applied;
                let (sku, revision, lines) = (found.sku, found.revision, found.lines.clone());
                let before = Self::lacking(state, sku);
                self.correct(state, sku, &lines);
                self.settle(state, sku);
                let mut short = Vec::new();
                for (at, (held, sold)) in Self::lacking(state, sku).into_iter().rev() {
                    let was = before.iter().find(|(other, _)| *other == at).map_or((0, 0), |(_, was)| *was);
                    let (held, sold) = (held.saturating_sub(was.0), sold.saturating_sub(was.1));
                    if held + sold > 0 {
                        short.push((at, held, sold));
                    }
                }
                if let Some(applied) = Rc::make_mut(&mut state.counting.0).get_mut(&count) {
                    applied.short = short;
                }
                Ok(told(state, sku, revision))
            }
            CountAct::GiveUp { count } => {
                let found = state.counting.change(count)?;
                found.phase = CountPhase::Cancelled;
                let (sku, revision) = (found.sku, found.revision);
                Ok(told(state, sku, revision))
            }
        }
    }

    /// Brings each lot by the difference that was counted: what is found is there, what is missing is not, whoever it was promised
    /// to.
    fn correct(&self, state: &mut State, sku: usize, lines: &[(u8, Option<(u64, u64)>)]) {
        let counted = || lines.iter().filter_map(|(lot, counted)| counted.map(|(units, lay)| (*lot, units, lay)));
        // Changes of the stock that are told of together count as one.
        let mut is_counted = false;
        for (lot, units, lay) in counted().filter(|(_, units, lay)| units > lay) {
            Self::lay(state, sku, lot, (units - lay) as i64, &mut is_counted);
        }
        for (lot, units, lay) in counted().filter(|(_, units, lay)| units < lay) {
            let lots = state.stocks[sku].lots.get_or_insert_default();
            let gone = (lay - units).min(lots.on_hand_of(lot));
            let of_free = gone.min(lots.unsold_of(lot));
            // Holds of no lot are only to get what is on sale.
            let unneeded = lots.free().saturating_sub(state.stocks[sku].reserved);
            let is_sold = state.stocks[sku].lots.as_ref().is_some_and(|lots| lots.free_of(lot) > 0);
            let lack = if is_sold { of_free.saturating_sub(unneeded) } else { 0 };
            self.shorten_held(state, sku, lack, &mut is_counted);
            self.shorten_sold(state, sku, lot, gone - of_free, &mut is_counted);
            if gone > 0 {
                Self::lay(state, sku, lot, -(gone as i64), &mut is_counted);
            }
        }
    }

    fn lay(state: &mut State, sku: usize, lot: u8, units: i64, is_counted: &mut bool) {
        let stock = &mut state.stocks[sku];
        let lots = stock.lots.get_or_insert_default();
        if units > 0 {
            lots.receive(lot, units.unsigned_abs());
        } else {
            lots.send(lot, units.unsigned_abs());
        }
        stock.on_hand = stock.on_hand.saturating_add_signed(units);
        stock.adjusted += units;
        stock.revision += u64::from(!std::mem::replace(is_counted, true));
    }
}

fn told(state: &State, sku: usize, revision: u64) -> Told {
    Told { revision: Some(revision), atp_after: Some(state.stocks[sku].atp()), ..Told::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::linearizable::{Effort, check};
    use crate::checkers::stories::{BOUND, Story, commit, done, held, refused, reserve};
    use crate::history::{Asked, Freshness, Outcome, Phase, Seen, Subject};

    const SKU: &str = "SHELF";
    const COUNT: Id = Id(99);

    fn sku() -> String {
        SKU.to_owned()
    }

    fn record(units: u32) -> Request {
        Request::RecordCount { count: COUNT, sku: sku(), lot: 1, units }
    }

    fn apply() -> Request {
        Request::ApplyCount { count: COUNT, sku: sku() }
    }

    /// Five units of a lot, of which a count is open; two are sold.
    fn opened() -> Story {
        let expires_at = 5 + 10_000;
        let sold = Outcome::Answered(vec![crate::history::Answer::Done(crate::history::Done {
            revision: 2,
            atp_after: 3,
            phase: Some(Phase::Committed),
            ..crate::history::Done::default()
        })]);
        Story::default()
            .command(1, 1, 2, Request::PutItemByLot { sku: sku() }, done(1, 0))
            .command(2, 3, 4, Request::ReceiveLot { sku: sku(), lot: 1, units: 5 }, done(1, 5))
            .command(3, 5, 6, reserve(3, SKU, 2), held(1, 3, expires_at))
            .command(4, 7, 8, commit(3), sold)
            .command(5, 9, 10, Request::OpenCount { count: COUNT, sku: sku() }, done(1, 3))
    }

    fn sees(story: Story, call: u64, short: &[(Id, u64, u64)]) -> Story {
        let subject = Subject::Count { count: COUNT, sku: sku() };
        let seen = CountSeen { phase: CountPhase::Applied, revision: 3, short: short.to_vec() };
        let seen = Outcome::Seen { seen: Seen::Count(Some(seen)), position: None, log_time_ms: None };
        story.tell(call, call + 1, Asked::Read(subject, Freshness::Linearizable), seen)
    }

    fn is_good(story: &Story) -> bool {
        check(&story.0, &BOUND, &Effort::default()).is_empty()
    }

    #[test]
    fn what_was_counted_is_applied_once_and_to_the_present() {
        let receive = || Request::ReceiveLot { sku: sku(), lot: 1, units: 4 };
        let story =
            |atp| {
                opened()
                    .command(6, 11, 12, record(4), done(2, 3))
                    .command(7, 13, 14, receive(), done(3 + 1, 7))
                    .command(8, 15, 16, apply(), done(3, atp))
            };
        assert!(is_good(&story(6)));
        assert!(!is_good(&story(2)), "counted against what lies there when it is applied");
        let again = |outcome| story(6).command(9, 17, 18, apply(), outcome);
        assert!(is_good(&again(refused("ALREADY_ENDED", &[]))));
        assert!(!is_good(&again(done(4, 5))), "applied twice");
    }

    #[test]
    fn a_count_that_is_open_keeps_another_away() {
        let other = Request::OpenCount { count: Id(98), sku: sku() };
        assert!(is_good(&opened().command(6, 11, 12, other.clone(), refused("COUNT_IN_PROGRESS", &[]))));
        assert!(!is_good(&opened().command(6, 11, 12, other, done(1, 3))));
    }

    #[test]
    fn a_count_that_does_not_say_whose_units_are_missing_is_found() {
        let story = || opened().command(6, 11, 12, record(1), done(2, 3)).command(7, 13, 14, apply(), done(3, 0));
        assert!(is_good(&sees(story(), 15, &[(Id(3), 0, 1)])));
        assert!(!is_good(&sees(story(), 15, &[])));
    }
}
