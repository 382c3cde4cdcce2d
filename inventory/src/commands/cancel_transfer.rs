//! `transfer cancel`: what of a transfer is on its way goes back to where it came from.

use serde::{Deserialize, Serialize};

use super::receive::check_lots_at_place;
use super::receive_transfer::units_in_transit;
use crate::state::{DocumentBody, LotNo};
use crate::turn::{Move, Turn};
use crate::{EventKind, Refusal, StockDelta, StockFlow, Success, TransferId};

/// Takes what is on its way back in at its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelTransfer {
    /// The transfer.
    pub transfer: TransferId,
}

impl CancelTransfer {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, transfer) = turn.transfer(self.transfer)?;
        let (sku, from, to, lines) = (record.sku, transfer.from, transfer.to, transfer.lines.clone());
        let back = units_in_transit(transfer, &[])?;
        let go_back = |(lot, units): (Option<LotNo>, u64)| {
            let delta = StockDelta { on_hand: units as i64, ..StockDelta::default() };
            let flow = StockFlow { arrived: units, ..StockFlow::default() };
            Move { sku, location: from, lot, delta, flow }
        };
        let parts = lines.iter().map(|line| line.lot).zip(back.iter().copied()).filter(|(_, units)| *units > 0);
        let moves: Vec<Move> = parts.map(go_back).collect();
        let sum: u64 = back.iter().sum();
        turn.check(&moves)?;
        turn.check_flow(sku, from, &StockFlow { arrived: sum, ..StockFlow::default() })?;
        let lots: Vec<LotNo> = moves.iter().filter_map(|change| change.lot).collect();
        check_lots_at_place(turn, sku, from, &lots)?;
        turn.end_what_is_due_of(sku);
        moves.iter().for_each(|change| turn.change(change));
        turn.take_off_transit(sku, to, sum, &StockFlow::default());
        turn.state.change_document(no, |body| {
            if let DocumentBody::Transfer(transfer) = body {
                transfer.lines.iter_mut().zip(&back).for_each(|(line, units)| line.units.returned += units);
            }
        });
        turn.record(EventKind::TransferCancelled, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, from))
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::MAX_LOTS_AT_PLACE;
    use crate::test_shop::{Shop, transfer_id};
    use crate::*;

    #[test]
    fn what_is_on_its_way_goes_back_and_what_arrived_stays() {
        let mut shop = Shop::with_rouge(5);
        shop.send(1, "rouge", &[(None, 3)]).unwrap();
        shop.take_in(1, &[(0, 1, Condition::Resellable)]).unwrap();
        assert_eq!(shop.call_back(1).unwrap().atp_after, 4);
        assert_eq!(shop.events(), [EventKind::TransferCancelled]);
        let there = shop.stock_at("rouge", "LYO");
        assert_eq!((shop.stock("rouge").counts.on_hand, there.counts.on_hand, there.in_transit), (4, 1, 0));
        assert_eq!(shop.inventory.transfer(transfer_id(1)).unwrap().state, TransferState::Cancelled);
        assert_eq!(shop.call_back(1), Err(Refusal::AlreadyEnded));
    }

    #[test]
    fn what_comes_back_goes_to_what_is_short_first() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.send(1, "cream", &[(Some("B"), 2)]).unwrap();
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!(shop.reservation(1).lines[0].units.short, 2);
        shop.call_back(1).unwrap();
        assert_eq!((shop.reservation(1).lines[0].units.held, shop.stock("cream").atp), (2, 0));
    }

    #[test]
    fn too_many_lots_come_to_no_place_by_transfer_either() {
        let mut shop = Shop::with_cream(&[("A", 10, 1), ("B", 10, 1)]);
        shop.send(1, "cream", &[(Some("A"), 1), (Some("B"), 1)]).unwrap();
        for lot in 1..MAX_LOTS_AT_PLACE {
            shop.receive_lot("cream", &format!("lot {lot}"), 10, 1).unwrap();
        }
        assert_eq!(shop.call_back(1), Err(Refusal::TooManyLots { most: MAX_LOTS_AT_PLACE as u32 }));
        shop.take_in(1, &[(0, 1, Condition::Resellable)]).unwrap();
        shop.call_back(1).unwrap();
    }
}
