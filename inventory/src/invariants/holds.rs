//! [H-HOLDS] The live lines of a (SKU, location) sum to what is held and sold of each lot, by name or of none yet, and to what
//! is backordered and short. And no hold is left behind: each that ends by time is among what falls due, by reservation and by
//! item, each that is short or has units of a lot is found by it, and nothing else is. And of lines that come from one asked line
//! all were held, none, or of each as large a part.

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::AskedLine;
use crate::state::{LineRecord, LocationNo, LotNo, ReservationNo, ReservationRecord, SkuNo, State, StockPlace};
use crate::{LineCounts, LogTime};

/// What is promised of one item at one location.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bound {
    /// Held and sold, by lot; of an item that has none, or of a lot that is not known yet: without.
    of_lots: BTreeMap<Option<LotNo>, (u64, u64)>,
    /// Held of no lot yet, by need.
    unbound: BTreeMap<LogTime, u64>,
    backordered: u64,
    short: u64,
}

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = check_sums(state);
    findings.extend(check_kits(state));
    findings.extend(check_indexes(state));
    findings
}

impl Bound {
    fn add(&mut self, lot: Option<LotNo>, held: u64, sold: u64) {
        if held + sold > 0 {
            let of_lot = self.of_lots.entry(lot).or_default();
            (of_lot.0, of_lot.1) = (of_lot.0 + held, of_lot.1 + sold);
        }
    }

    fn add_line(&mut self, line: &LineRecord) {
        self.backordered += line.units.all_backordered();
        self.short += line.units.short + line.units.short_sold;
        match &line.by_lot {
            None => self.add(None, line.units.held, line.units.committed),
            Some(by_lot) => {
                match by_lot.named {
                    Some(lot) => self.add(Some(lot), line.units.held, 0),
                    None if line.units.held > 0 => *self.unbound.entry(by_lot.need).or_default() += line.units.held,
                    None => {}
                }
                by_lot.bound.iter().for_each(|bound| self.add(Some(bound.lot), 0, bound.committed));
            }
        }
    }

    fn of_place(place: &StockPlace) -> Self {
        let mut bound = Self { backordered: place.backordered, short: place.short, ..Self::default() };
        place.cells.iter().for_each(|cell| bound.add(cell.lot, cell.counts.reserved, cell.counts.committed));
        bound.unbound.extend(place.unbound.iter().copied());
        bound
    }
}

fn check_sums(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let mut of_lines: BTreeMap<(SkuNo, LocationNo), Bound> = BTreeMap::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        for line in record.lines.iter().filter(|line| line.counted) {
            of_lines.entry((line.sku, line.location)).or_default().add_line(line);
            if !line.by_lot.as_ref().is_none_or(|by_lot| by_lot.fits(&line.units)) {
                findings.push(format!("reservation {}: {:?} of lots, {:?}", record.id, line.by_lot, line.units));
            }
        }
    }
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            let lines = of_lines.remove(&(sku, place.location)).unwrap_or_default();
            let stock = Bound::of_place(place);
            if lines != stock {
                let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                findings.push(format!("{item} at {location}: the lines have {lines:?}, the stock has {stock:?}"));
            }
        }
    }
    let nowhere = of_lines.into_iter().filter(|(_, bound)| *bound != Bound::default());
    findings.extend(nowhere.map(|((sku, _), bound)| format!("{}: {bound:?} where no stock is", state.item(sku).sku)));
    findings
}

/// Of a kit each component was taken, for as many kits as are held, or none was.
fn check_kits(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        let Some(plan) = record.plan() else { continue };
        let remote = record.remote_lines().map(|line| (usize::from(line.number), &line.units));
        let own = record
            .lines
            .iter()
            .enumerate()
            .map(|(at, line)| (record.whole().map_or(at, |whole| usize::from(whole.own[at])), &line.units));
        let mut taken = vec![Vec::new(); plan.asked.len()];
        for (number, units) in own.chain(remote).filter(|(number, _)| plan.is_of_kit(*number)) {
            if record.lines.get(number).is_some_and(|line| record.part().is_some() && is_counter(state, line)) {
                continue;
            }
            taken[usize::from(plan.of[number])].push(units.all().unwrap_or(0));
        }
        // Of how many kits a part has components, where fewer will do, is for the deciding shard to say: it sees all of them.
        let is_known = |asked: &AskedLine| record.part().is_none() || asked.min_units.is_none();
        for (asked, taken) in plan.asked.iter().zip(taken).filter(|(asked, _)| is_known(asked)) {
            let kits = asked.units.count().max(1);
            let is_whole = taken.iter().all(|units| *units > 0 && units % kits == 0);
            if !is_whole && taken.iter().any(|units| *units > 0) {
                findings.push(format!("reservation {}: {asked:?} has {taken:?} of its components", record.id));
            }
        }
    }
    findings
}

fn is_counter(state: &State, line: &LineRecord) -> bool {
    state.item(line.sku).sku.is_counter()
}

fn check_indexes(state: &State) -> Vec<String> {
    let mut due = BTreeSet::new();
    let mut due_by_sku = vec![BTreeSet::new(); state.indexes.due_by_sku.len()];
    let mut sold_by_sku = vec![BTreeSet::new(); state.indexes.sold_by_sku.len()];
    let (mut ended, mut by_lot, mut short) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut in_doubt, mut behind, mut backordered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut findings = Vec::new();
    for (no, record) in state.reservations_from(ReservationNo(0)) {
        if let Some(due_at) = record.due_at() {
            due.insert((due_at, no));
            for line in &record.lines {
                due_by_sku[line.sku.0 as usize].insert((due_at, no));
            }
        }
        if record.state().is_ended() != record.ended_at.is_some() {
            findings.push(format!("reservation {}: {:?}, ended at {:?}", record.id, record.state(), record.ended_at));
        }
        ended.extend(record.forgettable_since().map(|ended_at| (record.has_shipped(), ended_at, no)));
        in_doubt.extend(record.ask_at().map(|ask_at| (ask_at, no)));
        behind.extend(record.is_ahead_of_parts().then_some(no));
        for line in &record.lines {
            by_lot.extend(line.lots().map(|lot| (lot, no)));
            for (units, unsold) in [(line.units.backordered_sold, false), (line.units.backordered, true)] {
                backordered.extend((units > 0).then_some((line.sku, line.location, unsold, no)));
            }
            if line.units.short + line.units.short_sold > 0 {
                short.insert((line.sku, no));
            }
            if line.is_sold_of_no_lot() {
                sold_by_sku[line.sku.0 as usize].insert(no);
            }
        }
        if state.find_reservation(record.id) != Some(no) {
            findings.push(format!("reservation {} is not the one that its id finds", record.id));
        }
        findings.extend(check_asked(record));
    }
    for (what, is_same) in [
        ("what falls due", due == state.indexes.due && due_by_sku == state.indexes.due_by_sku),
        ("what has ended", ended == state.indexes.ended),
        ("what is of which lot", by_lot == state.indexes.by_lot),
        ("what is backordered", backordered == state.indexes.backordered),
        ("what is short", short == state.indexes.short),
        ("what is sold of no lot", sold_by_sku == state.indexes.sold_by_sku),
        ("what is in doubt", in_doubt == state.indexes.in_doubt),
        ("which parts are behind", behind == state.indexes.behind),
    ] {
        if !is_same {
            findings.push(format!("{what} is not what the reservations say"));
        }
    }
    findings
}

fn check_asked(record: &ReservationRecord) -> Option<String> {
    let plan = record.plan()?;
    let mut units: Vec<(u16, LineCounts)> = match record.whole() {
        Some(whole) => whole.own.iter().copied().zip(record.lines.iter().map(|line| line.units)).collect(),
        None => (0..).zip(record.lines.iter().map(|line| line.units)).collect(),
    };
    units.extend(record.remote_lines().map(|line| (line.number, line.units)));
    units.sort_by_key(|(number, _)| *number);
    let asked = |(number, _): &(u16, LineCounts)| plan.of.get(usize::from(*number)).copied();
    let was_held = |(_, units): &(u16, LineCounts)| units.all().is_some_and(|units| units > 0);
    let torn = units.chunk_by(|a, b| asked(a) == asked(b)).find(|lines| {
        let held = lines.iter().filter(|line| was_held(line)).count();
        held > 0 && held < lines.len()
    })?;
    Some(format!("reservation {}: only some lines of one that was asked for were held: {torn:?}", record.id))
}
