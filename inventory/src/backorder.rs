//! What is promised without stock, as it is listed: in the order in which it is filled.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use crate::state::{LocationNo, ReservationNo, SkuNo};
use crate::{Inventory, LocationId, LogTime, OrderRef, ReservationId, Sku};

/// How many entries a page looks at for each one that it may have.
const LOOKS: usize = 64;

/// Which are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackorderFilter {
    /// Only those of this item.
    pub sku: Option<Sku>,
    /// Only those at this location.
    pub location: Option<LocationId>,
}

/// Units of one reservation that are promised without stock at one location: sold ones, or those that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackorderEntry {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// For whom.
    pub reservation: ReservationId,
    /// How many.
    pub units: u64,
    /// They are sold: they are filled first.
    pub is_sold: bool,
    /// When the reservation was made.
    pub created_at: LogTime,
    /// When its hold ends, where they are not sold.
    pub expires_at: Option<LogTime>,
    /// The caller's own word for the order.
    pub order_ref: Option<OrderRef>,
}

/// Where a list goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackorderCursor {
    sku: u32,
    location: u32,
    unsold: bool,
    reservation: u64,
}

impl fmt::Display for BackorderCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.sku, self.location, u8::from(self.unsold), self.reservation)
    }
}

/// What is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a list of backorders")]
pub struct NoBackorderCursor;

impl FromStr for BackorderCursor {
    type Err = NoBackorderCursor;

    fn from_str(text: &str) -> Result<Self, NoBackorderCursor> {
        let mut parts = text.split('.');
        let mut next = || parts.next().and_then(|part| part.parse::<u64>().ok()).ok_or(NoBackorderCursor);
        let (sku, location, unsold, reservation) = (next()?, next()?, next()?, next()?);
        let narrow = |number: u64| u32::try_from(number).map_err(|_| NoBackorderCursor);
        let cursor = Self { sku: narrow(sku)?, location: narrow(location)?, unsold: unsold == 1, reservation };
        if parts.next().is_none() && unsold <= 1 { Ok(cursor) } else { Err(NoBackorderCursor) }
    }
}

impl Inventory {
    /// Up to `limit` entries from the cursor on: item by item as they became known, of each location those that are filled first
    /// before the others; and where to go on, if there may be more. Looks at no more than 64 for each one asked for, so a page
    /// may be short of what it could have.
    #[must_use]
    pub fn backorders(
        &self,
        from: BackorderCursor,
        filter: &BackorderFilter,
        limit: usize,
    ) -> (Vec<BackorderEntry>, Option<BackorderCursor>) {
        let from = (SkuNo(from.sku), LocationNo(from.location), from.unsold, ReservationNo(from.reservation));
        let (mut start, mut end) = (from, Bound::Unbounded);
        if let Some(sku) = &filter.sku {
            let Some(sku) = self.state.find_sku(sku) else { return (Vec::new(), None) };
            start = start.max((sku, LocationNo(0), false, ReservationNo(0)));
            let last = (sku, LocationNo(u32::MAX), true, ReservationNo(u64::MAX));
            if start > last {
                return (Vec::new(), None);
            }
            end = Bound::Included(last);
        }
        let mut page = Vec::new();
        let found = self.state.indexes.backordered.range((Bound::Included(start), end));
        for (looked, &(sku, location, unsold, no)) in found.enumerate() {
            if page.len() == limit || looked == limit.saturating_mul(LOOKS) {
                let cursor = BackorderCursor { sku: sku.0, location: location.0, unsold, reservation: no.0 };
                return (page, Some(cursor));
            }
            let entry = self.show_backorder(sku, location, unsold, no);
            page.extend(Some(entry).filter(|entry| filter.location.as_ref().is_none_or(|id| *id == entry.location)));
        }
        (page, None)
    }

    fn show_backorder(&self, sku: SkuNo, location: LocationNo, unsold: bool, no: ReservationNo) -> BackorderEntry {
        let record = self.state.reservation(no);
        let lines = record.lines.iter().filter(|line| (line.sku, line.location) == (sku, location));
        let units = lines.map(|line| if unsold { line.units.backordered } else { line.units.backordered_sold });
        BackorderEntry {
            sku: self.state.item(sku).sku.clone(),
            location: self.state.location(location).id.clone(),
            reservation: record.id,
            units: units.sum(),
            is_sold: !unsold,
            created_at: record.created_at,
            // A part ends when the deciding shard says so.
            expires_at: (unsold && record.part().is_none()).then_some(record.expires_at),
            order_ref: record.details.as_ref().and_then(|details| details.order_ref.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BackorderCursor, BackorderFilter};
    use crate::test_shop::{Shop, id};
    use crate::*;

    #[test]
    fn they_are_listed_page_by_page_in_the_order_in_which_they_are_filled() {
        let mut shop = Shop::new();
        for sku in ["rouge", "mascara"] {
            let backorder = Backorder::UpTo { cap: 9 };
            shop.put_item(sku, ItemSpec { backorder, ..ItemSpec::default() }).unwrap();
        }
        for number in 1..=4 {
            shop.reserve(number, &[("mascara", 1), ("rouge", 2)]).unwrap();
        }
        shop.commit(3).unwrap();
        let list = |filter: &BackorderFilter, limit| {
            let (mut all, mut from) = (Vec::new(), Some(BackorderCursor::default()));
            while let Some(cursor) = from {
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
                let (page, next) = shop.inventory.backorders(cursor, filter, limit);
                assert!(page.len() <= limit);
                all.extend(page.into_iter().map(|entry| (entry.sku.to_string(), entry.reservation, entry.units)));
                from = next;
            }
            all
        };
        let of = |sku: &str, units| [3, 1, 2, 4].map(|number| (sku.to_owned(), id(number), units)).to_vec();
        let everything = BackorderFilter::default();
        assert_eq!(list(&everything, 3), [of("rouge", 2), of("mascara", 1)].concat());
        let sku = BackorderFilter { sku: "mascara".parse().ok(), location: None };
        assert_eq!(list(&sku, 1), of("mascara", 1));
        let elsewhere = BackorderFilter { sku: None, location: "LYO".parse().ok() };
        assert_eq!((list(&elsewhere, 1), list(&everything, 100).len()), (vec![], 8));
        let (all, _) = shop.inventory.backorders(BackorderCursor::default(), &everything, 9);
        assert_eq!((all[0].is_sold, all[0].expires_at, all[1].is_sold), (true, None, false));
        assert!(all[1].expires_at.is_some());
    }

    #[test]
    fn what_is_no_place_in_the_list_is_refused() {
        for text in ["", "1", "1.2.3", "1.2.0.4.5", "1.2.7.4", "a.2.0.4", "4294967296.0.0.0"] {
            assert!(text.parse::<BackorderCursor>().is_err(), "{text}");
        }
    }
}
