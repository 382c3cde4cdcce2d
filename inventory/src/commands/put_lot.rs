//! `put_lot`: makes a lot known, or corrects what is known of it.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::{LotRecord, LotTold, SkuNo};
use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, LogTime, LotId, LotSpec, LotStatus, Refusal, Revision, Sku, Success};

/// Makes a lot known before its units arrive, or corrects its dates: when it leaves sale is computed anew, by the item as it
/// is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutLot {
    /// The item, which must be tracked by lot.
    pub sku: Sku,
    /// The lot.
    pub lot: LotId,
    /// What is known of it.
    pub spec: LotSpec,
    /// Only if its revision is this.
    pub if_revision: Option<Revision>,
}

impl PutLot {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.spec.validate()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let item = turn.state.item(sku);
        if !item.spec.lot_tracked {
            return Err(InvalidArgument::of(Field::LotId).into());
        }
        turn.end_what_is_due_of(sku);
        let Some(lot) = turn.state.find_lot(sku, &self.lot) else { return self.create(turn, sku) };
        let record = turn.state.lot(lot);
        if self.if_revision.is_some_and(|expected| expected != record.revision) {
            return Err(Refusal::RevisionMismatch { actual: record.revision });
        }
        let dates = self.spec.dates.with_expiry(&turn.state.item(sku).spec);
        let (removal_at, alert_at) = dates.removal_and_alert(&turn.state.item(sku).spec);
        let is_same = (record.dates, record.removal_at, record.alert_at) == (dates, removal_at, alert_at)
            && record.supplier_lot == self.spec.supplier_lot;
        if is_same {
            return Ok(Success { revision: record.revision, ..Success::default() });
        }
        for location in turn.places_of_lot(lot) {
            turn.expect_lack(sku, location);
        }
        turn.state.change_lot(lot, |record| {
            record.supplier_lot.clone_from(&self.spec.supplier_lot);
            (record.dates, record.removal_at, record.alert_at) = (dates, removal_at, alert_at);
            record.told = LotTold::Nothing;
            record.revision = record.revision.next();
        });
        let now = turn.now();
        turn.record_changes(EventKind::LotChanged, None, Some(turn.lot_subject(lot)));
        if removal_at < now {
            turn.withdraw_held(lot);
        }
        turn.finish();
        turn.end_what_is_due_of(sku);
        Ok(Success { revision: turn.state.lot(lot).revision, ..Success::default() })
    }

    fn create(&self, turn: &mut Turn<'_>, sku: SkuNo) -> Result<Success, Refusal> {
        if self.if_revision.is_some_and(|expected| expected != Revision::default()) {
            return Err(Refusal::UnknownLot { lot: self.lot.clone() });
        }
        if turn.state.lot_count() >= turn.state.header.limits.items.min(u64::from(u32::MAX)) {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        let lot = turn.state.add_lot(new_lot(turn, sku, self.lot.clone(), self.spec.clone()));
        turn.record(EventKind::LotChanged, None, Some(turn.lot_subject(lot)));
        Ok(Success { revision: turn.state.lot(lot).revision, ..Success::default() })
    }
}

/// A lot that is not known yet.
pub(super) fn new_lot(turn: &Turn<'_>, sku: SkuNo, id: LotId, spec: LotSpec) -> LotRecord {
    let item = &turn.state.item(sku).spec;
    let dates = spec.dates.with_expiry(item);
    let (removal_at, alert_at): (LogTime, LogTime) = dates.removal_and_alert(item);
    LotRecord {
        sku,
        id,
        supplier_lot: spec.supplier_lot,
        dates,
        removal_at,
        alert_at,
        received_at: turn.now(),
        status: LotStatus::Approved,
        told: LotTold::Nothing,
        revision: Revision::default().next(),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::PutLot;
    use crate::test_shop::{Shop, dates};
    use crate::*;

    fn put(shop: &mut Shop, lot: &str, best_before_days: u64) -> Result<Success, Refusal> {
        let spec = LotSpec { dates: dates(best_before_days), ..LotSpec::default() };
        let (sku, lot) = ("cream".parse().unwrap(), lot.parse().unwrap());
        shop.run(Operation::PutLot(Box::new(PutLot { sku, lot, spec, if_revision: None })))
    }

    #[test]
    fn a_corrected_date_takes_a_lot_out_of_sale_at_once_and_puts_it_back() {
        let mut shop = Shop::with_cream(&[("A", 10, 5)]);
        shop.reserve(1, &[("cream", 3)]).unwrap();
        put(&mut shop, "A", 0).unwrap();
        shop.after_s(1).tick();
        assert_eq!((shop.stock("cream").atp, shop.reservation(1).lines[0].units.short), (0, 3));
        put(&mut shop, "A", 30).unwrap();
        assert_eq!((shop.stock("cream").atp, shop.reservation(1).lines[0].units.held), (2, 3));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let mut shop = Shop::with_cream(&[("A", 10, 5)]);
        assert_eq!(put(&mut shop, "A", 10).unwrap().revision, Revision(1));
        assert_eq!(shop.events(), []);
        assert_eq!(put(&mut shop, "A", 11).unwrap().revision, Revision(2));
    }
}
