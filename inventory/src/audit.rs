//! A shard's invariants recomputed beside it, while it goes on: a view of the state at one position, and what is found in it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::invariants::{self, Breach, Invariant};
use crate::state::State;
use crate::{Counts, Inventory, LogTime, StockCounts};

/// Most breaches of one audit that are told one by one.
pub const MAX_BREACHES_KEPT: usize = 100;

/// Why a shard takes no commands of callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// What was found broken.
    pub invariant: Invariant,
    /// Where, and what was found.
    pub finding: String,
    /// The node whose replica it was found on.
    pub node: u64,
    /// Log time.
    pub halted_at: LogTime,
    /// The event that tells of it.
    pub seq: u64,
}

/// The records of a shard at one position of its log. It shares them with the state, which copies a chunk when it next changes it: a
/// view costs a pointer a chunk, and whatever is done with it holds nobody up.
#[derive(Debug)]
pub struct AuditView {
    records: State,
}

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Log time of what was looked at.
    pub log_time: LogTime,
    /// Its last event.
    pub change_log_seq: u64,
    /// How many records were looked at, by kind.
    pub counts: Counts,
    /// What does not hold; the first [`MAX_BREACHES_KEPT`].
    pub breaches: Vec<Breach>,
    /// How many there are in all.
    pub breaches_in_all: u64,
    /// Units that are promised beyond what lies there, over all items and places: sold twice, where nothing lies for them. 0 while
    /// [H-QTY] and [H-LATE] hold.
    pub oversold_units: u64,
}

impl Inventory {
    /// The records as they are now, to be audited elsewhere.
    #[must_use]
    pub fn audit_view(&self) -> AuditView {
        AuditView { records: self.state.without_indexes() }
    }

    /// Why the shard takes no commands of callers; `None`: it does.
    #[must_use]
    pub fn halt(&self) -> Option<&Halt> {
        self.state.header.halt.as_deref()
    }
}

impl AuditView {
    /// Recomputes every invariant. The indexes are built anew from the records: of the live state's own indexes it says nothing.
    ///
    /// Records that are not what they should be may lead a check where it never gets; that is a finding too, and ends the audit only.
    #[must_use]
    pub fn check(self) -> AuditReport {
        let Self { mut records } = self;
        let (log_time, change_log_seq) = (records.header.now, records.header.seq);
        // Needs no index: it says best what is wrong with quantities of which no index could be made.
        let mut breaches = guarded(|| invariants::check_quantities(&records));
        let oversold_units = catch_unwind(AssertUnwindSafe(|| oversold_units(&records))).unwrap_or(0);
        let indexed = catch_unwind(AssertUnwindSafe(|| records.index_records()));
        let inventory = Inventory { state: records };
        match indexed {
            Ok(Ok(())) => breaches = guarded(|| invariants::check(&inventory)),
            Ok(Err(error)) => breaches.push(Breach { invariant: Invariant::Records, finding: error.to_string() }),
            Err(_) => breaches.push(not_checked()),
        }
        let breaches_in_all = breaches.len() as u64;
        breaches.truncate(MAX_BREACHES_KEPT);
        AuditReport { log_time, change_log_seq, counts: inventory.counts(), breaches, breaches_in_all, oversold_units }
    }
}

/// By what the parts of what lies somewhere are more than the whole, lot by lot, and by what holds of no lot yet exceed all of it.
fn oversold_units(records: &State) -> u64 {
    let beyond = |counts: &StockCounts| {
        let parts = [counts.reserved, counts.committed, counts.damaged, counts.quality_control];
        parts.into_iter().fold(0, u64::saturating_add).saturating_sub(counts.on_hand)
    };
    let places = records.skus().flat_map(|sku| &records.stock(sku).places);
    let of_place = places.map(|place| {
        let by_lot = place.cells.iter().map(|cell| beyond(&cell.counts)).fold(0, u64::saturating_add);
        by_lot.max(beyond(&place.counts()))
    });
    of_place.fold(0, u64::saturating_add)
}

fn guarded(check: impl FnOnce() -> Vec<Breach>) -> Vec<Breach> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| vec![not_checked()])
}

fn not_checked() -> Breach {
    let finding = "the records lead a check where it never gets: what one of them names is not there".to_owned();
    Breach { invariant: Invariant::Records, finding }
}

#[cfg(test)]
mod tests {
    use crate::invariants::Invariant;
    use crate::test_shop::Shop;

    fn busy_shop() -> Shop {
        let mut shop = Shop::with_rouge(9);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.reserve(2, &[("rouge", 3)]).unwrap();
        shop.commit(2).unwrap();
        shop
    }

    fn found(shop: &Shop) -> Vec<Invariant> {
        let mut found: Vec<Invariant> =
            shop.inventory.audit_view().check().breaches.iter().map(|breach| breach.invariant).collect();
        found.dedup();
        found
    }

    #[test]
    fn a_view_is_of_one_position_and_a_sound_shard_has_no_breach() {
        let mut shop = busy_shop();
        let (view, digest) = (shop.inventory.audit_view(), shop.digest());
        let (seq, counts) = (shop.inventory.last_event().0, shop.inventory.counts());
        shop.release(1).unwrap();
        assert_ne!(shop.digest(), digest);
        let report = view.check();
        assert_eq!((report.breaches, report.breaches_in_all), (vec![], 0));
        assert_eq!((report.change_log_seq, report.counts), (seq, counts));
        assert_eq!(shop.inventory.recompute_digest(), shop.digest(), "the state is none the worse for it");
    }

    #[test]
    fn units_that_no_movement_brought_are_found() {
        let mut shop = busy_shop();
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        shop.inventory.state.stock_mut(sku).places[0].cells[0].counts.on_hand += 1;
        assert!(found(&shop).contains(&Invariant::Ledger), "{:?}", found(&shop));
    }

    #[test]
    fn a_hold_that_the_stock_does_not_have_is_found() {
        let mut shop = busy_shop();
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        shop.inventory.state.stock_mut(sku).places[0].cells[0].counts.reserved -= 1;
        assert!(found(&shop).contains(&Invariant::Holds), "{:?}", found(&shop));
    }

    #[test]
    fn parts_that_exceed_the_whole_are_found_though_no_such_state_could_be_loaded() {
        let mut shop = busy_shop();
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        shop.inventory.state.stock_mut(sku).places[0].cells[0].counts.damaged = 99;
        assert_eq!(found(&shop), [Invariant::Quantities, Invariant::Records]);
    }

    #[test]
    fn units_that_are_promised_beyond_what_lies_there_are_counted() {
        let mut shop = busy_shop();
        let oversold = |shop: &Shop| shop.inventory.audit_view().check().oversold_units;
        assert_eq!(oversold(&shop), 0);
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        // Two are held and three are sold.
        shop.inventory.state.stock_mut(sku).places[0].cells[0].counts.on_hand = 1;
        assert_eq!(oversold(&shop), 4);

        let mut shop = Shop::with_cream(&[("L1", 20, 3)]);
        shop.reserve(1, &[("cream", 3)]).unwrap();
        let sku = shop.inventory.state.find_sku(&"cream".parse().unwrap()).unwrap();
        shop.inventory.state.stock_mut(sku).places[0].cells[0].counts.on_hand = 1;
        assert_eq!(oversold(&shop), 2, "a hold of no lot yet counts too");
    }

    #[test]
    fn a_record_that_names_what_is_not_there_is_found() {
        let mut shop = busy_shop();
        let sku = shop.inventory.state.find_sku(&"rouge".parse().unwrap()).unwrap();
        shop.inventory.state.stock_mut(sku).places[0].location.0 = 77;
        assert!(found(&shop).contains(&Invariant::Records), "{:?}", found(&shop));
    }
}
