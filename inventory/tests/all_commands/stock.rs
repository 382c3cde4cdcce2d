//! What the model does with items, lots, stock, documents and counts.

use holdfast_inventory::commands::{
    Adjust, ApplyCount, BlockLot, CreateTransfer, ExpectReceipt, LoseTransfer, MoveUnits, OpenCount, PutItem, PutKit,
    PutLot, Receive, ReceiveTransfer, Reconcile, RecordCount,
};
use holdfast_inventory::{
    Component, Condition, CountId, Field, LineUnits, LocationId, LotId, LotSpec, LotStatus, Sku, TransferId, slot_of,
};

use crate::model::{Count, Lot, Model, Place, Receipt, Said, Transfer, invalid, why};
use crate::{OPEN_DOCUMENTS, shard_of};

const CONDITIONS: [Condition; 3] = [Condition::Resellable, Condition::Damaged, Condition::QualityControl];

impl Model {
    /// The place of a command, whose item and location must be known.
    pub fn place(&self, sku: &Sku, location: &LocationId) -> Said<Place> {
        self.check_item(sku)?;
        if !self.locations.contains_key(location) {
            return why("UnknownLocation");
        }
        Ok((sku.clone(), location.clone()))
    }

    /// The lot of stock: there must be one where the item is tracked by lot, and none where it is not.
    fn check_lot(&self, sku: &Sku, lot: Option<&LotId>) -> Said<()> {
        match (self.items[sku].lot_tracked, lot) {
            (true, None) => why("LotRequired"),
            (true, Some(lot)) => self.lot(sku, lot).map(|_| ()),
            (false, Some(_)) => invalid(Field::LotId),
            (false, None) => Ok(()),
        }
    }

    pub fn put_item(&mut self, put: &PutItem) -> Said<()> {
        if self.kits.contains_key(&put.sku) {
            return why("ExistsWithDifferent");
        }
        if self.items.contains_key(&put.sku) && put.if_absent {
            return why("Exists");
        }
        let is_used = self.cells.iter().any(|((sku, ..), cell)| *sku == put.sku && cell.on_hand() > 0);
        let is_other = self.items.get(&put.sku).is_some_and(|spec| spec.lot_tracked != put.spec.lot_tracked);
        if is_other && is_used {
            return why("ExistsWithDifferent");
        }
        self.items.insert(put.sku.clone(), put.spec.clone());
        Ok(())
    }

    pub fn put_kit(&mut self, put: &PutKit) -> Said<()> {
        if put.components.iter().any(|component: &Component| component.sku == put.sku) {
            return why("KitCycle");
        }
        if self.items.contains_key(&put.sku) {
            return why("ExistsWithDifferent");
        }
        if put.if_absent && self.kits.contains_key(&put.sku) {
            return why("Exists");
        }
        self.kits.insert(put.sku.clone(), (put.name.clone(), put.components.clone()));
        Ok(())
    }

    fn lot_of(&self, sku: &Sku, spec: &LotSpec) -> Lot {
        let (expires_at, removal_at) = self.expiry(sku, &spec.dates);
        let (made, received_at, status) = (self.lots.len(), self.now, LotStatus::Approved);
        Lot { made, spec: spec.clone(), expires_at, removal_at, received_at, status }
    }

    pub fn put_lot(&mut self, put: &PutLot) -> Said<()> {
        self.check_item(&put.sku)?;
        if !self.items[&put.sku].lot_tracked {
            return invalid(Field::LotId);
        }
        let new = self.lot_of(&put.sku, &put.spec);
        let key = (put.sku.clone(), put.lot.clone());
        match self.lots.get_mut(&key) {
            Some(lot) => (lot.spec, lot.expires_at, lot.removal_at) = (new.spec, new.expires_at, new.removal_at),
            None => drop(self.lots.insert(key, new)),
        }
        if self.lot(&put.sku, &put.lot)?.removal_at < self.now {
            self.withdraw(&put.sku, &put.lot, false);
        }
        self.settle();
        self.pass_dates(0, |sku| *sku == put.sku);
        Ok(())
    }

    pub fn block(&mut self, block: &BlockLot) -> Said<()> {
        self.check_item(&block.sku)?;
        let before = self.lot(&block.sku, &block.lot)?.status;
        if before == block.status {
            return Ok(());
        }
        if before == LotStatus::Recalled {
            return why("LotBlocked");
        }
        let key = (block.sku.clone(), block.lot.clone());
        self.lots.entry(key).and_modify(|lot| lot.status = block.status);
        if block.status == LotStatus::Approved {
            return Ok(());
        }
        self.withdraw(&block.sku, &block.lot, true);
        if block.status == LotStatus::Recalled {
            self.forget_name(&block.sku, &block.lot);
        }
        Ok(())
    }

    pub fn receive(&mut self, receive: &Receive) -> Said<()> {
        let place = self.place(&receive.sku, &receive.location)?;
        if let Some(id) = receive.receipt {
            let Some(receipt) = self.receipts.get(&id) else { return why("ReceiptNotFound") };
            if receipt.is_closed {
                return why("AlreadyEnded");
            }
            if (&receipt.sku, &receipt.location) != (&place.0, &place.1) {
                return invalid(Field::ReceiptId);
            }
        }
        let known = self.check_lot(&receive.sku, receive.lot.as_ref());
        let said = receive.lot_spec.as_deref().cloned().unwrap_or_default();
        match (known, &receive.lot) {
            (Err(refused), Some(lot)) if refused.name == "UnknownLot" => {
                let made = self.lot_of(&receive.sku, &said);
                self.lots.insert((receive.sku.clone(), lot.clone()), made);
            }
            (Err(refused), _) => return Err(refused),
            (Ok(()), Some(lot)) => {
                let (known, (expires_at, _)) = (self.lot(&receive.sku, lot)?, self.expiry(&receive.sku, &said.dates));
                let differs = (said.dates.best_before.is_some()
                    && said.dates.best_before != known.spec.dates.best_before)
                    || (expires_at.is_some() && expires_at != known.expires_at);
                if differs {
                    return why("ExistsWithDifferent");
                }
            }
            (Ok(()), None) => {}
        }
        self.cell_mut(&place, receive.lot.as_ref()).resellable += receive.units.count();
        if let Some(receipt) = receive.receipt.and_then(|id| self.receipts.get_mut(&id)) {
            // Those expected of that lot first, then those expected of whichever.
            let mut left = receive.units.count();
            for wanted in [receive.lot.as_ref(), None] {
                if let Some(line) = receipt.lines.iter_mut().find(|line| line.0.as_ref() == wanted) {
                    let part = left.min(line.1);
                    (line.1, left) = (line.1 - part, left - part);
                }
            }
        }
        Ok(())
    }

    pub fn adjust(&mut self, adjust: &Adjust) -> Said<()> {
        let place = self.place(&adjust.sku, &adjust.location)?;
        self.check_lot(&adjust.sku, adjust.lot.as_ref())?;
        self.find_or_write_off(&place, adjust.lot.as_ref(), adjust.delta, adjust.condition)
    }

    fn find_or_write_off(&mut self, place: &Place, lot: Option<&LotId>, delta: i64, condition: Condition) -> Said<()> {
        if delta < 0 && delta.unsigned_abs() > self.units_to_take(place, lot, condition) {
            return why("TooFewToWriteOff");
        }
        let units = self.cell_mut(place, lot).of(condition);
        *units = units.checked_add_signed(delta).expect("no more is taken than lies there");
        Ok(())
    }

    pub fn set(&mut self, set: &holdfast_inventory::commands::Set, is_current: bool) -> Said<()> {
        let place = self.place(&set.sku, &set.location)?;
        self.check_lot(&set.sku, set.lot.as_ref())?;
        if !is_current {
            return why("RevisionMismatch");
        }
        let delta = set.on_hand as i64 - self.cell(&place, set.lot.as_ref()).on_hand() as i64;
        self.find_or_write_off(&place, set.lot.as_ref(), delta, Condition::Resellable)
    }

    /// What campaigns leave of what is on sale; all of what is not.
    fn spare_of(&self, place: &Place, lot: Option<&LotId>, condition: Condition) -> u64 {
        let is_on_sale = lot.is_none_or(|lot| self.is_sellable(&self.lots[&(place.0.clone(), lot.clone())]));
        if condition == Condition::Resellable && is_on_sale { self.spare_units(place) } else { u64::MAX }
    }

    pub fn move_units(&mut self, moved: &MoveUnits) -> Said<()> {
        let place = self.place(&moved.sku, &moved.location)?;
        self.check_lot(&moved.sku, moved.lot.as_ref())?;
        let units = moved.units.count();
        let spare = self.spare_of(&place, moved.lot.as_ref(), moved.from);
        if units > self.units_to_take(&place, moved.lot.as_ref(), moved.from).min(spare) {
            return why("TooFewOfCondition");
        }
        let cell = self.cell_mut(&place, moved.lot.as_ref());
        *cell.of(moved.from) -= units;
        *cell.of(moved.to) += units;
        Ok(())
    }

    pub fn set_safety_stock(&mut self, sku: &Sku, location: &LocationId, units: u64, is_current: bool) -> Said<()> {
        let place = self.place(sku, location)?;
        if !is_current {
            return why("RevisionMismatch");
        }
        self.safety.insert(place, units);
        Ok(())
    }

    pub fn reconcile(&mut self, said: &Reconcile) -> Said<()> {
        let place = self.place(&said.sku, &said.location)?;
        let lot = said.lot.as_ref();
        if !said.repair {
            return lot.map_or(Ok(()), |lot| self.check_lot(&said.sku, Some(lot)));
        }
        self.check_lot(&said.sku, lot)?;
        let gone = said.delta.min(0).unsigned_abs();
        if gone > self.cell(&place, lot).resellable {
            return why("TooFewToWriteOff");
        }
        self.cell_mut(&place, lot).resellable += said.delta.max(0) as u64;
        self.write_off(&place, lot, Condition::Resellable, gone);
        Ok(())
    }

    /// A shard has only so many documents that are open.
    fn check_new_document(&self, is_known: bool, of: &Sku) -> Said<()> {
        if is_known {
            return why("Exists");
        }
        let is_here = |sku: &Sku| shard_of(slot_of(sku)) == shard_of(slot_of(of));
        let transfers = self.transfers.values().filter(|it| is_here(&it.sku) && it.lines.iter().any(|line| line.1 > 0));
        let receipts = self.receipts.values().filter(|it| is_here(&it.sku) && !it.is_closed);
        let counts = self.counts.values().filter(|it| is_here(&it.sku) && it.is_open);
        let open = transfers.count() + receipts.count() + counts.count();
        if open >= OPEN_DOCUMENTS { why("Overloaded") } else { Ok(()) }
    }

    pub fn create_transfer(&mut self, create: &CreateTransfer) -> Said<()> {
        self.check_new_document(self.transfers.contains_key(&create.transfer), &create.sku)?;
        let from = self.place(&create.sku, &create.from)?;
        self.check_active(&create.to)?;
        create.lines.iter().try_for_each(|line| self.check_lot(&create.sku, line.lot.as_ref()))?;
        let mut after = self.clone();
        for line in &create.lines {
            let spare = after.spare_of(&from, line.lot.as_ref(), Condition::Resellable);
            if line.units.count() > after.units_to_take(&from, line.lot.as_ref(), Condition::Resellable).min(spare) {
                return why("InsufficientStock");
            }
            after.cell_mut(&from, line.lot.as_ref()).resellable -= line.units.count();
        }
        *self = after;
        let (sku, from, to) = (create.sku.clone(), create.from.clone(), create.to.clone());
        let lines = create.lines.iter().map(|line| (line.lot.clone(), line.units.count())).collect();
        self.transfers.insert(create.transfer, Transfer { sku, from, to, lines });
        Ok(())
    }

    /// The transfer, with units of each line that is asked for.
    fn in_transit(&self, id: TransferId, parts: &[LineUnits]) -> Said<(Transfer, Vec<u64>)> {
        let Some(transfer) = self.transfers.get(&id) else { return why("TransferNotFound") };
        if transfer.lines.iter().all(|line| line.1 == 0) {
            return why("AlreadyEnded");
        }
        if parts.is_empty() {
            return Ok((transfer.clone(), transfer.lines.iter().map(|line| line.1).collect()));
        }
        let mut units = vec![0; transfer.lines.len()];
        for part in parts {
            let Some(line) = transfer.lines.get(part.line as usize) else { return invalid(Field::LineNumber) };
            units[part.line as usize] += part.units.count();
            if units[part.line as usize] > line.1 {
                return why("ExceedsInTransit");
            }
        }
        Ok((transfer.clone(), units))
    }

    fn take_off_transit(&mut self, id: TransferId, units: &[u64]) {
        let lines = self.transfers.get_mut(&id).into_iter().flat_map(|transfer| &mut transfer.lines);
        lines.zip(units).for_each(|(line, units)| line.1 -= units);
    }

    pub fn receive_transfer(&mut self, receive: &ReceiveTransfer) -> Said<()> {
        let parts: Vec<LineUnits> =
            receive.parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect();
        let (transfer, units) = self.in_transit(receive.transfer, &parts)?;
        let to = (transfer.sku.clone(), transfer.to.clone());
        if receive.parts.is_empty() {
            for (line, units) in transfer.lines.iter().zip(&units) {
                self.cell_mut(&to, line.0.as_ref()).resellable += units;
            }
        }
        for part in &receive.parts {
            let lot = transfer.lines[part.line as usize].0.as_ref();
            *self.cell_mut(&to, lot).of(part.condition) += part.units.count();
        }
        self.take_off_transit(receive.transfer, &units);
        Ok(())
    }

    pub fn lose_transfer(&mut self, lose: &LoseTransfer) -> Said<()> {
        let (_, units) = self.in_transit(lose.transfer, &lose.parts)?;
        self.take_off_transit(lose.transfer, &units);
        Ok(())
    }

    pub fn cancel_transfer(&mut self, id: TransferId) -> Said<()> {
        let (transfer, units) = self.in_transit(id, &[])?;
        let from = (transfer.sku, transfer.from);
        for (line, units) in transfer.lines.iter().zip(&units) {
            self.cell_mut(&from, line.0.as_ref()).resellable += units;
        }
        self.take_off_transit(id, &units);
        Ok(())
    }

    pub fn expect_receipt(&mut self, expect: &ExpectReceipt) -> Said<()> {
        self.check_new_document(self.receipts.contains_key(&expect.receipt), &expect.sku)?;
        self.check_item(&expect.sku)?;
        self.check_active(&expect.location)?;
        if !self.items[&expect.sku].lot_tracked && expect.lines.iter().any(|line| line.lot.is_some()) {
            return invalid(Field::LotId);
        }
        let (sku, location) = (expect.sku.clone(), expect.location.clone());
        let lines = expect.lines.iter().map(|line| (line.lot.clone(), line.units.count())).collect();
        self.receipts.insert(expect.receipt, Receipt { sku, location, lines, is_closed: false });
        Ok(())
    }

    pub fn close_receipt(&mut self, id: holdfast_inventory::ReceiptId) -> Said<()> {
        let Some(receipt) = self.receipts.get_mut(&id) else { return why("ReceiptNotFound") };
        if std::mem::replace(&mut receipt.is_closed, true) { why("AlreadyEnded") } else { Ok(()) }
    }

    pub fn open_count(&mut self, open: &OpenCount) -> Said<()> {
        self.check_new_document(self.counts.contains_key(&open.count), &open.sku)?;
        let place = self.place(&open.sku, &open.location)?;
        let is_same = |count: &&Count| count.is_open && (&count.sku, &count.location) == (&place.0, &place.1);
        if self.counts.values().any(|count| is_same(&count)) {
            return why("CountInProgress");
        }
        let mut cells: Vec<_> =
            self.cells.iter().filter(|((sku, at, _), _)| (sku, at) == (&place.0, &place.1)).collect();
        cells.sort_by_key(|((sku, _, lot), _)| lot.clone().map(|lot| self.lots[&(sku.clone(), lot)].made));
        let lines = cells.iter().flat_map(|((_, _, lot), cell)| {
            let mut cell = **cell;
            let lies = CONDITIONS.into_iter().filter(move |condition| *cell.of(*condition) > 0);
            lies.map(move |condition| (lot.clone(), condition, None))
        });
        let lines = lines.collect();
        self.counts.insert(open.count, Count { sku: place.0, location: place.1, is_open: true, lines });
        Ok(())
    }

    fn open(&self, id: CountId) -> Said<Count> {
        match self.counts.get(&id) {
            None => why("CountNotFound"),
            Some(count) if !count.is_open => why("AlreadyEnded"),
            Some(count) => Ok(count.clone()),
        }
    }

    pub fn record_count(&mut self, record: &RecordCount) -> Said<()> {
        let mut count = self.open(record.count)?;
        let place = (count.sku.clone(), count.location.clone());
        for counted in &record.lines {
            self.check_lot(&count.sku, counted.lot.as_ref())?;
            let lying = *self.cell(&place, counted.lot.as_ref()).of(counted.condition);
            let more = Some(counted.units as i64 - lying as i64);
            let is_it =
                |line: &(Option<LotId>, Condition, Option<i64>)| (&line.0, line.1) == (&counted.lot, counted.condition);
            match count.lines.iter().position(is_it) {
                Some(at) => count.lines[at].2 = more,
                None => count.lines.push((counted.lot.clone(), counted.condition, more)),
            }
        }
        self.counts.insert(record.count, count);
        Ok(())
    }

    /// What was found is there, then what was missed is gone, but for what has gone since.
    pub fn apply_count(&mut self, apply: &ApplyCount) -> Said<()> {
        let count = self.open(apply.count)?;
        let place = (count.sku.clone(), count.location.clone());
        for (lot, condition, more) in &count.lines {
            *self.cell_mut(&place, lot.as_ref()).of(*condition) += more.unwrap_or(0).max(0) as u64;
        }
        for (lot, condition, more) in &count.lines {
            self.write_off(&place, lot.as_ref(), *condition, more.unwrap_or(0).min(0).unsigned_abs());
        }
        self.close_count(apply.count)
    }

    pub fn close_count(&mut self, id: CountId) -> Said<()> {
        self.open(id)?;
        self.counts.entry(id).and_modify(|count| count.is_open = false);
        Ok(())
    }
}
