//! `transfer receive`: units of a transfer arrive.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::receive::check_lots_at_place;
use crate::state::{DocumentBody, LotNo, TransferRecord};
use crate::turn::{Move, Turn};
use crate::{
    Condition, EventKind, Field, InvalidArgument, LineUnits, MAX_DOCUMENT_LINES, Refusal, StockDelta, StockFlow,
    Success, TransferId, Units,
};

/// Units of one line that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedUnits {
    /// The line, by its number in the transfer, from 0.
    pub line: u32,
    /// How many.
    pub units: Units,
    /// As what.
    pub condition: Condition,
}

/// Takes units in at a transfer's destination: all that are on their way, or some of some lines. They keep their lot: of one
/// that was blocked meanwhile nothing is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveTransfer {
    /// The transfer.
    pub transfer: TransferId,
    /// Each line and condition at most once. Empty: everything that is on its way, resellable.
    pub parts: Vec<ArrivedUnits>,
}

/// Units that each line of a transfer is asked for; refused where a line has fewer on their way.
pub(super) fn units_in_transit(transfer: &TransferRecord, parts: &[LineUnits]) -> Result<Vec<u64>, Refusal> {
    if transfer.state().is_ended() {
        return Err(Refusal::AlreadyEnded);
    }
    if parts.is_empty() {
        return Ok(transfer.lines.iter().map(|line| line.in_transit()).collect());
    }
    let mut units = vec![0; transfer.lines.len()];
    for part in parts {
        let number = part.line as usize;
        let line = transfer.lines.get(number).ok_or(InvalidArgument::in_line(Field::LineNumber, number))?;
        units[number] += part.units.count();
        let available = line.in_transit();
        if units[number] > available {
            return Err(Refusal::ExceedsInTransit { line: part.line, available });
        }
    }
    Ok(units)
}

/// Checks that no line is beyond the last that a document may have, and that units are in range.
pub(super) fn validate_document_parts(parts: &[LineUnits]) -> Result<(), InvalidArgument> {
    for part in parts {
        let number = part.line as usize;
        if number >= MAX_DOCUMENT_LINES {
            return Err(InvalidArgument::in_line(Field::LineNumber, number));
        }
        if !part.units.is_askable() {
            return Err(InvalidArgument::in_line(Field::Units, number));
        }
    }
    Ok(())
}

impl ReceiveTransfer {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_document_parts(&self.units())?;
        let key = |part: &ArrivedUnits| (part.line, part.condition);
        for (at, part) in self.parts.iter().enumerate() {
            // Lines and conditions are few, so this ends soon.
            if self.parts[..at].iter().any(|other| key(other) == key(part)) {
                return Err(InvalidArgument::in_line(Field::LineNumber, part.line as usize));
            }
        }
        Ok(())
    }

    fn units(&self) -> Vec<LineUnits> {
        self.parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, transfer) = turn.transfer(self.transfer)?;
        let (sku, to, lines) = (record.sku, transfer.to, transfer.lines.clone());
        let arrived = units_in_transit(transfer, &self.units())?;
        let arrive = |lot: Option<LotNo>, units: u64, condition: Condition| {
            let delta = StockDelta::of_condition(condition, units as i64);
            let flow = StockFlow { arrived: units, ..StockFlow::default() };
            Move { sku, location: to, lot, delta, flow }
        };
        let moves: Vec<Move> = if self.parts.is_empty() {
            let all = lines.iter().zip(&arrived).filter(|(_, units)| **units > 0);
            all.map(|(line, units)| arrive(line.lot, *units, Condition::Resellable)).collect()
        } else {
            let part = |part: &ArrivedUnits| arrive(lines[part.line as usize].lot, part.units.count(), part.condition);
            self.parts.iter().map(part).collect()
        };
        let sum: u64 = arrived.iter().sum();
        turn.check(&moves)?;
        turn.check_flow(sku, to, &StockFlow { arrived: sum, ..StockFlow::default() })?;
        let lots: Vec<LotNo> = moves.iter().filter_map(|change| change.lot).collect();
        check_lots_at_place(turn, sku, to, &lots)?;
        turn.end_what_is_due_of(sku);
        moves.iter().for_each(|change| turn.change(change));
        if !is_on(Mutation::TransferReceivedTwice) {
            turn.take_off_transit(sku, to, sum, &StockFlow::default());
            turn.state.change_document(no, |body| {
                if let DocumentBody::Transfer(transfer) = body {
                    let lines = transfer.lines.iter_mut().zip(&arrived);
                    lines.for_each(|(line, units)| line.units.received += units);
                }
            });
        }
        turn.record(EventKind::TransferReceived, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, to))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, transfer_id};
    use crate::*;

    use Condition::{Damaged, QualityControl, Resellable};

    #[test]
    fn what_arrives_is_sold_there_and_lies_in_one_place_only() {
        let mut shop = Shop::with_rouge(5);
        shop.send(1, "rouge", &[(None, 3)]).unwrap();
        let success = shop.take_in(1, &[(0, 1, Resellable), (0, 1, Damaged)]).unwrap();
        assert_eq!((success.atp_after, success.revision), (1, Revision(2)));
        assert_eq!(shop.events(), [EventKind::TransferReceived, EventKind::AvailabilityBack]);
        let there = shop.stock_at("rouge", "LYO");
        assert_eq!((there.counts.on_hand, there.counts.damaged, there.in_transit), (2, 1, 1));
        assert_eq!(shop.inventory.transfer(transfer_id(1)).unwrap().state, TransferState::PartiallyReceived);
        shop.take_in(1, &[]).unwrap();
        let totals = shop.inventory.totals(&"rouge".parse().unwrap()).unwrap();
        assert_eq!((totals.counts.on_hand, totals.in_transit, totals.flow.sent, totals.flow.arrived), (5, 0, 3, 3));
        assert_eq!(shop.inventory.transfer(transfer_id(1)).unwrap().state, TransferState::Received);
        assert_eq!(shop.take_in(1, &[]), Err(Refusal::AlreadyEnded));
    }

    #[test]
    fn no_more_arrives_than_is_on_its_way() {
        let mut shop = Shop::with_rouge(5);
        assert_eq!(shop.take_in(1, &[]), Err(Refusal::TransferNotFound));
        shop.send(1, "rouge", &[(None, 3)]).unwrap();
        let exceeds = Err(Refusal::ExceedsInTransit { line: 0, available: 3 });
        assert_eq!(shop.take_in(1, &[(0, 2, Resellable), (0, 2, QualityControl)]), exceeds);
        let no_line = Err(Refusal::InvalidArgument(InvalidArgument::in_line(Field::LineNumber, 1)));
        assert_eq!(shop.take_in(1, &[(1, 1, Resellable)]), no_line);
        let twice = Err(Refusal::InvalidArgument(InvalidArgument::in_line(Field::LineNumber, 0)));
        assert_eq!(shop.take_in(1, &[(0, 1, Resellable), (0, 1, Resellable)]), twice);
    }

    #[test]
    fn a_lot_arrives_as_itself_and_blocked_where_it_was_blocked_meanwhile() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.send(1, "cream", &[(Some("A"), 2), (Some("B"), 2)]).unwrap();
        shop.block("A", LotStatus::Recalled).unwrap();
        shop.take_in(1, &[]).unwrap();
        let there = shop.stock_at("cream", "LYO");
        assert_eq!((there.counts.on_hand, there.free, there.atp), (4, 4, 2));
        let lot = shop.inventory.lot(&"cream".parse().unwrap(), &"A".parse().unwrap()).unwrap();
        assert_eq!(
            lot.places.iter().map(|(at, counts)| (at.as_str(), counts.on_hand)).collect::<Vec<_>>(),
            [("LYO", 2)]
        );
    }
}
