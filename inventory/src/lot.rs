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
    /// Until when a unit that is promised now must be sellable at least; 0 where the item asks for no life that remains.
    pub(crate) fn need_at(&self, now: LogTime) -> LogTime {
        if self.min_remaining_days == 0 {
            return LogTime(0);
        }
        let until = now.plus_ms(u64::from(self.min_remaining_days) * DAY_MS);
        LogTime(until.0.div_ceil(NEED_MS).saturating_mul(NEED_MS))
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
