//! Random commands over a small world, in which items, lots, customers and reservations meet often, and most succeed.

mod campaigns;
mod catalogue;
mod changes;
mod goods;
mod orders;
mod promises;
mod rooms;

use holdfast_inventory::*;

use crate::model::{DAY_MS, Hold};
use crate::world::World;

/// A command, and what the model cannot know of it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub operation: Operation,
    /// The field that is not valid, whatever the state.
    pub bad: Option<Field>,
    /// The revision that it names, if any, is the one that there is.
    pub is_current: bool,
    /// The shard, where nothing in the command says which.
    pub shard: u32,
}

impl From<Operation> for Wish {
    fn from(operation: Operation) -> Self {
        Self { operation, bad: None, is_current: true, shard: 0 }
    }
}

impl Wish {
    pub fn bad(operation: Operation, field: Field) -> Self {
        Self { bad: Some(field), ..Self::from(operation) }
    }
}

pub fn location(number: u64) -> LocationId {
    ["PAR", "LYO", "store"][number as usize % 3].parse().unwrap()
}

fn lot(number: u64) -> LotId {
    format!("LOT-{number}").parse().unwrap()
}

pub fn customer(number: u64) -> CustomerHash {
    CustomerHash(100 + u128::from(number))
}

fn channel() -> ChannelId {
    "web".parse().unwrap()
}

impl World {
    fn sku(&mut self) -> Sku {
        if self.dice.one_in(150) {
            return if self.dice.one_in(2) { "nothing".parse().unwrap() } else { self.kits[0].clone() };
        }
        self.item()
    }

    pub fn item(&mut self) -> Sku {
        if self.dice.one_in(4) {
            // What lies by lot has the most to go wrong.
            return self.skus[2 + self.dice.below(2) as usize].clone();
        }
        self.skus[self.dice.below(self.skus.len() as u64) as usize].clone()
    }

    fn location(&mut self) -> LocationId {
        if self.dice.one_in(200) {
            return "nowhere".parse().unwrap();
        }
        location([0, 0, 0, 1, 1, 2][self.dice.below(6) as usize])
    }

    fn is_by_lot(&self, sku: &Sku) -> bool {
        self.model.items.get(sku).is_some_and(|spec| spec.lot_tracked)
    }

    /// A lot for stock of that item; now and then the wrong thing to say.
    fn lot_of(&mut self, sku: &Sku) -> Option<LotId> {
        let is_wrong = self.dice.one_in(80);
        if self.is_by_lot(sku) == is_wrong {
            return None;
        }
        let known: Vec<LotId> =
            self.model.lots.keys().filter(|(of, _)| of == sku).map(|(_, lot)| lot.clone()).collect();
        if known.is_empty() || self.dice.one_in(40) {
            return Some(lot(self.dice.below(40)));
        }
        // The latest are of the most interest.
        let recent = known.len().min(6) as u64;
        let mut by_age = known;
        by_age.sort_by_key(|lot| self.model.lots[&(sku.clone(), lot.clone())].made);
        Some(by_age[by_age.len() - 1 - self.dice.below(recent) as usize].clone())
    }

    fn units(&mut self, most: u64) -> Units {
        Units(1 + self.dice.below(most) as u32)
    }

    fn dates(&mut self) -> LotDates {
        let hours = [6, 30, 60, 100, 400][self.dice.below(5) as usize] + self.dice.below(12);
        let best_before = (!self.dice.one_in(6)).then(|| LogTime(self.now + DAY_MS + hours * 3_600_000));
        LotDates { best_before, ..LotDates::default() }
    }

    fn condition(&mut self) -> Condition {
        [Condition::Resellable, Condition::Resellable, Condition::Damaged, Condition::QualityControl]
            [self.dice.below(4) as usize]
    }

    /// One of the reservations, mostly a late one for which that holds.
    fn hold(&mut self, wanted: impl Fn(&Hold) -> bool) -> Option<Hold> {
        let is_any = self.dice.one_in(12);
        let fitting: Vec<usize> =
            (0..self.model.holds.len()).filter(|at| is_any || wanted(&self.model.holds[*at])).collect();
        if fitting.is_empty() {
            return None;
        }
        let at = fitting[self.dice.below(fitting.len() as u64) as usize];
        Some(self.model.holds[at].clone())
    }

    fn unknown_id(&mut self) -> ReservationId {
        let slot = slot_of(&self.item());
        ReservationId::mint(3, slot, self.dice.below(1_000))
    }

    /// Parts of a reservation: some units of some lines.
    fn parts(&mut self, hold: &Hold, of: impl Fn(&LineCounts) -> u64) -> Vec<LineUnits> {
        let mut parts = Vec::new();
        for (number, line) in hold.lines.iter().enumerate() {
            let most = of(&line.units);
            if most > 0 && self.dice.one_in(2) {
                let more = u64::from(self.dice.one_in(25));
                parts.push(LineUnits { line: number as u32, units: Units((1 + self.dice.below(most) + more) as u32) });
            }
        }
        if self.dice.one_in(60) {
            parts.push(LineUnits { line: 77, units: Units(1) });
        }
        parts
    }

    pub fn wish(&mut self) -> Wish {
        loop {
            let drawn = self.dice.below(126);
            let wish = match drawn {
                0..=21 => self.reserve(),
                22..=35 => self.change_hold(),
                36..=45 => self.ship(),
                46..=60 => self.supply(),
                61..=74 => self.stock(),
                75..=82 => self.documents(),
                83..=88 => self.counting(),
                89..=93 => self.lots(),
                94..=96 => self.catalogue(),
                97..=104 => self.campaigning(),
                105..=112 => self.ordering(),
                113..=122 => self.queueing(),
                _ => self.bad_input(),
            };
            if let Some(wish) = wish {
                return wish;
            }
        }
    }
}
