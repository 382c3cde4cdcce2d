//! Reserves: of items, of kits as the node works them out, through a channel that chose; on one shard and on several.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::{Wish, channel, customer, location};
use crate::model::Model;
use crate::world::World;

impl World {
    pub(super) fn line(&mut self) -> Line {
        let sku = self.sku();
        let lot = if self.dice.one_in(4) { self.lot_of(&sku) } else { None };
        Line {
            lot: lot.filter(|_| self.is_by_lot(&sku) || self.dice.one_in(20)),
            sku,
            location: self.location(),
            units: self.units(3),
            optional: self.dice.one_in(6),
            no_backorder: self.dice.one_in(5),
            min_units: None,
        }
    }

    pub(super) fn reserve(&mut self) -> Option<Wish> {
        self.reservations += 1;
        let count = [1, 1, 1, 2, 2, 3, 4][self.dice.below(7) as usize];
        let mut lines: Vec<Line> = (0..count).map(|_| self.line()).collect();
        let campaign = if self.dice.one_in(3) { self.in_campaign(&mut lines) } else { None };
        let pass = match &campaign {
            Some(campaign) => self.shown_pass(campaign)?,
            None => None,
        };
        if self.dice.one_in(2) {
            // All on one shard.
            let shard = crate::shard_of(slot_of(&lines[0].sku));
            lines.retain(|line| crate::shard_of(slot_of(&line.sku)) == shard);
        }
        let mut slot = slot_of(&lines[0].sku);
        let mut channel_id = None;
        let plan = match self.dice.below(8) {
            0 | 1 => {
                let (planned, kits, plan) = self.kit_lines(&lines);
                lines = planned;
                slot = slot_of(&kits);
                Some(plan)
            }
            2 => {
                channel_id = Some(if self.dice.one_in(20) { "fax".parse().unwrap() } else { channel() });
                Some(self.sourced_lines(&mut lines))
            }
            _ => None,
        };
        let is_known = self.dice.one_in(60);
        let known = self.model.holds.iter().filter(|hold| hold.state() == ReservationState::Held && !hold.is_spread);
        let known = known.map(|hold| hold.id).next_back().filter(|_| is_known);
        if let Some(id) = known {
            lines.retain(|line| crate::shard_of(slot_of(&line.sku)) == crate::shard_of(id.slot()));
        }
        if lines.is_empty() || (known.is_some() && plan.is_some()) {
            return None;
        }
        let customer =
            (!self.dice.one_in(if self.has_shared_limits() { 12 } else { 4 })).then(|| customer(self.dice.below(4)));
        let reservation =
            known.unwrap_or_else(|| ReservationId::mint(self.now, slot, self.reservations << 8 | self.dice.below(256)));
        let mut reserve = Reserve {
            reservation,
            lines,
            ttl_s: 30 + self.dice.below(600) as u32,
            partial_ok: self.dice.one_in(9),
            order_ref: self.dice.one_in(3).then(|| "order".parse().unwrap()),
            customer,
            channel: channel_id,
            campaign,
            plan: plan.map(Box::new),
            pass,
        };
        // As the node would that serves it, which now and then does not know of a limit. Of an id that is taken no shard is to say anything
        // before the one that decides.
        if known.is_none() && !self.dice.one_in(15) {
            let limits_over = |sku: &Sku| self.model.shared_over(sku).cloned().collect();
            reserve.count_under(BodyHash(1), limits_over).unwrap();
        }
        Some(Wish::from(Operation::Reserve(reserve)))
    }

    /// The first line becomes what a kit is made of, as the node would work it out; the others stay what was asked for.
    fn kit_lines(&mut self, lines: &[Line]) -> (Vec<Line>, Sku, Plan) {
        let kit = self.kits[self.dice.below(self.kits.len() as u64) as usize].clone();
        let mut components: Vec<(Sku, u32)> = Vec::new();
        flatten(&self.model, &kit, 1, &mut components);
        let (mut planned, mut of) = (Vec::new(), Vec::new());
        let (units, optional) = (self.units(2), lines[0].optional);
        for (sku, each) in components {
            planned.push(Line { sku, units: Units(each * units.0), lot: None, ..lines[0].clone() });
            of.push(0);
        }
        let kit_of = KitOf { sku: kit.clone(), revision: Revision(1) };
        let mut asked = vec![AskedLine { units, optional, kit: Some(kit_of), min_units: None }];
        for line in &lines[1..] {
            of.push(asked.len() as u16);
            asked.push(AskedLine { units: line.units, optional: line.optional, kit: None, min_units: None });
            planned.push(line.clone());
        }
        (planned, kit, Plan { request: BodyHash(1), asked, of, sourced: None, counters: Vec::new() })
    }

    /// Each line lies where its channel may have chosen, and some are split over two locations.
    fn sourced_lines(&mut self, lines: &mut Vec<Line>) -> Plan {
        let (mut asked, mut of, mut planned) = (Vec::new(), Vec::new(), Vec::new());
        let allow_split = self.dice.one_in(2);
        for line in lines.iter() {
            let number = asked.len() as u16;
            asked.push(AskedLine { units: line.units, optional: line.optional, kit: None, min_units: None });
            if allow_split && line.units.0 > 1 && self.dice.one_in(2) {
                planned.push(Line { units: Units(1), location: location(0), ..line.clone() });
                planned.push(Line { units: Units(line.units.0 - 1), location: location(1), ..line.clone() });
                of.extend([number, number]);
            } else {
                planned.push(line.clone());
                of.push(number);
            }
        }
        *lines = planned;
        let nearest = if self.dice.one_in(6) { vec![location(0)] } else { Vec::new() };
        let sourced = Some(Sourced { allow_split, last: self.dice.one_in(2), nearest });
        Plan { request: BodyHash(1), asked, of, sourced, counters: Vec::new() }
    }
}

/// What so many of a kit are made of, kits within kits taken apart.
fn flatten(model: &Model, sku: &Sku, units: u32, components: &mut Vec<(Sku, u32)>) {
    let Some((_, recipe)) = model.kits.get(sku) else {
        match components.iter_mut().find(|(known, _)| known == sku) {
            Some((_, known)) => *known += units,
            None => components.push((sku.clone(), units)),
        }
        return;
    };
    for component in recipe {
        flatten(model, &component.sku, units * component.units.0, components);
    }
}
