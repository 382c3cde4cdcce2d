//! The verdict: what became of each order against the provider's books, and what is sold by the ledger against both.

use std::collections::BTreeMap;

use holdfast_client::ids::ReservationId;
use holdfast_proto::v1::{OrderState, StockLevel};

use super::customers::Book;
use super::payments::Books;
use super::shop::Shop;
use crate::demo::balance::Balance;
use crate::ledger::Findings;

/// What was found. In orders, but for the balance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) confirmed: usize,
    pub(super) aborted: usize,
    pub(super) never_answered: usize,
    pub(super) sold_and_not_paid: usize,
    pub(super) paid_and_not_sold: usize,
    pub(super) balance: Balance,
}

/// Holds everything against the books.
pub(super) fn judge(
    shop: &Shop,
    book: &Book,
    orders: &BTreeMap<ReservationId, OrderState>,
    books: &Books,
    findings: &Findings,
) -> Verdict {
    let mut verdict =
        Verdict { never_answered: book.orders.values().filter(|order| order.is_silent).count(), ..Verdict::default() };
    let mut sold: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, order) in &book.orders {
        let is_paid = books.charged.contains(id) && !books.refunded.contains(id);
        match orders.get(id) {
            Some(OrderState::Confirmed) => {
                verdict.confirmed += 1;
                *sold.entry(&order.sku).or_default() += 1;
                if !is_paid {
                    verdict.sold_and_not_paid += 1;
                    verdict.balance.remark(format!("order {id} is confirmed, and nobody has paid for it"));
                }
            }
            Some(OrderState::Aborted) => {
                verdict.aborted += 1;
                if is_paid {
                    verdict.paid_and_not_sold += 1;
                    verdict.balance.remark(format!("order {id} is aborted, and its money is not given back"));
                }
            }
            Some(state) => verdict.balance.remark(format!("order {id} has not ended: {state:?}")),
            None => {
                verdict.balance.lost += 1;
                verdict.balance.remark(format!("order {id} was started, and the cluster has none of it"));
            }
        }
    }
    for sku in &shop.skus {
        let of = |level: &&StockLevel| level.sku == *sku;
        let committed = findings.levels.values().filter(of).map(|level| level.committed).sum();
        let told = sold.get(sku.as_str()).copied().unwrap_or(0);
        verdict.balance.compare(|| format!("units of {sku} sold"), told, committed);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::super::customers::Order;
    use super::*;

    const ONE: ReservationId = ReservationId(1);

    fn judged(state: OrderState, books: &Books, committed: u64) -> Verdict {
        let sku = "SERUM".to_owned();
        let shop = Shop { skus: vec![sku.clone()], granted: 5, received: 9 };
        let mut book = Book::default();
        book.orders.insert(ONE, Order { sku: sku.clone(), is_silent: false });
        let mut findings = Findings::default();
        let level = StockLevel { sku: sku.clone(), committed, ..StockLevel::default() };
        findings.levels.insert((sku, String::new()), level);
        judge(&shop, &book, &BTreeMap::from([(ONE, state)]), books, &findings)
    }

    #[test]
    fn what_is_sold_is_paid_for_and_what_is_not_sold_is_not() {
        let (nothing, mut paid) = (Books::default(), Books::default());
        paid.charged.insert(ONE);
        let mut refunded = paid.clone();
        refunded.refunded.insert(ONE);
        let both = |verdict: Verdict| (verdict.sold_and_not_paid, verdict.paid_and_not_sold);
        assert_eq!(both(judged(OrderState::Confirmed, &paid, 1)), (0, 0));
        assert_eq!(both(judged(OrderState::Confirmed, &nothing, 1)), (1, 0));
        assert_eq!(both(judged(OrderState::Confirmed, &refunded, 1)), (1, 0));
        assert_eq!(both(judged(OrderState::Aborted, &paid, 0)), (0, 1));
        assert_eq!(both(judged(OrderState::Aborted, &refunded, 0)), (0, 0));
    }

    #[test]
    fn a_unit_that_the_ledger_has_not_sold_is_lost_and_one_too_many_is_sold_twice() {
        let mut paid = Books::default();
        paid.charged.insert(ONE);
        let units = |verdict: Verdict| (verdict.balance.lost, verdict.balance.duplicated);
        assert_eq!(units(judged(OrderState::Confirmed, &paid, 0)), (1, 0));
        assert_eq!(units(judged(OrderState::Confirmed, &paid, 2)), (0, 1));
    }
}
