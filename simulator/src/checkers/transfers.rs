//! The model's stock on its way: transfers of one lot between two places, which it takes for two SKUs, and expected receipts.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::model::{Model, State, existing};
use super::told::{Refusal, Told};
use crate::history::{Id, Request};

/// What is on its way, and what is expected. States share what is equal, for they differ in little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Underway {
    transfers: Rc<BTreeMap<Id, Sent>>,
    receipts: Rc<BTreeMap<Id, Expected>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    lot: u8,
    in_transit: u64,
    revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Expected {
    sku: usize,
    units: u64,
    revision: u64,
    is_closed: bool,
}

/// A request about what is on its way, in the model's own numbers.
#[derive(Clone, Debug)]
pub(super) enum UnderwayAct {
    Send { transfer: Id, from: usize, to: usize, lot: u8, units: u64 },
    Arrive { transfer: Id, to: usize, units: u64 },
    Lose { transfer: Id, to: usize, units: u64 },
    CallBack { transfer: Id, from: usize, to: usize },
    Expect { receipt: Id, sku: usize, units: u64 },
    Receive { receipt: Id, sku: usize, lot: u8, units: u64 },
    Close { receipt: Id },
}

impl UnderwayAct {
    /// `None` where the request is about something else, or of SKUs that are not in the model.
    pub(super) fn of(request: &Request, skus: &BTreeMap<String, usize>) -> Option<Self> {
        let of = |sku: &String| skus.get(sku).copied();
        Some(match request {
            Request::Send { transfer, sku, to, lot, units } => {
                Self::Send { transfer: *transfer, from: of(sku)?, to: of(to)?, lot: *lot, units: u64::from(*units) }
            }
            Request::Arrive { transfer, to, units, .. } => {
                Self::Arrive { transfer: *transfer, to: of(to)?, units: u64::from(*units) }
            }
            Request::Lose { transfer, to, units, .. } => {
                Self::Lose { transfer: *transfer, to: of(to)?, units: u64::from(*units) }
            }
            Request::CallBack { transfer, sku, to } => {
                Self::CallBack { transfer: *transfer, from: of(sku)?, to: of(to)? }
            }
            Request::Expect { receipt, sku, units } => {
                Self::Expect { receipt: *receipt, sku: of(sku)?, units: u64::from(*units) }
            }
            Request::ReceiveExpected { receipt, sku, lot, units } => {
                Self::Receive { receipt: *receipt, sku: of(sku)?, lot: *lot, units: u64::from(*units) }
            }
            // Of a part of the history that has the item; any other knows nothing of the receipt.
            Request::CloseReceipt { receipt, sku } => of(sku).map(|_| Self::Close { receipt: *receipt })?,
            _ => return None,
        })
    }
}

impl Underway {
    /// The transfer, of which so many units are taken that were in transit.
    fn take(&mut self, transfer: Id, units: Option<u64>) -> Result<(u8, u64, u64), Refusal> {
        let found = self.transfers.get(&transfer).ok_or(Refusal::TransferNotFound)?;
        let available = found.in_transit;
        if available == 0 {
            return Err(Refusal::AlreadyEnded);
        }
        let units = units.unwrap_or(available);
        if units > available {
            return Err(Refusal::ExceedsInTransit { available });
        }
        let sent = Rc::make_mut(&mut self.transfers).get_mut(&transfer).ok_or(Refusal::TransferNotFound)?;
        (sent.in_transit, sent.revision) = (sent.in_transit - units, sent.revision + 1);
        Ok((sent.lot, units, sent.revision))
    }

    fn open_receipt(&mut self, receipt: Id) -> Result<&mut Expected, Refusal> {
        let found = Rc::make_mut(&mut self.receipts).get_mut(&receipt).ok_or(Refusal::ReceiptNotFound)?;
        if found.is_closed { Err(Refusal::AlreadyEnded) } else { Ok(found) }
    }
}

impl Model {
    pub(super) fn apply_underway(&self, state: &mut State, act: &UnderwayAct) -> Result<Told, Refusal> {
        match *act {
            UnderwayAct::Send { transfer, from, to, lot, units } => {
                if state.underway.transfers.contains_key(&transfer) {
                    return Err(Refusal::Exists);
                }
                existing(state, to)?;
                let stock = existing(state, from)?;
                let atp = stock.atp();
                let lots = stock.lots.get_or_insert_default();
                let available = lots.free_of(lot).min(atp);
                if units > available {
                    return Err(Refusal::InsufficientStock { line: 0, available });
                }
                lots.send(lot, units);
                (stock.on_hand, stock.sent, stock.revision) =
                    (stock.on_hand - units, stock.sent + units, stock.revision + 1);
                let there = &mut state.stocks[to];
                (there.in_transit, there.revision) = (there.in_transit + units, there.revision + 1);
                let sent = Sent { lot, in_transit: units, revision: 1 };
                Rc::make_mut(&mut state.underway.transfers).insert(transfer, sent);
                Ok(told(state, from, 1))
            }
            UnderwayAct::Arrive { transfer, to, units } => {
                let (lot, units, revision) = state.underway.take(transfer, Some(units))?;
                let stock = existing(state, to)?;
                (stock.in_transit, stock.revision) = (stock.in_transit - units, stock.revision + 1);
                arrive(state, to, lot, units);
                Ok(told(state, to, revision))
            }
            UnderwayAct::Lose { transfer, to, units } => {
                let (_, units, revision) = state.underway.take(transfer, Some(units))?;
                let stock = existing(state, to)?;
                (stock.in_transit, stock.revision) = (stock.in_transit - units, stock.revision + 1);
                (stock.arrived, stock.adjusted) = (stock.arrived + units, stock.adjusted - units as i64);
                Ok(told(state, to, revision))
            }
            UnderwayAct::CallBack { transfer, from, to } => {
                let (lot, units, revision) = state.underway.take(transfer, None)?;
                let there = existing(state, to)?;
                (there.in_transit, there.revision) = (there.in_transit - units, there.revision + 1);
                state.stocks[from].revision += 1;
                arrive(state, from, lot, units);
                Ok(told(state, from, revision))
            }
            UnderwayAct::Expect { receipt, sku, units } => {
                if state.underway.receipts.contains_key(&receipt) {
                    return Err(Refusal::Exists);
                }
                let stock = existing(state, sku)?;
                (stock.incoming, stock.revision) = (stock.incoming + units, stock.revision + 1);
                let expected = Expected { sku, units, revision: 1, is_closed: false };
                Rc::make_mut(&mut state.underway.receipts).insert(receipt, expected);
                Ok(told(state, sku, 1))
            }
            UnderwayAct::Receive { receipt, sku, lot, units } => {
                let expected = state.underway.open_receipt(receipt)?;
                let came = units.min(expected.units);
                (expected.units, expected.revision) = (expected.units - came, expected.revision + 1);
                let stock = existing(state, sku)?;
                (stock.on_hand, stock.received) = (stock.on_hand + units, stock.received + units);
                (stock.incoming, stock.revision) = (stock.incoming - came, stock.revision + 1);
                stock.lots.get_or_insert_default().receive(lot, units);
                let revision = stock.revision;
                self.settle(state, sku);
                Ok(told(state, sku, revision))
            }
            UnderwayAct::Close { receipt } => {
                let expected = state.underway.open_receipt(receipt)?;
                (expected.is_closed, expected.revision) = (true, expected.revision + 1);
                let (sku, units, revision) = (expected.sku, expected.units, expected.revision);
                let stock = existing(state, sku)?;
                if units > 0 {
                    (stock.incoming, stock.revision) = (stock.incoming - units, stock.revision + 1);
                }
                Ok(told(state, sku, revision))
            }
        }
    }
}

/// Units that were on their way lie at a place.
fn arrive(state: &mut State, sku: usize, lot: u8, units: u64) {
    let stock = &mut state.stocks[sku];
    (stock.on_hand, stock.arrived) = (stock.on_hand + units, stock.arrived + units);
    stock.lots.get_or_insert_default().receive(lot, units);
}

fn told(state: &State, sku: usize, revision: u64) -> Told {
    Told { revision: Some(revision), atp_after: Some(state.stocks[sku].atp()), ..Told::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::linearizable::{Effort, check};
    use crate::checkers::stories::{BOUND, Story, done, held, refused, reserve};
    use crate::history::{Asked, Freshness, Outcome, Seen, StockSeen, Subject};

    const TRANSFER: Id = Id(99);
    const RECEIPT: Id = Id(98);

    fn names() -> (String, String) {
        ("VAN".to_owned(), "VAN@away".to_owned())
    }

    /// Five units of a lot at the source, of which three are sent.
    fn sent() -> Story {
        let (sku, to) = names();
        let put = |sku: &String| Request::PutItemByLot { sku: sku.clone() };
        let receive = Request::ReceiveLot { sku: sku.clone(), lot: 1, units: 5 };
        let (first, second) = (put(&sku), put(&to));
        Story::default()
            .command(1, 1, 2, first, done(1, 0))
            .command(2, 3, 4, second, done(1, 0))
            .command(3, 5, 6, receive, done(1, 5))
            .command(4, 7, 8, Request::Send { transfer: TRANSFER, sku, to, lot: 1, units: 3 }, done(1, 2))
    }

    fn arrive(units: u32) -> Request {
        let (sku, to) = names();
        Request::Arrive { transfer: TRANSFER, sku, to, units }
    }

    fn lose(units: u32) -> Request {
        let (sku, to) = names();
        Request::Lose { transfer: TRANSFER, sku, to, units }
    }

    fn call_back() -> Request {
        let (sku, to) = names();
        Request::CallBack { transfer: TRANSFER, sku, to }
    }

    fn is_good(story: &Story) -> bool {
        check(&story.0, &BOUND, &Effort::default()).is_empty()
    }

    #[test]
    fn what_is_sent_arrives_or_is_lost_and_is_then_over() {
        let story = sent()
            .command(5, 9, 10, arrive(2), done(2, 2))
            .command(6, 11, 12, arrive(2), refused("EXCEEDS_IN_TRANSIT", &[("available", 1)]))
            .command(7, 13, 14, lose(1), done(3, 2))
            .command(8, 15, 16, call_back(), refused("ALREADY_ENDED", &[]));
        assert!(is_good(&story));
    }

    #[test]
    fn what_is_sent_and_still_sold_at_its_source_is_found() {
        let expires_at = 9 + 10_000;
        assert!(is_good(&sent().command(5, 9, 10, reserve(5, "VAN", 2), held(1, 0, expires_at))));
        assert!(!is_good(&sent().command(5, 9, 10, reserve(5, "VAN", 3), held(1, 0, expires_at))));
    }

    #[test]
    fn what_arrives_twice_and_what_is_lost_and_comes_back_is_found() {
        assert!(is_good(&sent().command(5, 9, 10, call_back(), done(2, 5))));
        assert!(!is_good(&sent().command(5, 9, 10, arrive(3), done(2, 3)).command(6, 11, 12, arrive(3), done(3, 6))));
        assert!(!is_good(&sent().command(5, 9, 10, lose(3), done(2, 0)).command(6, 11, 12, call_back(), done(3, 5))));
    }

    #[test]
    fn what_another_item_has_nothing_to_do_with_is_not_judged_by_its_history() {
        let (sku, _) = names();
        let story = sent()
            .command(5, 9, 10, Request::PutItem { sku: "A".to_owned() }, done(1, 0))
            .command(6, 11, 12, Request::Expect { receipt: RECEIPT, sku: sku.clone(), units: 4 }, done(1, 2))
            .command(7, 13, 14, Request::CloseReceipt { receipt: RECEIPT, sku }, done(2, 2));
        assert!(is_good(&story));
    }

    #[test]
    fn what_is_expected_after_its_receipt_is_closed_is_found() {
        let sku = || names().0;
        let seen = |incoming| {
            let counts = StockSeen { on_hand: 2, free: 2, atp: 2, received: 5, sent: 3, ..StockSeen::default() };
            let stock = StockSeen { incoming, revision: 4, ..counts };
            Outcome::Seen { seen: Seen::Stock(Some(stock)), position: None, log_time_ms: None }
        };
        let story = |incoming| {
            let read = Asked::Read(Subject::Stock(sku()), Freshness::Linearizable);
            sent()
                .command(5, 9, 10, Request::Expect { receipt: RECEIPT, sku: sku(), units: 4 }, done(1, 2))
                .command(6, 11, 12, Request::CloseReceipt { receipt: RECEIPT, sku: sku() }, done(2, 2))
                .tell(13, 14, read, seen(incoming))
        };
        assert!(is_good(&story(0)));
        assert!(!is_good(&story(4)));
    }
}
