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
    /// Sold, shipped or not, whether or not there is stock for it.
    pub sold: u64,
    /// Sold or held at other locations than the one that was named.
    pub elsewhere: u64,
    /// Sold once, and cancelled before it was shipped.
    pub cancelled: u64,
    /// Reservations that are held and not sold, by id, and their units of the SKU.
    pub held: Vec<(u128, u64)>,
    /// Ever shipped, come back or not.
    pub shipped: u64,
    /// The SKU is a kit.
    pub is_kit: bool,
    /// Sold, there and not shipped: by reservation and the number of its line.
    pub open: Vec<(u128, u32, u64)>,
}

/// What a difference was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The other system has sold what the books know nothing of.
    MissingSale,
    /// The same units were shipped twice.
    DoubleShipment,
    /// Somebody has set the books by hand.
    ManualOverride,
    /// Nothing of that explains it.
    Drift,
    /// The order may be one of those that ended so long ago that they are not remembered.
    TooOldToTell,
}

impl Finding {
    /// As reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingSale => "missing_sale",
            Self::DoubleShipment => "double_shipment",
            Self::ManualOverride => "manual_override",
            Self::Drift => "drift",
            Self::TooOldToTell => "too_old_to_tell",
        }
    }

    /// As the change log has it.
    pub const fn wire(self) -> Discrepancy {
        match self {
            Self::MissingSale => Discrepancy::MissingSale,
            Self::DoubleShipment => Discrepancy::DoubleShipment,
            Self::ManualOverride => Discrepancy::ManualOverride,
            Self::Drift => Discrepancy::Drift,
            // It is never mended, and so never noted.
            Self::TooOldToTell => Discrepancy::Unspecified,
        }
    }
}

/// Something that another system says and the books do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it was found to be.
    pub finding: Finding,
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
    let finding = if by_hand { Finding::ManualOverride } else { Finding::Drift };
    // What somebody has set by hand may be right: that is not undone unseen.
    let mending = if by_hand { None } else { i64::try_from(delta).ok().map(Mending::Correct) };
    Some(Difference { finding, theirs: counted.on_hand, ours: books.on_hand, mending })
}

/// Holds a sale against the books: `None` where they agree. `is_remembered`: they still have every order of its time.
pub fn judge_sale(sold: &Sold, books: &OrderBooks, is_remembered: bool) -> Option<Difference> {
    let (theirs, ours) = (u64::from(sold.units), books.sold);
    let found = |finding, mending| Some(Difference { finding, theirs, ours, mending });
    if theirs == ours {
        return None;
    }
    let Some(missing) = theirs.checked_sub(ours) else {
        // The books have sold more: nobody but the shop knows which of it was cancelled.
        return found(Finding::Drift, None);
    };
    if !is_remembered {
        // Sold anew, what was sold and forgotten would be sold twice.
        return found(Finding::TooOldToTell, None);
    }
    // It may be here under another location, or was given up in the books; of a kit only a hold says what it is made of.
    let is_unclear = books.elsewhere > 0 || books.cancelled > 0 || books.is_kit;
    let mending = match books.held.as_slice() {
        [] if is_unclear => None,
        [] => u32::try_from(missing).ok().map(Mending::Sell),
        [(reservation, held)] if *held == missing => Some(Mending::Commit(*reservation)),
        // Of several holds, or of another number of units, somebody has to say which were sold.
        _ => None,
    };
    found(Finding::MissingSale, mending)
}

/// Holds all shipments of an order against the books: `None` where they agree. `is_remembered`: they still have every order of its time.
pub fn judge_shipment(shipped: &Sold, books: &OrderBooks, is_remembered: bool) -> Option<Difference> {
    let (theirs, ours) = (u64::from(shipped.units), books.shipped);
    let found = |finding, mending| Some(Difference { finding, theirs, ours, mending });
    if theirs == ours {
        return None;
    }
    let Some(missing) = theirs.checked_sub(ours) else {
        // Whether the goods have left or lie on the shelf is not for records to say.
        return found(Finding::DoubleShipment, None);
    };
    if !is_remembered {
        // What was shipped and forgotten would be shipped again, or written off.
        return found(Finding::TooOldToTell, None);
    }
    if books.is_kit {
        // Which of its components have left, only somebody who looks can say.
        return found(Finding::Drift, None);
    }
    let open: u64 = books.open.iter().map(|(_, _, units)| units).sum();
    if open >= missing {
        // It was shipped, and nobody has told the books.
        let line = books.open.iter().find(|(_, _, units)| *units >= missing);
        let ship = line.and_then(|(id, line, _)| Some(Mending::Ship(*id, *line, u32::try_from(missing).ok()?)));
        return found(Finding::Drift, ship);
    }
    // More has left than the order has: what was not sold is gone all the same.
    let is_beyond = open == 0 && ours > 0 && books.elsewhere == 0;
    let mending = if is_beyond { i64::try_from(missing).ok().map(|units| Mending::Correct(-units)) } else { None };
    found(Finding::DoubleShipment, mending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(on_hand: u64) -> Counted {
        Counted { line: 2, sku: "LIP".to_owned(), location: String::new(), lot: String::new(), on_hand }
    }

    fn sold(units: u32) -> Sold {
        let (order_ref, sku, location) = ("web 7".to_owned(), "LIP".to_owned(), String::new());
        Sold { line: 2, order_ref, sku, location, units, at_ms: None }
    }

    fn of(difference: Option<Difference>) -> Option<(Finding, Option<Mending>)> {
        difference.map(|difference| (difference.finding, difference.mending))
    }

    #[test]
    fn a_count_that_differs_is_drift_unless_corrections_by_hand_explain_it() {
        let books = |adjusted| Books { on_hand: 10, adjusted };
        assert_eq!(judge_count(&counted(10), &books(Some(3))), None);
        assert_eq!(of(judge_count(&counted(8), &books(Some(0)))), Some((Finding::Drift, Some(Mending::Correct(-2)))));
        assert_eq!(of(judge_count(&counted(13), &books(Some(-1)))), Some((Finding::Drift, Some(Mending::Correct(3)))));
        assert_eq!(of(judge_count(&counted(8), &books(Some(2)))), Some((Finding::ManualOverride, None)));
        assert_eq!(of(judge_count(&counted(8), &books(None))), Some((Finding::Drift, Some(Mending::Correct(-2)))));
    }

    #[test]
    fn a_sale_that_the_books_do_not_have_is_missing() {
        let books = |sold, held: &[(u128, u64)]| OrderBooks { sold, held: held.to_vec(), ..OrderBooks::default() };
        let missing = |mending| Some((Finding::MissingSale, mending));
        assert_eq!(judge_sale(&sold(3), &books(3, &[]), true), None);
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[]), true)), missing(Some(Mending::Sell(3))));
        assert_eq!(of(judge_sale(&sold(3), &books(1, &[]), true)), missing(Some(Mending::Sell(2))));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 3)]), true)), missing(Some(Mending::Commit(7))));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 4)]), true)), missing(None));
        assert_eq!(of(judge_sale(&sold(3), &books(0, &[(7, 3), (8, 3)]), true)), missing(None));
    }

    #[test]
    fn what_the_books_have_sold_beyond_it_is_for_somebody_to_look_at() {
        let books = OrderBooks { sold: 4, ..OrderBooks::default() };
        assert_eq!(of(judge_sale(&sold(3), &books, true)), Some((Finding::Drift, None)));
    }

    #[test]
    fn a_shipment_is_told_apart_by_what_the_order_still_has() {
        let books =
            |shipped, open: &[(u128, u32, u64)]| OrderBooks { shipped, open: open.to_vec(), ..OrderBooks::default() };
        assert_eq!(judge_shipment(&sold(3), &books(3, &[]), true), None);
        let untold = |mending| Some((Finding::Drift, mending));
        assert_eq!(of(judge_shipment(&sold(3), &books(1, &[(7, 0, 2)]), true)), untold(Some(Mending::Ship(7, 0, 2))));
        assert_eq!(of(judge_shipment(&sold(3), &books(0, &[(7, 0, 2), (7, 1, 2)]), true)), untold(None));
        let twice = |mending| Some((Finding::DoubleShipment, mending));
        assert_eq!(of(judge_shipment(&sold(3), &books(2, &[]), true)), twice(Some(Mending::Correct(-1))));
        assert_eq!(of(judge_shipment(&sold(3), &books(1, &[(7, 0, 1)]), true)), twice(None));
        assert_eq!(of(judge_shipment(&sold(3), &books(4, &[]), true)), twice(None));
        assert_eq!(of(judge_shipment(&sold(3), &books(0, &[]), true)), twice(None), "the order may be unknown");
    }

    #[test]
    fn what_may_have_been_forgotten_is_neither_sold_nor_shipped_nor_written_off() {
        let too_old = Some((Finding::TooOldToTell, None));
        let books =
            OrderBooks { sold: 1, held: vec![(7, 2)], open: vec![(7, 0, 2)], shipped: 1, ..OrderBooks::default() };
        for books in [OrderBooks::default(), OrderBooks { open: Vec::new(), ..books.clone() }, books] {
            assert_eq!(of(judge_sale(&sold(3), &books, false)), too_old, "{books:?}");
            assert_eq!(of(judge_shipment(&sold(3), &books, false)), too_old, "{books:?}");
        }
        let all = OrderBooks { sold: 3, shipped: 3, ..OrderBooks::default() };
        assert_eq!((judge_sale(&sold(3), &all, false), judge_shipment(&sold(3), &all, false)), (None, None));
    }

    #[test]
    fn what_is_elsewhere_was_cancelled_or_is_a_kit_is_not_sold_anew() {
        let none = OrderBooks::default();
        for books in [
            OrderBooks { elsewhere: 3, ..none.clone() },
            OrderBooks { cancelled: 3, ..none.clone() },
            OrderBooks { is_kit: true, ..none.clone() },
        ] {
            assert_eq!(of(judge_sale(&sold(3), &books, true)), Some((Finding::MissingSale, None)), "{books:?}");
        }
        let held = OrderBooks { is_kit: true, held: vec![(7, 3)], ..none };
        assert_eq!(of(judge_sale(&sold(3), &held, true)), Some((Finding::MissingSale, Some(Mending::Commit(7)))));
    }
}
