//! `block_lot`, `unblock_lot`, `recall`: a lot leaves sale at once, comes back, or is withdrawn for good.

use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{EventKind, LotId, LotStatus, Refusal, Sku, Success};

/// Gives a lot another status, for all locations. What is not approved is not sold: what is held of the lot by name, and sold of it
/// and not shipped, gets units of other lots where there are some (but for holds by name, unless the lot is recalled), and is
/// short where there are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLot {
    /// The item.
    pub sku: Sku,
    /// The lot.
    pub lot: LotId,
    /// Its status from now on; a lot that was recalled stays so.
    pub status: LotStatus,
}

impl BlockLot {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let lot = turn.lot(sku, &self.lot)?;
        turn.end_what_is_due_of(sku);
        let before = turn.state.lot(lot).status;
        if before == self.status {
            return Ok(Success { revision: turn.state.lot(lot).revision, ..Success::default() });
        }
        if before == LotStatus::Recalled {
            return Err(Refusal::LotBlocked { status: before });
        }
        for location in turn.places_of_lot(lot) {
            turn.expect_lack(sku, location);
        }
        turn.state.change_lot(lot, |record| {
            record.status = self.status;
            record.revision = record.revision.next();
        });
        let kind = match self.status {
            LotStatus::Approved => EventKind::LotUnblocked,
            LotStatus::OnHold | LotStatus::Quarantined => EventKind::LotBlocked,
            LotStatus::Recalled => EventKind::LotRecalled,
        };
        turn.record_changes(kind, None, Some(turn.lot_subject(lot)));
        match self.status {
            LotStatus::Approved => {}
            LotStatus::OnHold | LotStatus::Quarantined => turn.withdraw_all(lot),
            LotStatus::Recalled => {
                turn.withdraw_all(lot);
                turn.forget_name(lot);
            }
        }
        turn.finish();
        Ok(Success { revision: turn.state.lot(lot).revision, atp_after: 0, ..Success::default() })
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    fn units(shop: &Shop, number: u64) -> LineCounts {
        shop.reservation(number).lines[0].units
    }

    #[test]
    fn a_blocked_lot_leaves_the_available_quantity_at_once_and_comes_back() {
        let mut shop = Shop::with_cream(&[("A", 10, 3), ("B", 20, 4)]);
        shop.block("A", LotStatus::Quarantined).unwrap();
        assert_eq!((shop.stock("cream").atp, shop.stock("cream").counts.on_hand), (4, 7));
        let status = LotStatus::Quarantined;
        assert_eq!(shop.reserve_of(1, "A", 1), Err(Refusal::LotBlocked { status }));
        shop.block("A", LotStatus::Approved).unwrap();
        assert_eq!(shop.stock("cream").atp, 7);
    }

    #[test]
    fn the_newest_holds_become_short_first_and_the_oldest_are_filled_first() {
        let mut shop = Shop::with_cream(&[("A", 10, 3), ("B", 20, 3)]);
        (1..=3).for_each(|number| drop(shop.reserve(number, &[("cream", 2)]).unwrap()));
        shop.block("A", LotStatus::OnHold).unwrap();
        let kinds = [EventKind::LotBlocked, EventKind::ReservationShort, EventKind::ReservationShort];
        assert_eq!(shop.events(), kinds);
        assert_eq!((1..=3).map(|number| units(&shop, number).short).collect::<Vec<_>>(), [0, 1, 2]);
        shop.receive_lot("cream", "C", 30, 2).unwrap();
        assert_eq!((1..=3).map(|number| units(&shop, number).short).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(shop.stock("cream").atp, 0, "what is short is filled before anything is sold anew");
    }

    #[test]
    fn orders_are_bound_to_other_lots_before_holds_get_any() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.reserve(2, &[("cream", 2)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        let order = shop.reservation(1);
        assert_eq!((order.lines[0].lots.last().unwrap().lot.as_str(), units(&shop, 1).committed), ("B", 2));
        assert_eq!((units(&shop, 2).held, units(&shop, 2).short), (0, 2));
        shop.fulfil(1, &[]).unwrap();
    }

    #[test]
    fn an_order_whose_stock_went_away_is_short_until_there_is_some() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!((units(&shop, 1).short_sold, shop.reservation(1).state), (2, ReservationState::Committed));
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        shop.receive_lot("cream", "B", 30, 1).unwrap();
        assert_eq!((units(&shop, 1).short_sold, units(&shop, 1).committed), (1, 1));
        assert_eq!(shop.cancel(1).unwrap().state, Some(ReservationState::Cancelled));
        assert_eq!((units(&shop, 1).cancelled, shop.stock("cream").atp), (2, 1));
    }

    #[test]
    fn a_hold_by_name_waits_for_its_lot_and_is_free_of_it_once_that_is_recalled() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve_of(1, "A", 2).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!((units(&shop, 1).held, units(&shop, 1).short), (0, 2));
        shop.block("A", LotStatus::Recalled).unwrap();
        assert_eq!((units(&shop, 1).held, units(&shop, 1).short), (2, 0));
        assert_eq!((shop.reservation(1).lines[0].lot.clone(), shop.stock("cream").atp), (None, 0));
    }

    #[test]
    fn a_recalled_lot_stays_recalled() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.block("A", LotStatus::Recalled).unwrap();
        let status = LotStatus::Recalled;
        assert_eq!(shop.block("A", LotStatus::Approved), Err(Refusal::LotBlocked { status }));
    }

    #[test]
    fn a_lot_names_every_reservation_that_has_or_had_units_of_it() {
        let mut shop = Shop::with_cream(&[("A", 10, 4), ("B", 20, 4)]);
        for number in 1..=4 {
            shop.reserve(number, &[("cream", 2)]).unwrap();
            shop.commit(number).unwrap();
        }
        shop.fulfil(1, &[]).unwrap();
        let (sku, lot) = ("cream".parse().unwrap(), "A".parse().unwrap());
        let trace = shop.inventory.trace_lot(&sku, &lot, ReservationCursor::default(), 1).unwrap();
        assert_eq!(trace.reservations[0].lines[0].lots[0].fulfilled, 2);
        let rest = shop.inventory.trace_lot(&sku, &lot, trace.next.unwrap(), 9).unwrap();
        assert_eq!((rest.reservations.len(), rest.next), (1, None));
    }

    #[test]
    fn a_recalled_lot_names_the_holds_that_were_of_it_by_name_and_have_other_units_now() {
        let mut shop = Shop::with_cream(&[("A", 10, 4), ("B", 20, 4)]);
        shop.reserve_of(1, "A", 2).unwrap();
        shop.block("A", LotStatus::Recalled).unwrap();
        shop.commit(1).unwrap();
        let (sku, lot) = ("cream".parse().unwrap(), "A".parse().unwrap());
        let trace = shop.inventory.trace_lot(&sku, &lot, ReservationCursor::default(), 9).unwrap();
        let lots: Vec<(&str, u64)> =
            trace.reservations[0].lines[0].lots.iter().map(|of| (of.lot.as_str(), of.committed)).collect();
        assert_eq!((trace.reservations.len(), lots), (1, vec![("A", 0), ("B", 2)]));
    }

    #[test]
    fn a_blocked_lot_is_not_shipped_in_place_of_another() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.block("B", LotStatus::Quarantined).unwrap();
        let status = LotStatus::Quarantined;
        assert_eq!(shop.fulfil_of(1, &[(0, 1)], "B"), Err(Refusal::LotBlocked { status }));
    }
}
