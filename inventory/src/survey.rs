//! A survey: what an operator counts of a shard (items that run out, lots that will leave sale, counts and orders that somebody has to
//! look at), looked at piece by piece, so that nobody waits for it.

use std::ops::Bound;

use crate::state::{LocationNo, LotNo, LotRecord, ReservationNo, SkuNo};
use crate::{Inventory, ItemStatus, LogTime, LotStatus, OrderState};

/// What a survey has counted so far, and where it goes on. Begun by `default()`.
///
/// The pieces are of different instants: what changes meanwhile may be counted as it was or as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    next: Next,
    /// Items that are on sale and tracked; kits are none.
    pub skus: u64,
    /// Those of which nothing may be promised anywhere.
    pub skus_out: u64,
    /// Those of which no more may be promised than their low stock threshold, and something.
    pub skus_low: u64,
    /// Units of lots that are to be sold soon: past the lot's alert and not past its removal, neither sold nor damaged nor in quality
    /// control.
    pub units_near_removal: u64,
    /// Counts that are open.
    pub open_counts: u64,
    /// When the oldest of them was opened, in log time.
    pub oldest_count_opened_at: Option<LogTime>,
    /// Orders with external steps that have not ended.
    pub open_orders: u64,
    /// Those that somebody has to look at.
    pub stuck_orders: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Item(SkuNo),
    Lot(LotNo),
    Count(Option<(SkuNo, LocationNo)>),
    Order(ReservationNo),
    Nothing,
}

impl Default for Next {
    fn default() -> Self {
        Self::Item(SkuNo(0))
    }
}

impl Inventory {
    /// Looks at `limit` records more, or fewer. True: everything has been looked at.
    pub fn survey(&self, survey: &mut Survey, limit: usize) -> bool {
        survey.next = match survey.next {
            Next::Item(from) => self.survey_items(survey, from, limit).map_or(Next::Lot(LotNo(0)), Next::Item),
            Next::Lot(from) => self.survey_lots(survey, from, limit).map_or(Next::Count(None), Next::Lot),
            Next::Count(after) => self
                .survey_counts(survey, after, limit)
                .map_or(Next::Order(ReservationNo(0)), |last| Next::Count(Some(last))),
            Next::Order(from) => self.survey_orders(survey, from, limit).map_or(Next::Nothing, Next::Order),
            Next::Nothing => Next::Nothing,
        };
        survey.next == Next::Nothing
    }

    fn survey_items(&self, survey: &mut Survey, from: SkuNo, limit: usize) -> Option<SkuNo> {
        let mut skus = self.state.skus_from(from);
        for sku in skus.by_ref().take(limit) {
            let item = self.state.item(sku);
            let is_sold = item.spec.tracked && item.spec.status == ItemStatus::Active && item.kit.is_none();
            if !is_sold || item.sku.is_counter() {
                continue;
            }
            let places = self.state.stock(sku).places.iter();
            let active = places.filter(|place| self.state.location(place.location).spec.active);
            let atp = active.map(|place| self.state.atp(sku, place)).fold(0, u64::saturating_add);
            survey.skus += 1;
            match atp {
                0 => survey.skus_out += 1,
                _ if atp <= item.spec.low_stock_threshold => survey.skus_low += 1,
                _ => {}
            }
        }
        skus.next()
    }

    fn survey_lots(&self, survey: &mut Survey, from: LotNo, limit: usize) -> Option<LotNo> {
        let mut lots = self.state.lots_from(from);
        for (no, lot) in lots.by_ref().take(limit) {
            if self.is_near_removal(lot) {
                let cells = self.state.stock(lot.sku).places.iter().filter_map(|place| place.cell(Some(no)));
                let units = cells.map(|cell| {
                    let counts = &cell.counts;
                    let gone = counts.committed.saturating_add(counts.damaged).saturating_add(counts.quality_control);
                    counts.on_hand.saturating_sub(gone)
                });
                survey.units_near_removal = units.fold(survey.units_near_removal, u64::saturating_add);
            }
        }
        lots.next().map(|(no, _)| no)
    }

    fn is_near_removal(&self, lot: &LotRecord) -> bool {
        let now = self.state.header.now;
        lot.status == LotStatus::Approved && lot.alert_at <= now && now <= lot.removal_at
    }

    fn survey_counts(
        &self,
        survey: &mut Survey,
        after: Option<(SkuNo, LocationNo)>,
        limit: usize,
    ) -> Option<(SkuNo, LocationNo)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut counts = self.state.indexes.open_counts.range((from, Bound::Unbounded));
        let mut last = None;
        for (place, no) in counts.by_ref().take(limit) {
            let opened_at = self.state.document(*no).created_at;
            survey.open_counts += 1;
            survey.oldest_count_opened_at =
                Some(survey.oldest_count_opened_at.map_or(opened_at, |oldest| oldest.min(opened_at)));
            last = Some(*place);
        }
        last.filter(|_| counts.next().is_some())
    }

    fn survey_orders(&self, survey: &mut Survey, from: ReservationNo, limit: usize) -> Option<ReservationNo> {
        let mut orders = self.state.indexes.open_orders.range(from..);
        for no in orders.by_ref().take(limit) {
            survey.open_orders += 1;
            let order = self.state.reservation(*no).order.as_deref();
            survey.stuck_orders += u64::from(order.is_some_and(|order| order.state == OrderState::Stuck));
        }
        orders.next().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ItemSpec;
    use crate::test_shop::{Shop, step};

    fn surveyed(shop: &Shop, limit: usize) -> Survey {
        let mut survey = Survey::default();
        while !shop.inventory.survey(&mut survey, limit) {}
        survey
    }

    #[test]
    fn items_that_run_out_are_counted_apart_from_those_that_are_low_and_from_those_that_are_not_sold() {
        let mut shop = Shop::with_rouge(9);
        let before = surveyed(&shop, 100);
        let spec = |threshold| ItemSpec { low_stock_threshold: threshold, ..ItemSpec::default() };
        shop.put_item("blush", spec(3)).unwrap();
        shop.receive("blush", "PAR", 3).unwrap();
        shop.put_item("kohl", spec(3)).unwrap();
        shop.put_item("gift", ItemSpec { tracked: false, ..spec(3) }).unwrap();
        shop.put_item("old", ItemSpec { status: ItemStatus::Discontinued, ..spec(3) }).unwrap();
        let survey = surveyed(&shop, 100);
        let more = (survey.skus - before.skus, survey.skus_low - before.skus_low, survey.skus_out - before.skus_out);
        assert_eq!(more, (2, 1, 1));
    }

    #[test]
    fn units_count_as_near_removal_from_the_lots_alert_until_its_removal() {
        let mut shop = Shop::with_cream(&[("L1", 20, 7), ("L2", 90, 5)]);
        let alert = ItemSpec { lot_tracked: true, alert_days: 10, ..ItemSpec::default() };
        assert_eq!(surveyed(&shop, 100).units_near_removal, 0);
        shop.put_item("balm", alert).unwrap();
        shop.receive_lot("balm", "B1", 20, 8).unwrap();
        shop.after_s(9 * 86_400).tick();
        assert_eq!(surveyed(&shop, 100).units_near_removal, 0, "before the alert");
        shop.after_s(2 * 86_400).tick();
        assert_eq!(surveyed(&shop, 100).units_near_removal, 8);
        shop.after_s(10 * 86_400).tick();
        assert_eq!(surveyed(&shop, 100).units_near_removal, 0, "it has left sale");
    }

    #[test]
    fn counts_and_orders_that_wait_for_somebody_are_counted() {
        let mut shop = Shop::with_rouge(9);
        let opened_at = shop.inventory.now();
        shop.open_count(1, "rouge").unwrap();
        for number in 1..=2 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            shop.start_order(number, vec![step("pay", 60 * number)]).unwrap();
        }
        let survey = surveyed(&shop, 100);
        assert_eq!((survey.open_counts, survey.open_orders, survey.stuck_orders), (1, 2, 0));
        assert!(survey.oldest_count_opened_at >= Some(opened_at));
        // One payment never answers, nor does who is asked to take it back.
        shop.after_s(61).tick();
        shop.after_s(61).tick();
        let survey = surveyed(&shop, 100);
        assert_eq!((survey.open_orders, survey.stuck_orders), (2, 1));
    }

    #[test]
    fn piece_by_piece_it_counts_what_it_counts_at_once() {
        let mut shop = Shop::with_cream(&[("L1", 20, 7), ("L2", 30, 5), ("L3", 40, 1)]);
        for number in 0..7 {
            shop.put_item(&format!("sku-{number}"), ItemSpec::default()).unwrap();
            shop.open_count(number, &format!("sku-{number}")).ok();
        }
        for limit in 1..5 {
            assert_eq!(surveyed(&shop, limit), surveyed(&shop, 1_000), "{limit} at once");
        }
    }
}
