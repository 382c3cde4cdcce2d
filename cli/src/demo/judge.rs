//! The verdict: what the customers were told, against what the ledger holds.
//!
//! *Lost* is what a customer was told is done and the ledger does not have; *duplicated* is what the ledger has and no
//! customer's record explains; *oversold* is what was sold beyond what came in. All three in units of items. *Half taken* is a
//! reservation of which some lines are not as the others are.

use std::collections::BTreeMap;

use holdfast_client::ids::ReservationId;
use holdfast_proto::v1::{Reservation, ReservationLine, ReservationState};

use super::balance::Balance;
use super::records::{Record, Step};
use super::shop::Shop;
use crate::ledger::Findings;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) oversold: u64,
    pub(super) balance: Balance,
    /// In reservations.
    pub(super) half_taken: u64,
    pub(super) holds_left: u64,
    /// By the records, resolved ones included.
    pub(super) held: u64,
    pub(super) sold: u64,
}

/// Holds every record against the ledger and the ledger against the records.
pub(super) fn judge(
    shop: &Shop,
    records: &BTreeMap<ReservationId, Record>,
    findings: &Findings,
    ledger: &[Reservation],
) -> Verdict {
    let mut verdict = Verdict::default();
    compare_reservations(shop, records, ledger, &mut verdict);
    compare_stock(shop, records, findings, &mut verdict);
    verdict
}

fn compare_reservations(
    shop: &Shop,
    records: &BTreeMap<ReservationId, Record>,
    ledger: &[Reservation],
    verdict: &mut Verdict,
) {
    let mut seen = BTreeMap::new();
    for reservation in ledger {
        let Some(id) = reservation.reservation_id.map(ReservationId::from) else { continue };
        verdict.holds_left += u64::from(reservation.state() == ReservationState::Held);
        if let Some(record) = records.get(&id)
            && !is_whole(shop, record, reservation)
        {
            verdict.half_taken += 1;
            verdict.balance.remark(format!("reservation {id} is half taken: {:?}", reservation.lines));
        }
        let is_second = seen.insert(id, reservation).is_some();
        let is_explained = records.get(&id).is_some_and(|record| record.reserve == Step::Done);
        if is_second || !is_explained {
            let units = reservation
                .lines
                .iter()
                .map(|l| l.held + l.committed + l.fulfilled + l.cancelled + l.released + l.expired);
            verdict.balance.duplicated += units.sum::<u64>().max(1);
            verdict.balance.remark(format!("reservation {id} is in the ledger, and no customer's record explains it"));
        }
    }
    for (id, record) in records.iter().filter(|(_, record)| record.reserve == Step::Done) {
        let units = u64::from(record.units);
        verdict.held += units;
        verdict.sold += if record.commit == Step::Done { units } else { 0 };
        let Some(found) = seen.get(id) else {
            verdict.balance.lost += units;
            verdict.balance.remark(format!("reservation {id} was acknowledged, and is not in the ledger"));
            continue;
        };
        compare_one(shop, record, found, verdict);
    }
}

/// Whether a reservation has all that was asked for, all of it in one state.
fn is_whole(shop: &Shop, record: &Record, found: &Reservation) -> bool {
    let parts = &shop.wares[record.ware as usize].parts;
    let units_of = |sku: &str| {
        let part = parts.iter().find(|(place, _)| shop.items[*place].sku == sku);
        part.map(|(_, units)| u64::from(units * record.units))
    };
    let counts = |line: &ReservationLine| {
        [line.held, line.committed, line.fulfilled, line.cancelled, line.released, line.expired]
    };
    // In which of the states all units of a line are.
    let state_of = |line: &ReservationLine| {
        let counts = counts(line);
        let all = units_of(&line.sku)?;
        let place = counts.iter().position(|units| *units == all)?;
        (counts.iter().sum::<u64>() == all).then_some(place)
    };
    let first = found.lines.first().and_then(state_of);
    first.is_some() && found.lines.len() == parts.len() && found.lines.iter().all(|line| state_of(line) == first)
}

fn compare_one(shop: &Shop, record: &Record, found: &Reservation, verdict: &mut Verdict) {
    let all = u64::from(record.units * shop.wares[record.ware as usize].pieces());
    let told = |step: Step| if step == Step::Done { all } else { 0 };
    let sum = |of: fn(&holdfast_proto::v1::ReservationLine) -> u64| found.lines.iter().map(of).sum::<u64>();
    let id = record.reservation;
    verdict.balance.compare(
        || format!("units committed of {id}"),
        told(record.commit),
        sum(|line| line.committed + line.fulfilled + line.cancelled),
    );
    verdict.balance.compare(|| format!("units shipped of {id}"), told(record.fulfil), sum(|line| line.fulfilled));
    let is_released = found.state() == ReservationState::Released;
    let may_have_expired = record.release == Step::Refused && found.state() == ReservationState::Expired;
    if (record.release == Step::Done) != is_released && !may_have_expired {
        verdict.balance.compare(
            || format!("units released of {id}"),
            told(record.release),
            if is_released { all } else { 0 },
        );
    }
}

/// By SKU: what came in, what was sold, what was shipped. Differences in sales have been counted by reservation already,
/// so that only those count here that the reservations do not show.
fn compare_stock(shop: &Shop, records: &BTreeMap<ReservationId, Record>, findings: &Findings, verdict: &mut Verdict) {
    let mut told: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for record in records.values() {
        for (place, of_one) in &shop.wares[record.ware as usize].parts {
            let (sold, shipped) = told.entry(shop.items[*place].sku.as_str()).or_default();
            let units = u64::from(record.units * of_one);
            *sold += if record.commit == Step::Done { units } else { 0 };
            *shipped += if record.fulfil == Step::Done { units } else { 0 };
        }
    }
    let mut oversold = 0;
    let mut by_stock = Balance::default();
    for item in &shop.items {
        let sku = item.sku.as_str();
        let levels = findings.levels.range((sku.to_owned(), String::new())..).take_while(|((of, _), _)| of == sku);
        let (mut received, mut in_sale, mut shipped) = (0, 0, 0);
        for (_, level) in levels {
            received += level.received;
            in_sale += level.committed + level.fulfilled;
            shipped += level.fulfilled;
        }
        let (sold_told, shipped_told) = told.get(sku).copied().unwrap_or_default();
        by_stock.compare(|| format!("units received of {sku}"), item.stock.into(), received);
        by_stock.compare(|| format!("units sold of {sku}"), sold_told, in_sale);
        by_stock.compare(|| format!("units shipped of {sku}"), shipped_told, shipped);
        oversold += sold_told.max(in_sale).saturating_sub(item.stock.into());
    }
    verdict.oversold = oversold.max(findings.oversold);
    verdict.balance.join(by_stock);
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::StockLevel;

    use super::super::shop::{Stocked, Ware};
    use super::*;
    use crate::demand::Demand;

    const ID: ReservationId = ReservationId::mint(1, 2, 3);

    fn shop() -> Shop {
        let items = vec![Stocked { sku: "LIP".into(), stock: 10 }];
        Shop { items, wares: vec![Ware::single(0, "LIP")], demand: Demand::zipf(1, 1.0), ttl: None }
    }

    fn sold() -> Record {
        Record { reserve: Step::Done, commit: Step::Done, fulfil: Step::Done, ..Record::new(ID, 0, 2) }
    }

    fn in_ledger() -> Reservation {
        Reservation {
            reservation_id: Some(ID.into()),
            state: ReservationState::Fulfilled.into(),
            lines: vec![ReservationLine { sku: "LIP".into(), fulfilled: 2, ..ReservationLine::default() }],
            ..Reservation::default()
        }
    }

    fn stock(received: u64, fulfilled: u64) -> Findings {
        let level = StockLevel {
            sku: "LIP".into(),
            received,
            fulfilled,
            on_hand: received - fulfilled,
            ..StockLevel::default()
        };
        Findings { levels: [(("LIP".into(), "main".into()), level)].into(), ..Findings::default() }
    }

    fn verdict(records: &[Record], findings: &Findings, ledger: &[Reservation]) -> (u64, u64, u64) {
        let records = records.iter().map(|record| (record.reservation, *record)).collect();
        let verdict = judge(&shop(), &records, findings, ledger);
        (verdict.oversold, verdict.balance.lost, verdict.balance.duplicated)
    }

    #[test]
    fn records_and_a_ledger_that_agree_are_clean() {
        assert_eq!(verdict(&[sold()], &stock(10, 2), &[in_ledger()]), (0, 0, 0));
    }

    #[test]
    fn an_acknowledged_sale_that_the_ledger_does_not_have_is_lost() {
        assert_eq!(verdict(&[sold()], &stock(10, 0), &[]).1, 4, "sold and shipped, two units each");
    }

    #[test]
    fn a_sale_in_the_ledger_that_nobody_made_is_duplicated() {
        assert!(verdict(&[], &stock(10, 2), &[in_ledger()]).2 >= 2);
        let refused = Record { reserve: Step::Refused, ..Record::new(ID, 0, 2) };
        assert!(verdict(&[refused], &stock(10, 2), &[in_ledger()]).2 >= 2);
    }

    #[test]
    fn a_commit_that_was_never_acknowledged_and_yet_counts_is_duplicated() {
        let held_only = Record { commit: Step::NotTaken, fulfil: Step::NotTaken, ..sold() };
        assert!(verdict(&[held_only], &stock(10, 2), &[in_ledger()]).2 >= 2);
    }

    #[test]
    fn a_set_of_which_a_component_is_not_as_the_others_is_half_taken() {
        let items = ["LIP", "BOX"].map(|sku| Stocked { sku: sku.into(), stock: 10 }).into();
        let set = Ware { sku: "SET".into(), parts: vec![(0, 2), (1, 1)] };
        let shop = Shop { items, wares: vec![set], demand: Demand::zipf(1, 1.0), ttl: None };
        let line = |sku: &str, fulfilled, committed| ReservationLine {
            sku: sku.into(),
            fulfilled,
            committed,
            ..ReservationLine::default()
        };
        let half_taken = |lines: Vec<ReservationLine>| {
            let records = [(ID, sold())].into();
            judge(&shop, &records, &Findings::default(), &[Reservation { lines, ..in_ledger() }]).half_taken
        };
        assert_eq!(half_taken(vec![line("LIP", 4, 0), line("BOX", 2, 0)]), 0, "two sets of two lipsticks and a box");
        assert_eq!(half_taken(vec![line("LIP", 4, 0), line("BOX", 0, 2)]), 1, "not shipped with the rest");
        assert_eq!(half_taken(vec![line("LIP", 2, 2), line("BOX", 1, 1)]), 1, "one set of two");
        assert_eq!(half_taken(vec![line("LIP", 4, 0), line("BOX", 1, 0)]), 1, "too few");
        assert_eq!(half_taken(vec![line("LIP", 4, 0)]), 1, "none of it");
    }

    #[test]
    fn more_sold_than_came_in_is_oversold() {
        let record = Record { units: 12, ..sold() };
        let mut reservation = in_ledger();
        reservation.lines[0].fulfilled = 12;
        assert_eq!(verdict(&[record], &stock(12, 12), &[reservation]).0, 2);
    }
}
