//! Units that are promised without stock by choice: how they are counted, and how they are filled.
//!
//! What becomes free fills them in the same entry, after everything that is short: sold ones first, then those that are not,
//! oldest reservation first; never from the safety stock or what campaigns have, and never with what holds need that are bound to no lot yet. One entry
//! fills a bounded number of reservations at a place. Where more wait, the next entries go on, and until then nothing of what
//! they are to get is sold ([`StockPlace::is_filling`]).

use holdfast_mutation::{Mutation, is_on};

use super::{Move, Turn};
use crate::shelf::Shelf;
use crate::state::{LineRecord, LocationNo, ReservationNo, SkuNo, StockPlace};
use crate::{Backorder, EventKind, LogTime, Refusal, StockDelta, StockFlow, Subject};

impl Turn<'_> {
    /// Units of a line are promised without stock, anew. That the cap allows it was checked.
    pub(crate) fn promise_backorder(&mut self, line: &LineRecord, units: u64) {
        if units == 0 {
            return;
        }
        let cap = self.state.item(line.sku).spec.backorder.cap_at(self.now()).unwrap_or(0);
        self.change_backordered(line, units as i64);
        self.state.stock_mut(line.sku).place_mut(line.location).backorder_cap = cap;
    }

    /// More units of a line are promised without stock, or fewer (below 0).
    pub(crate) fn change_backordered(&mut self, line: &LineRecord, units: i64) {
        if !line.counted || units == 0 {
            return;
        }
        self.touch(line.sku, line.location);
        let backordered = &mut self.state.stock_mut(line.sku).place_mut(line.location).backordered;
        *backordered = backordered.checked_add_signed(units).expect("no more is given back than is promised");
    }

    /// Units of a line that were promised without stock are not wanted any more.
    pub(super) fn give_back_backordered(&mut self, line: &LineRecord, units: u64) {
        self.change_backordered(line, -(units as i64));
        if is_on(Mutation::BackorderedUnitCountedAsStock) && line.by_lot.is_none() && units > 0 {
            let delta = StockDelta { on_hand: units as i64, ..StockDelta::default() };
            let (sku, location) = (line.sku, line.location);
            self.change(&Move { sku, location, lot: None, delta, flow: StockFlow::default() });
        }
    }

    /// Tells of units that were promised without stock, of lines that had fewer of them before; once an item and location.
    pub(crate) fn record_backorders(&mut self, no: ReservationNo, before: &[LineRecord]) {
        let mut created: Vec<(SkuNo, LocationNo, u64)> = Vec::new();
        for (at, line) in self.state.reservation(no).lines.iter().enumerate() {
            let had = before.get(at).map_or(0, |line| line.units.all_backordered());
            let more = line.units.all_backordered().saturating_sub(had);
            let is_it =
                |(sku, location, _): &&mut (SkuNo, LocationNo, u64)| (*sku, *location) == (line.sku, line.location);
            match created.iter_mut().find(is_it) {
                Some((_, _, units)) => *units += more,
                None if more > 0 => created.push((line.sku, line.location, more)),
                None => {}
            }
        }
        for (sku, location, units) in created {
            let subject = self.backorder_subject(sku, location, units);
            self.record_changes(EventKind::BackorderCreated, Some(no), Some(subject));
        }
    }

    fn backorder_subject(&self, sku: SkuNo, location: LocationNo, units: u64) -> Subject {
        Subject::Backorder {
            sku: self.state.item(sku).sku.clone(),
            location: self.state.location(location).id.clone(),
            units,
            backordered: self.state.stock(sku).place(location).map_or(0, |place| place.backordered),
        }
    }

    /// Gives free units to those who were promised them without stock.
    pub(super) fn fill_backorders(&mut self, sku: SkuNo, location: LocationNo) {
        if self.left_for_any(sku, location) == 0 {
            return self.state.set_filling(sku, location, false);
        }
        let mut fills_left = self.state.header.limits.sweep.max(1);
        let mut is_filling = false;
        // Without lots whoever is looked at gets something as long as anything is left; with them a need of life may stand in the way.
        let looks = if self.state.item(sku).spec.lot_tracked { usize::MAX } else { fills_left as usize + 1 };
        for (unsold, no) in self.backorders_of(sku, location, looks) {
            if self.left_for_any(sku, location) == 0 {
                break;
            }
            if fills_left == 0 {
                is_filling = true;
                break;
            }
            fills_left -= u32::from(self.fill_backorder(sku, location, no, unsold));
        }
        self.state.set_filling(sku, location, is_filling);
    }

    /// The first of those who wait for units at a place, and whether unpaid, in the order in which they get them.
    fn backorders_of(&self, sku: SkuNo, location: LocationNo, most: usize) -> Vec<(bool, ReservationNo)> {
        let waiting = self.state.backorders_at(sku, location);
        if is_on(Mutation::BackorderFilledOutOfOrder) {
            waiting.rev().take(most).collect()
        } else {
            waiting.take(most).collect()
        }
    }

    /// Fills what a reservation lacks at a place of its sold units, or of those that are not. Answers whether it got any.
    fn fill_backorder(&mut self, sku: SkuNo, location: LocationNo, no: ReservationNo, unsold: bool) -> bool {
        let mut lines = self.state.reservation(no).lines.clone();
        let mut filled = vec![0; lines.len()];
        for (line, filled) in lines.iter_mut().zip(&mut filled) {
            let lack = if unsold { line.units.backordered } else { line.units.backordered_sold };
            if (line.sku, line.location) != (sku, location) || lack == 0 {
                continue;
            }
            let units = lack.min(self.left_for_backorder(line));
            self.change_backordered(line, -(units as i64));
            self.change_held(line, units as i64);
            if unsold {
                line.units.backordered -= units;
                line.units.held += units;
            } else {
                let bound = self.sell(line, units);
                line.units.backordered_sold -= units;
                line.commit(units, &bound);
            }
            *filled = units;
        }
        let sum = filled.iter().sum();
        if sum > 0 {
            if self.state.reservation(no).part().is_some() {
                self.state.change_part(no, |part| part.note_filled(&filled));
            }
            self.state.change_reservation(no, |record| record.lines = lines);
            let subject = self.backorder_subject(sku, location, sum);
            self.record_changes(EventKind::BackorderFilled, Some(no), Some(subject));
        }
        sum > 0
    }

    /// Free units that a line may get of what it waits for.
    fn left_for_backorder(&self, line: &LineRecord) -> u64 {
        let place = self.place(line.sku, line.location);
        match &line.by_lot {
            None => place.free().saturating_sub(place.kept_back()),
            Some(by_lot) => {
                let shelf = Shelf::of(self.state, place);
                let above = shelf.left_for(LogTime(0)).saturating_sub(place.kept_back());
                by_lot.named.map_or_else(|| shelf.left_for(by_lot.need), |lot| shelf.left_of(lot)).min(above)
            }
        }
    }

    /// Free units that a line could get which takes the shortest life.
    fn left_for_any(&self, sku: SkuNo, location: LocationNo) -> u64 {
        let place = self.place(sku, location);
        let is_by_lot = self.state.item(sku).spec.lot_tracked;
        let left = if is_by_lot { Shelf::of(self.state, place).left_for(LogTime(0)) } else { place.free() };
        left.saturating_sub(place.kept_back())
    }

    /// Goes on with what an earlier entry did not fill.
    pub(crate) fn go_on_filling(&mut self, sku: SkuNo, location: LocationNo) {
        self.touch(sku, location);
        self.finish();
    }

    /// Refuses to ship units of an item before it is out.
    pub(crate) fn check_released(&self, sku: SkuNo) -> Result<(), Refusal> {
        check_released_at(self.state.item(sku).spec.backorder.release_at(), self.now())
    }
}

/// Refuses to ship what is not out yet.
pub(crate) fn check_released_at(release_at: Option<LogTime>, now: LogTime) -> Result<(), Refusal> {
    match release_at.filter(|at| *at > now) {
        Some(release_at) if !is_on(Mutation::BackorderShippedBeforeRelease) => Err(Refusal::NotReleased { release_at }),
        _ => Ok(()),
    }
}

impl Backorder {
    /// Units that may be promised without stock at one location at that time. `None`: none may.
    pub(crate) fn cap_at(&self, now: LogTime) -> Option<u64> {
        match self {
            Self::UpTo { cap } => Some(*cap),
            Self::Preorder { release_at, cap } if now < *release_at => Some(*cap),
            Self::None | Self::Preorder { .. } => None,
        }
    }

    /// Before which instant nothing is shipped.
    pub(crate) const fn release_at(&self) -> Option<LogTime> {
        match self {
            Self::Preorder { release_at, .. } => Some(*release_at),
            Self::None | Self::UpTo { .. } => None,
        }
    }
}

impl StockPlace {
    /// Free units that backorders are about to get, and nobody else.
    pub(crate) const fn waited_for(&self) -> u64 {
        if self.is_filling { self.backordered } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::{Commit, IfExpired};
    use crate::test_shop::{DAY_S, OPENING, Shop, parts_of, reserve};
    use crate::*;

    /// A shop with so many units of `rouge`, of which as many may be promised without stock as the cap says.
    fn shop(units: u32, cap: u64) -> Shop {
        let mut shop = Shop::new();
        allow(&mut shop, Backorder::UpTo { cap });
        if units > 0 {
            shop.receive("rouge", "PAR", units).unwrap();
        }
        shop
    }

    fn allow(shop: &mut Shop, backorder: Backorder) {
        shop.put_item("rouge", ItemSpec { backorder, ..ItemSpec::default() }).unwrap();
    }

    /// Held, backordered, sold, and sold without stock.
    fn line(shop: &Shop, number: u64) -> (u64, u64, u64, u64) {
        let units = shop.reservation(number).lines[0].units;
        (units.held, units.backordered, units.committed, units.backordered_sold)
    }

    fn backordered(shop: &Shop) -> u64 {
        shop.stock("rouge").backordered
    }

    #[test]
    fn what_is_there_is_held_and_the_rest_is_promised_within_the_cap() {
        let mut shop = shop(2, 5);
        let success = shop.reserve(1, &[("rouge", 5)]).unwrap();
        assert_eq!(success.held.as_deref(), Some([2].as_slice()));
        assert_eq!(success.backordered.as_deref(), Some([3].as_slice()));
        let created = [EventKind::ReservationHeld, EventKind::BackorderCreated, EventKind::AvailabilityOut];
        assert_eq!(shop.events(), created);
        assert_eq!((line(&shop, 1), backordered(&shop)), ((2, 3, 0, 0), 3));
        let refused = shop.reserve(2, &[("rouge", 3)]);
        assert_eq!(refused, Err(Refusal::BackorderCapExceeded { available: 2, line: 0 }));
        shop.reserve(3, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.stock("rouge").counts, StockCounts { on_hand: 2, reserved: 2, ..StockCounts::default() });
    }

    #[test]
    fn what_is_all_there_is_held_and_says_nothing_of_backorders() {
        let mut shop = shop(2, 5);
        let success = shop.reserve(1, &[("rouge", 2)]).unwrap();
        assert_eq!((success.held, success.backordered), (None, None));
    }

    #[test]
    fn lines_of_the_same_item_are_summed_against_stock_and_cap() {
        let mut shop = shop(2, 3);
        let refused = shop.reserve(1, &[("rouge", 3), ("rouge", 3)]);
        assert_eq!(refused, Err(Refusal::BackorderCapExceeded { available: 5, line: 1 }));
        let success = shop.reserve(2, &[("rouge", 3), ("rouge", 2)]).unwrap();
        assert_eq!(success.held.as_deref(), Some([2, 0].as_slice()));
        assert_eq!(success.backordered.as_deref(), Some([1, 2].as_slice()));
    }

    #[test]
    fn a_line_that_must_be_there_and_one_of_a_lot_by_name_wait_for_nothing() {
        let mut shop = shop(1, 5);
        let Operation::Reserve(mut reserve) = reserve(1, &[("rouge", 2)]) else { unreachable!() };
        reserve.lines[0].no_backorder = true;
        let refused = shop.run(Operation::Reserve(reserve));
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 0, recorded: true }));
        let backorder = Backorder::UpTo { cap: 5 };
        shop.put_item("cream", ItemSpec { lot_tracked: true, backorder, ..ItemSpec::default() }).unwrap();
        shop.receive_lot("cream", "A", 10, 1).unwrap();
        let refused = shop.reserve_of(2, "A", 2);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 0, recorded: true }));
        shop.reserve(3, &[("cream", 2)]).unwrap();
    }

    #[test]
    fn what_arrives_goes_to_who_has_paid_then_to_who_has_not_oldest_first_and_then_on_sale() {
        let mut shop = shop(0, 9);
        (1..=4).for_each(|number| drop(shop.reserve(number, &[("rouge", 2)]).unwrap()));
        shop.commit(4).unwrap();
        shop.commit(2).unwrap();
        shop.receive("rouge", "PAR", 3).unwrap();
        let filled = [EventKind::StockReceived, EventKind::BackorderFilled, EventKind::BackorderFilled];
        assert_eq!(shop.events(), filled);
        assert_eq!((line(&shop, 2), line(&shop, 4)), ((0, 0, 2, 0), (0, 0, 1, 1)));
        shop.receive("rouge", "PAR", 2).unwrap();
        assert_eq!((line(&shop, 4), line(&shop, 1)), ((0, 0, 2, 0), (1, 1, 0, 0)));
        shop.receive("rouge", "PAR", 5).unwrap();
        assert_eq!((line(&shop, 1), line(&shop, 3)), ((2, 0, 0, 0), (2, 0, 0, 0)));
        assert_eq!((shop.stock("rouge").atp, backordered(&shop)), (2, 0));
    }

    #[test]
    fn a_fill_does_not_restart_the_time_to_live() {
        let mut shop = shop(0, 9);
        let expires_at = shop.reserve(1, &[("rouge", 2)]).unwrap().expires_at;
        shop.after_s(300).receive("rouge", "PAR", 2).unwrap();
        assert_eq!(Some(shop.reservation(1).expires_at), expires_at);
        shop.after_s(300).tick();
        assert_eq!((shop.reservation(1).state, shop.stock("rouge").atp), (ReservationState::Expired, 2));
    }

    #[test]
    fn what_is_given_back_fills_what_waits_and_what_waits_is_given_back() {
        let mut shop = shop(2, 9);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.reserve(2, &[("rouge", 1)]).unwrap();
        shop.reserve(3, &[("rouge", 1)]).unwrap();
        shop.commit(3).unwrap();
        shop.release(1).unwrap();
        assert_eq!((line(&shop, 3), line(&shop, 2)), ((0, 0, 1, 0), (1, 0, 0, 0)));
        shop.reserve(4, &[("rouge", 4)]).unwrap();
        shop.commit(4).unwrap();
        assert_eq!(shop.reservation(4).state, ReservationState::Committed);
        shop.cancel(4).unwrap();
        let units = shop.reservation(4).lines[0].units;
        assert_eq!((units.cancelled, backordered(&shop), shop.stock("rouge").counts.on_hand), (4, 0, 2));
        shop.reserve(5, &[("rouge", 4)]).unwrap();
        shop.after_s(600).tick();
        assert_eq!((shop.reservation(5).state, backordered(&shop)), (ReservationState::Expired, 0));
    }

    #[test]
    fn only_what_is_there_is_shipped_and_what_comes_is_shipped_later() {
        let mut shop = shop(1, 9);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.fulfil(1, &[(0, 2)]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 1 }));
        assert_eq!(shop.fulfil(1, &[]).unwrap().state, Some(ReservationState::PartiallyFulfilled));
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        shop.receive("rouge", "PAR", 2).unwrap();
        assert_eq!(shop.fulfil(1, &[]).unwrap().state, Some(ReservationState::Fulfilled));
        assert_eq!(shop.stock("rouge").flow.shipped, 3);
    }

    #[test]
    fn nothing_of_a_preorder_is_shipped_before_it_is_out_and_nothing_is_promised_without_stock_after() {
        let mut shop = Shop::new();
        let release_at = LogTime(OPENING + 100_000);
        allow(&mut shop, Backorder::Preorder { release_at, cap: 5 });
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.receive("rouge", "PAR", 3).unwrap();
        assert_eq!(line(&shop, 1), (0, 0, 2, 0));
        assert_eq!(shop.after_s(99).fulfil(1, &[]), Err(Refusal::NotReleased { release_at }));
        shop.after_s(1).fulfil(1, &[]).unwrap();
        let refused = shop.reserve(2, &[("rouge", 2)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 0, recorded: true }));
    }

    #[test]
    fn a_part_that_is_sold_takes_what_is_there_first_and_the_last_gives_the_rest_back() {
        let mut shop = shop(2, 9);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        shop.commit_with(1, |commit| commit.parts = parts_of(&[(0, 3)])).unwrap();
        assert_eq!(line(&shop, 1), (0, 2, 2, 1));
        let last = |commit: &mut Commit| (commit.parts, commit.last) = (parts_of(&[(0, 1)]), true);
        shop.commit_with(1, last).unwrap();
        assert_eq!((line(&shop, 1), backordered(&shop)), ((0, 0, 2, 2), 2));
        assert_eq!(shop.reservation(1).lines[0].units.released, 1);
    }

    #[test]
    fn an_amend_promises_more_within_the_cap_and_gives_back_first_what_is_not_there() {
        let mut shop = shop(2, 3);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 6)]), Err(Refusal::BackorderCapExceeded { available: 4, line: 0 }));
        shop.amend(1, &[("rouge", 5)]).unwrap();
        assert_eq!((line(&shop, 1), backordered(&shop)), ((2, 3, 0, 0), 3));
        assert!(shop.events().contains(&EventKind::BackorderCreated));
        shop.amend(1, &[("rouge", 1)]).unwrap();
        assert_eq!((line(&shop, 1), backordered(&shop), shop.stock("rouge").atp), ((1, 0, 0, 0), 0, 1));
    }

    #[test]
    fn a_retake_may_promise_without_stock_again() {
        let mut shop = shop(2, 3);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.after_s(600).reserve(2, &[("rouge", 1)]).unwrap();
        shop.commit_with(1, |commit| commit.if_expired = IfExpired::Retake).unwrap();
        assert_eq!((line(&shop, 1), backordered(&shop)), ((0, 0, 1, 1), 1));
        assert!(shop.events().contains(&EventKind::BackorderCreated));
    }

    #[test]
    fn a_lower_cap_and_none_count_for_new_promises_only() {
        let mut shop = shop(0, 5);
        shop.reserve(1, &[("rouge", 4)]).unwrap();
        allow(&mut shop, Backorder::UpTo { cap: 2 });
        assert_eq!(shop.reserve(2, &[("rouge", 1)]), Err(Refusal::BackorderCapExceeded { available: 0, line: 0 }));
        allow(&mut shop, Backorder::None);
        shop.commit(1).unwrap();
        shop.receive("rouge", "PAR", 3).unwrap();
        assert_eq!(line(&shop, 1), (0, 0, 3, 1));
    }

    #[test]
    fn the_safety_stock_fills_nothing_until_it_is_lowered() {
        use crate::commands::SetSafetyStock;
        let mut shop = shop(0, 5);
        let set = |units| {
            let (sku, location) = ("rouge".parse().unwrap(), "PAR".parse().unwrap());
            Operation::SetSafetyStock(SetSafetyStock { sku, location, units, if_revision: None })
        };
        shop.run(set(2)).unwrap();
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.receive("rouge", "PAR", 3).unwrap();
        assert_eq!(line(&shop, 1), (1, 1, 0, 0));
        shop.run(set(1)).unwrap();
        assert_eq!(line(&shop, 1), (2, 0, 0, 0));
    }

    #[test]
    fn an_optional_line_gets_all_it_asks_for_or_nothing() {
        let mut shop = shop(1, 2);
        let Operation::Reserve(mut reserve) = reserve(1, &[("rouge", 4), ("rouge", 2)]) else { unreachable!() };
        reserve.partial_ok = true;
        let success = shop.run(Operation::Reserve(reserve)).unwrap();
        assert_eq!(success.held.as_deref(), Some([0, 1].as_slice()));
        assert_eq!(success.backordered.as_deref(), Some([0, 1].as_slice()));
    }

    #[test]
    fn other_locations_wait_for_their_own_stock() {
        let mut shop = shop(0, 5);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.receive("rouge", "LYO", 4).unwrap();
        assert_eq!((line(&shop, 1), shop.stock_at("rouge", "LYO").atp), ((0, 2, 0, 0), 4));
    }

    #[test]
    fn orders_and_holds_that_are_short_come_before_what_was_promised_without_stock() {
        let mut shop = Shop::new();
        let spec = ItemSpec { lot_tracked: true, backorder: Backorder::UpTo { cap: 9 }, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.receive_lot("cream", "A", 10, 2).unwrap();
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.reserve(2, &[("cream", 1)]).unwrap();
        shop.reserve(3, &[("cream", 1)]).unwrap();
        shop.reserve(4, &[("cream", 1)]).unwrap();
        shop.commit(2).unwrap();
        shop.commit(4).unwrap();
        shop.block("A", LotStatus::Recalled).unwrap();
        for (expected, lot) in [([0, 1, 0, 0], "B"), ([1, 1, 0, 0], "C"), ([1, 1, 0, 1], "D"), ([1, 1, 1, 1], "E")] {
            shop.receive_lot("cream", lot, 20, 1).unwrap();
            let has = |number| {
                let units = shop.reservation(number).lines[0].units;
                units.held + units.committed
            };
            assert_eq!([1, 2, 3, 4].map(has), expected, "after lot {lot}");
        }
    }

    #[test]
    fn units_that_do_not_live_long_enough_fill_nothing_and_are_sold_to_who_needs_less() {
        let mut shop = Shop::new();
        let spec = |min_remaining_days| ItemSpec {
            lot_tracked: true,
            min_remaining_days,
            backorder: Backorder::UpTo { cap: 9 },
            ..ItemSpec::default()
        };
        shop.put_item("cream", spec(30)).unwrap();
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.put_item("cream", spec(0)).unwrap();
        shop.receive_lot("cream", "A", 10, 1).unwrap();
        assert_eq!((line(&shop, 1), shop.stock("cream").atp), ((0, 1, 0, 0), 1));
        shop.reserve(2, &[("cream", 1)]).unwrap();
        shop.receive_lot("cream", "B", 60, 1).unwrap();
        assert_eq!((line(&shop, 1), line(&shop, 2)), ((1, 0, 0, 0), (1, 0, 0, 0)));
        shop.after_s(60).commit(1).unwrap();
        assert_eq!(shop.reservation(1).lines[0].lots[0].lot.as_str(), "B");
    }

    #[test]
    fn a_paid_backorder_is_bound_to_lots_as_they_come() {
        let mut shop = Shop::new();
        let spec = ItemSpec { lot_tracked: true, backorder: Backorder::UpTo { cap: 9 }, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.reserve(1, &[("cream", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.receive_lot("cream", "A", 10, 2).unwrap();
        shop.receive_lot("cream", "B", 20, 2).unwrap();
        let lots = shop.reservation(1).lines[0].lots.clone();
        let lots: Vec<(&str, u64)> = lots.iter().map(|lot| (lot.lot.as_str(), lot.committed)).collect();
        assert_eq!((lots, shop.stock("cream").atp), (vec![("A", 2), ("B", 1)], 1));
        shop.after_s(DAY_S).fulfil(1, &[]).unwrap();
    }

    #[test]
    fn one_entry_fills_a_bounded_number_and_what_the_rest_is_to_get_is_not_sold() {
        let mut shop = Shop::with_limits(Limits { sweep: 2, ..Limits::default() });
        allow(&mut shop, Backorder::UpTo { cap: 9 });
        (1..=5).for_each(|number| drop(shop.reserve(number, &[("rouge", 1)]).unwrap()));
        shop.receive("rouge", "PAR", 6).unwrap();
        assert_eq!((backordered(&shop), shop.stock("rouge").free, shop.stock("rouge").atp), (3, 4, 1));
        assert_eq!(shop.inventory.next_due(), Some(shop.inventory.now()));
        let before = shop.digest();
        // Going on is the entry's first work: two more are filled, and the last one by the reserve's own settling.
        let success = shop.reserve(6, &[("rouge", 1)]).unwrap();
        assert_eq!((success.backordered, backordered(&shop)), (None, 0));
        assert_ne!(shop.digest(), before);
        assert_eq!(shop.inventory.next_due(), Some(shop.reservation(1).expires_at));
        assert_eq!(shop.stock("rouge").counts.reserved, 6);
    }

    #[test]
    fn a_chain_that_fails_takes_its_fills_back() {
        use crate::test_shop::receive;
        let mut shop = Shop::with_limits(Limits { sweep: 1, ..Limits::default() });
        allow(&mut shop, Backorder::UpTo { cap: 9 });
        (1..=3).for_each(|number| drop(shop.reserve(number, &[("rouge", 1)]).unwrap()));
        let chain = shop.chain(vec![receive("rouge", "PAR", 3), reserve(4, &[("mascara", 1)])]);
        assert!(shop.apply(chain).iter().all(|answer| answer.outcome.is_err()));
        assert_eq!((backordered(&shop), shop.stock("rouge").counts.on_hand), (3, 0));
        assert!(shop.inventory.state.indexes.filling.is_empty());
    }
}
