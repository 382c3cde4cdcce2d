//! Lots: units that were made together, with the dates that say how long they may be sold.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Field, InvalidArgument, ItemSpec, LocationId, LogTime, LotId, MAX_TEXT_BYTES, Revision, Sku, StockCounts};

/// A day, in ms.
const DAY_MS: u64 = 24 * 3_600_000;
/// Needs are rounded up to full hours, so that an item has few different ones.
const NEED_MS: u64 = 3_600_000;

/// May units of a lot be sold? For all locations alike. That a lot is past its date is never a status: it follows from the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LotStatus {
    /// Yes, up to its removal date.
    #[default]
    Approved,
    /// Not for now.
    OnHold,
    /// Not before somebody has looked at it.
    Quarantined,
    /// Never again, and what is sold must come back.
    Recalled,
}

impl fmt::Display for LotStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approved => "approved",
            Self::OnHold => "on hold",
            Self::Quarantined => "quarantined",
            Self::Recalled => "recalled",
        })
    }
}

/// The dates of a lot as instants: the end of the day that was named, in the zone of the location. Each may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotDates {
    /// When it was made.
    pub manufactured_at: Option<LogTime>,
    /// Until when it is at its best.
    pub best_before: Option<LogTime>,
    /// When it may not be used any more. Where it is not given: `best_before`, else so long after `manufactured_at` as the
    /// item says, else never.
    pub expires_at: Option<LogTime>,
}

/// What callers say of a lot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotSpec {
    /// The supplier's own word for it, at most [`MAX_TEXT_BYTES`].
    pub supplier_lot: String,
    /// Its dates.
    pub dates: LotDates,
}

impl LotSpec {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.supplier_lot.len() > MAX_TEXT_BYTES {
            return Err(InvalidArgument::of(Field::SupplierLot));
        }
        let dates = &self.dates;
        let is_before = |date: Option<LogTime>| dates.manufactured_at.is_some() && date < dates.manufactured_at;
        if dates.best_before.is_some() && is_before(dates.best_before) {
            return Err(InvalidArgument::of(Field::BestBefore));
        }
        if dates.expires_at.is_some() && (is_before(dates.expires_at) || dates.expires_at < dates.best_before) {
            return Err(InvalidArgument::of(Field::ExpiresAt));
        }
        Ok(())
    }
}

impl LotDates {
    /// The same, with the expiry that follows from the others where none was given.
    pub(crate) fn with_expiry(self, item: &ItemSpec) -> Self {
        let by_shelf_life = || {
            let made = self.manufactured_at.filter(|_| item.shelf_life_days > 0)?;
            Some(made.plus_ms(u64::from(item.shelf_life_days) * DAY_MS))
        };
        Self { expires_at: self.expires_at.or(self.best_before).or_else(by_shelf_life), ..self }
    }

    /// When the lot leaves sale, and when somebody is told before: the end of time where it never expires.
    pub(crate) fn removal_and_alert(&self, item: &ItemSpec) -> (LogTime, LogTime) {
        let Some(expires_at) = self.expires_at else { return (LogTime(u64::MAX), LogTime(u64::MAX)) };
        let removal_at = expires_at.minus_days(item.removal_days);
        (removal_at, removal_at.minus_days(item.alert_days))
    }
}

impl LogTime {
    fn minus_days(self, days: u32) -> Self {
        Self(self.0.saturating_sub(u64::from(days) * DAY_MS))
    }
}

impl ItemSpec {
    /// Until when a unit that is promised now must be sellable at least, counted from when it may be shipped: now, or when the
    /// item is out. 0 where it may be shipped now and the item asks for no life that remains.
    pub(crate) fn need_at(&self, now: LogTime) -> LogTime {
        let remaining_ms = u64::from(self.min_remaining_days) * DAY_MS;
        match self.backorder.release_at().filter(|at| *at > now) {
            // The same for whoever asks before it.
            Some(release_at) => release_at.plus_ms(remaining_ms),
            None if remaining_ms == 0 => LogTime(0),
            None => LogTime(now.plus_ms(remaining_ms).0.div_ceil(NEED_MS).saturating_mul(NEED_MS)),
        }
    }
}

/// A lot as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The item.
    pub sku: Sku,
    /// The lot.
    pub id: LotId,
    /// The supplier's own word for it.
    pub supplier_lot: String,
    /// Its dates.
    pub dates: LotDates,
    /// When it leaves sale; `None`: never.
    pub removal_at: Option<LogTime>,
    /// When somebody is told before; `None`: never.
    pub alert_at: Option<LogTime>,
    /// When its first units arrived.
    pub received_at: LogTime,
    /// May it be sold?
    pub status: LotStatus,
    /// How often it was changed.
    pub revision: Revision,
    /// What of it lies where, in the order the locations were made.
    pub places: Vec<(LocationId, StockCounts)>,
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{DAY_S, OPENING, Shop};
    use crate::*;

    const RELEASE: LogTime = LogTime(OPENING + 10 * DAY_S * 1_000);

    /// A shop whose `cream` is out in ten days, with lots that leave sale before and after that.
    fn shop(min_remaining_days: u32) -> Shop {
        let mut shop = Shop::new();
        let backorder = Backorder::Preorder { release_at: RELEASE, cap: 1 };
        let spec = ItemSpec { lot_tracked: true, min_remaining_days, backorder, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        for (lot, days, units) in [("A", 5, 4), ("B", 20, 2)] {
            shop.receive_lot("cream", lot, days, units).unwrap();
        }
        shop
    }

    #[test]
    fn a_unit_that_leaves_sale_before_its_item_is_out_is_not_promised() {
        let mut shop = shop(0);
        assert_eq!(shop.stock("cream").atp, 2);
        let success = shop.reserve(1, &[("cream", 3)]).unwrap();
        assert_eq!(
            (success.held.as_deref(), success.backordered.as_deref()),
            (Some([2].as_slice()), Some([1].as_slice()))
        );
        let removal_at = LogTime(OPENING + 5 * DAY_S * 1_000);
        assert_eq!(shop.reserve_of(2, "A", 1), Err(Refusal::ShelfLifeTooShort { removal_at, needed_until: RELEASE }));
        shop.receive_lot("cream", "A", 5, 9).unwrap();
        assert_eq!(shop.reservation(1).lines[0].units.backordered, 1, "nor does who waits for it get it");
        shop.receive_lot("cream", "B", 20, 1).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(10 * DAY_S).fulfil(1, &[]).unwrap();
    }

    #[test]
    fn the_life_that_must_remain_counts_from_when_the_item_is_out() {
        assert_eq!((shop(10).stock("cream").atp, shop(11).stock("cream").atp), (2, 0));
        let mut shop = shop(2);
        shop.after_s(10 * DAY_S).tick();
        assert_eq!(shop.stock("cream").atp, 2);
        shop.after_s(8 * DAY_S + 3_600).tick();
        assert_eq!(shop.stock("cream").atp, 0, "once it is out, from now");
    }
}
