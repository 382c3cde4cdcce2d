//! What falls due: holds and unshipped sales that end, and lots that leave sale.

use holdfast_mutation::{Mutation, is_on};

use super::Turn;
use crate::state::{LocationNo, LotNo, LotTold, ReservationNo, SkuNo};
use crate::{EventKind, LineCounts, Refusal, ReservationId};

impl Turn<'_> {
    /// Ends what of a reservation is over by now: its hold, or its unshipped sale.
    pub(crate) fn end_what_is_due(&mut self, no: ReservationNo) {
        if self.state.reservation(no).open_order().is_some() {
            return self.end_what_is_due_of_order(no);
        }
        let now = self.now();
        let record = self.state.reservation(no);
        let over_at = if is_on(Mutation::EarlyExpiry) { now.plus_seconds(2) } else { now };
        if record.is_holding() && record.expires_at <= over_at {
            self.give_back(no, GiveBack::Expire);
            self.record(EventKind::ReservationExpired, Some(no), None);
        }
        let record = self.state.reservation(no);
        let is_sold = record.has(LineCounts::sold);
        if record.cancel_at.is_some_and(|at| at <= now) && is_sold {
            self.give_back(no, GiveBack::CancelSold);
            self.record(EventKind::ReservationCancelled, Some(no), None);
        }
    }

    /// Before an item is decided, takes its lots out of sale whose time is over, and ends what of its reservations is: oldest
    /// first, a number bounded for the whole turn.
    pub(crate) fn end_what_is_due_of(&mut self, sku: SkuNo) {
        self.tell_of_lots(sku);
        let now = self.now();
        while self.sweep_left > 0 {
            let Some(&(due_at, no)) = self.state.indexes.due_by_sku[sku.0 as usize].first() else { break };
            if due_at > now {
                break;
            }
            self.sweep_left -= 1;
            Turn::of_time(self.state, self.events).end_what_is_due(no);
        }
    }

    /// The reservation, after what of it is over has been ended.
    pub(crate) fn reservation(&mut self, id: ReservationId) -> Result<ReservationNo, Refusal> {
        let no = self.state.find_reservation(id).ok_or(Refusal::ReservationNotFound)?;
        let skus: Vec<SkuNo> =
            self.state.reservation(no).lines.iter().filter(|line| line.by_lot.is_some()).map(|line| line.sku).collect();
        for sku in skus {
            self.tell_of_lots(sku);
        }
        Turn::of_time(self.state, self.events).end_what_is_due(no);
        Ok(no)
    }

    /// Tells what is due of the item's lots. All of them: what is promised of the item is known to be there only then.
    fn tell_of_lots(&mut self, sku: SkuNo) {
        let now = self.now();
        let is_due = |lot: &LotNo| self.state.lot(*lot).next_to_tell().is_some_and(|(at, _)| at <= now);
        let due: Vec<LotNo> = self.state.lots_of(sku).map(|(_, lot)| lot).filter(is_due).collect();
        for lot in due {
            Turn::of_time(self.state, self.events).tell_of_lot(lot);
        }
    }

    /// Tells what of a lot is due by now: that it is about to leave sale, that it has, that it is expired.
    pub(crate) fn tell_of_lot(&mut self, lot: LotNo) {
        while let Some((_, told)) = self.state.lot(lot).next_to_tell().filter(|(at, _)| *at <= self.now()) {
            let places = self.places_of_lot(lot);
            if told == LotTold::RemovalDue {
                let (sku, last_day) = (self.state.lot(lot).sku, self.state.lot(lot).removal_at);
                for location in &places {
                    let place = self.state.stock(sku).place(*location).expect("the lot lies there");
                    let atp_before = self.state.atp_at(sku, place, last_day);
                    let touched = self.touch(sku, *location);
                    (touched.atp_before, touched.may_lack) = (atp_before, true);
                }
            }
            self.state.change_lot(lot, |record| record.told = told);
            if !places.is_empty() {
                let kind = match told {
                    LotTold::Nothing | LotTold::Alert => EventKind::LotAlert,
                    LotTold::RemovalDue => EventKind::LotRemovalDue,
                    LotTold::Expired => EventKind::LotExpired,
                };
                let subject = self.lot_subject(lot);
                self.record_changes(kind, None, Some(subject));
            }
            if told == LotTold::RemovalDue {
                self.withdraw_held(lot);
            }
            self.finish();
        }
    }

    /// Where units of a lot lie.
    pub(crate) fn places_of_lot(&self, lot: LotNo) -> Vec<LocationNo> {
        let places = self.state.stock(self.state.lot(lot).sku).places.iter();
        places.filter(|place| place.counts_of(Some(lot)).on_hand > 0).map(|place| place.location).collect()
    }

    /// Gives back what is held, or what is sold and not shipped, of every line.
    pub(crate) fn give_back(&mut self, no: ReservationNo, what: GiveBack) {
        let lines = self.state.reservation(no).lines.clone();
        let keeps = is_on(Mutation::ReleasedUnitsKept) && what == GiveBack::Release;
        for line in lines.iter().filter(|_| !keeps) {
            if what.gives_holds() {
                self.change_held(line, -(line.units.held as i64));
                self.change_short(line, -(line.units.short as i64));
                self.give_back_backordered(line, line.units.backordered);
            }
            if what.gives_sold() {
                match &line.by_lot {
                    None => self.change_committed(line, None, -(line.units.committed as i64)),
                    Some(by_lot) => {
                        for bound in &by_lot.bound {
                            self.change_committed(line, Some(bound.lot), -(bound.committed as i64));
                        }
                    }
                }
                self.change_short(line, -(line.units.short_sold as i64));
                self.change_backordered(line, -(line.units.backordered_sold as i64));
            }
        }
        self.state.change_reservation(no, |record| {
            for line in &mut record.lines {
                what.count(&mut line.units);
                if what.gives_sold() {
                    let bound = line.by_lot.iter_mut().flat_map(|by_lot| &mut by_lot.bound);
                    bound.for_each(|bound| bound.committed = 0);
                }
            }
            record.remote_lines_mut().for_each(|line| what.count(&mut line.units));
        });
    }
}

/// What of a reservation is given back, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveBack {
    /// Holds, because their time is over.
    Expire,
    /// Holds, because somebody says so.
    Release,
    /// What is sold and not shipped.
    CancelSold,
    /// Everything that is left.
    CancelAll,
}

impl GiveBack {
    const fn gives_holds(self) -> bool {
        matches!(self, Self::Expire | Self::Release | Self::CancelAll)
    }

    fn count(self, units: &mut LineCounts) {
        if self.gives_holds() {
            let unsold = units.unsold();
            (units.held, units.backordered, units.short) = (0, 0, 0);
            *(if self == Self::Expire { &mut units.expired } else { &mut units.released }) += unsold;
        }
        if self.gives_sold() {
            units.cancelled += units.sold();
            (units.committed, units.short_sold, units.backordered_sold) = (0, 0, 0);
        }
    }

    const fn gives_sold(self) -> bool {
        matches!(self, Self::CancelSold | Self::CancelAll)
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{DAY_S, OPENING, Shop};
    use crate::*;

    #[test]
    fn a_lot_is_told_of_before_it_leaves_sale_when_it_does_and_when_it_expires() {
        let mut shop = Shop::new();
        let spec = ItemSpec { lot_tracked: true, removal_days: 5, alert_days: 3, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.receive_lot("cream", "A", 10, 2).unwrap();
        assert_eq!(shop.inventory.next_due(), Some(LogTime(OPENING + 2 * DAY_S * 1_000)));
        shop.after_s(2 * DAY_S).tick();
        assert_eq!(shop.events(), [EventKind::LotAlert]);
        shop.after_s(3 * DAY_S + 1).tick();
        assert_eq!(shop.events(), [EventKind::LotRemovalDue, EventKind::AvailabilityOut]);
        shop.after_s(5 * DAY_S).tick();
        assert_eq!((shop.events(), shop.inventory.next_due()), (vec![EventKind::LotExpired], None));
    }

    #[test]
    fn a_lot_of_which_nothing_is_left_is_told_of_to_nobody() {
        let mut shop = Shop::with_cream(&[("A", 1, 1)]);
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.after_s(2 * DAY_S).tick();
        assert_eq!((shop.events(), shop.inventory.next_due()), (vec![], None));
    }

    #[test]
    fn holds_of_a_lot_that_leaves_sale_are_short_in_the_same_entry() {
        let mut shop = Shop::with_cream(&[("A", 1, 2), ("B", 9, 1)]);
        shop.after_s(DAY_S - 60);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.reserve_of(2, "A", 1).unwrap();
        shop.after_s(61).tick();
        let short = |number| shop.reservation(number).lines[0].units.short;
        assert_eq!((short(1), short(2)), (1, 1));
    }

    #[test]
    fn a_lot_leaves_sale_before_its_item_is_decided_even_where_the_sweep_has_not_come_to_it() {
        let mut shop = Shop::with_limits(Limits { sweep: 1, ..Limits::default() });
        for sku in ["balm", "cream"] {
            shop.put_item(sku, ItemSpec { lot_tracked: true, ..ItemSpec::default() }).unwrap();
            shop.receive_lot(sku, "A", 1, 1).unwrap();
        }
        shop.after_s(DAY_S - 60).reserve(1, &[("cream", 1)]).unwrap();
        assert_eq!(shop.after_s(61).commit(1), Err(Refusal::HoldShort { units: 1 }));
    }
}
