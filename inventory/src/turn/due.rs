//! What falls due: holds and unshipped sales that end, and lots that leave sale.

use holdfast_mutation::{Mutation, is_on};

use super::Turn;
use crate::state::{LocationNo, LotNo, LotTold, ReservationNo, SkuNo, State};
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
        self.tell_of_lots_of(no);
        Turn::of_time(self.state, self.events).end_what_is_due(no);
        Ok(no)
    }

    /// Tells what is due of the lots of a reservation's items, before it is decided.
    pub(crate) fn tell_of_lots_of(&mut self, no: ReservationNo) {
        let lines = self.state.reservation(no).lines.iter().filter(|line| line.by_lot.is_some());
        let skus: Vec<SkuNo> = lines.map(|line| line.sku).collect();
        for sku in skus {
            self.tell_of_lots(sku);
        }
    }

    /// Tells what is due of the item's lots. All of it: what is promised of the item is known to be there only then.
    fn tell_of_lots(&mut self, sku: SkuNo) {
        let next = |state: &State| {
            state.lots_of(sku).filter_map(|(_, lot)| Some((state.lot(lot).next_to_tell()?.0, lot))).min()
        };
        while let Some((_, lot)) = next(self.state).filter(|(at, _)| *at <= self.now()) {
            Turn::of_time(self.state, self.events).tell_of_lot(lot);
        }
    }

    /// Tells what is due of a lot next, where anything is: that it is about to leave sale, that it has, that it is expired. One of
    /// them, so that lots of which several are due are told of in the order of their dates.
    pub(crate) fn tell_of_lot(&mut self, lot: LotNo) {
        let Some((_, told)) = self.state.lot(lot).next_to_tell().filter(|(at, _)| *at <= self.now()) else { return };
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
        match told {
            LotTold::Nothing | LotTold::Alert => {}
            LotTold::RemovalDue => self.withdraw_held(lot),
            // It is not shipped any more, to nobody; nor does anybody wait for it who asked for it by name.
            LotTold::Expired => {
                self.withdraw_all(lot);
                self.forget_name(lot);
            }
        }
        self.finish();
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

    /// A shop with lots of `cream`, each with the days that are left of it and its units, whose last five days are not for sale.
    fn shop_with_removal(lots: &[(&str, u64, u32)]) -> Shop {
        let mut shop = Shop::new();
        shop.put_item("cream", ItemSpec { lot_tracked: true, removal_days: 5, ..ItemSpec::default() }).unwrap();
        lots.iter().for_each(|(lot, days, units)| drop(shop.receive_lot("cream", lot, *days, *units).unwrap()));
        shop
    }

    fn units(shop: &Shop, number: u64) -> LineCounts {
        shop.reservation(number).lines[0].units
    }

    #[test]
    fn an_order_of_a_lot_that_expires_gets_units_of_the_next_one_and_ships_them() {
        let mut shop = shop_with_removal(&[("A", 10, 2), ("B", 20, 1), ("C", 30, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(10 * DAY_S).tick();
        assert_eq!((units(&shop, 1).committed, shop.stock("cream").atp), (2, 3), "it is shipped to its last day");
        shop.after_s(1).tick();
        let kinds = [EventKind::LotExpired, EventKind::ReservationShort, EventKind::ReservationFilled];
        assert_eq!(shop.events(), kinds);
        let line = shop.reservation(1).lines.remove(0);
        let bound: Vec<(&str, u64)> = line.lots.iter().map(|of| (of.lot.as_str(), of.committed)).collect();
        assert_eq!((bound, line.units.short_sold), (vec![("A", 0), ("B", 1), ("C", 1)], 0));
        assert_eq!(shop.fulfil(1, &[]).unwrap().state, Some(ReservationState::Fulfilled));
    }

    #[test]
    fn an_order_of_a_lot_that_expires_is_short_where_there_is_no_other_until_there_is() {
        let mut shop = shop_with_removal(&[("A", 10, 4)]);
        for number in [1, 2] {
            shop.reserve(number, &[("cream", 2)]).unwrap();
            shop.commit(number).unwrap();
        }
        shop.after_s(10 * DAY_S + 1).tick();
        let kinds = [
            EventKind::LotAlert,
            EventKind::LotRemovalDue,
            EventKind::LotExpired,
            EventKind::ReservationShort,
            EventKind::ReservationShort,
        ];
        assert_eq!(shop.events(), kinds);
        assert_eq!((shop.stock("cream").short, shop.stock("cream").counts.committed), (4, 0));
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        shop.receive_lot("cream", "B", 30, 3).unwrap();
        assert_eq!((units(&shop, 1).committed, units(&shop, 2).committed, units(&shop, 2).short_sold), (2, 1, 1));
        shop.fulfil(1, &[]).unwrap();
        assert_eq!(shop.stock("cream").atp, 0, "what is short is filled before anything is sold anew");
    }

    #[test]
    fn orders_get_what_holds_were_to_get_and_those_of_a_lot_by_name_get_any_other() {
        let mut shop = shop_with_removal(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve_of(1, "A", 2).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(10 * DAY_S).reserve(2, &[("cream", 2)]).unwrap();
        shop.after_s(1).tick();
        assert_eq!((units(&shop, 1).committed, units(&shop, 2).held, units(&shop, 2).short), (2, 0, 2));
        shop.fulfil(1, &[]).unwrap();
    }

    #[test]
    fn an_order_of_a_lot_by_name_that_was_blocked_gets_any_other_when_it_expires() {
        let mut shop = shop_with_removal(&[("A", 10, 1), ("B", 20, 1)]);
        shop.reserve_of(1, "A", 1).unwrap();
        shop.commit(1).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!((units(&shop, 1).short_sold, shop.stock("cream").atp), (1, 1), "A may come back");
        shop.after_s(10 * DAY_S + 1).tick();
        assert_eq!((units(&shop, 1).committed, shop.stock("cream").atp), (1, 0));
    }

    #[test]
    fn a_lot_expires_before_a_reservation_of_it_is_decided_even_where_the_sweep_has_not_come_to_it() {
        let mut shop = Shop::with_limits(Limits { sweep: 1, ..Limits::default() });
        for sku in ["balm", "cream"] {
            shop.put_item(sku, ItemSpec { lot_tracked: true, ..ItemSpec::default() }).unwrap();
            shop.receive_lot(sku, "A", 1, 1).unwrap();
        }
        shop.receive_lot("cream", "B", 9, 1).unwrap();
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(DAY_S + 1).fulfil(1, &[]).unwrap();
        assert_eq!(shop.reservation(1).lines[0].lots.last().unwrap().lot.as_str(), "B");
    }

    #[test]
    fn of_several_lots_what_is_due_is_told_in_the_order_of_its_dates() {
        let mut shop = shop_with_removal(&[("A", 8, 1), ("B", 9, 1), ("C", 40, 1)]);
        for number in [1, 2] {
            shop.reserve(number, &[("cream", 1)]).unwrap();
            shop.commit(number).unwrap();
        }
        shop.after_s(20 * DAY_S).tick();
        // The one lot that is left goes to the order whose own expired first.
        assert_eq!((units(&shop, 1).committed, units(&shop, 2).short_sold), (1, 1));
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
