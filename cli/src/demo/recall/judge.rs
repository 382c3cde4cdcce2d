//! The verdict: who was named against who had units of the lot, and what the ledger holds against what was answered.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_client::ids::ReservationId;
use holdfast_proto::v1::{Reservation, ReservationLine, StockLevel};

use super::orders::{Order, State};
use super::shop::Shop;
use crate::demo::balance::Balance;
use crate::ledger::Findings;

/// What was found. The first four in reservations, the others in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) orders: usize,
    pub(super) named: usize,
    pub(super) missed: usize,
    pub(super) wrongly_named: usize,
    pub(super) balance: Balance,
}

/// Holds the trace against the book, and the ledger too.
pub(super) fn judge(
    shop: &Shop,
    book: &BTreeMap<ReservationId, Order>,
    named: &BTreeSet<(usize, ReservationId)>,
    findings: &Findings,
    ledger: &[Reservation],
) -> Verdict {
    let mut verdict = Verdict::default();
    compare_trace(shop, book, named, &mut verdict);
    compare_reservations(shop, book, ledger, &mut verdict);
    compare_stock(shop, book, findings, &mut verdict);
    verdict
}

fn compare_trace(
    shop: &Shop,
    book: &BTreeMap<ReservationId, Order>,
    named: &BTreeSet<(usize, ReservationId)>,
    verdict: &mut Verdict,
) {
    for (id, order) in book.iter().filter(|(_, order)| !order.had.is_empty()) {
        verdict.orders += 1;
        let unnamed = order.had.iter().find(|cream| !named.contains(&(**cream, *id)));
        match unnamed {
            None => verdict.named += 1,
            Some(cream) => {
                verdict.missed += 1;
                verdict
                    .balance
                    .remark(format!("{id} had units of the lot of {}, and is not named", shop.creams[*cream].sku));
            }
        }
    }
    let had_none = |(cream, id): &&(usize, ReservationId)| !book.get(id).is_some_and(|order| order.had.contains(cream));
    let wrongly: BTreeSet<ReservationId> = named.iter().filter(had_none).map(|(_, id)| *id).collect();
    verdict.wrongly_named = wrongly.len();
    for id in wrongly {
        verdict.balance.remark(format!("{id} is named, and never had a unit of the lot"));
    }
}

fn compare_reservations(
    shop: &Shop,
    book: &BTreeMap<ReservationId, Order>,
    ledger: &[Reservation],
    verdict: &mut Verdict,
) {
    let mut seen = BTreeSet::new();
    for found in ledger {
        let Some(id) = found.reservation_id.map(ReservationId::from) else { continue };
        let all = |line: &ReservationLine| counts(line).iter().sum::<u64>() + line.short + line.short_sold;
        let Some(order) = book.get(&id).filter(|_| seen.insert(id)) else {
            verdict.balance.duplicated += found.lines.iter().map(all).sum::<u64>().max(1);
            verdict.balance.remark(format!("reservation {id} is in the ledger, and no record explains it"));
            continue;
        };
        for (cream, units) in &order.units {
            let sku = &shop.creams[*cream].sku;
            let in_state = |line: &ReservationLine| counts(line)[order.state as usize];
            let there = found.lines.iter().filter(|line| line.sku == *sku).map(in_state).sum();
            verdict.balance.compare(|| format!("units of {sku} in {id}"), (*units).into(), there);
        }
    }
    for (id, order) in book.iter().filter(|(id, _)| !seen.contains(id)) {
        verdict.balance.lost += order.units.iter().map(|(_, units)| u64::from(*units)).sum::<u64>();
        verdict.balance.remark(format!("reservation {id} was acknowledged, and is not in the ledger"));
    }
}

/// In the order of [`State`].
const fn counts(line: &ReservationLine) -> [u64; 5] {
    [line.held, line.released, line.committed, line.cancelled, line.fulfilled]
}

/// By cream. Differences that the reservations show count once.
fn compare_stock(shop: &Shop, book: &BTreeMap<ReservationId, Order>, findings: &Findings, verdict: &mut Verdict) {
    let mut told: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for order in book.values() {
        for (cream, units) in &order.units {
            *told.entry((*cream, order.state as usize)).or_default() += u64::from(*units);
        }
    }
    let mut by_stock = Balance::default();
    for (place, cream) in shop.creams.iter().enumerate() {
        let sku = cream.sku.as_str();
        let levels = findings.levels.iter().filter(|((of, _), _)| of == sku).map(|(_, level)| level);
        let sum = |of: fn(&StockLevel) -> u64| levels.clone().map(of).sum::<u64>();
        let in_state = |state: State| told.get(&(place, state as usize)).copied().unwrap_or_default();
        by_stock.compare(|| format!("units received of {sku}"), cream.received, sum(|level| level.received));
        by_stock.compare(|| format!("units held of {sku}"), in_state(State::Held), sum(|level| level.reserved));
        by_stock.compare(|| format!("units sold of {sku}"), in_state(State::Committed), sum(|level| level.committed));
        by_stock.compare(
            || format!("units shipped of {sku}"),
            in_state(State::Fulfilled),
            sum(|level| level.fulfilled),
        );
    }
    verdict.balance.join(by_stock);
}

#[cfg(test)]
mod tests {
    use super::super::shop::Cream;
    use super::*;

    const ID: ReservationId = ReservationId::mint(1, 2, 3);

    fn shop() -> Shop {
        let cream = |sku: &str, is_pure| Cream { sku: sku.into(), shard: 0, is_pure, received: 10 };
        Shop { creams: vec![cream("DAY", false), cream("NIGHT", true)], sets: Vec::new() }
    }

    fn order(had: &[usize]) -> Order {
        Order { units: vec![(0, 2), (1, 2)], state: State::Fulfilled, had: had.iter().copied().collect() }
    }

    fn shipped() -> Reservation {
        let line = |sku: &str| ReservationLine { sku: sku.into(), fulfilled: 2, ..ReservationLine::default() };
        Reservation {
            reservation_id: Some(ID.into()),
            lines: vec![line("DAY"), line("NIGHT")],
            ..Reservation::default()
        }
    }

    fn stock() -> Findings {
        let level = |sku: &str| {
            let level = StockLevel { sku: sku.into(), received: 10, fulfilled: 2, on_hand: 8, ..StockLevel::default() };
            ((sku.to_owned(), "main".to_owned()), level)
        };
        Findings { levels: [level("DAY"), level("NIGHT")].into(), ..Findings::default() }
    }

    fn verdict(order: Order, named: &[usize], ledger: &[Reservation]) -> Verdict {
        let named = named.iter().map(|cream| (*cream, ID)).collect();
        judge(&shop(), &[(ID, order)].into(), &named, &stock(), ledger)
    }

    #[test]
    fn a_trace_that_names_whoever_had_units_is_clean() {
        let clean = verdict(order(&[0, 1]), &[0, 1], &[shipped()]);
        assert_eq!(clean, Verdict { orders: 1, named: 1, ..Verdict::default() });
    }

    #[test]
    fn an_order_that_is_named_for_one_of_its_two_creams_is_missed() {
        let missed = verdict(order(&[0, 1]), &[0], &[shipped()]);
        assert_eq!((missed.named, missed.missed, missed.wrongly_named), (0, 1, 0));
    }

    #[test]
    fn an_order_that_is_named_and_had_nothing_is_wrongly_named() {
        let wrong = verdict(order(&[]), &[1], &[shipped()]);
        assert_eq!((wrong.orders, wrong.missed, wrong.wrongly_named), (0, 0, 1));
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost_and_the_other_way_round_duplicated() {
        assert_eq!(verdict(order(&[0]), &[0], &[]).balance.lost, 4);
        assert_eq!(verdict(order(&[0]), &[0], &[shipped(), shipped()]).balance.duplicated, 4);
        let held = Order { state: State::Held, ..order(&[0]) };
        assert_eq!(verdict(held, &[0], &[shipped()]).balance.lost, 4, "it should be held, and has been shipped");
    }
}
