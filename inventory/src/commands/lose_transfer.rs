//! `transfer lose`: units of a transfer are lost on the way.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::receive_transfer::{units_in_transit, validate_document_parts};
use crate::state::DocumentBody;
use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, LineUnits, Refusal, StockFlow, Success, TransferId};

/// Writes units off that are on their way: all, or some of some lines. They count as arrived and written off where they were to
/// arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoseTransfer {
    /// The transfer.
    pub transfer: TransferId,
    /// Each line at most once. Empty: everything that is on its way.
    pub parts: Vec<LineUnits>,
}

impl LoseTransfer {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_document_parts(&self.parts)?;
        for (at, part) in self.parts.iter().enumerate() {
            if self.parts[..at].iter().any(|other| other.line == part.line) {
                return Err(InvalidArgument::in_line(Field::LineNumber, part.line as usize));
            }
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, transfer) = turn.transfer(self.transfer)?;
        let (sku, to) = (record.sku, transfer.to);
        let lost = units_in_transit(transfer, &self.parts)?;
        let sum: u64 = lost.iter().sum();
        let flow = StockFlow { arrived: sum, written_off: sum, ..StockFlow::default() };
        turn.check_flow(sku, to, &flow)?;
        turn.end_what_is_due_of(sku);
        if !is_on(Mutation::LostUnitsComeBack) {
            turn.take_off_transit(sku, to, sum, &flow);
            turn.state.change_document(no, |body| {
                if let DocumentBody::Transfer(transfer) = body {
                    transfer.lines.iter_mut().zip(&lost).for_each(|(line, units)| line.units.lost += units);
                }
            });
        }
        turn.record(EventKind::TransferLost, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, to))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, transfer_id};
    use crate::*;

    #[test]
    fn what_is_lost_is_written_off_and_does_not_come_back() {
        let mut shop = Shop::with_rouge(5);
        shop.send(1, "rouge", &[(None, 3)]).unwrap();
        shop.lose(1, &[(0, 2)]).unwrap();
        assert_eq!(shop.events(), [EventKind::TransferLost]);
        let there = shop.stock_at("rouge", "LYO");
        assert_eq!((there.in_transit, there.flow.arrived, there.flow.written_off), (1, 2, 2));
        let exceeds = Err(Refusal::ExceedsInTransit { line: 0, available: 1 });
        assert_eq!(shop.lose(1, &[(0, 2)]), exceeds);
        shop.call_back(1).unwrap();
        assert_eq!(shop.stock("rouge").counts.on_hand, 3);
        let shown = shop.inventory.transfer(transfer_id(1)).unwrap();
        assert_eq!((shown.state, shown.lines[0].units.lost), (TransferState::Cancelled, 2));
    }

    #[test]
    fn a_transfer_all_of_which_is_lost_has_ended() {
        let mut shop = Shop::with_rouge(5);
        shop.send(1, "rouge", &[(None, 3)]).unwrap();
        shop.lose(1, &[]).unwrap();
        assert_eq!(shop.inventory.transfer(transfer_id(1)).unwrap().state, TransferState::Lost);
        assert_eq!(shop.call_back(1), Err(Refusal::AlreadyEnded));
    }
}
