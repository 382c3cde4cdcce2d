//! What the reservations of one order say of a SKU, an item or a kit.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_client::ids::ReservationId;
use holdfast_proto::v1::{AskedLine, Reservation, ReservationLine};

use super::{OrderBooks, Sold};

/// The orders and SKUs of which a file has rows.
pub type Rows = BTreeSet<(String, String)>;

/// What the books have of the SKU of a row in the reservations of its order.
///
/// Where the file has a row for a kit too, the kit's components are its own: they are no part of what is said of their SKUs.
pub fn books_of_order(found: &[Reservation], sold: &Sold, rows: &Rows) -> OrderBooks {
    let mut books = OrderBooks::default();
    for reservation in found {
        Part { reservation, sold, rows }.add_to(&mut books);
    }
    books
}

/// One reservation of the order.
struct Part<'a> {
    reservation: &'a Reservation,
    sold: &'a Sold,
    rows: &'a Rows,
}

impl Part<'_> {
    fn add_to(&self, books: &mut OrderBooks) {
        let id = ReservationId::from(self.reservation.reservation_id.unwrap_or_default()).0;
        // Held in units of the row's SKU, and in units of the lines that it lies in.
        let (mut held, mut in_lines) = (0, 0);
        for (number, line) in self.reservation.lines.iter().enumerate().filter(|(_, line)| self.is_of_the_sku(line)) {
            if !self.is_here(line) {
                books.elsewhere += sold_of(line) + held_of(line);
                continue;
            }
            books.sold += sold_of(line);
            books.shipped += line.fulfilled;
            books.cancelled += line.cancelled;
            held += held_of(line);
            in_lines += held_of(line);
            if line.committed > 0 {
                books.open.push((id, u32::try_from(number).unwrap_or(u32::MAX), line.committed));
            }
        }
        for (number, kit) in self.reservation.asked.iter().enumerate() {
            if !kit.kit || kit.sku != self.sold.sku {
                continue;
            }
            books.is_kit = true;
            let everywhere = self.kits(number, kit, |line| sold_of(line) + held_of(line));
            let sold = self.kits_here(number, kit, sold_of);
            let held_here = self.kits_here(number, kit, held_of);
            books.elsewhere += everywhere.saturating_sub(sold + held_here);
            books.sold += sold;
            books.shipped += self.kits_here(number, kit, |line| line.fulfilled);
            books.cancelled += self.kits_here(number, kit, |line| line.cancelled);
            held += held_here;
            in_lines += self.lines_of(number).filter(|line| self.is_here(line)).map(held_of).sum::<u64>();
        }
        if in_lines > 0 {
            // What is sold whole is only the sale that is missing where nothing else is held with it.
            let all: u64 = self.reservation.lines.iter().map(held_of).sum();
            books.held.push((id, if all == in_lines { held } else { u64::MAX }));
        }
    }

    fn is_of_the_sku(&self, line: &ReservationLine) -> bool {
        let kit = self.reservation.asked.get(line.of as usize).filter(|asked| asked.kit);
        let is_the_kits = kit.is_some_and(|kit| self.rows.contains(&(self.sold.order_ref.clone(), kit.sku.clone())));
        line.sku == self.sold.sku && !is_the_kits
    }

    fn is_here(&self, line: &ReservationLine) -> bool {
        self.sold.location.is_empty() || line.location_id == self.sold.location
    }

    fn lines_of(&self, number: usize) -> impl Iterator<Item = &ReservationLine> {
        self.reservation.lines.iter().filter(move |line| line.of as usize == number)
    }

    fn kits_here(&self, number: usize, kit: &AskedLine, units: impl Fn(&ReservationLine) -> u64) -> u64 {
        self.kits(number, kit, |line| if self.is_here(line) { units(line) } else { 0 })
    }

    /// How many whole kits so many units of its components are.
    fn kits(&self, number: usize, kit: &AskedLine, units: impl Fn(&ReservationLine) -> u64) -> u64 {
        let mut components: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for line in self.lines_of(number) {
            let (of_it, in_all) = components.entry(&line.sku).or_default();
            *of_it += units(line);
            *in_all += sold_of(line) + held_of(line) + line.cancelled + line.released + line.expired;
        }
        let whole = |(of_it, in_all): &(u64, u64)| (of_it * u64::from(kit.units)).checked_div(*in_all);
        components.values().filter_map(whole).min().unwrap_or(0)
    }
}

/// Sold, shipped or not, whether or not there is stock for it.
const fn sold_of(line: &ReservationLine) -> u64 {
    line.committed + line.short_sold + line.backordered_sold + line.fulfilled
}

/// Promised and not sold, whether or not there is stock for it.
const fn held_of(line: &ReservationLine) -> u64 {
    line.held + line.short + line.backordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sku: &str, location: &str) -> Sold {
        let (sku, location) = (sku.to_owned(), location.to_owned());
        Sold { line: 2, order_ref: "web 7".to_owned(), sku, location, units: 2, at_ms: None }
    }

    fn line(sku: &str, location: &str) -> ReservationLine {
        ReservationLine { sku: sku.to_owned(), location_id: location.to_owned(), ..ReservationLine::default() }
    }

    fn of(lines: Vec<ReservationLine>, asked: Vec<AskedLine>) -> Vec<Reservation> {
        vec![Reservation { lines, asked, ..Reservation::default() }]
    }

    #[test]
    fn without_a_location_all_of_the_orders_count() {
        let found = of(
            vec![
                ReservationLine { committed: 1, ..line("LIP", "PAR") },
                ReservationLine { fulfilled: 2, returned: 2, ..line("LIP", "LYO") },
            ],
            Vec::new(),
        );
        let books = books_of_order(&found, &row("LIP", ""), &Rows::new());
        assert_eq!((books.sold, books.shipped, books.elsewhere), (3, 2, 0));
        let books = books_of_order(&found, &row("LIP", "PAR"), &Rows::new());
        assert_eq!((books.sold, books.shipped, books.elsewhere), (1, 0, 2));
    }

    #[test]
    fn what_is_promised_without_stock_is_sold_once_it_is_paid_for_and_held_before() {
        let backordered = ReservationLine { backordered: 2, ..line("LIP", "PAR") };
        let paid = ReservationLine { backordered_sold: 2, ..line("LIP", "PAR") };
        let books = |line| books_of_order(&of(vec![line], Vec::new()), &row("LIP", ""), &Rows::new());
        assert_eq!((books(backordered.clone()).sold, books(backordered).held), (0, vec![(0, 2)]));
        assert_eq!((books(paid.clone()).sold, books(paid).held), (2, Vec::new()));
    }

    #[test]
    fn a_kit_is_counted_by_its_components_and_they_are_its_own_where_it_has_a_row() {
        let kit = AskedLine { sku: "GIFT".to_owned(), units: 2, kit: true, kit_revision: 1, ..AskedLine::default() };
        let found = of(
            vec![
                ReservationLine { committed: 2, ..line("LIP", "PAR") },
                ReservationLine { committed: 3, fulfilled: 3, ..line("NAIL", "PAR") },
            ],
            vec![kit],
        );
        let books = books_of_order(&found, &row("GIFT", ""), &Rows::new());
        assert_eq!((books.sold, books.shipped, books.is_kit, books.open.len()), (2, 0, true, 0));
        assert_eq!(books_of_order(&found, &row("NAIL", ""), &Rows::new()).sold, 6);
        let rows = Rows::from([("web 7".to_owned(), "GIFT".to_owned())]);
        assert_eq!(books_of_order(&found, &row("NAIL", ""), &rows).sold, 0);
    }

    #[test]
    fn a_hold_is_only_the_missing_sale_where_nothing_else_is_held_with_it() {
        let kit = |sku: &str, kit| AskedLine { sku: sku.to_owned(), units: 1, kit, ..AskedLine::default() };
        let held = |sku, units, of| ReservationLine { held: units, of, ..line(sku, "PAR") };
        let mut lines = vec![held("LIP", 1, 0), held("NAIL", 3, 0)];
        let alone = of(lines.clone(), vec![kit("GIFT", true)]);
        assert_eq!(books_of_order(&alone, &row("GIFT", ""), &Rows::new()).held, [(0, 1)]);
        lines.push(held("CREAM", 1, 1));
        let with_another = of(lines, vec![kit("GIFT", true), kit("CREAM", false)]);
        assert_eq!(books_of_order(&with_another, &row("GIFT", ""), &Rows::new()).held, [(0, u64::MAX)]);
    }
}
