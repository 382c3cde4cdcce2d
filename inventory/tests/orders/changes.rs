//! What becomes of a reservation once it is made.

use holdfast_inventory::commands::{Amend, Cancel, Commit, Extend, Fulfil, IfExpired, Line, Picked, Release, Return};
use holdfast_inventory::{Condition, Inventory, LineUnits, Operation, Refusal, Units, slot_of};

use super::{World, shard_of};

impl World {
    pub(crate) fn change_order(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let order = self.dice.index(self.orders.len());
        let reservation = self.orders[order].reserve.reservation;
        let commit = Commit { reservation, parts: vec![], last: false, if_expired: IfExpired::Fail, cancel_at: None };
        let some = self.some_units(order);
        let deciding = shard_of(reservation.slot());
        let operation = match self.dice.index(16) {
            0 | 1 => Operation::Release(Release { reservation }),
            2 | 3 => Operation::Cancel(Cancel { reservation }),
            4 => Operation::Extend(Extend { reservation, ttl_s: 60 }),
            5 | 6 => Operation::Fulfil(Fulfil { reservation, parts: vec![] }),
            7 | 8 => {
                let pick = |part: &LineUnits| Picked { line: part.line, units: part.units, lot: None };
                Operation::Fulfil(Fulfil { reservation, parts: some.iter().map(pick).collect() })
            }
            9 => return self.amend(order),
            10 | 11 => return self.take_back(order, &some),
            12 | 13 => Operation::Commit(Commit { parts: some, last: self.dice.one_in(3), ..commit }),
            _ => Operation::Commit(commit),
        };
        let shipped = match &operation {
            Operation::Fulfil(fulfil) => Some(fulfil.parts.clone()),
            _ => None,
        };
        // As little as the deciding shard may know of the others' stock, what it ships is what it says is sold and there; after
        // the entry's own fills.
        self.ask(deciding, Operation::Extend(Extend { reservation, ttl_s: 1 })).ok();
        let before = self.shards[deciding as usize].reservation(reservation);
        let in_part = matches!(&operation, Operation::Commit(it) if !it.parts.is_empty());
        let outcome = self.ask(deciding, operation);
        let Ok(_) = outcome else { return };
        let made = before.unwrap();
        let spans = made.lines.iter().any(|line| shard_of(slot_of(&line.sku)) != deciding);
        self.in_parts += usize::from(spans && (in_part || shipped.as_ref().is_some_and(|parts| !parts.is_empty())));
        let Some(parts) = shipped else { return };
        for (at, line) in made.lines.into_iter().enumerate() {
            let part = parts.iter().find(|part| part.line as usize == at).map_or(0, |part| part.units.count());
            let units = if parts.is_empty() { line.units.committed } else { part };
            *self.shipped.entry(line.sku).or_default() += units;
        }
    }

    /// Units of some lines of an order.
    fn some_units(&mut self, order: usize) -> Vec<LineUnits> {
        let lines = self.orders[order].reserve.lines.len();
        let some: Vec<u32> = (0..lines as u32).filter(|_| self.dice.one_in(2)).collect();
        let some = if some.is_empty() { vec![self.dice.index(lines) as u32] } else { some };
        some.into_iter().map(|line| LineUnits { line, units: Units(1 + self.dice.index(3) as u32) }).collect()
    }

    /// Asks for other units of one line; of those of another shard fewer are had, and more are refused.
    fn amend(&mut self, order: usize) {
        let reserve = &self.orders[order].reserve;
        let reservation = reserve.reservation;
        let deciding = shard_of(reservation.slot());
        let at = self.dice.index(reserve.lines.len());
        let line = self.orders[order].reserve.lines[at].clone();
        let is_elsewhere = shard_of(slot_of(&line.sku)) != deciding;
        let units = Units(self.dice.index(4) as u32);
        let held = |shard: &Inventory| -> u64 {
            let lines = shard.reservation(reservation).map(|made| made.lines).unwrap_or_default();
            let of_sku = lines.iter().filter(|it| it.sku == line.sku);
            of_sku.map(|it| it.units.held + it.units.backordered).sum()
        };
        // What is due by then is done first.
        self.ask(deciding, Operation::Extend(Extend { reservation, ttl_s: 1 })).ok();
        let before = held(&self.shards[deciding as usize]);
        let line = Line { units, min_units: None, optional: false, ..line };
        let (sku, asked) = (line.sku.clone(), line.units.count());
        let outcome = self.ask(deciding, Operation::Amend(Amend { reservation, lines: vec![line] }));
        if outcome.is_ok() {
            assert!(!is_elsewhere || asked <= before, "{reservation}: {sku} has {asked} units, and had {before}");
            self.amended += usize::from(is_elsewhere && asked < before);
        }
    }

    /// Units come back, on the shard that shipped them.
    fn take_back(&mut self, order: usize, some: &[LineUnits]) {
        let reservation = self.orders[order].reserve.reservation;
        let parts = some.iter().map(|part| Picked { line: part.line, units: part.units, lot: None }).collect();
        let back = Return { reservation, parts, location: None, condition: Condition::Resellable };
        let operation = Operation::Return(back);
        let mut outcome = self.ask(shard_of(reservation.slot()), operation.clone());
        if let Err(Refusal::LinesElsewhere { slot }) = outcome {
            outcome = self.ask(shard_of(slot), operation);
            self.returned_elsewhere += usize::from(outcome.is_ok());
        }
        if outcome.is_ok() {
            for part in some {
                // As it was made: another attempt may have asked for other items.
                let made = self.shards[shard_of(reservation.slot()) as usize].reservation(reservation).unwrap();
                let sku = made.lines[part.line as usize].sku.clone();
                *self.returned.entry(sku).or_default() += part.units.count();
            }
        }
    }
}
