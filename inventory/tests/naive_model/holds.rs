//! The model's rules for reservations.

use std::collections::BTreeSet;

use holdfast_inventory::commands::{Commit, Extend, IfExpired, Line, Picked, Reserve, Return};
use holdfast_inventory::{
    Condition, InvalidArgument, ItemStatus, LineCounts, LineUnits, LogTime, Refusal, Reservation, ReservationId,
    ReservationLine, ReservationState, Revision, Success,
};

use crate::model::{Model, Outcome};

impl Model {
    pub fn reserve(&mut self, reserve: &Reserve) -> Outcome {
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
            plan: None,
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
            lots: Vec::new(),
            optional: line.optional,
            counted: spec.tracked,
            units: LineCounts::default(),
        })
    }

    pub fn amend(&mut self, id: ReservationId, asked: &[Line]) -> Outcome {
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

    pub fn extend(&mut self, extend: &Extend) -> Outcome {
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

    pub fn commit(&mut self, commit: &Commit) -> Outcome {
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

    pub fn fulfil(&mut self, id: ReservationId, parts: &[Picked]) -> Outcome {
        let old = self.find(id)?.clone();
        let exceeds = |line, available| Refusal::ExceedsHeldQuantity { line, available };
        if old.state.is_ended() {
            return Err(why_not(&old));
        }
        if sum(&old, |units| units.committed) == 0 {
            return Err(exceeds(0, 0));
        }
        let units = parts_of(&old, &units_of(parts), |units| units.committed, exceeds)?;
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

    pub fn take_back(&mut self, returned: &Return) -> Outcome {
        if let Some(location) = &returned.location
            && !self.locations.contains_key(location)
        {
            return Err(Refusal::UnknownLocation { location: location.clone() });
        }
        let old = self.find(returned.reservation)?.clone();
        let exceeds = |line, available| Refusal::ExceedsFulfilled { line, available };
        let parts = units_of(&returned.parts);
        let units = parts_of(&old, &parts, |units| units.fulfilled - units.returned, exceeds)?;
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
}

pub fn sum(reservation: &Reservation, of: impl Fn(&LineCounts) -> u64) -> u64 {
    reservation.lines.iter().map(|line| of(&line.units)).sum()
}

pub fn summary(reservation: &Reservation) -> ReservationState {
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
pub fn why_not(reservation: &Reservation) -> Refusal {
    let expired = Refusal::ReservationExpired { expired_at: reservation.expires_at };
    match reservation.state {
        ReservationState::Expired => expired,
        ReservationState::Fulfilled => Refusal::AlreadyFulfilled,
        ReservationState::Released | ReservationState::Cancelled => Refusal::AlreadyReleased,
        _ if sum(reservation, |units| units.expired) > 0 => expired,
        _ => Refusal::AlreadyCommitted,
    }
}

/// The model has no lots.
fn units_of(parts: &[Picked]) -> Vec<LineUnits> {
    parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect()
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
