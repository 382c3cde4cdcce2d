//! The rules told a second time, as plainly as possible: maps and lists, every sum computed anew, no index. Written from
//! docs/ARCHITECTURE.md's rules, not from the code it checks.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::{Commit, Extend, IfExpired, Line, PutItem, PutLocation, Reserve, Return};
use holdfast_inventory::{
    Answer, Command, Condition, DifferentField, Entry, InvalidArgument, ItemSpec, ItemStatus, Limits, LineCounts,
    LineUnits, LocationId, LocationSpec, LogTime, MAX_UNITS, Operation, Refusal, Reservation, ReservationId,
    ReservationLine, ReservationState, Revision, Sku, StockFlow, Success,
};

use crate::memory::{Admission, Memory};

type Key = (Sku, LocationId);

/// What lies at one place. What is held and sold of it is summed up from the reservations.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub on_hand: u64,
    pub damaged: u64,
    pub quality_control: u64,
    pub flow: StockFlow,
    pub revision: u64,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub limits: Limits,
    pub now: LogTime,
    items: BTreeMap<Sku, (ItemSpec, u64)>,
    locations: BTreeMap<LocationId, (LocationSpec, u64)>,
    pub places: BTreeMap<Key, Place>,
    /// Oldest first.
    pub reservations: Vec<Reservation>,
    memory: Memory,
}

type Outcome = Result<Success, Refusal>;

impl Model {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: LogTime(0),
            items: BTreeMap::new(),
            locations: BTreeMap::new(),
            places: BTreeMap::new(),
            reservations: Vec::new(),
            memory: Memory::default(),
        }
    }

    pub fn apply(&mut self, entry: &Entry) -> Vec<Answer> {
        self.now = self.now.max(entry.time);
        self.memory.forget_old(self.now, &self.limits);
        self.forget_ended();
        self.end_what_is_due();
        let mut answers = Vec::new();
        let mut chain = Vec::new();
        for (at, command) in entry.commands.iter().enumerate() {
            chain.push(command.clone());
            if !command.linked || at + 1 == entry.commands.len() {
                let chain = std::mem::take(&mut chain);
                let outcomes = if chain.len() == 1 && !chain[0].linked {
                    vec![self.decide_single(&chain[0])]
                } else {
                    self.decide_chain(&chain)
                };
                for (command, (outcome, replayed)) in chain.iter().zip(outcomes) {
                    answers.push(Answer { id: command.id, outcome, replayed });
                }
            }
        }
        answers
    }

    fn forget_ended(&mut self) {
        loop {
            let ended = self.reservations.iter().filter(|reservation| reservation.ended_at.is_some());
            let count = ended.clone().count() as u64;
            let Some(oldest) = ended.min_by_key(|reservation| reservation.ended_at) else { return };
            let is_old = oldest.ended_at.unwrap().0 + self.limits.keep_ended_ms <= self.now.0;
            if !is_old && count <= self.limits.ended_reservations {
                return;
            }
            let id = oldest.id;
            self.reservations.retain(|reservation| reservation.id != id);
        }
    }

    fn end_what_is_due(&mut self) {
        let mut due: Vec<(LogTime, ReservationId)> = Vec::new();
        for reservation in &self.reservations {
            if sum(reservation, |units| units.held) > 0 && reservation.expires_at <= self.now {
                due.push((reservation.expires_at, reservation.id));
            }
            if sum(reservation, |units| units.committed) > 0
                && let Some(cancel_at) = reservation.cancel_at
                && cancel_at <= self.now
            {
                due.push((cancel_at, reservation.id));
            }
        }
        for (at, id) in due {
            let reservation = self.find(id).unwrap().clone();
            if sum(&reservation, |units| units.held) > 0 && reservation.expires_at == at {
                let held = |line: &ReservationLine| line.counted && line.units.held > 0;
                self.touch_lines(&reservation, held);
                self.change(id, |units| {
                    units.expired += units.held;
                    units.held = 0;
                });
            } else {
                let sold = |line: &ReservationLine| line.counted && line.units.committed > 0;
                self.touch_lines(&reservation, sold);
                self.change(id, |units| {
                    units.cancelled += units.committed;
                    units.committed = 0;
                });
            }
        }
    }

    fn decide_single(&mut self, command: &Command) -> (Outcome, bool) {
        match self.memory.admit(command, 0, self.now, &self.limits) {
            Admission::Decided(outcome) => (outcome, true),
            Admission::Refused(refusal) => (Err(refusal), false),
            Admission::New => {
                let outcome = self.decide(&command.operation);
                if !matches!(outcome, Err(Refusal::Overloaded { .. })) {
                    self.memory.keep(command, &outcome, self.now, &self.limits);
                }
                (outcome, false)
            }
        }
    }

    fn decide_chain(&mut self, chain: &[Command]) -> Vec<(Outcome, bool)> {
        let all_fail = |at: usize, refusal: Refusal| -> Vec<(Outcome, bool)> {
            (0..chain.len())
                .map(|other| (Err(if other == at { refusal.clone() } else { Refusal::LinkedCommandFailed }), false))
                .collect()
        };
        let last = chain.len() - 1;
        if chain[last].linked {
            let invalid = InvalidArgument::of(holdfast_inventory::Field::Linked);
            return all_fail(last, Refusal::InvalidArgument(invalid));
        }
        let ids: BTreeSet<_> = chain.iter().map(|command| command.id).collect();
        assert_eq!(ids.len(), chain.len(), "the generator makes no chain with an id twice");
        let mut decided = BTreeMap::new();
        let mut keyed = 0;
        for (at, command) in chain.iter().enumerate() {
            match self.memory.admit(command, keyed, self.now, &self.limits) {
                Admission::New => keyed += u64::from(command.keyed),
                Admission::Decided(outcome) => drop(decided.insert(at, outcome)),
                Admission::Refused(refusal) => return all_fail(at, refusal),
            }
        }
        if decided.len() == chain.len() {
            return decided.into_values().map(|outcome| (outcome, true)).collect();
        }
        if let Some(at) = decided.keys().next() {
            return all_fail(*at, Refusal::ExistsWithDifferent { field: DifferentField::Linked });
        }
        let before = self.clone();
        let mut outcomes = Vec::new();
        for (at, command) in chain.iter().enumerate() {
            match self.decide(&command.operation) {
                Ok(success) => outcomes.push((Ok(success), false)),
                Err(refusal) => {
                    *self = before;
                    outcomes = all_fail(at, refusal);
                    break;
                }
            }
        }
        if !outcomes.iter().any(|(outcome, _)| matches!(outcome, Err(Refusal::Overloaded { .. }))) {
            for (command, (outcome, _)) in chain.iter().zip(&outcomes) {
                self.memory.keep(command, outcome, self.now, &self.limits);
            }
        }
        outcomes
    }

    fn decide(&mut self, operation: &Operation) -> Outcome {
        match operation {
            Operation::PutItem(put) => self.put_item(put),
            Operation::PutLocation(put) => self.put_location(put),
            Operation::Receive(receive) => {
                let key = self.key(&receive.sku, &receive.location)?;
                let place = self.touch(&key);
                place.on_hand += receive.units.count();
                place.flow.received += receive.units.count();
                Ok(self.stock_success(&key))
            }
            Operation::Adjust(adjust) => {
                let key = self.key(&adjust.sku, &adjust.location)?;
                self.adjust(&key, adjust.delta, adjust.condition)
            }
            Operation::Set(set) => {
                let key = self.key(&set.sku, &set.location)?;
                let place = self.places.get(&key).cloned().unwrap_or_default();
                if Revision(place.revision) != set.if_revision {
                    return Err(Refusal::RevisionMismatch { actual: Revision(place.revision) });
                }
                self.adjust(&key, set.on_hand as i64 - place.on_hand as i64, Condition::Resellable)
            }
            Operation::Reserve(reserve) => self.reserve(reserve),
            Operation::Amend(amend) => self.amend(amend.reservation, &amend.lines),
            Operation::Extend(extend) => self.extend(extend),
            Operation::Commit(commit) => self.commit(commit),
            Operation::Release(release) => {
                let reservation = self.holding(release.reservation)?;
                self.touch_lines(&reservation, |line| line.counted && line.units.held > 0);
                self.change(reservation.id, |units| {
                    units.released += units.held;
                    units.held = 0;
                });
                Ok(self.reservation_success(reservation.id))
            }
            Operation::Fulfil(fulfil) => self.fulfil(fulfil.reservation, &fulfil.parts),
            Operation::Cancel(cancel) => {
                let reservation = self.find(cancel.reservation)?.clone();
                if reservation.state.is_ended() {
                    return Err(why_not(&reservation));
                }
                self.touch_lines(&reservation, |line| line.counted && line.units.held + line.units.committed > 0);
                self.change(reservation.id, |units| {
                    units.released += units.held;
                    units.cancelled += units.committed;
                    (units.held, units.committed) = (0, 0);
                });
                Ok(self.reservation_success(reservation.id))
            }
            Operation::Return(returned) => self.take_back(returned),
        }
    }

    fn put_item(&mut self, put: &PutItem) -> Outcome {
        let old = self.items.get(&put.sku).cloned();
        if let Some((spec, revision)) = &old {
            let actual = Revision(*revision);
            if put.if_absent {
                return Err(Refusal::Exists);
            }
            if put.if_revision.is_some_and(|expected| expected != actual) {
                return Err(Refusal::RevisionMismatch { actual });
            }
            if *spec == put.spec {
                return Ok(Success { revision: actual, ..Success::default() });
            }
        } else if put.if_revision.is_some_and(|expected| expected != Revision(0)) {
            return Err(Refusal::UnknownSku { sku: put.sku.clone() });
        }
        let revision = old.map_or(0, |(_, revision)| revision) + 1;
        self.items.insert(put.sku.clone(), (put.spec.clone(), revision));
        Ok(Success { revision: Revision(revision), ..Success::default() })
    }

    fn put_location(&mut self, put: &PutLocation) -> Outcome {
        let (old, revision) = self.locations.get(&put.location).cloned().unwrap_or_default();
        if revision > 0 && old == put.spec {
            return Ok(Success { revision: Revision(revision), ..Success::default() });
        }
        self.locations.insert(put.location.clone(), (put.spec.clone(), revision + 1));
        Ok(Success { revision: Revision(revision + 1), ..Success::default() })
    }

    fn adjust(&mut self, key: &Key, delta: i64, condition: Condition) -> Outcome {
        let place = self.places.get(key).cloned().unwrap_or_default();
        let available = match condition {
            Condition::Resellable => self.free(key),
            Condition::Damaged => place.damaged,
            Condition::QualityControl => place.quality_control,
        };
        if delta < 0 && delta.unsigned_abs() > available {
            return Err(Refusal::InsufficientStock { available, line: 0, recorded: true });
        }
        let place = self.touch(key);
        place.on_hand = (place.on_hand as i64 + delta) as u64;
        match condition {
            Condition::Resellable => {}
            Condition::Damaged => place.damaged = (place.damaged as i64 + delta) as u64,
            Condition::QualityControl => place.quality_control = (place.quality_control as i64 + delta) as u64,
        }
        if delta < 0 {
            place.flow.written_off += delta.unsigned_abs();
        } else {
            place.flow.found += delta.unsigned_abs();
        }
        Ok(self.stock_success(key))
    }

    fn reserve(&mut self, reserve: &Reserve) -> Outcome {
        if self.reservations.iter().any(|reservation| reservation.id == reserve.reservation) {
            return Err(Refusal::Exists);
        }
        let live = self.reservations.iter().filter(|reservation| reservation.ended_at.is_none()).count() as u64;
        if live >= self.limits.live_reservations {
            return Err(Refusal::Overloaded { retry_after_ms: 1_000 });
        }
        let mut lines = Vec::new();
        let mut max_hold_s = self.limits.max_hold_s;
        for (at, line) in reserve.lines.iter().enumerate() {
            lines.push(self.new_line(line)?);
            let spec = &self.items[&line.sku].0;
            max_hold_s = max_hold_s.min(spec.max_hold_s.unwrap_or(u32::MAX));
            let asked = reserve.lines[..=at].iter().filter(|other| other.sku == line.sku);
            let asked: u64 = asked.map(|other| other.units.count()).sum();
            if let Some(limit) = spec.max_per_order
                && asked > u64::from(limit)
            {
                return Err(Refusal::OrderLimitExceeded { sku: line.sku.clone(), limit });
            }
        }
        let mut lack = None;
        for required in [true, false] {
            for (at, line) in reserve.lines.iter().enumerate() {
                let is_optional = line.optional || reserve.partial_ok;
                if is_optional == required {
                    continue;
                }
                let available = self.free(&(line.sku.clone(), line.location.clone()));
                let same = lines.iter().filter(|other| other.sku == line.sku && other.location == line.location);
                let taken: u64 = same.map(|other| other.units.held).sum();
                if lines[at].counted && taken + line.units.count() > available {
                    let refusal = Refusal::InsufficientStock { available, line: at as u32, recorded: true };
                    if !is_optional {
                        return Err(refusal);
                    }
                    lack.get_or_insert(refusal);
                } else {
                    lines[at].units.held = line.units.count();
                }
            }
        }
        if lines.iter().all(|line| line.units.held == 0) {
            return Err(lack.unwrap());
        }
        let held = lack.map(|_| lines.iter().map(|line| line.units.held as u32).collect());
        let max_expires_at = LogTime(self.now.0 + u64::from(max_hold_s) * 1_000);
        let reservation = Reservation {
            id: reserve.reservation,
            state: ReservationState::Held,
            lines,
            created_at: self.now,
            expires_at: LogTime(self.now.0 + u64::from(reserve.ttl_s) * 1_000).min(max_expires_at),
            max_expires_at,
            cancel_at: None,
            ended_at: None,
            order_ref: reserve.order_ref.clone(),
            customer: reserve.customer,
            channel: reserve.channel.clone(),
            campaign: reserve.campaign.clone(),
            revision: Revision(1),
        };
        self.touch_lines(&reservation, |line| line.counted && line.units.held > 0);
        self.reservations.push(reservation);
        Ok(Success { held, ..self.reservation_success(reserve.reservation) })
    }

    fn new_line(&self, line: &Line) -> Result<ReservationLine, Refusal> {
        let Some((spec, _)) = self.items.get(&line.sku) else {
            return Err(Refusal::UnknownSku { sku: line.sku.clone() });
        };
        if !self.locations.get(&line.location).is_some_and(|(spec, _)| spec.active) {
            return Err(Refusal::UnknownLocation { location: line.location.clone() });
        }
        if spec.status != ItemStatus::Active {
            return Err(Refusal::ItemNotSellable { sku: line.sku.clone(), status: spec.status });
        }
        Ok(ReservationLine {
            sku: line.sku.clone(),
            location: line.location.clone(),
            lot: None,
            optional: line.optional,
            counted: spec.tracked,
            units: LineCounts::default(),
        })
    }

    fn amend(&mut self, id: ReservationId, asked: &[Line]) -> Outcome {
        let old = self.find(id)?.clone();
        if old.state != ReservationState::Held {
            return Err(why_not(&old));
        }
        let mut new = old.clone();
        for (at, line) in asked.iter().enumerate() {
            if !self.items.contains_key(&line.sku) {
                return Err(Refusal::UnknownSku { sku: line.sku.clone() });
            }
            if !self.locations.contains_key(&line.location) {
                return Err(Refusal::UnknownLocation { location: line.location.clone() });
            }
            let is_it = |other: &&mut ReservationLine| other.sku == line.sku && other.location == line.location;
            let held: u64 = new.lines.iter_mut().filter(is_it).map(|line| line.units.held).sum();
            if line.units.count() <= held {
                let mut less = held - line.units.count();
                for other in new.lines.iter_mut().rev().filter(is_it) {
                    let part = less.min(other.units.held);
                    other.units.held -= part;
                    other.units.released += part;
                    less -= part;
                }
                continue;
            }
            let more = line.units.count() - held;
            let fresh = self.new_line(line);
            let counted = match new.lines.iter_mut().find(is_it) {
                Some(other) => {
                    other.units.held += more;
                    other.counted
                }
                None => {
                    let mut fresh = fresh.clone()?;
                    fresh.units.held = more;
                    new.lines.push(fresh.clone());
                    fresh.counted
                }
            };
            fresh?;
            if let Some(limit) = self.items[&line.sku].0.max_hold_s {
                let limit = LogTime(new.created_at.0 + u64::from(limit) * 1_000);
                new.max_expires_at = new.max_expires_at.min(limit);
            }
            let available = self.free(&(line.sku.clone(), line.location.clone()));
            if counted && more > available {
                return Err(Refusal::InsufficientStock { available, line: at as u32, recorded: true });
            }
        }
        if new.max_expires_at <= self.now {
            return Err(Refusal::ExtendLimitReached { max_expires_at: new.max_expires_at });
        }
        for line in &new.lines {
            let total: u64 = new.lines.iter().filter(|other| other.sku == line.sku).map(|line| line.units.held).sum();
            if let Some(limit) = self.items[&line.sku].0.max_per_order
                && asked.iter().any(|asked| asked.sku == line.sku)
                && total > u64::from(limit)
            {
                return Err(Refusal::OrderLimitExceeded { sku: line.sku.clone(), limit });
            }
        }
        new.expires_at = new.expires_at.min(new.max_expires_at);
        let mut moved = new.clone();
        for (at, line) in moved.lines.iter_mut().enumerate() {
            line.counted &= line.units.held != old.lines.get(at).map_or(0, |old| old.units.held);
        }
        self.touch_lines(&moved, |line| line.counted);
        *self.find_mut(id) = new;
        self.change(id, |_| ());
        Ok(self.reservation_success(id))
    }

    fn extend(&mut self, extend: &Extend) -> Outcome {
        let reservation = self.holding(extend.reservation)?;
        let asked = LogTime(self.now.0 + u64::from(extend.ttl_s) * 1_000);
        if asked > reservation.max_expires_at {
            return Err(Refusal::ExtendLimitReached { max_expires_at: reservation.max_expires_at });
        }
        if asked > reservation.expires_at {
            self.find_mut(reservation.id).expires_at = asked;
            self.change(reservation.id, |_| ());
        }
        Ok(self.reservation_success(reservation.id))
    }

    fn commit(&mut self, commit: &Commit) -> Outcome {
        if let Some(at) = commit.cancel_at
            && (at <= self.now || at.0 > self.now.0 + 31 * 24 * 3_600_000)
        {
            return Err(Refusal::InvalidArgument(InvalidArgument::of(holdfast_inventory::Field::CancelAt)));
        }
        let old = self.find(commit.reservation)?.clone();
        let exceeds = |line, available| Refusal::ExceedsHeldQuantity { line, available };
        let is_held = sum(&old, |units| units.held) > 0;
        let is_retake = commit.if_expired == IfExpired::Retake && sum(&old, |units| units.expired) > 0;
        let units = match (is_held, is_retake) {
            (true, _) => parts_of(&old, &commit.parts, |units| units.held, exceeds)?,
            (false, true) => parts_of(&old, &commit.parts, |units| units.expired, exceeds)?,
            (false, false) => return Err(why_not(&old)),
        };
        let mut new = old.clone();
        let mut moved = old.clone();
        for (at, sold) in units.iter().enumerate() {
            let line = &mut new.lines[at].units;
            moved.lines[at].counted &= *sold > 0 || (is_held && commit.last && line.held > 0);
            line.committed += sold;
            if is_held {
                line.held -= sold;
                if commit.last {
                    line.released += line.held;
                    line.held = 0;
                }
                continue;
            }
            line.expired -= sold;
            if *sold == 0 {
                continue;
            }
            let line = &old.lines[at];
            let spec = &self.items[&line.sku].0;
            if spec.status != ItemStatus::Active {
                return Err(Refusal::ItemNotSellable { sku: line.sku.clone(), status: spec.status });
            }
            if !self.locations[&line.location].0.active {
                return Err(Refusal::UnknownLocation { location: line.location.clone() });
            }
            let so_far = old.lines[..=at].iter().zip(&units);
            let same = so_far.filter(|(other, _)| (&other.sku, &other.location) == (&line.sku, &line.location));
            let asked: u64 = same.map(|(_, units)| units).sum();
            let available = self.free(&(line.sku.clone(), line.location.clone()));
            if line.counted && asked > available {
                return Err(Refusal::InsufficientStock { available, line: at as u32, recorded: true });
            }
        }
        new.cancel_at = commit.cancel_at.or(new.cancel_at.filter(|at| *at > self.now));
        self.touch_lines(&moved, |line| line.counted);
        *self.find_mut(old.id) = new;
        self.change(old.id, |_| ());
        Ok(self.reservation_success(old.id))
    }

    fn fulfil(&mut self, id: ReservationId, parts: &[LineUnits]) -> Outcome {
        let old = self.find(id)?.clone();
        let exceeds = |line, available| Refusal::ExceedsHeldQuantity { line, available };
        if old.state.is_ended() {
            return Err(why_not(&old));
        }
        if sum(&old, |units| units.committed) == 0 {
            return Err(exceeds(0, 0));
        }
        let units = parts_of(&old, parts, |units| units.committed, exceeds)?;
        let mut touched = BTreeSet::new();
        for (at, units) in units.iter().enumerate().filter(|(_, units)| **units > 0) {
            let line = &mut self.find_mut(id).lines[at];
            line.units.committed -= units;
            line.units.fulfilled += units;
            let key = (line.sku.clone(), line.location.clone());
            if line.counted {
                let place = self.places.get_mut(&key).unwrap();
                place.on_hand -= units;
                place.flow.shipped += units;
                touched.insert(key);
            }
        }
        for key in &touched {
            self.touch(key);
        }
        self.change(id, |_| ());
        Ok(self.reservation_success(id))
    }

    fn take_back(&mut self, returned: &Return) -> Outcome {
        if let Some(location) = &returned.location
            && !self.locations.contains_key(location)
        {
            return Err(Refusal::UnknownLocation { location: location.clone() });
        }
        let old = self.find(returned.reservation)?.clone();
        let exceeds = |line, available| Refusal::ExceedsFulfilled { line, available };
        let units = parts_of(&old, &returned.parts, |units| units.fulfilled - units.returned, exceeds)?;
        let mut touched = BTreeSet::new();
        for (at, units) in units.iter().enumerate().filter(|(_, units)| **units > 0) {
            let line = &mut self.find_mut(old.id).lines[at];
            line.units.returned += units;
            let key = (line.sku.clone(), returned.location.clone().unwrap_or(line.location.clone()));
            if line.counted {
                let place = self.places.entry(key.clone()).or_default();
                place.on_hand += units;
                place.flow.returned += units;
                match returned.condition {
                    Condition::Resellable => {}
                    Condition::Damaged => place.damaged += units,
                    Condition::QualityControl => place.quality_control += units,
                }
                touched.insert(key);
            }
        }
        for key in &touched {
            self.touch(key);
        }
        self.change(old.id, |_| ());
        Ok(self.reservation_success(old.id))
    }

    // Sums and lookups.

    fn key(&self, sku: &Sku, location: &LocationId) -> Result<Key, Refusal> {
        if !self.items.contains_key(sku) {
            return Err(Refusal::UnknownSku { sku: sku.clone() });
        }
        if !self.locations.contains_key(location) {
            return Err(Refusal::UnknownLocation { location: location.clone() });
        }
        Ok((sku.clone(), location.clone()))
    }

    /// Units held and sold of what lies at a place.
    pub fn bound(&self, key: &Key) -> (u64, u64) {
        let lines = self.reservations.iter().flat_map(|reservation| &reservation.lines);
        let here = lines.filter(|line| line.counted && (&line.sku, &line.location) == (&key.0, &key.1));
        here.fold((0, 0), |(held, sold), line| (held + line.units.held, sold + line.units.committed))
    }

    pub fn free(&self, key: &Key) -> u64 {
        let place = self.places.get(key).cloned().unwrap_or_default();
        let (held, sold) = self.bound(key);
        place.on_hand - place.damaged - place.quality_control - held - sold
    }

    pub fn atp(&self, key: &Key) -> u64 {
        if self.items[&key.0].0.tracked { self.free(key) } else { u64::from(MAX_UNITS) }
    }

    fn find(&self, id: ReservationId) -> Result<&Reservation, Refusal> {
        let found = self.reservations.iter().find(|reservation| reservation.id == id);
        found.ok_or(Refusal::ReservationNotFound)
    }

    fn find_mut(&mut self, id: ReservationId) -> &mut Reservation {
        self.reservations.iter_mut().find(|reservation| reservation.id == id).unwrap()
    }

    fn holding(&self, id: ReservationId) -> Result<Reservation, Refusal> {
        let reservation = self.find(id)?;
        if sum(reservation, |units| units.held) == 0 { Err(why_not(reservation)) } else { Ok(reservation.clone()) }
    }

    // Changes.

    /// One more change of what lies at a place.
    fn touch(&mut self, key: &Key) -> &mut Place {
        let place = self.places.entry(key.clone()).or_default();
        place.revision += 1;
        place
    }

    fn touch_lines(&mut self, reservation: &Reservation, which: impl Fn(&ReservationLine) -> bool) {
        let lines = reservation.lines.iter().filter(|line| which(line));
        let keys: BTreeSet<Key> = lines.map(|line| (line.sku.clone(), line.location.clone())).collect();
        for key in &keys {
            self.touch(key);
        }
    }

    fn change(&mut self, id: ReservationId, change: impl Fn(&mut LineCounts)) {
        let now = self.now;
        let reservation = self.find_mut(id);
        reservation.lines.iter_mut().for_each(|line| change(&mut line.units));
        reservation.revision = Revision(reservation.revision.0 + 1);
        reservation.state = summary(reservation);
        reservation.ended_at = reservation.state.is_ended().then(|| reservation.ended_at.unwrap_or(now));
    }

    fn stock_success(&self, key: &Key) -> Success {
        Success { revision: Revision(self.places[key].revision), atp_after: self.atp(key), ..Success::default() }
    }

    fn reservation_success(&self, id: ReservationId) -> Success {
        let reservation = self.find(id).unwrap();
        let first = &reservation.lines[0];
        Success {
            revision: reservation.revision,
            atp_after: self.atp(&(first.sku.clone(), first.location.clone())),
            expires_at: (sum(reservation, |units| units.held) > 0).then_some(reservation.expires_at),
            state: Some(reservation.state),
            held: None,
        }
    }
}

fn sum(reservation: &Reservation, of: impl Fn(&LineCounts) -> u64) -> u64 {
    reservation.lines.iter().map(|line| of(&line.units)).sum()
}

fn summary(reservation: &Reservation) -> ReservationState {
    let (held, committed) = (sum(reservation, |units| units.held), sum(reservation, |units| units.committed));
    let fulfilled = sum(reservation, |units| units.fulfilled);
    match (held, committed, fulfilled) {
        (0, 0, 0) if sum(reservation, |units| units.cancelled) > 0 => ReservationState::Cancelled,
        (0, 0, 0) if sum(reservation, |units| units.expired) > 0 => ReservationState::Expired,
        (0, 0, 0) => ReservationState::Released,
        (0, 0, _) => ReservationState::Fulfilled,
        (_, _, 1..) => ReservationState::PartiallyFulfilled,
        (_, 1.., _) => ReservationState::Committed,
        _ => ReservationState::Held,
    }
}

/// Why nothing can be done with a hold that is not there.
fn why_not(reservation: &Reservation) -> Refusal {
    let expired = Refusal::ReservationExpired { expired_at: reservation.expires_at };
    match reservation.state {
        ReservationState::Expired => expired,
        ReservationState::Fulfilled => Refusal::AlreadyFulfilled,
        ReservationState::Released | ReservationState::Cancelled => Refusal::AlreadyReleased,
        _ if sum(reservation, |units| units.expired) > 0 => expired,
        _ => Refusal::AlreadyCommitted,
    }
}

fn parts_of(
    reservation: &Reservation,
    parts: &[LineUnits],
    of: impl Fn(&LineCounts) -> u64,
    exceeds: impl Fn(u32, u64) -> Refusal,
) -> Result<Vec<u64>, Refusal> {
    let all: Vec<u64> = reservation.lines.iter().map(|line| of(&line.units)).collect();
    if parts.is_empty() {
        return Ok(all);
    }
    let mut units = vec![0; all.len()];
    for part in parts {
        let Some(available) = all.get(part.line as usize) else {
            let field = holdfast_inventory::Field::LineNumber;
            return Err(Refusal::InvalidArgument(InvalidArgument::in_line(field, part.line as usize)));
        };
        if part.units.count() > *available {
            return Err(exceeds(part.line, *available));
        }
        units[part.line as usize] = part.units.count();
    }
    Ok(units)
}
