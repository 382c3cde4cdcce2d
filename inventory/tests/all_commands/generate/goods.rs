//! What is asked of stock: arrivals, corrections, documents, counts, lots.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::{Wish, lot};
use crate::world::World;

impl World {
    pub(super) fn supply(&mut self) -> Option<Wish> {
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

    pub(super) fn revision(&mut self, actual: Revision) -> (Revision, bool) {
        let is_current = !self.dice.one_in(8);
        (if is_current { actual } else { Revision(actual.0 + 1) }, is_current)
    }

    fn place_revision(&mut self, sku: &Sku, location: &LocationId) -> (Revision, bool) {
        let levels = self.shard(sku).stock(sku).unwrap_or_default();
        let actual = levels.into_iter().find(|level| level.location == *location).map(|level| level.revision);
        self.revision(actual.unwrap_or_default())
    }

    pub(super) fn stock(&mut self) -> Option<Wish> {
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
                let to =
                    [Condition::Resellable, Condition::Damaged, Condition::QualityControl][self.dice.below(3) as usize];
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

    pub(super) fn documents(&mut self) -> Option<Wish> {
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
                // One that has ended may be forgotten just then.
                let is_open = |id: &&TransferId| self.model.transfers[id].lines.iter().any(|line| line.1 > 0);
                let known =
                    transfers.iter().filter(is_open).find(|id| id.slot() == slot).filter(|_| self.dice.one_in(20));
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

    pub(super) fn counting(&mut self) -> Option<Wish> {
        self.documents += 1;
        let wants_open = !self.dice.one_in(15);
        let counts = self.model.counts.iter().filter(|(_, count)| !wants_open || count.is_open);
        let counts: Vec<CountId> = counts.map(|(id, _)| *id).collect();
        let count = (!counts.is_empty()).then(|| counts[self.dice.below(counts.len() as u64) as usize]);
        let drawn = self.dice.below(12);
        if count.is_none() || drawn < 3 {
            let (sku, location) = (self.sku(), self.location());
            let count = CountId::mint(self.now, slot_of(&sku), self.documents);
            return Some(Wish::from(Operation::OpenCount(OpenCount {
                count,
                sku,
                location,
                reference: String::new(),
            })));
        }
        let count = if self.dice.one_in(40) { CountId::mint(3, count?.slot(), 1) } else { count? };
        Some(Wish::from(match drawn {
            3..=7 => {
                let of = self.model.counts.get(&count).map(|of| (of.sku.clone(), of.location.clone()));
                let (sku, location) = of?;
                let mut lines: Vec<CountedUnits> = Vec::new();
                for _ in 0..1 + self.dice.below(2) {
                    let (lot, condition) = (self.lot_of(&sku), self.condition());
                    let lying = *self.model.cell(&(sku.clone(), location.clone()), lot.as_ref()).of(condition);
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

    pub(super) fn lots(&mut self) -> Option<Wish> {
        let by_lot: Vec<Sku> = self.skus.iter().filter(|sku| self.is_by_lot(sku)).cloned().collect();
        let sku = if self.dice.one_in(40) {
            self.sku()
        } else {
            by_lot[self.dice.below(by_lot.len() as u64) as usize].clone()
        };
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
}
