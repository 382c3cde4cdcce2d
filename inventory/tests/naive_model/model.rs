//! The rules told a second time, as plainly as possible: maps and lists, every sum computed anew, no index. Written from
//! docs/ARCHITECTURE.md's rules, not from the code it checks.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::{PutItem, PutLocation};
use holdfast_inventory::{
    Answer, Command, Condition, DifferentField, Entry, InvalidArgument, ItemSpec, Limits, LineCounts, LocationId,
    LocationSpec, LogTime, MAX_UNITS, Operation, Refusal, Reservation, ReservationId, ReservationLine, Revision, Sku,
    StockFlow, Success,
};

use crate::holds::{sum, summary, why_not};
use crate::memory::{Admission, Memory};

pub type Key = (Sku, LocationId);

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
    pub items: BTreeMap<Sku, (ItemSpec, u64)>,
    pub locations: BTreeMap<LocationId, (LocationSpec, u64)>,
    pub places: BTreeMap<Key, Place>,
    /// Oldest first.
    pub reservations: Vec<Reservation>,
    memory: Memory,
}

pub type Outcome = Result<Success, Refusal>;

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
            let key =
                |reservation: &&Reservation| (sum(reservation, |units| units.fulfilled) > 0, reservation.ended_at);
            let is_old = |reservation: &&Reservation| {
                let (has_shipped, ended_at) = key(reservation);
                let keep_ms = if has_shipped { self.limits.keep_trace_ms } else { self.limits.keep_ended_ms };
                ended_at.unwrap().0 + keep_ms <= self.now.0
            };
            let is_too_many = count > self.limits.ended_reservations;
            let Some(next) = ended.filter(|it| is_too_many || is_old(it)).min_by_key(key) else { return };
            let id = next.id;
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
            let outcome = match &command.operation {
                Operation::SetLimits(_) => Err(InvalidArgument::of(holdfast_inventory::Field::Linked).into()),
                operation => self.decide(operation),
            };
            match outcome {
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
            Operation::SetLimits(set) => {
                if self.memory.exceeds(&set.limits) {
                    return Err(Refusal::Overloaded { retry_after_ms: 1_000 });
                }
                self.limits = set.limits.clone();
                Ok(Success::default())
            }
            Operation::PutLot(_) | Operation::BlockLot(_) => {
                unreachable!("the generator makes none: its items have no lots")
            }
            Operation::PutCampaign(_)
            | Operation::Grant(_)
            | Operation::Revoke(_)
            | Operation::JoinQueue(_)
            | Operation::CommitDraw(_)
            | Operation::Draw(_)
            | Operation::Admit(_) => {
                unreachable!("the generator makes none")
            }
            Operation::MoveUnits(_)
            | Operation::SetSafetyStock(_)
            | Operation::CreateTransfer(_)
            | Operation::ReceiveTransfer(_)
            | Operation::LoseTransfer(_)
            | Operation::CancelTransfer(_)
            | Operation::ExpectReceipt(_)
            | Operation::CloseReceipt(_) => unreachable!("the generator makes none: tests/places.rs does"),
            Operation::ReserveSpread(_)
            | Operation::Prepare(_)
            | Operation::Follow(_)
            | Operation::Abandon(_)
            | Operation::AskDecision(_)
            | Operation::Told(_) => unreachable!("the generator makes none: it has one shard"),
            Operation::PutLimit(_)
            | Operation::PutKit(_)
            | Operation::PutSharedLimit(_)
            | Operation::PutChannel(_)
            | Operation::OpenCount(_)
            | Operation::RecordCount(_)
            | Operation::ApplyCount(_)
            | Operation::CancelCount(_)
            | Operation::Reconcile(_) => unreachable!("the generator makes none: tests/counts.rs does"),
            Operation::HaltShard(_) | Operation::ResumeShard(_) => unreachable!("the generator makes none"),
            Operation::StartOrder(_) | Operation::ReportStep(_) | Operation::ResolveOrder(_) => {
                unreachable!("the generator makes none: tests/sagas.rs does")
            }
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
            return Err(Refusal::TooFewToWriteOff { available });
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

    pub fn find(&self, id: ReservationId) -> Result<&Reservation, Refusal> {
        let found = self.reservations.iter().find(|reservation| reservation.id == id);
        found.ok_or(Refusal::ReservationNotFound)
    }

    pub fn find_mut(&mut self, id: ReservationId) -> &mut Reservation {
        self.reservations.iter_mut().find(|reservation| reservation.id == id).unwrap()
    }

    pub fn holding(&self, id: ReservationId) -> Result<Reservation, Refusal> {
        let reservation = self.find(id)?;
        if sum(reservation, |units| units.held) == 0 { Err(why_not(reservation)) } else { Ok(reservation.clone()) }
    }

    // Changes.

    /// One more change of what lies at a place.
    pub fn touch(&mut self, key: &Key) -> &mut Place {
        let place = self.places.entry(key.clone()).or_default();
        place.revision += 1;
        place
    }

    pub fn touch_lines(&mut self, reservation: &Reservation, which: impl Fn(&ReservationLine) -> bool) {
        let lines = reservation.lines.iter().filter(|line| which(line));
        let keys: BTreeSet<Key> = lines.map(|line| (line.sku.clone(), line.location.clone())).collect();
        for key in &keys {
            self.touch(key);
        }
    }

    pub fn change(&mut self, id: ReservationId, change: impl Fn(&mut LineCounts)) {
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

    pub fn reservation_success(&self, id: ReservationId) -> Success {
        let reservation = self.find(id).unwrap();
        let first = &reservation.lines[0];
        Success {
            revision: reservation.revision,
            atp_after: self.atp(&(first.sku.clone(), first.location.clone())),
            expires_at: (sum(reservation, |units| units.held) > 0).then_some(reservation.expires_at),
            state: Some(reservation.state),
            held: None,
            ..Success::default()
        }
    }
}
