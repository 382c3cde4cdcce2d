//! Random commands over a small world, in which items, lots, customers and reservations meet often, and most succeed.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use crate::model::{DAY_MS, Hold, Model, sold};
use crate::world::{Dice, World};

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
            let drawn = self.dice.below(100);
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
                _ => self.bad_input(),
            };
            if let Some(wish) = wish {
                return wish;
            }
        }
    }

    fn line(&mut self) -> Line {
        let sku = self.sku();
        let lot = if self.dice.one_in(4) { self.lot_of(&sku) } else { None };
        Line {
            lot: lot.filter(|_| self.is_by_lot(&sku) || self.dice.one_in(20)),
            sku,
            location: self.location(),
            units: self.units(3),
            optional: self.dice.one_in(6),
            no_backorder: self.dice.one_in(5),
        }
    }

    fn reserve(&mut self) -> Option<Wish> {
        self.reservations += 1;
        let count = [1, 1, 1, 2, 2, 3, 4][self.dice.below(7) as usize];
        let mut lines: Vec<Line> = (0..count).map(|_| self.line()).collect();
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
        let customer = (!self.dice.one_in(4)).then(|| customer(self.dice.below(4)));
        let reservation =
            known.unwrap_or_else(|| ReservationId::mint(self.now, slot, self.reservations << 8 | self.dice.below(256)));
        Some(Wish::from(Operation::Reserve(Reserve {
            reservation,
            lines,
            ttl_s: 30 + self.dice.below(600) as u32,
            partial_ok: self.dice.one_in(9),
            order_ref: self.dice.one_in(3).then(|| "order".parse().unwrap()),
            customer,
            channel: channel_id,
            campaign: None,
            plan: plan.map(Box::new),
        })))
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
        let mut asked = vec![AskedLine { units, optional, kit: Some(kit_of) }];
        for line in &lines[1..] {
            of.push(asked.len() as u16);
            asked.push(AskedLine { units: line.units, optional: line.optional, kit: None });
            planned.push(line.clone());
        }
        (planned, kit, Plan { request: BodyHash(1), asked, of, sourced: None })
    }

    /// Each line lies where its channel may have chosen, and some are split over two locations.
    fn sourced_lines(&mut self, lines: &mut Vec<Line>) -> Plan {
        let (mut asked, mut of, mut planned) = (Vec::new(), Vec::new(), Vec::new());
        let allow_split = self.dice.one_in(2);
        for line in lines.iter() {
            let number = asked.len() as u16;
            asked.push(AskedLine { units: line.units, optional: line.optional, kit: None });
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
        Plan { request: BodyHash(1), asked, of, sourced }
    }

    fn change_hold(&mut self) -> Option<Wish> {
        let drawn = self.dice.below(14);
        if self.dice.one_in(60) {
            let reservation = self.unknown_id();
            return Some(Wish::from(Operation::Release(Release { reservation })));
        }
        let live = |hold: &Hold| hold.is_holding();
        let operation = match drawn {
            0 => Operation::Release(Release { reservation: self.hold(live)?.id }),
            1 => Operation::Cancel(Cancel { reservation: self.hold(|hold| hold.is_holding() || hold.has(sold))?.id }),
            2 => {
                let ttl_s = 1 + self.dice.below(1_500) as u32;
                Operation::Extend(Extend { reservation: self.hold(live)?.id, ttl_s })
            }
            3..=6 => return self.amend(),
            7 => {
                // What has expired is tried for anew.
                let hold = self.hold(|hold| !hold.is_spread && !hold.is_holding() && hold.has(|it| it.expired))?;
                let parts = if self.dice.one_in(3) { self.parts(&hold, |units| units.expired) } else { Vec::new() };
                Operation::Commit(self.commit(hold.id, parts, false, IfExpired::Retake))
            }
            _ => {
                let hold = self.hold(live)?;
                let in_parts = !hold.is_spread || self.dice.one_in(10);
                let parts = if in_parts && self.dice.one_in(3) {
                    self.parts(&hold, |units| units.held + units.backordered)
                } else {
                    Vec::new()
                };
                let last = self.dice.one_in(3);
                Operation::Commit(self.commit(hold.id, parts, last, IfExpired::Fail))
            }
        };
        Some(Wish::from(operation))
    }

    fn commit(&mut self, reservation: ReservationId, parts: Vec<LineUnits>, last: bool, if_expired: IfExpired) -> Commit {
        let ahead = self.dice.one_in(4).then(|| self.now + 1 + self.dice.below(3_600_000));
        let cancel_at = if self.dice.one_in(100) { Some(self.now) } else { ahead }.map(LogTime);
        Commit { reservation, parts, last, if_expired, cancel_at }
    }

    fn amend(&mut self) -> Option<Wish> {
        let hold = self.hold(|hold| hold.state() == ReservationState::Held && !hold.is_spread && hold.plan.is_none())?;
        let mut lines: Vec<Line> = Vec::new();
        for line in &hold.lines {
            if self.dice.one_in(2) {
                let units = Units(self.dice.below(5) as u32);
                let (sku, location) = (line.sku.clone(), line.location.clone());
                let no_backorder = self.dice.one_in(5);
                lines.push(Line { sku, location, units, lot: line.named.clone(), optional: false, no_backorder });
            }
        }
        if lines.is_empty() || self.dice.one_in(4) {
            lines.push(self.line());
        }
        let shard = crate::shard_of(hold.id.slot());
        lines.retain(|line| crate::shard_of(slot_of(&line.sku)) == shard);
        let mut once: Vec<Line> = Vec::new();
        for line in lines {
            let is_same = |other: &Line| (&other.sku, &other.location, &other.lot) == (&line.sku, &line.location, &line.lot);
            if !once.iter().any(is_same) {
                once.push(line);
            }
        }
        (!once.is_empty()).then(|| Wish::from(Operation::Amend(Amend { reservation: hold.id, lines: once })))
    }

    fn ship(&mut self) -> Option<Wish> {
        if self.dice.one_in(3) {
            return self.take_back();
        }
        let hold = self.hold(|hold| hold.has(|units| units.committed))?;
        if hold.is_spread && !self.model.is_ready_elsewhere(&hold) {
            return None;
        }
        let in_parts = !hold.is_spread || self.dice.one_in(10);
        let parts = if in_parts && self.dice.one_in(2) { self.parts(&hold, |units| units.committed) } else { Vec::new() };
        let parts = parts.into_iter().map(|part| {
            let sku = hold.lines.get(part.line as usize).map(|line| line.sku.clone());
            let names = self.dice.one_in(2);
            let lot = sku.filter(|sku| names && self.is_by_lot(sku)).and_then(|sku| self.lot_of(&sku));
            Picked { line: part.line, units: part.units, lot }
        });
        Some(Wish::from(Operation::Fulfil(Fulfil { reservation: hold.id, parts: parts.collect() })))
    }

    fn take_back(&mut self) -> Option<Wish> {
        let hold = self.hold(|hold| !hold.is_spread && hold.has(|units| units.fulfilled - units.returned))?;
        let mut parts: Vec<Picked> = Vec::new();
        for part in self.parts(&hold, |units| units.fulfilled - units.returned) {
            let shipped = hold.lines.get(part.line as usize).map(|line| line.bound.as_slice()).unwrap_or_default();
            let shipped: Vec<_> = shipped.iter().filter(|of| of.fulfilled > of.returned).collect();
            let names = !shipped.is_empty() && (shipped.len() > 1 || self.dice.one_in(3)) && !self.dice.one_in(8);
            let lot = names.then(|| shipped[self.dice.below(shipped.len() as u64) as usize].lot.clone());
            parts.push(Picked { line: part.line, units: part.units, lot });
        }
        let location = self.dice.one_in(4).then(|| self.location());
        let condition = self.condition();
        let returned = Return { reservation: hold.id, parts, location, condition };
        (!returned.parts.is_empty()).then(|| Wish::from(Operation::Return(returned)))
    }

    fn supply(&mut self) -> Option<Wish> {
        let (sku, location) = (self.sku(), self.location());
        let mut receive =
            Receive { lot: self.lot_of(&sku), sku, location, lot_spec: None, units: self.units(6), receipt: None };
        if receive.lot.is_some() && self.dice.one_in(4) {
            // A lot that is new, or that is said to have other dates than it has.
            if !self.dice.one_in(12) {
                receive.lot = Some(lot(self.dice.below(40)));
            }
            let key = (receive.sku.clone(), receive.lot.clone().unwrap());
            let known = self.model.lots.get(&key).map(|lot| lot.spec.clone());
            let spec = match known.filter(|_| !self.dice.one_in(12)) {
                Some(spec) => spec,
                None => LotSpec { dates: self.dates(), ..LotSpec::default() },
            };
            receive.lot_spec = Some(Box::new(spec));
        }
        let receipts: Vec<ReceiptId> = self.model.receipts.keys().copied().collect();
        if !receipts.is_empty() && self.dice.one_in(6) {
            let id = receipts[self.dice.below(receipts.len() as u64) as usize];
            let receipt = self.model.receipts[&id].clone();
            receive.receipt = Some(id);
            if !self.dice.one_in(12) {
                (receive.sku, receive.location) = (receipt.sku.clone(), receipt.location);
                receive.lot = self.lot_of(&receipt.sku);
                receive.lot_spec = None;
            } else if crate::shard_of(slot_of(&receive.sku)) != crate::shard_of(slot_of(&receipt.sku)) {
                return None;
            }
        }
        Some(Wish::from(Operation::Receive(receive)))
    }

    fn revision(&mut self, actual: Revision) -> (Revision, bool) {
        let is_current = !self.dice.one_in(8);
        (if is_current { actual } else { Revision(actual.0 + 1) }, is_current)
    }

    fn place_revision(&mut self, sku: &Sku, location: &LocationId) -> (Revision, bool) {
        let levels = self.shard(sku).stock(sku).unwrap_or_default();
        let actual = levels.into_iter().find(|level| level.location == *location).map(|level| level.revision);
        self.revision(actual.unwrap_or_default())
    }

    fn stock(&mut self) -> Option<Wish> {
        let (sku, location) = (self.sku(), self.location());
        let (lot, condition) = (self.lot_of(&sku), self.condition());
        let mut is_current = true;
        let operation = match self.dice.below(12) {
            0..=2 => {
                let delta = [-2, -1, 1, 2, 3][self.dice.below(5) as usize];
                Operation::Adjust(Adjust { sku, location, lot, delta, condition })
            }
            3 | 4 => {
                let lying = self.model.cell(&(sku.clone(), location.clone()), lot.as_ref()).on_hand();
                let on_hand = (lying + self.dice.below(4)).saturating_sub(1);
                let (if_revision, is_now) = self.place_revision(&sku, &location);
                is_current = is_now;
                Operation::Set(Set { sku, location, lot, on_hand, if_revision })
            }
            5..=7 => {
                let to = [Condition::Resellable, Condition::Damaged, Condition::QualityControl]
                    [self.dice.below(3) as usize];
                let units = self.units(2);
                if to == condition {
                    return None;
                }
                Operation::MoveUnits(MoveUnits { sku, location, lot, units, from: condition, to })
            }
            8 | 9 => {
                let (revision, is_now) = self.place_revision(&sku, &location);
                let if_revision = self.dice.one_in(2).then_some(revision);
                is_current = is_now || if_revision.is_none();
                let units = self.dice.below(4);
                Operation::SetSafetyStock(SetSafetyStock { sku, location, units, if_revision })
            }
            _ => {
                let kinds = [
                    Discrepancy::MissingSale,
                    Discrepancy::DoubleShipment,
                    Discrepancy::ManualOverride,
                    Discrepancy::Drift,
                ];
                let (discrepancy, repair) = (kinds[self.dice.below(4) as usize], !self.dice.one_in(3));
                let delta = [-3, -2, -1, 1, 2][self.dice.below(5) as usize];
                Operation::Reconcile(Reconcile { sku, location, lot, discrepancy, delta, repair })
            }
        };
        Some(Wish { is_current, ..Wish::from(operation) })
    }

    fn document_lines(&mut self, sku: &Sku) -> Vec<DocumentLine> {
        let mut lines: Vec<DocumentLine> = Vec::new();
        for _ in 0..1 + self.dice.below(2) {
            let line = DocumentLine { lot: self.lot_of(sku), units: self.units(2) };
            if lines.iter().all(|other| other.lot != line.lot) {
                lines.push(line);
            }
        }
        lines
    }

    fn documents(&mut self) -> Option<Wish> {
        self.documents += 1;
        let sku = self.sku();
        let (slot, number) = (slot_of(&sku), self.documents);
        let transfers: Vec<TransferId> = self.model.transfers.keys().copied().collect();
        let transfer = (!transfers.is_empty()).then(|| transfers[self.dice.below(transfers.len() as u64) as usize]);
        let transfer = if self.dice.one_in(60) { Some(TransferId::mint(3, slot, number)) } else { transfer };
        let receipts: Vec<ReceiptId> = self.model.receipts.keys().copied().collect();
        let operation = match self.dice.below(12) {
            0..=2 => {
                let (from, to) = (self.location(), self.location());
                if from == to {
                    return None;
                }
                let known = transfers.iter().find(|id| id.slot() == slot).filter(|_| self.dice.one_in(20));
                let transfer = known.copied().unwrap_or_else(|| TransferId::mint(self.now, slot, number));
                let lines = self.document_lines(&sku);
                Operation::CreateTransfer(CreateTransfer { transfer, sku, from, to, lines })
            }
            3..=5 => {
                let mut parts = Vec::new();
                let lines = transfer.and_then(|id| self.model.transfers.get(&id)).map_or(0, |it| it.lines.len() as u32);
                for line in 0..lines {
                    if self.dice.one_in(2) {
                        let (units, condition) = (self.units(2), self.condition());
                        parts.push(ArrivedUnits { line, units, condition });
                    }
                }
                Operation::ReceiveTransfer(ReceiveTransfer { transfer: transfer?, parts })
            }
            6 => {
                let in_parts = self.dice.one_in(2);
                let part = LineUnits { line: self.dice.below(2) as u32, units: Units(1) };
                let parts = if in_parts { vec![part] } else { Vec::new() };
                Operation::LoseTransfer(LoseTransfer { transfer: transfer?, parts })
            }
            7 | 8 => Operation::CancelTransfer(CancelTransfer { transfer: transfer? }),
            9 | 10 => {
                let (receipt, location) = (ReceiptId::mint(self.now, slot, number), self.location());
                let lines = self.document_lines(&sku);
                Operation::ExpectReceipt(ExpectReceipt { receipt, sku, location, lines, expected_at: None })
            }
            _ => {
                let unknown = ReceiptId::mint(3, slot, number);
                let at = self.dice.below(receipts.len() as u64 + 1) as usize;
                Operation::CloseReceipt(CloseReceipt { receipt: receipts.get(at).copied().unwrap_or(unknown) })
            }
        };
        Some(Wish::from(operation))
    }

    fn counting(&mut self) -> Option<Wish> {
        self.documents += 1;
        let wants_open = !self.dice.one_in(15);
        let counts = self.model.counts.iter().filter(|(_, count)| !wants_open || count.is_open);
        let counts: Vec<CountId> = counts.map(|(id, _)| *id).collect();
        let count = (!counts.is_empty()).then(|| counts[self.dice.below(counts.len() as u64) as usize]);
        let drawn = self.dice.below(12);
        if count.is_none() || drawn < 3 {
            let (sku, location) = (self.sku(), self.location());
            let count = CountId::mint(self.now, slot_of(&sku), self.documents);
            return Some(Wish::from(Operation::OpenCount(OpenCount { count, sku, location, reference: String::new() })));
        }
        let count = if self.dice.one_in(40) { CountId::mint(3, count?.slot(), 1) } else { count? };
        Some(Wish::from(match drawn {
            3..=7 => {
                let of = self.model.counts.get(&count).map(|of| (of.sku.clone(), of.location.clone()));
                let (sku, location) = of?;
                let mut lines: Vec<CountedUnits> = Vec::new();
                for _ in 0..1 + self.dice.below(2) {
                    let (lot, condition) = (self.lot_of(&sku), self.condition());
                    let lying =
                        *self.model.cell(&(sku.clone(), location.clone()), lot.as_ref()).of(condition);
                    let units = (lying + self.dice.below(4)).saturating_sub(2);
                    if lines.iter().all(|line| (&line.lot, line.condition) != (&lot, condition)) {
                        lines.push(CountedUnits { lot, condition, units });
                    }
                }
                Operation::RecordCount(RecordCount { count, lines })
            }
            8..=10 => Operation::ApplyCount(ApplyCount { count }),
            _ => Operation::CancelCount(CancelCount { count }),
        }))
    }

    fn lots(&mut self) -> Option<Wish> {
        let by_lot: Vec<Sku> = self.skus.iter().filter(|sku| self.is_by_lot(sku)).cloned().collect();
        let sku = if self.dice.one_in(40) { self.sku() } else { by_lot[self.dice.below(by_lot.len() as u64) as usize].clone() };
        let lot = self.lot_of(&sku)?;
        if self.dice.one_in(3) {
            let actual = self.shard(&sku).lot(&sku, &lot).map(|lot| lot.revision);
            let (revision, is_now) = self.revision(actual.unwrap_or_default());
            let if_revision = (self.is_by_lot(&sku) && actual.is_some() && self.dice.one_in(3)).then_some(revision);
            let is_current = is_now || if_revision.is_none();
            let spec = LotSpec { dates: self.dates(), ..LotSpec::default() };
            let put = PutLot { sku, lot, spec, if_revision };
            return Some(Wish { is_current, ..Wish::from(Operation::PutLot(Box::new(put))) });
        }
        let status = match self.dice.below(12) {
            0..=5 => LotStatus::Approved,
            6..=8 => LotStatus::OnHold,
            9 | 10 => LotStatus::Quarantined,
            _ => LotStatus::Recalled,
        };
        Some(Wish::from(Operation::BlockLot(BlockLot { sku, lot, status })))
    }

    fn catalogue(&mut self) -> Option<Wish> {
        let sku = self.item();
        let mut is_current = true;
        let mut shard = 0;
        let operation = match self.dice.below(10) {
            0..=2 => {
                let spec = self.changed_spec(&sku);
                let actual = self.shard(&sku).item(&sku).map(|item| item.revision).unwrap_or_default();
                let (revision, is_now) = self.revision(actual);
                let if_revision = self.dice.one_in(2).then_some(revision);
                is_current = is_now || if_revision.is_none();
                let if_absent = is_current && self.dice.one_in(12);
                let sku = if is_current && self.dice.one_in(20) { self.kits[0].clone() } else { sku };
                Operation::PutItem(Box::new(PutItem { sku, spec, if_revision, if_absent }))
            }
            3 | 4 => {
                let location = location(2);
                let spec = LocationSpec { active: !self.dice.one_in(3), ..LocationSpec::default() };
                Operation::PutLocation(Box::new(PutLocation { location, spec, if_revision: None }))
            }
            5 => {
                self.channel_revision += 1;
                let (buffer, active) = (self.dice.below(3) as u32, !self.dice.one_in(8));
                let spec = ChannelSpec { locations: vec![location(0), location(1), location(2)], buffer, active };
                let revision = Revision(self.channel_revision);
                Operation::PutChannel(Box::new(PutChannel { channel: channel(), spec, revision }))
            }
            6 => {
                let kit = self.kits[0].clone();
                let components = vec![
                    Component { sku: if self.dice.one_in(10) { kit.clone() } else { sku }, units: self.units(2) },
                ];
                let sku = if self.dice.one_in(8) { self.item() } else { kit };
                let if_absent = self.dice.one_in(8);
                let put = PutKit { sku, name: "set".to_owned(), components, if_revision: None, if_absent };
                Operation::PutKit(Box::new(put))
            }
            7 | 8 => {
                let sku = self.limited.clone();
                let id: LimitId = ["per-customer", "per-hour"][self.dice.below(2) as usize].parse().unwrap();
                let known = self.model.limits.get(&id).map(|limit| limit.1.window);
                let window = if id.as_str() == "per-hour" { LimitWindow::RollingSeconds(3_600) } else { LimitWindow::ForEver };
                let window = known.filter(|_| !self.dice.one_in(12)).unwrap_or(window);
                let spec = LimitSpec {
                    units: 2 + self.dice.below(12) as u32,
                    window,
                    returns_restore: self.dice.one_in(2),
                    active: !self.dice.one_in(4),
                };
                Operation::PutLimit(PutLimit { limit: id, sku, spec, if_revision: None })
            }
            _ => {
                shard = self.dice.below(3) as u32;
                let max_hold_s = 300 + self.dice.below(2_000) as u32;
                Operation::SetLimits(Box::new(SetLimits { limits: Limits { max_hold_s, ..crate::world::limits() } }))
            }
        };
        Some(Wish { is_current, shard, ..Wish::from(operation) })
    }

    /// An item's attributes, some of which decide what may be promised.
    fn changed_spec(&mut self, sku: &Sku) -> ItemSpec {
        let mut spec = self.model.items[sku].clone();
        spec.status = if self.dice.one_in(5) { ItemStatus::Paused } else { ItemStatus::Active };
        match self.dice.below(4) {
            0 => spec.min_remaining_days = if spec.lot_tracked { self.dice.below(3) as u32 } else { 0 },
            1 => spec.max_per_order = self.dice.one_in(2).then(|| 2 + self.dice.below(6) as u32),
            2 => spec.max_hold_s = self.dice.one_in(2).then(|| 60 + self.dice.below(900) as u32),
            _ => {
                if let Backorder::UpTo { cap } = &mut spec.backorder {
                    *cap = 1 + self.dice.below(6);
                }
                if let Backorder::Preorder { release_at, .. } = &mut spec.backorder {
                    *release_at = LogTime(self.now + self.dice.below(7_200_000));
                }
            }
        }
        if self.dice.one_in(25) {
            (spec.lot_tracked, spec.tracked) = (!spec.lot_tracked, true);
            let is_used = self.model.cells.iter().any(|((of, ..), cell)| of == sku && cell.on_hand() > 0);
            spec.lot_tracked = is_used == spec.lot_tracked;
            if !is_used {
                spec.lot_tracked = self.model.items[sku].lot_tracked;
            }
        }
        spec
    }

    fn bad_input(&mut self) -> Option<Wish> {
        let (sku, location, id) = (self.item(), location(0), self.unknown_id());
        let line = Line { sku: sku.clone(), location: location.clone(), units: Units(0), lot: None, optional: false, no_backorder: false };
        let reserve = |lines: Vec<Line>, ttl_s: u32| {
            let (order_ref, customer, channel, campaign, plan) = (None, None, None, None, None);
            let reserve = Reserve { reservation: id, lines, ttl_s, partial_ok: false, order_ref, customer, channel, campaign, plan };
            Operation::Reserve(reserve)
        };
        let one = LineUnits { line: 0, units: Units(1) };
        let commit = |parts| Operation::Commit(Commit { reservation: id, parts, last: false, if_expired: IfExpired::Fail, cancel_at: None });
        let (good, condition) = (Line { units: Units(1), ..line.clone() }, Condition::Damaged);
        let (operation, field) = match self.dice.below(12) {
            0 => (reserve(vec![line], 60), Field::Units),
            1 => (reserve(vec![good], 0), Field::Ttl),
            2 => (reserve(Vec::new(), 60), Field::Lines),
            3 => (commit(vec![one, one]), Field::LineNumber),
            4 => (commit(vec![LineUnits { units: Units(0), ..one }]), Field::Units),
            5 => (Operation::Adjust(Adjust { sku, location, lot: None, delta: 0, condition }), Field::Delta),
            6 => {
                let moved = MoveUnits { sku, location, lot: None, units: Units(1), from: condition, to: condition };
                (Operation::MoveUnits(moved), Field::ToCondition)
            }
            7 => {
                let receive = Receive { sku, location, lot: None, lot_spec: None, units: Units(MAX_UNITS + 1), receipt: None };
                (Operation::Receive(receive), Field::Units)
            }
            8 => {
                let transfer = TransferId::mint(3, slot_of(&sku), 1);
                let create = CreateTransfer { transfer, sku, from: location.clone(), to: location, lines: Vec::new() };
                (Operation::CreateTransfer(create), Field::ToLocation)
            }
            9 => (Operation::Amend(Amend { reservation: id, lines: vec![good.clone(), good] }), Field::Sku),
            10 => (Operation::Return(Return { reservation: id, parts: Vec::new(), location: None, condition }), Field::Lines),
            _ => (Operation::Extend(Extend { reservation: id, ttl_s: MAX_TTL_S + 1 }), Field::Ttl),
        };
        Some(Wish::bad(operation, field))
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

impl Dice {
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
