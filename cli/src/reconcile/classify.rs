//! Where another system's records and the books differ, what the difference is, and what would mend it.

use holdfast_proto::v1::Discrepancy;

use super::{Counted, Sold};

/// What the books have of what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Everything that lies there, in whichever condition.
    pub on_hand: u64,
    /// What was ever found less what was ever written off there, by adjustments, counts and losses; `None` where the books keep no
    /// such sum, as of one lot.
    pub adjusted: Option<i64>,
}

/// What the books have of one SKU in the reservations of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderBooks {
    /// Sold, shipped or not, and sold units whose stock went away.
    pub sold: u64,
    /// Reservations that are held and not sold, by id, and their units of the SKU.
    pub held: Vec<(u128, u64)>,
    /// Shipped, and not come back.
    pub shipped: u64,
    /// Sold, there and not shipped: by reservation and the number of its line.
    pub open: Vec<(u128, u32, u64)>,
}

/// Something that another system says and the books do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it was found to be.
    pub discrepancy: Discrepancy,
    /// What the other system has.
    pub theirs: u64,
    /// What the books have.
    pub ours: u64,
    /// What would mend it; `None`: somebody has to look.
    pub mending: Option<Mending>,
}

/// What would bring the books to what another system says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mending {
    /// So many units are found (above 0) or written off.
    Correct(i64),
    /// A hold is sold.
    Commit(u128),
    /// So many units are held for the order and sold.
    Sell(u32),
    /// So many units of a line of a reservation are shipped.
    Ship(u128, u32, u32),
}

/// Holds a count against the books: `None` where they agree.
pub fn judge_count(counted: &Counted, books: &Books) -> Option<Difference> {
    let delta = i128::from(counted.on_hand) - i128::from(books.on_hand);
    if delta == 0 {
        return None;
    }
    // Where the other system has what would be there had nobody ever corrected the books, that is what explains it.
    let by_hand = books.adjusted.is_some_and(|adjusted| adjusted != 0 && i128::from(adjusted) == -delta);
    let discrepancy = if by_hand { Discrepancy::ManualOverride } else { Discrepancy::Drift };
    // What somebody has set by hand may be right: that is not undone unseen.
    let mending = if by_hand { None } else { i64::try_from(delta).ok().map(Mending::Correct) };
    Some(Difference { discrepancy, theirs: counted.on_hand, ours: books.on_hand, mending })
}

/// Holds a sale against the books: `None` where they agree.
pub fn judge_sale(sold: &Sold, books: &OrderBooks) -> Option<Difference> {
    let (theirs, ours) = (u64::from(sold.units), books.sold);
    if theirs == ours {
        return None;
    }
    let Some(missing) = theirs.checked_sub(ours) else {
        // The books have sold more: nobody but the shop knows which of it was cancelled.
        return Some(Difference { discrepancy: Discrepancy::Drift, theirs, ours, mending: None });
    };
    let mending = match books.held.as_slice() {
        [] => u32::try_from(missing).ok().map(Mending::Sell),
        [(reservation, held)] if *held == missing => Some(Mending::Commit(*reservation)),
        // Of several holds, or of another number of units, somebody has to say which were sold.
        _ => None,
    };
    Some(Difference { discrepancy: Discrepancy::MissingSale, theirs, ours, mending })
}

/// Holds a shipment against the books: `None` where they agree.
pub fn judge_shipment(shipped: &Sold, books: &OrderBooks) -> Option<Difference> {
    let (theirs, ours) = (u64::from(shipped.units), books.shipped);
    let found = |discrepancy, mending| Some(Difference { discrepancy, theirs, ours, mending });
    if theirs == ours {
        return None;
    }
    let Some(missing) = theirs.checked_sub(ours) else {
        // Whether the goods have left or lie on the shelf is not for records to say.
        return found(Discrepancy::DoubleShipment, None);
    };
    let open: u64 = books.open.iter().map(|(_, _, units)| units).sum();
    if open >= missing {
        // It was shipped, and nobody has told the books.
        let line = books.open.iter().find(|(_, _, units)| *units >= missing);
        let ship = line.and_then(|(id, line, _)| Some(Mending::Ship(*id, *line, u32::try_from(missing).ok()?)));
        return found(Discrepancy::Drift, ship);
    }
    // More has left than the order has: what was not sold is gone all the same.
    let is_beyond = open == 0 && ours > 0;
    let mending = if is_beyond { i64::try_from(missing).ok().map(|units| Mending::Correct(-units)) } else { None };
    found(Discrepancy::DoubleShipment, mending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(on_hand: u64) -> Counted {
        Counted { line: 2, sku: "LIP".to_owned(), location: String::new(), lot: String::new(), on_hand }
    }

    fn sold(units: u32) -> Sold {
        let (order_ref, sku, location) = ("web 7".to_owned(), "LIP".to_owned(), String::new());
        Sold { line: 2, order_ref, sku, location, units }
    }

    fn of(difference: Option<Difference>) -> Option<(Discrepancy, Option<Mending>)> {
        difference.map(|difference| (difference.discrepancy, difference.mending))
    }

    #[test]
    fn a_count_that_differs_is_drift_unless_corrections_by_hand_explain_it() {
        let books = |adjusted| Books { on_hand: 10, adjusted };
        assert_eq!(judge_count(&counted(10), &books(Some(3))), None);
        assert_eq!(
            of(judge_count(&counted(8), &books(Some(0)))),
            Some((Discrepancy::Drift, Some(Mending::Correct(-2))))
        );
        assert_eq!(
            of(judge_count(&counted(13), &books(Some(-1)))),
            Some((Discrepancy::Drift, Some(Mending::Correct(3))))
        );
        assert_eq!(of(judge_count(&counted(8), &books(Some(2)))), Some((Discrepancy::ManualOverride, None)));
        assert_eq!(of(judge_count(&counted(8), &books(None))), Some((Discrepancy::Drift, Some(Mending::Correct(-2)))));
    }

    #[test]
    fn a_sale_that_the_books_do_not_have_is_missing() {
        let books = |sold, held: &[(u128, u64)]| OrderBooks { sold, held: held.to_vec(), ..OrderBooks::default() };
        let missing = |mending| Some((Discrepancy::MissingSale, mending));
        assert_eq!(judge_sale(&sold(3), &books(3, &[])), None);
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[]))), missing(Some(Mending::Sell(3))));
        assert_eq!(of(judge_sale(&sold(3), &books(1, &[]))), missing(Some(Mending::Sell(2))));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 3)]))), missing(Some(Mending::Commit(7))));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 4)]))), missing(None));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 3), (8, 3)]))), missing(None));
    }

    #[test]
    fn what_the_books_have_sold_beyond_it_is_for_somebody_to_look_at() {
        let books = OrderBooks { sold: 4, ..OrderBooks::default() };
        assert_eq!(of(judge_sale(&sold(3), &books)), Some((Discrepancy::Drift, None)));
    }

    #[test]
    fn a_shipment_is_told_apart_by_what_the_order_still_has() {
        let books =
            |shipped, open: &[(u128, u32, u64)]| OrderBooks { shipped, open: open.to_vec(), ..OrderBooks::default() };
        assert_eq!(judge_shipment(&sold(3), &books(3, &[])), None);
        let untold = |mending| Some((Discrepancy::Drift, mending));
        assert_eq!(of(judge_shipment(&sold(3), &books(1, &[(7, 0, 2)]))), untold(Some(Mending::Ship(7, 0, 2))));
        assert_eq!(of(judge_shipment(&sold(3), &books(0, &[(7, 0, 2), (7, 1, 2)]))), untold(None));
        let twice = |mending| Some((Discrepancy::DoubleShipment, mending));
        assert_eq!(of(judge_shipment(&sold(3), &books(2, &[]))), twice(Some(Mending::Correct(-1))));
        assert_eq!(of(judge_shipment(&sold(3), &books(1, &[(7, 0, 1)]))), twice(None));
        assert_eq!(of(judge_shipment(&sold(3), &books(4, &[]))), twice(None));
        assert_eq!(of(judge_shipment(&sold(3), &books(0, &[]))), twice(None), "the order may be unknown");
    }
}
